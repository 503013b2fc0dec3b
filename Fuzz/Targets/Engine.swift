// Does the engine live through whatever a store, a peer or a clock may tell it? Bytes become a history:
// verdicts and intents as they lie in Redis, with hostile numbers and names; outcomes of our own probes;
// clocks that jump; definitions that change. Board, opinions, agent lines and JSON go through all of it.

import EventLoop
import Health
import Vocabulary

@testable import AgentCheck
@testable import Monitor
@testable import Store

/// Never run: whatever is due is made due by the history.
private let loop: EventLoop = {
    guard let loop = try? EventLoop(name: "engine") else { fatalError("no loop") }
    return loop
}()

private final class Readers: BoardObserver {
    var events = 0
    func transition(_ event: TransitionEvent) {
        events += 1
        require(event.from != event.to, "\(event) is no transition")
    }
}

private final class Machine {
    var moment = Moment(
        instant: Instant(nanoseconds: 1_000_000_000),
        wall: WallTime(milliseconds: 1_795_000_000_000)
    )
    let board: Board
    let readers = Readers()
    var outbox = Outbox<Verdict>()
    var opinions: [Opinion]
    var shift = Nanoseconds.zero
    var sequence: UInt64 = 0

    static let peers = ["a", "b", "127.0.0.1:80"]
    static let monitors = ["http", "port"]
    static let thresholds = Thresholds(rise: 2, fall: 3)
    static let schedule = Schedule(interval: .seconds(2), timeout: .seconds(1))

    private final class Hands {
        var moment: Moment?
        init() {}
    }
    private let hands = Hands()

    init() {
        let hands = hands
        let start = moment
        board = Board(loop: loop) { hands.moment ?? start }
        opinions = Self.peers.map { _ in
            Opinion(thresholds: Self.thresholds, now: start.wall)
        }
        board.subscribe(readers)
    }

    func move(to next: Moment) {
        moment = next
        hands.moment = next
    }

    func define(_ tape: inout Tape) {
        let flags = tape.byte()
        let peers = Self.peers.enumerated().compactMap { index, id in
            flags >> UInt8(index) & 1 == 1 && index > 0
                ? nil
                : PeerDefinition(
                    id: id,
                    address: .host("127.0.0.1", port: 80),
                    weight: tape.pick([0, 1, 4, PeerDefinition.weightMax]),
                    isBackup: flags & 0x10 != 0,
                    isDisabled: flags & 0x20 != 0,
                    maxConnections: flags & 0x40 != 0 ? 7 : nil
                )
        }
        let upstream = UpstreamDefinition(
            name: "web",
            peers: peers,
            slowStart: tape.pick([.zero, .seconds(10), .seconds(.max)]),
            panicThreshold: tape.pick([0, 0.5, 1]),
            allDown: tape.pick(UpstreamDefinition.AllDown.allCases)
        )
        board.define(
            [upstream],
            monitors: Self.monitors.enumerated().map { index, id in
                MonitorSummary(
                    upstream: "web",
                    id: id,
                    kind: "http",
                    isRequired: index == 0 || flags & 0x80 != 0,
                    rise: 2,
                    fall: 3,
                    interval: .seconds(2),
                    lifeMax: tape.pick([.seconds(30), .seconds(.max), .zero])
                )
            }
        )
    }

    func key(_ tape: inout Tape) -> VerdictKey {
        VerdictKey(upstream: "web", peer: tape.pick(Self.peers), monitor: tape.pick(Self.monitors))
    }

    func hear(verdict tape: inout Tape) {
        if let verdict = tape.verdict(of: key(&tape)) { board.storeChanged(verdict) }
    }

    func hear(intent tape: inout Tape) {
        let key = key(&tape).peerKey
        guard let record = tape.intent(of: key) else { return }
        board.storeChanged(Asking(key, tape.byte() & 7 == 0 ? nil : record.wish))
    }

