// How does muster live beside hipache, planb and hipache-hchecker on their Redis? It reads their lists and
// hears of every change, routes by them, watches every backend once, and tells the others who is dead in the
// way they know. What is away or lost there changes nothing of what is routed here.

public import EventLoop
import Health
public import Proxy
public import Redis
public import Vocabulary

/// One Redis of hipache's format. Confined to the loop's thread.
public final class HipacheSource {
    public let setting: HipacheSetting
    let loop: EventLoop
    let journal: Journal
    let routes: ForeignRoutes
    private let lookup: HostLookup?
    let agentName: String
    private let life: SourceLife
    /// Opens when something that was being read has been.
    private let quiet: Gate
    var link: ForeignLink?
    /// Nil where what is read is what is written.
    let master: MasterLink?
    private var nextRefresh = Instant(nanoseconds: .min)
    private var nextPing = Instant(nanoseconds: .min)

    /// All was read once.
    private var isLoaded = false
    private var wasAway = false
    public internal(set) var condition: SourceCondition
    /// Keys that were written since they were read; and those that are being read.
    private var dirty: Set<String> = []
    private var reading: Set<String> = []
    private var wantsScan = false
    /// Everything was deleted, and somebody said so.
    private var isFlushed = false
    private var nextScan = Instant.distantFuture
    /// Who answered the last time that all was read.
    private var identity: ServerIdentity?
    /// Lists that Redis came back without: kept until then.
    private var lost: [String: Instant] = [:]

    var marks = MarkQueue()
    /// Why Redis did not take some that wait.
    var refusal: String?
    /// Of several servers by one name the one that took writes when that was tried.
    private var writable: Address?
    private var soughtAt: Instant?
    private var mustDialAnew = false
    var reports: [(report: DeadReport, at: WallTime, until: Instant, isAsked: Bool)] = []
    /// Hosts that a wildcard serves, as somebody named them: their marks are of their own.
    var guests: [String: String] = [:]
    var guestsOf: [String: Set<String>] = [:]
    /// How many backends a list was said to have.
    var reported: [String: Int] = [:]
    /// Hosts with marks of others, and until when these are left alone.
    var othersMarks: [String: Instant] = [:]
    var throttle = Throttle()
    private var certificates: [String: Bool] = [:]
    /// Says what is wrong with a certificate and its key; nil where nothing is.
    public var certificateProblem: ((_ certificate: String, _ key: String) -> String?)?

    static let keysAtOnce = 100
    private static let scanCount = "1000"
    /// Of Redis's time that polling may take.
    private static let pollShare: Int64 = 20
    private static let lookPatience = Nanoseconds.milliseconds(900)
    private static let readPatience = Nanoseconds.milliseconds(100)
    private static let believed = Nanoseconds.seconds(60)
    /// Whoever writes a list and asks for its host at once is faster than what is told of it.
    private static let absentBelieved = Nanoseconds.milliseconds(1)
    private static let lostKept = Nanoseconds.seconds(600)
    /// What the server tells is believed, and looked after all the same.
    private static let auditEvery = Nanoseconds.seconds(300)
    private static let sweepEvery = Nanoseconds.seconds(5)
    static let guestsMax = 10_000

    public init(
        _ setting: HipacheSetting,
        agent: String,
        on loop: EventLoop,
        hands: any ForeignHands,
        journal: Journal = .silent,
        lookup: HostLookup? = nil
    ) {
        self.setting = setting
        agentName = agent
        self.loop = loop
        self.journal = journal
        self.lookup = lookup
        condition = SourceCondition(at: loop.wall)
        routes = ForeignRoutes(setting.base, on: loop, journal: journal)
        routes.hands = hands
        life = SourceLife(on: loop)
        quiet = Gate(loop: loop)
        let base = setting.base
        master =
            base.read == base.write
            ? nil : MasterLink(base.write, tls: base.tls, on: loop, lookup: lookup)
    }

    var base: ForeignBase { setting.base }
    public var name: String { base.name }
    public var frontendCount: Int { routes.table.count }
    public var backendCount: Int { routes.table.peerCount }
    /// Hosts whose marks wait to be written; nil where none are.
    public var markCount: Int? { setting.marks ? marks.count : nil }
    public var isConnected: Bool { link != nil }
    private var isNotified: Bool { link?.isNotified ?? false }

