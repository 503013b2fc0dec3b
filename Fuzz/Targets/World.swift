// Does the real scheduler, door, board, store and what tells of them live through any history? On a loop
// whose time is moved, with definitions that come and go under hostile names, orders as the API takes
// them, words of other agents, clocks that are set, and probes that find and take what they like.

import Checks
import DNS
import Health
import Proxy
import Vocabulary

@testable import Admin
@testable import AgentCheck
@testable import EventLoop
@testable import Monitor
@testable import Proxy
@testable import Store

/// What probes find, in an order that the input chose.
private final class Deck: @unchecked Sendable {
    var outcomes: [Outcome] = []
    var drawn = 0

    func draw() -> Outcome {
        drawn += 1
        if outcomes.isEmpty { return Outcome(.pass, .layer7OK, code: 200) }
        return outcomes[drawn % outcomes.count]
    }
}

/// Finds what lies on the deck: at once, or so late that its timeout is over.
private struct DeckCheck: Check {
    static let kind = "deck"
    static let summary = "finds what the input says"

    let deck: Deck
    /// Of four probes so many take a while.
    let slow: Int

    init(_ deck: Deck, slow: Int) {
        self.deck = deck
        self.slow = slow
    }

    init(options: inout Options) throws(SettingError) { self.init(Deck(), slow: 0) }

    func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        let outcome = deck.draw()
        if deck.drawn % 4 < slow {
            let timers = Timers(loop: context.loop)
            await withCheckedContinuation { waiter in
                timers.schedule(at: context.deadline) { waiter.resume() }
            }
        }
        context.trace?.note("expect", outcome.message)
        return outcome
    }
}

private final class World {
    let loop: EventLoop
    let board: Board
    let store: EmbeddedStore
    let operations: Operations
    let scheduler: Scheduler
    let book: AnswerBook
    let heartbeats: Heartbeats
    let services: Services
    let resolver: Resolver
    let deck = Deck()
    var hasStopped = false
    var catalogue = Catalogue()
    /// Lines that were told to people, of the last step.
    private let journal = Journal(from: .debug) { _, text in
        require(text.utf8.allSatisfy { $0 != 0x0A }, "a line that is two: \(text)")
    }

    static let upstreams = ["web", "a|b", "%7C", "\u{1F600}\" \\"]
    static let peers = ["a", "127.0.0.1:80", "unix:/run/a b", "x|y%2F\u{2028}"]
    static let monitors = ["http", "port", "{}\""]
    private static let latest = WallTime(milliseconds: 253_402_300_799_999 - 400_000_000)
    /// Of one span: a day with a probe every ten milliseconds teaches nothing more.
    private static let probesMax: UInt64 = 200
    private static let momentsMax = 1_000

    init(on loop: EventLoop) throws {
        self.loop = loop
        board = Board(loop: loop, journal: journal)
        store = EmbeddedStore(loop: loop, journal: journal)
        operations = Operations(loop: loop, board: board, store: store)
        resolver = try Resolver(on: loop)
        heartbeats = Heartbeats(began: loop.instant)
        services = Services(loop: loop, journal: journal)
        scheduler = Scheduler(
            loop: loop,
            resolver: LoopBound(resolver, on: loop),
            door: Door(
                agent: "me",
                board: board,
                store: store,
                epoch: UInt64(max(loop.wall.milliseconds, 0)),
                journal: journal
            ),
            limits: ProbeLimits(inFlight: 4, perAddress: 2),
            heartbeats: heartbeats,
            services: LoopBound(services, on: loop),
            journal: journal
        )
        book = AnswerBook(loop: loop, board: board, policy: AgentCheckPolicy(), memory: nil)
        store.start(board)
        book.open(at: loop.now)
    }

    // MARK: Definitions

    private func take(_ changes: [CatalogueChange]) {
        board.apply(changes.map(\.summarised))
        scheduler.apply(changes)
    }

    private func peer(_ id: String, _ tape: inout Tape) -> PeerDefinition {
        let flags = tape.byte()
        return PeerDefinition(
            id: id,
            address: tape.pick([
                .host("127.0.0.1", port: 80), .host("127.0.0.2", port: 80),
                .unix(path: "/run/a b"),
            ]),
            weight: tape.pick([0, 1, 4, PeerDefinition.weightMax]),
            isBackup: flags & 1 != 0,
            isDisabled: flags & 2 != 0,
            maxConnections: flags & 4 != 0 ? 7 : nil
        )
    }

