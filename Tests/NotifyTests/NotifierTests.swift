// Does each change arrive once and in order while receivers are away, slow or refuse, and after a restart?
// Whole notifiers in virtual time, on a board and a ledger of their own.

import Checks
import EventLoop
import Health
import Ledger
import Store
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Notify

private let peers = (1...3).map { "10.0.0.\($0):80" }

/// A receiver that does what the test says, and remembers what it took.
private final class Mailbox: Sendable {
    struct State: Sendable {
        var taken: [String] = []
        var attempts = 0
        var end = OutgoingEnd.arrived
        var supplies: [Notice.Supply?] = []
    }

    let state = Mutex(State())

    var taken: [String] { state.withLock { $0.taken } }
    var supplies: [Notice.Supply?] { state.withLock { $0.supplies } }
    var attempts: Int { state.withLock { $0.attempts } }

    func answer(_ end: OutgoingEnd) { state.withLock { $0.end = end } }

    func take(_ batch: Batch) -> OutgoingEnd {
        state.withLock { state in
            state.attempts += 1
            if state.end == .arrived {
                state.supplies += batch.notices.map(\.supply)
                state.taken += batch.notices.map {
                    "\($0.kind.rawValue) \($0.peer.peer) \($0.to.rawValue)"
                }
            }
            return state.end
        }
    }
}

/// One process: a board with three peers, and a notifier with one receiver.
private final class Process {
    let board: Board
    let notifier: Notifier
    let ledger: Ledger
    private let loop: EventLoop
    private var sequence: UInt64 = 0

    init(
        on disk: any Disk,
        _ loop: EventLoop,
        _ mailbox: Mailbox,
        _ rules: HeraldRules,
        strangerTime: Nanoseconds = .zero
    ) async throws {
        self.loop = loop
        let events = EventLog(startedAt: loop.wall)
        ledger = Ledger(path: "s.ledger", loop: loop, disk: disk, writer: loop)
        events.keep(in: ledger)
        board = Board(loop: loop, events: events, strangerTime: strangerTime)
        notifier = Notifier(agent: "a1", board: board, on: loop)
        notifier.define([Self.receiver(rules)])
        notifier.keep(in: ledger)
        try await ledger.open()
        let definitions = peers.compactMap { Address(text: $0) }.map { PeerDefinition(address: $0) }
        let monitor = MonitorSummary(
            upstream: "web",
            id: "tcp",
            kind: "tcp",
            isRequired: true,
            rise: 1,
            fall: 1,
            interval: .seconds(1)
        )
        board.define([UpstreamDefinition(name: "web", peers: definitions)], monitors: [monitor])
        notifier.start { batch, _ in mailbox.take(batch) }
    }

    static func receiver(_ rules: HeraldRules) -> Receiver {
        let way = CommandWay(words: ["true"], environment: [])
        return Receiver(name: "ops", way: .command(way), rules: rules)
    }

    /// A probe finds the peer so.
    func finds(_ peer: Int, _ isUp: Bool) {
        sequence += 1
        let key = VerdictKey(upstream: "web", peer: peers[peer], monitor: "tcp")
        board.apply(
            Verdict(
                key: key,
                kind: "tcp",
                status: isUp ? .up : .down,
                health: isUp ? 1 : 0,
                rise: 1,
                fall: 1,
                reason: isUp ? .layer4OK : .layer4Connect,
                latency: .zero,
                since: loop.wall,
                checkedAt: loop.wall,
                expiresAt: loop.wall + .seconds(86_400),
                agent: "a1",
                epoch: UInt64(loop.wall.milliseconds),
                sequence: sequence
            )
        )
    }

    /// As SIGTERM does.
    func end() async {
        await notifier.stop()
        board.events.end()
        await ledger.stop()
        board.close()
    }
}