    /// One of our own probes ended, as `Door` takes it.
    func probe(_ tape: inout Tape) {
        let place = Int(tape.byte()) % opinions.count
        board.note(moment)
        if shift != board.clockShift {
            opinions[place].shift(by: board.clockShift - shift)
        }
        let outcome = tape.outcome()
        let isTransition = opinions[place].take(outcome, schedule: Self.schedule, now: moment.wall)
        sequence += 1
        let verdict = opinions[place].verdict(
            of: VerdictKey(upstream: "web", peer: Self.peers[place], monitor: "http"),
            kind: "http",
            agent: "me",
            epoch: 1,
            sequence: sequence
        )
        board.apply(verdict)
        _ = outbox.take(verdict, isTransition: isTransition, now: moment.wall)
        let batch = outbox.nextBatch()
        if tape.byte() & 1 == 1 { outbox.wrote(batch) } else { outbox.failed(batch) }
        // A probe follows in time, whatever the clock shows.
        let beat = Beat(monitor: "http", peer: "web/\(place)")
        let next = Self.schedule.next(
            after: moment.wall,
            now: moment.wall,
            counter: opinions[place].counter,
            beat: beat
        )
        let wait = next - moment.wall
        require(
            wait >= .zero && wait <= Self.schedule.interval + .seconds(1),
            "the next probe comes in \(wait)"
        )
    }

    func pass(_ tape: inout Tape) {
        let span = Nanoseconds(max(tape.number() % 100_000_000_000, 0))
        move(to: Moment(instant: moment.instant + span, wall: moment.wall + span))
        look()
    }

    func jump(_ tape: inout Tape) {
        let wall = WallTime(clamping: tape.number())
        // No machine's clock shows the last days of the year 9999.
        let latest = WallTime(milliseconds: 253_402_300_799_999 - 400_000_000)
        let before = board.view(of: PeerKey(upstream: "web", peer: "a"))
        // A time that is moved to before 1970 stays at its first moment.
        let step = wall - moment.wall
        let times = board.report(of: PeerKey(upstream: "web", peer: "a"))?.verdicts ?? []
        let saturates = times.contains { $0.expiresAt.milliseconds + step.milliseconds <= 0 }
        move(to: Moment(instant: moment.instant, wall: min(wall, latest)))
        look()
        let after = board.view(of: PeerKey(upstream: "web", peer: "a"))
        let isAsked = board.intent(for: PeerKey(upstream: "web", peer: "a")) != nil
        require(
            isAsked || saturates || before?.nextChange == nil || before?.status == after?.status
                || before?.status == .unknown || !isNear(before, wall),
            "a jump to \(wall) made \(String(describing: before)) into \(String(describing: after))"
        )
    }

    /// Steps of centuries saturate; those of a person do not.
    private func isNear(_ view: PeerView?, _ wall: WallTime) -> Bool {
        guard let next = view?.nextChange else { return false }
        return abs((next - wall).seconds) < 86_400 * 365 && next > moment.wall
    }

    /// What timers do, and what people, balancers and scrapers see.
    private func look() {
        for tag in 0..<3 { board.due(tag: tag) }
        board.refreshAll()
        for view in board.upstreams {
            require(view.peers.count == board.definition(of: view.name)?.peers.count, "peers lost")
            for report in view.peers {
                let peer = report.view
                require(peer.effectiveCentiweight >= 0, "weight \(peer.effectiveCentiweight)")
                require(!peer.since.description.isEmpty, "no time")
                for asked in [nil, Intent.Mode.ready, .drain, .maint] {
                    let question = AgentQuestion(
                        definition: report.definition,
                        view: peer,
                        admin: asked,
                        askers: 3,
                        isStoreLost: peer.isStale
                    )
                    let line = question.answer.text
                    require(
                        line.utf8.last == 0x0A
                            && line.utf8.dropLast().allSatisfy { (0x20...0x7E).contains($0) }
                            && line.utf8.count < 256,
                        "not one line: \(line)"
                    )
                }
                for verdict in report.verdicts {
                    require(
                        (0...verdict.rise + verdict.fall).contains(verdict.health),
                        "health \(verdict.health) of \(verdict.rise) and \(verdict.fall)"
                    )
                    _ = Opinion(thresholds: Self.thresholds, resuming: verdict)
                }
            }
        }
        require(board.events.events.count <= 2_000, "too many events")
    }

    func end() {
        look()
        board.close()
    }
}

@Sendable func engine(_ bytes: [UInt8]) {
    var tape = Tape(bytes)
    let machine = Machine()
    machine.define(&tape)
    var steps = 0
    while !tape.isOver, steps < 200 {
        steps += 1
        switch tape.byte() % 8 {
        case 0, 1: machine.hear(verdict: &tape)
        case 2: machine.hear(intent: &tape)
        case 3, 4: machine.probe(&tape)
        case 5: machine.pass(&tape)
        case 6: machine.jump(&tape)
        default: machine.define(&tape)
        }
    }
    machine.end()
}