    private func monitor(_ id: String, _ tape: inout Tape) -> MonitorDefinition {
        let interval = tape.pick([
            Nanoseconds.milliseconds(10), .milliseconds(500), .seconds(2), .seconds(86_400),
        ])
        let spans: [Nanoseconds] = [.milliseconds(10), interval, .seconds(86_400)]
        return MonitorDefinition(
            id: id,
            kind: tape.pick(["deck", "deck", "other"]),
            check: DeckCheck(deck, slow: Int(tape.byte() % 4)),
            schedule: Schedule(
                interval: interval,
                fastInterval: min(tape.pick(spans), interval),
                downInterval: tape.pick(spans),
                timeout: tape.pick([.milliseconds(1), min(interval, .seconds(2))])
            ),
            thresholds: Thresholds(
                rise: tape.pick([1, 2, Thresholds.countMax]),
                fall: tape.pick([1, 3, Thresholds.countMax])
            ),
            isRequired: tape.byte() & 3 != 0,
            fingerprint: Int(tape.byte())
        )
    }

    private func source(_ tape: inout Tape) -> CatalogueSource {
        tape.pick([.file, .foreign("etc"), .api])
    }

    func define(_ tape: inout Tape) {
        var wanted: [MonitoredUpstream] = []
        let (names, peers, monitors) = (tape.byte(), tape.byte(), tape.byte())
        for (index, name) in Self.upstreams.enumerated() where names >> UInt8(index) & 1 == 1 {
            wanted.append(
                MonitoredUpstream(
                    definition: UpstreamDefinition(
                        name: name,
                        peers: Self.peers.enumerated()
                            .filter { peers >> UInt8($0.offset) & 1 == 1 }
                            .map { peer($0.element, &tape) },
                        slowStart: tape.pick([.zero, .seconds(10), .seconds(.max)]),
                        panicThreshold: tape.pick([0, 0.1, 0.5, 1]),
                        allDown: tape.pick(UpstreamDefinition.AllDown.allCases)
                    ),
                    monitors: Self.monitors.enumerated()
                        .filter { monitors >> UInt8($0.offset) & 1 == 1 }
                        .map { monitor($0.element, &tape) }
                )
            )
        }
        take(catalogue.set(source(&tape), wanted))
    }

    func change(_ tape: inout Tape) {
        let source = source(&tape)
        let key = key(&tape)
        let isGone = tape.byte() & 1 == 1
        if tape.byte() & 1 == 1 {
            take(catalogue.set(source, key.peerKey, isGone ? nil : peer(key.peer, &tape)))
        } else {
            take(
                catalogue.set(
                    source,
                    upstream: key.upstream,
                    monitor: key.monitor,
                    isGone ? nil : monitor(key.monitor, &tape)
                )
            )
        }
    }

    private func key(_ tape: inout Tape) -> VerdictKey {
        VerdictKey(
            upstream: tape.pick(Self.upstreams),
            peer: tape.pick(Self.peers),
            monitor: tape.pick(Self.monitors)
        )
    }

    // MARK: Words from outside

    func hear(verdict tape: inout Tape) {
        if let verdict = tape.verdict(of: key(&tape)) { board.storeChanged(verdict) }
    }

    func hear(intent tape: inout Tape) {
        let key = key(&tape).peerKey
        guard let record = tape.intent(of: key) else { return }
        board.storeChanged(Asking(key, tape.byte() & 7 == 0 ? nil : record.wish))
    }

    /// As the API takes it.
    func order(_ tape: inout Tape) async {
        let key = key(&tape).peerKey
        var members: [JSON.Member] = []
        let flags = tape.byte()
        if flags & 1 != 0 {
            members.append(.init("intent", .string(tape.pick(["ready", "drain", "maint", "no"]))))
        }
        if flags & 2 != 0 {
            members.append(
                .init("weight", tape.pick([.null, .integer(5), .integer(tape.number())]))
            )
        }
        if flags & 4 != 0 { members.append(.init("reason", .string(tape.text()))) }
        if flags & 8 != 0 {
            let end = tape.pick([
                "1h", "366d", "never", WallTime(clamping: tape.number()).description, tape.text(),
            ])
            members.append(.init("until", .string(end)))
        }
        let patch: PeerPatch
        let order: IntentChange
        do throws(PeerPatchError) {
            patch = try PeerPatch(JSON.object(members).bytes)
            order = try patch.change(isConfiguredDown: flags & 16 != 0, now: loop.wall)
        } catch {
            return require(!"\(error)".isEmpty, "a refusal without a word")
        }
        let isKnown = board.report(of: key) != nil
        let before = operations.revision(of: key.upstream)
        let held = board.intents[key]
        var expected = Precondition.anything
        if flags & 32 != 0, let before { expected = .revisions([before.description]) }
        if flags & 64 != 0 { expected = .revisions(["1", tape.text()]) }
        do throws(OperationError) {
            let taken = try await operations.change(key, expecting: expected) { _, _ in order }
            require(isKnown, "an order of nobody was taken")
            require(taken.reach == .memory, "an order is taken \(taken.reach)")
            // Whoever asks again for what holds already changes nothing.
            require(
                taken.revision != before || before == nil || board.intents[key] == held,
                "an order leaves the revision as it was"
            )
        } catch {
            require(!isKnown || flags & 64 != 0, "\(key): \(error)")
        }
    }