    // MARK: Life

    public func start() {
        guard life.begin() else { return }
        routes.begin()
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await here.value.run() }
    }

    public func stop() async {
        guard life.willStop() else { return }
        await releaseLocks()
        await life.stop()
        master?.close()
        routes.close()
    }

    private func run() async {
        await life.run(
            session,
            end: { error in
                if let error { tellAway(error) }
                link?.close()
                link = nil
                reading = []
                quiet.open()
            },
            between: writeMeanwhile
        )
    }

    /// While the replica is away the master takes marks all the same: what is known of the lists is verified there.
    private func writeMeanwhile() async {
        guard master != nil, isLoaded else { return }
        await keepUp(at: loop.instant)
        while !life.isStopping, !marks.isEmpty, await writeMarks() {}
    }

    /// What has to be said again and again.
    private func keepUp(at now: Instant) async {
        if now >= nextPing {
            nextPing = now + Checker.pingEvery
            if setting.marks { _ = await writing() }
            await pingAsChecker()
        }
        if now >= nextRefresh {
            nextRefresh = now + MarkQueue.refreshEvery
            refreshMarks()
        }
    }

    /// Whoever is connected may be a replica by now: another server by the same URL is gone to where one takes writes.
    func seekMaster() async {
        let now = loop.instant
        if let soughtAt, now - soughtAt < RedisConnection.seekEvery { return }
        guard let held = (master?.open ?? link?.reader)?.place else { return }
        soughtAt = now
        let found = await RedisConnection.writable(
            // From a set that is not there.
            by: ["SREM", base.prefix + Kind.dead.rawValue, ""],
            of: base.write,
            besides: held,
            tls: base.tls,
            on: loop,
            timeout: ForeignLink.timeout,
            lookup: lookup
        )
        guard let found else { return }
        if let master { return master.leave(for: found) }
        writable = found
        mustDialAnew = true
    }

    private func tellAway(_ error: RedisError) {
        condition.away("\(error)", at: loop.wall)
        if wasAway { return }
        wasAway = true
        let rest =
            isLoaded
            ? "what it said last serves on" : "hosts that only it knows are answered 503"
        journal.warning(
            "source \(name) at \(base.read) is away: \(error); \(rest)",
            [.event("source-away"), .store("\(base.read)"), .error("\(error)")]
        )
    }

    private func session() async throws(RedisError) {
        let here = LoopBound(self, on: loop)
        let bell = life.bell
        link = try await ForeignLink.open(
            base,
            kinds: (Kind.read + (setting.marks ? [.dead] : [])).map(\.rawValue),
            channels: [ForeignLink.dead],
            preferring: writable,
            on: loop,
            lookup: lookup,
            onMessage: { here.value.hear($0, $1) },
            onFailure: { bell.ring() }
        )
        try await scan(isReturn: true)
        tellBack()
        routes.tellComplaints(all: true)
        refreshMarks()
        var nextSweep = loop.instant + Self.sweepEvery
        nextRefresh = loop.instant + MarkQueue.refreshEvery
        nextPing = loop.instant
        while !life.isStopping {
            if let failure = link?.failure { throw failure }
            if mustDialAnew {
                mustDialAnew = false
                throw .disconnected(
                    "marks are refused on this connection and taken on a new one: dialling anew"
                )
            }
            let now = loop.instant
            if !dirty.isEmpty {
                try await readDirty()
            } else if wantsScan || now >= nextScan {
                try await scan(isReturn: false)
            } else if !marks.isEmpty, await writeMarks() {
                continue
            } else if now >= nextPing {
                await keepUp(at: now)
                try await listen()
            } else if now >= nextSweep {
                nextSweep = now + Self.sweepEvery
                routes.sweep(at: now)
                weighOthersMarks()
            } else if now >= nextRefresh {
                await keepUp(at: now)
            } else {
                let next = min(nextScan, nextSweep, nextRefresh, nextPing, nextReport(), nextMark())
                await life.bell.wait(until: next)
                followReports()
            }
        }
    }

    /// Whether the server is there, and still tells of changes.
    func listen() async throws(RedisError) {
        let before = isNotified
        try await link?.checkEars()
        if before == isNotified { return }
        // What was said between the two nobody knows.
        wantsScan = true
        journal.notice(
            "source \(name): \(base.read) "
                + (isNotified
                    ? "tells of changes now"
                    : "tells of changes no longer: it is asked each \(base.refresh.rounded) or so"),
            [.event("source-connected"), .store("\(base.read)")]
        )
    }

    private func tellBack() {
        let hears =
            isNotified
            ? "which tells of changes" : "which is asked each \(base.refresh.rounded) or so"
        func counted(_ count: Int, _ noun: String) -> String {
            "\(count) \(noun)\(count == 1 ? "" : "s")"
        }
        let frontends = counted(frontendCount, "frontend")
        journal.notice(
            "source \(name) has \(frontends) over \(counted(routes.table.peerCount, "backend")) at "
                + "\(base.read), \(hears)",
            [.event("source-connected"), .store("\(base.read)"), .count(frontendCount)]
        )
        wasAway = false
        condition.connected(at: loop.wall)
    }

    // MARK: Hearing

    enum Kind: String, CaseIterable {
        case frontend = "frontend:"
        case check = "healthcheck:"
        case certificate = "tls:"
        case dead = "dead:"

        /// What is read of them; the dead are asked about where they matter.
        static let read: [Kind] = [.frontend, .check, .certificate]
    }

    /// What a key is of, without the prefix of all.
    private func split(_ key: String) -> (Kind, String)? {
        guard key.hasPrefix(base.prefix) else { return nil }
        let rest = key.dropFirst(base.prefix.count)
        for kind in Kind.allCases where rest.hasPrefix(kind.rawValue) {
            return (kind, String(rest.dropFirst(kind.rawValue.count)))
        }
        return nil
    }

    private func full(_ kind: Kind, _ name: String) -> String { base.prefix + kind.rawValue + name }

    private func hear(_ channel: String, _ payload: RedisReply) {
        switch channel {
        case ForeignLink.dead: payload.text.flatMap(DeadReport.init).map(hear)
        case ForeignLink.invalidations:
            guard let keys = payload.array else {
                isFlushed = true
                wantsScan = true
                routes.hands?.forget([.all])
                break
            }
            for key in keys { key.text.map(note) }
        default:
            if let colon = channel.firstIndex(of: ":") {
                note(String(channel[channel.index(after: colon)...]))
            }
        }
        life.bell.ring()
    }

    /// A key was written. Requests for its hosts wait until it is read again.
    private func note(_ key: String) {
        guard let (kind, name) = split(key) else { return }
        if kind == .dead { return heardMarks(of: name) }
        dirty.insert(key)
        if kind == .frontend { routes.hands?.forget([ForeignRoutes.stale(name)]) }
    }

    /// What was written meanwhile, whatever else there is to do.
    private func readDirty() async throws(RedisError) {
        while !dirty.isEmpty {
            let keys = Array(dirty.prefix(Self.keysAtOnce))
            try await read(keys)
        }
    }

    private func read(_ keys: [String]) async throws(RedisError) {
        guard let reader = link?.reader else { throw .closed }
        dirty.subtract(keys)
        reading.formUnion(keys)
        defer { quiet.open() }
        let command =
            ["EVAL", ForeignScripts.read, "\(keys.count)"] + keys
            + [
                "\(ForeignTable.backendsMax)", "\(ForeignScripts.valueBytesMax)",
                "\(ForeignScripts.keyBytesMax)", "\(ForeignScripts.answerBytes)",
            ]
        let reply = try await reader.command(command, timeout: ForeignLink.timeout)
        reading.subtract(keys)
        guard let values = reply.array, values.count == keys.count else {
            if case .error(let text) = reply {
                throw .refused(ForeignScripts.explained(text, needing: ForeignScripts.readRights))
            }
            throw .refused("expected \(keys.count) values, saw \(values(in: reply))")
        }
        // What was written again meanwhile is read again anyway.
        var left: [String] = []
        for (key, value) in zip(keys, values) {
            if value == .integer(ForeignScripts.later) {
                left.append(key)
            } else if value == .integer(ForeignScripts.tooMuch) {
                complainOfSize(key)
            } else {
                take(key, value)
            }
        }
        routes.watchFresh()
        if !left.isEmpty { try await read(left) }
    }

    private func values(in reply: RedisReply) -> String {
        reply.array.map { "\($0.count)" } ?? "none"
    }

    private func take(_ key: String, _ value: RedisReply) {
        guard let (kind, name) = split(key) else { return }
        switch kind {
        case .frontend: takeFrontend(name, value)
        case .check:
            let check = value.bytes.flatMap { BackendCheck(fields: ForeignValue.fields($0)) }
            if let check, routes.table.isTooMany(check) { complainOfChecks(key) }
            if routes.table.set(name, check: check, now: loop.instant) {
                routes.watchFresh()
                routes.follow(name)
                marks.add(name)
            }
        case .certificate: takeCertificate(name, value)
        case .dead: break
        }
    }

    private func takeFrontend(_ host: String, _ value: RedisReply) {
        if case .integer = value { return complainOfType(full(.frontend, host)) }
        let isTold = lost.removeValue(forKey: host) != nil || isNotified
        let isKnown = routes.table.has(host)
        guard routes.table.set(host, value.bytes, now: loop.instant) else {
            if isTold, isLoaded { restateMarks(of: host) }
            return
        }
        if routes.table.has(host) {
            routes.complain(of: full(.frontend, host), routes.table.texts(of: host))
            if !FrontendHosts.isAskedFor(host) { complainOfName(host) }
        }
        routes.watchFresh()
        if isKnown != routes.table.has(host) {
            routes.hands?.forget([ForeignRoutes.stale(host)])
            if !isKnown { guests[host].map { leave(host, as: $0) } }
        }
        routes.follow(host)
        if !routes.table.has(host) { reported[host] = nil }
        if isLoaded || isKnown { queueMarks(of: host) }
    }

    private func complainOfChecks(_ key: String) {
        routes.complain(
            .checks,
            of: key,
            "expected at most \(ForeignTable.checksMax - 1) different questions at "
                + "\(base.prefix)\(Kind.check.rawValue)…, saw one more at \(key): its backends are probed as usual"
        )
    }

    private func complainOfName(_ host: String) {
        let key = full(.frontend, host)
        routes.complain(
            .name,
            of: key,
            "expected a host in small letters and without a port, as requests are looked for, saw \(key): "
                + "it serves nobody"
        )
    }

    private func complainOfSize(_ key: String) {
        routes.complain(
            .many,
            of: key,
            "expected at most \(ForeignScripts.keyBytesMax) bytes at \(key), saw more, which is left alone"
        )
    }

    private func complainOfType(_ key: String) {
        routes.complain(
            .type,
            of: key,
            "expected a list at \(key), saw another sort of value, which is left alone"
        )
    }

    /// planb's certificates: kept in mind, so that one that is broken is known before somebody serves it.
    private func takeCertificate(_ host: String, _ value: RedisReply) {
        guard let bytes = value.bytes else {
            certificates[host] = nil
            return
        }
        let fields = ForeignValue.fields(bytes)
        let problem = certificateProblem?(fields["certificate"] ?? "", fields["key"] ?? "")
        let wasBad = certificates[host] == false
        certificates[host] = problem == nil
        guard let problem, !wasBad else { return }
        let key = full(.certificate, host)
        routes.complain(.certificate, of: key, "\(key) cannot be used: \(problem)")
    }

    /// Certificates that are there and can be used, and all of them.
    public var certificateCounts: (good: Int, all: Int) {
        (certificates.values.count { $0 }, certificates.count)
    }

    // MARK: Reading all

    /// Every key of its sorts, in slices that keep Redis busy for a moment each. `isReturn`: nothing is known of
    /// what happened since the last time.
    private func scan(isReturn: Bool) async throws(RedisError) {
        guard let reader = link?.reader else { throw .closed }
        let began = loop.instant
        let wasFlushed = isFlushed
        wantsScan = false
        let answers = try await link?.identity()
        // The same server, with its data as it went on: what is not there was deleted, also while nobody listened.
        let mayHaveLost = answers.map { $0 != identity } ?? (isReturn && !wasFlushed)
        var seen = Set<String>()
        var withMarks: [String] = []
        var checked = Set<String>()
        var cursor = "0"
        repeat {
            // The first letters of all its sorts, so that most keys of others stay where they are.
            let pattern = ForeignLink.escaped(base.prefix) + "[fhtd][rel][oas]*"
            let reply = try await reader.command(
                [
                    "EVAL", ForeignScripts.scan, "0", cursor, pattern, Self.scanCount,
                    "\(ForeignScripts.keyNameBytesMax)",
                ],
                timeout: ForeignLink.timeout
            )
            guard let parts = reply.array, parts.count == 2, let next = parts[0].text,
                let keys = parts[1].array
            else {
                if case .error(let text) = reply { throw .refused(text) }
                throw .refused("SCAN: expected a cursor and keys, saw something else")
            }
            cursor = next
            var wanted: [String] = []
            for key in keys.compactMap(\.text) {
                guard let (kind, name) = split(key) else { continue }
                switch kind {
                case .frontend:
                    seen.insert(name)
                    wanted.append(key)
                case .check:
                    checked.insert(name)
                    wanted.append(key)
                case .certificate: wanted.append(key)
                case .dead: withMarks.append(name)
                }
            }
            while !wanted.isEmpty {
                try await read(Array(wanted.prefix(Self.keysAtOnce)))
                wanted.removeFirst(min(Self.keysAtOnce, wanted.count))
                try await readDirty()
            }
        } while cursor != "0"
        settle(seen, checked, mayHaveLost: mayHaveLost)
        identity = answers
        isLoaded = true
        if !wantsScan { isFlushed = false }
        quiet.open()
        // Marks that somebody left, also those of a checker that is gone.
        for host in withMarks { heardMarks(of: host) }
        let took = loop.instant - began
        nextScan =
            isNotified
            ? loop.instant + Self.auditEvery
            : loop.instant + max(base.refresh, Nanoseconds(took.count * Self.pollShare))
    }

    /// What was not seen is gone, unless another server has come and most of all is: then that one lost it, and nobody
    /// ordered that.
    private func settle(_ seen: Set<String>, _ checked: Set<String>, mayHaveLost: Bool) {
        let now = loop.instant
        let known = routes.table.hosts
        let missing = known.filter { !seen.contains($0) && !dirty.contains(full(.frontend, $0)) }
        if mayHaveLost, missing.count * 2 > known.count {
            for host in missing { lost[host] = now + Self.lostKept }
            journal.warning(
                "source \(name) is back without \(missing.count) of \(known.count) frontends: they are "
                    + "served as before for \(Self.lostKept.rounded), until they are written again, or deleted",
                [.event("source-lost"), .count(missing.count)]
            )
        }
        let ended = missing.filter { lost[$0].map { $0 <= now } ?? false }
        for host in missing where lost[host].map({ $0 <= now }) ?? true {
            takeFrontend(host, .null)
        }
        if !ended.isEmpty {
            journal.warning(
                "source \(name): \(ended.count) frontends that Redis came back without are served no more: "
                    + "nobody wrote them again within \(Self.lostKept.rounded)",
                [.event("source-lost"), .count(ended.count)]
            )
        }
        for host in known where !checked.contains(host) && routes.table.check(of: host) != 0 {
            take(full(.check, host), .null)
        }
    }

    // MARK: Routing

    /// Where requests for a host go. Waits for what is being read, a little, and for the first verdict of a list
    /// of which nothing is known.
    public func find(_ host: String) async -> RouteFinding {
        let deadline = loop.instant + Self.lookPatience
        if !isLoaded, !(await quiet.wait(until: deadline, for: { isLoaded })) {
            return .unavailable
        }
        // What Redis said before the request came may wait to be read behind it.
        if isNotified { await quiet.turn() }
        await waitForReading(of: host)
        let span = isNotified ? Self.believed : Self.readPatience
        guard let key = routes.table.key(of: host) else {
            return .none(for: isNotified ? Self.absentBelieved : Self.readPatience)
        }
        if key != host { welcome(host, as: key) }
        let group = routes.bring(key)
        await routes.waitForVerdicts(of: key, until: deadline)
        return .upstream(group, for: span)
    }

    /// A little, for what was written of a host.
    private func waitForReading(of host: String) async {
        if link == nil { return }
        let names = FrontendHosts.candidates(of: host).map { full(.frontend, $0) }
        if !isNotified { dirty.formUnion(names) }
        life.bell.ring()
        _ = await quiet.wait(until: loop.instant + Self.readPatience) {
            link == nil
                || !isFlushed && dirty.isDisjoint(with: names) && reading.isDisjoint(with: names)
        }
    }

    func wake() { life.bell.ring() }
}