@Suite struct NotifierTests {
    private func onLoop(_ body: @escaping @Sendable (EventLoop) async throws -> Void) async throws {
        let loop = try EventLoop.spawn(virtual: "notify")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) { try await body(loop) }
    }

    private static var rules: HeraldRules {
        var rules = HeraldRules()
        rules.group = .seconds(1)
        rules.flap = nil
        return rules
    }

    @Test func `each change arrives once and in order, though the receiver is away for a minute`()
        async throws
    {
        try await onLoop { loop in
            let mailbox = Mailbox()
            let process = try await Process(on: ModelDisk(), loop, mailbox, Self.rules)
            for peer in 0..<3 { process.finds(peer, true) }
            await loop.advance(by: .seconds(20))
            #expect(mailbox.taken.isEmpty, "that all is well is no news")
            mailbox.answer(.failed("away"))
            var expected: [String] = []
            for turn in 0..<6 {
                process.finds(turn % 3, turn >= 3)
                expected.append(
                    turn < 3 ? "trouble \(peers[turn]) down" : "resolved \(peers[turn - 3]) up"
                )
                await loop.advance(by: .seconds(10))
            }
            #expect(mailbox.taken.isEmpty)
            #expect(mailbox.attempts > 3)
            #expect(process.notifier.status.first?.state == .failing)
            #expect(process.notifier.status.first?.waiting == 6)
            mailbox.answer(.arrived)
            await loop.advance(by: .seconds(60))
            #expect(mailbox.taken == expected)
            #expect(process.notifier.status.first?.state == .ok)
            await process.end()
        }
    }

    @Test func `what waits is told by the next process, and what was told is not told again`()
        async throws
    {
        try await onLoop { loop in
            let (mailbox, disk) = (Mailbox(), ModelDisk())
            var process = try await Process(on: disk, loop, mailbox, Self.rules)
            for peer in 0..<3 { process.finds(peer, true) }
            await loop.advance(by: .seconds(1))
            process.finds(0, false)
            await loop.advance(by: .seconds(5))
            mailbox.answer(.failed("away"))
            process.finds(1, false)
            await loop.advance(by: .seconds(5))
            #expect(mailbox.taken == ["trouble \(peers[0]) down"])
            await process.end()

            mailbox.answer(.arrived)
            process = try await Process(on: disk, loop, mailbox, Self.rules)
            // Meanwhile the first came back, and the third went.
            process.finds(0, true)
            process.finds(1, false)
            process.finds(2, false)
            await loop.advance(by: .seconds(30))
            #expect(
                Set(mailbox.taken.dropFirst()) == [
                    "trouble \(peers[1]) down", "resolved \(peers[0]) up",
                    "trouble \(peers[2]) down",
                ]
            )
            #expect(mailbox.taken.count == 4)
            #expect(mailbox.taken[1] == "trouble \(peers[1]) down", "the oldest goes first")
            await process.end()
        }
    }

    @Test
    func
        `a restart keeps to the pause that a receiver asked for, and to since when nothing arrives`()
        async throws
    {
        try await onLoop { loop in
            let (mailbox, disk) = (Mailbox(), ModelDisk())
            var process = try await Process(on: disk, loop, mailbox, Self.rules)
            for peer in 0..<3 { process.finds(peer, true) }
            await loop.advance(by: .seconds(1))
            mailbox.answer(.failed("status 503", later: .seconds(300)))
            process.finds(0, false)
            await loop.advance(by: .seconds(5))
            #expect(mailbox.attempts == 1)
            let before = try #require(process.notifier.status.first)
            #expect(before.failingSince != nil && before.nextAttempt != nil)
            await process.end()

            mailbox.answer(.arrived)
            process = try await Process(on: disk, loop, mailbox, Self.rules)
            process.finds(0, false)
            await loop.advance(by: .seconds(100))
            #expect(mailbox.attempts == 1)
            let after = try #require(process.notifier.status.first)
            #expect(after.state == .failing && after.lastError == "status 503")
            #expect(after.failingSince == before.failingSince)
            #expect(after.nextAttempt == before.nextAttempt)
            await loop.advance(by: .seconds(200))
            #expect(mailbox.taken == ["trouble \(peers[0]) down"])
            await process.end()

            process = try await Process(on: disk, loop, mailbox, Self.rules)
            #expect(process.notifier.status.first?.failingSince == nil)
            await process.end()
        }
    }

    @Test func `no peers are counted before all were looked at`() async throws {
        try await onLoop { loop in
            let mailbox = Mailbox()
            let process = try await Process(
                on: ModelDisk(),
                loop,
                mailbox,
                Self.rules,
                strangerTime: .seconds(60)
            )
            process.finds(0, false)
            await loop.advance(by: .seconds(10))
            #expect(mailbox.supplies == [nil])
            process.finds(1, true)
            process.finds(2, true)
            process.finds(0, true)
            await loop.advance(by: .seconds(10))
            #expect(mailbox.supplies == [nil, .init(available: 3, wanted: 3)])
            await process.end()
        }
    }

    @Test func `a receiver that is new hears what is wrong already`() async throws {
        try await onLoop { loop in
            let mailbox = Mailbox()
            let process = try await Process(on: ModelDisk(), loop, mailbox, Self.rules)
            process.notifier.define([])
            process.finds(0, false)
            process.finds(1, true)
            await loop.advance(by: .seconds(20))
            #expect(mailbox.taken.isEmpty)
            process.notifier.define([Process.receiver(Self.rules)])
            await loop.advance(by: .seconds(5))
            #expect(mailbox.taken == ["trouble \(peers[0]) down"])
            await process.end()
        }
    }

    @Test func `a test message goes past all that waits`() async throws {
        try await onLoop { loop in
            let mailbox = Mailbox()
            let process = try await Process(on: ModelDisk(), loop, mailbox, Self.rules)
            #expect(await process.notifier.test("ops", by: "me") == .arrived)
            #expect(await process.notifier.test("nobody", by: "me") == nil)
            mailbox.answer(.refused("404"))
            #expect(await process.notifier.test("ops", by: "me") == .refused("404"))
            #expect(mailbox.taken == ["test test up"])
            await process.end()
        }
    }

    @Test func `a test message that arrives ends failing, and what waits goes out at once`()
        async throws
    {
        try await onLoop { loop in
            let mailbox = Mailbox()
            let process = try await Process(on: ModelDisk(), loop, mailbox, Self.rules)
            process.finds(0, true)
            await loop.advance(by: .seconds(20))
            mailbox.answer(.refused("404"))
            process.finds(0, false)
            await loop.advance(by: .seconds(60))
            // It was given up, and nothing is left that could arrive by itself.
            let before = try #require(process.notifier.status.first)
            #expect((before.state, before.waiting, before.counts.leftOut) == (.failing, 0, 1))
            mailbox.answer(.failed("away", later: .seconds(300)))
            process.finds(0, true)
            await loop.advance(by: .seconds(20))
            mailbox.answer(.arrived)
            #expect(await process.notifier.test("ops", by: "me") == .arrived)
            await loop.advance(by: .seconds(1))
            let after = try #require(process.notifier.status.first)
            #expect((after.state, after.waiting) == (.ok, 0))
            #expect(after.lastError == nil && after.failingSince == nil)
            #expect(mailbox.taken == ["test test up", "resolved \(peers[0]) up"])
            await process.end()
        }
    }

    /// A burst must cost each change the same, whatever waits already: the loop it is on probes.
    @Test func `of five thousand changes at once the latest are told, and how many are not`()
        async throws
    {
        try await onLoop { loop in
            let mailbox = Mailbox()
            let process = try await Process(on: ModelDisk(), loop, mailbox, Self.rules)
            mailbox.answer(.failed("away"))
            for number in 0..<5_000 {
                process.notifier.transition(
                    TransitionEvent(
                        id: UInt64(number + 1),
                        at: loop.wall,
                        peer: PeerKey(upstream: "web", peer: peers[number % 3]),
                        from: number / 3 % 2 == 0 ? .up : .down,
                        to: number / 3 % 2 == 0 ? .down : .up,
                        reason: ""
                    )
                )
            }
            let status = try #require(process.notifier.status.first)
            #expect(status.waiting == Herald.waitingMax)
            #expect(status.leftOut == 5_000 - Herald.waitingMax)
            mailbox.answer(.arrived)
            await loop.advance(by: .seconds(120))
            #expect(mailbox.taken.count >= Herald.waitingMax)
            #expect(process.notifier.status.first?.waiting == 0)
            await process.end()
        }
    }

    // MARK: After a kill

    @Test func `how many were left out is known after a kill`() async throws {
        try await onLoop { loop in
            let (mailbox, disk) = (Mailbox(), ModelDisk())
            let first = try await Process(on: disk, loop, mailbox, Self.rules)
            mailbox.answer(.failed("away"))
            for number in 0..<Herald.waitingMax + 7 {
                first.notifier.transition(
                    TransitionEvent(
                        id: UInt64(number + 1),
                        at: loop.wall,
                        peer: PeerKey(upstream: "web", peer: "p\(number)"),
                        from: .up,
                        to: .down,
                        reason: ""
                    )
                )
            }
            await loop.advance(by: .seconds(1))
            var dice = Dice(seed: 5)
            let second = try await Process(on: disk.afterCrash(&dice), loop, mailbox, Self.rules)
            #expect(second.notifier.status.first?.leftOut == 7)
            // The next message says it, and then it is said.
            mailbox.answer(.arrived)
            await loop.advance(by: .seconds(120))
            #expect(second.notifier.status.first?.leftOut == 0)
            await second.end()
            await first.end()
        }
    }

    /// Turns before the kill, and after it: they count together.
    @Test(arguments: [6, 4])
    func `a peer that comes and goes does so over a kill`(before: Int) async throws {
        try await onLoop { loop in
            var rules = Self.rules
            rules.flap = HeraldRules.Flap()
            let (mailbox, disk) = (Mailbox(), ModelDisk())
            let first = try await Process(on: disk, loop, mailbox, rules)
            first.finds(0, true)
            await loop.advance(by: .seconds(20))
            for turn in 0..<before {
                first.finds(0, !turn.isMultiple(of: 2))
                await loop.advance(by: .seconds(10))
            }
            var dice = Dice(seed: 5)
            let left = disk.afterCrash(&dice)
            // It is dead.
            first.notifier.define([])
            let second = try await Process(on: left, loop, mailbox, rules)
            second.finds(0, true)
            await loop.advance(by: .seconds(20))
            for turn in before..<8 {
                second.finds(0, !turn.isMultiple(of: 2))
                await loop.advance(by: .seconds(10))
            }
            let told =
                (0..<5).map { turn in
                    turn.isMultiple(of: 2) ? "trouble \(peers[0]) down" : "resolved \(peers[0]) up"
                } + ["flapping \(peers[0]) up"]
            #expect(mailbox.taken == told)
            await loop.advance(by: .seconds(700))
            #expect(mailbox.taken == told + ["settled \(peers[0]) up"])
            // That is remembered too.
            let third = try await Process(on: left.afterCrash(&dice), loop, mailbox, rules)
            third.finds(0, true)
            await loop.advance(by: .seconds(700))
            #expect(mailbox.taken.count == told.count + 1)
            await third.end()
            await second.end()
            await first.end()
        }
    }

    @Test
    func
        `when it is tried again is told, and a receiver's word for it counts for ten minutes at most`()
        async throws
    {
        try await onLoop { loop in
            let mailbox = Mailbox()
            let process = try await Process(on: ModelDisk(), loop, mailbox, Self.rules)
            process.finds(0, true)
            await loop.advance(by: .seconds(20))
            #expect(process.notifier.status.first?.nextAttempt == nil)
            mailbox.answer(.failed("429", later: .seconds(86_400)))
            process.finds(0, false)
            await loop.advance(by: .seconds(2))
            let next = try #require(process.notifier.status.first?.nextAttempt)
            #expect(next - loop.wall <= Herald.laterMax && next - loop.wall > .seconds(590))
            mailbox.answer(.arrived)
            await loop.advance(by: Herald.laterMax)
            #expect(mailbox.taken == ["trouble \(peers[0]) down"])
            #expect(process.notifier.status.first?.nextAttempt == nil)
            await process.end()
        }
    }
}