    func beat(_ tape: inout Tape) {
        let key = key(&tape)
        let beat = Heartbeats.Sign(
            status: tape.pick([.pass, .warn, .fail]),
            message: tape.text(),
            at: loop.instant
        )
        heartbeats.record(beat, upstream: key.upstream, peer: key.peer)
    }

    // MARK: Time

    func pass(_ tape: inout Tape) async {
        let span = tape.pick([
            Nanoseconds.zero, .milliseconds(1), .milliseconds(250), .seconds(3), .seconds(60),
            .seconds(86_400),
        ])
        let before = scheduler.started
        let scheduler = scheduler
        var moments = 0
        await loop.advance(by: span) {
            moments += 1
            return moments > Self.momentsMax || scheduler.started - before > Self.probesMax
        }
    }

    func setClock(_ tape: inout Tape) {
        loop.setWall(
            min(max(WallTime(clamping: tape.number()), WallTime.range.lowerBound), Self.latest)
        )
    }

    /// What somebody asks for by hand, and what it finds.
    func probe(_ tape: inout Tape) {
        let key = key(&tape)
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) {
            guard let report = await here.value.scheduler.probeNow(key) else { return }
            let summary = MonitorSummary.sample(key)
            checkJSON(ProbeJSON.report(report, monitor: summary))
        }
    }

    // MARK: What is told

    func look() {
        var pairs = 0
        for view in board.upstreams {
            require(operations.upstream(view.name) != nil, "\(view.name) has no revision")
            require(view.peers.count == board.definition(of: view.name)?.peers.count, "peers lost")
            pairs += view.peers.count * view.monitors.count
            for report in view.peers {
                require(report.view.effectiveCentiweight >= 0, "weight below zero")
                checkJSON(
                    UpstreamJSON.peer(report, monitors: view.monitors, now: loop.wall)
                )
                let name = "\(view.name)/\(report.definition.id)"
                guard let page = book.page(named: name) else {
                    return require(false, "no page of \(name)")
                }
                book.refresh(page, at: loop.now) { "10.0.0.1" }
                require(
                    page.bytes.last == 0x0A
                        && page.bytes.dropLast().allSatisfy { (0x20...0x7E).contains($0) },
                    "not one line: \(String(decoding: page.bytes, as: UTF8.self))"
                )
            }
        }
        let metrics = scheduler.metrics
        require(metrics.pairs == pairs, "\(metrics.pairs) pairs are probed, \(pairs) are defined")
        let living = scheduler.rows.count { $0.phase != .removed }
        require(living == pairs, "\(living) pairs live, \(pairs) are defined")
        require((0...4).contains(metrics.inFlight), "\(metrics.inFlight) probes in flight")
        require(board.events.events.count <= 2_000, "too many events")
        for name in ["nobody/x", "", "/", "web", "\u{0}"] {
            require(book.page(named: name) == nil, "a page of \(name)")
            require(!book.answer(to: .down, about: name).text.isEmpty, "no answer about \(name)")
        }
    }

    func scrape(isPerPeer: Bool) {
        var all: [PairMetrics] = []
        var row: Int? = 0
        while let next = row {
            let part = scheduler.pairMetrics(from: next)
            all += part.pairs
            row = part.next
        }
        checkMetrics(
            MetricsText.make(
                agent: "me",
                uptime: .seconds(1),
                upstreams: board.upstreams,
                store: store.status,
                scheduler: scheduler.metrics,
                pairs: all,
                proxy: Proxy.Report(),
                isPerPeer: isPerPeer
            )
        )
    }

    func end() async {
        look()
        scrape(isPerPeer: true)
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) {
            await here.value.scheduler.stop()
            here.value.hasStopped = true
        }
        // Longer than any timeout.
        await loop.advance(by: .seconds(60)) { [self] in hasStopped }
        require(hasStopped, "the scheduler does not stop")
        await services.stop()
        book.close()
        await store.stop()
        board.close()
        resolver.close()
        require(loop.timerCount == 0, "\(loop.timerCount) timers are left")
    }
}

extension MonitorSummary {
    fileprivate static func sample(_ key: VerdictKey) -> MonitorSummary {
        MonitorSummary(
            upstream: key.upstream,
            id: key.monitor,
            kind: "deck",
            isRequired: true,
            rise: 2,
            fall: 3,
            interval: .seconds(2),
            lifeMax: .seconds(30)
        )
    }
}

private func checkJSON(_ json: JSON) {
    let bytes = json.bytes
    guard let again = try? JSON(parsing: bytes, limits: JSONLimits(bytes: 16 << 20)) else {
        return require(false, "is no JSON: \(json.text)")
    }
    require(again.bytes == bytes, "is written otherwise: \(json.text)")
}

/// Prometheus's text format, version 0.0.4, as far as a scraper minds.
private func checkMetrics(_ text: String) {
    var families = Set<Substring>()
    var series = Set<Substring>()
    for line in text.split(separator: "\n") {
        if line.hasPrefix("# TYPE ") {
            let name = line.dropFirst(7).prefix { $0 != " " }
            require(families.insert(name).inserted, "a family twice: \(name)")
            continue
        }
        if line.hasPrefix("# HELP ") { continue }
        guard let space = line.lastIndex(of: " ") else {
            return require(false, "no sample: \(line)")
        }
        let (name, value) = (line[..<space], line[line.index(after: space)...])
        require(series.insert(name).inserted, "a series twice: \(name)")
        require(value == "+Inf" || value == "-Inf" || Double(value) != nil, "no number: \(line)")
        require(isSeries(Array(name.utf8)), "no series: \(line)")
    }
    require(text.utf8.last == 0x0A, "the last line has no end")
}

/// `name`, or `name{label="value",…}`, in which quotes, backslashes and line feeds are escaped.
private func isSeries(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    func isWord(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
            || (0x61...0x7A).contains(byte) || byte == 0x5F
    }
    func takeName() -> Bool {
        let name = rest.prefix(while: isWord)
        rest = rest.dropFirst(name.count)
        return !name.isEmpty
    }
    guard takeName() else { return false }
    if rest.isEmpty { return true }
    guard rest.popFirst() == UInt8(ascii: "{") else { return false }
    while true {
        guard takeName(), rest.popFirst() == UInt8(ascii: "="),
            rest.popFirst() == UInt8(ascii: "\"")
        else { return false }
        var isEscaped = false
        while let byte = rest.popFirst() {
            if isEscaped {
                guard [UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "n")].contains(byte)
                else { return false }
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                break
            }
        }
        switch rest.popFirst() {
        case UInt8(ascii: ","): continue
        case UInt8(ascii: "}"): return rest.isEmpty
        default: return false
        }
    }
}

private func live(_ bytes: [UInt8], on loop: EventLoop) async throws {
    var tape = Tape(bytes)
    let world = try World(on: loop)
    let outcomes = Int(tape.byte() % 8)
    for _ in 0..<outcomes { world.deck.outcomes.append(tape.outcome()) }
    world.define(&tape)
    var steps = 0
    while !tape.isOver, steps < 100 {
        steps += 1
        switch tape.byte() % 12 {
        case 0: world.hear(verdict: &tape)
        case 1: world.hear(intent: &tape)
        case 2, 3: await world.order(&tape)
        case 4, 5, 6: await world.pass(&tape)
        case 7: world.setClock(&tape)
        case 8: world.probe(&tape)
        case 9: world.beat(&tape)
        case 10: world.change(&tape)
        default: world.define(&tape)
        }
        if steps % 4 == 0 { world.look() }
        if steps % 16 == 0 { world.scrape(isPerPeer: steps % 32 == 0) }
    }
    await world.end()
}

@Sendable func world(_ bytes: [UInt8]) {
    let start = Moment(
        instant: Instant(nanoseconds: 1_000_000_000_000),
        wall: WallTime(milliseconds: 1_795_000_000_000)
    )
    guard
        let loop = try? EventLoop(
            name: "world",
            virtual: VirtualTime(start),
            dice: Dice(seed: 1)
        )
    else { fatalError("no loop") }
    Task(executorPreference: loop) {
        do { try await live(bytes, on: loop) } catch { fatalError("\(error)") }
        loop.stop()
    }
    loop.run()
}
