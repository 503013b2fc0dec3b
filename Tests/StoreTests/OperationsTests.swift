// Is an order read, decided and written in one step, and is a revision the same for all who know the same?

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Store

/// A board and a store, as one agent has them.
private final class Agent {
    let board: Board
    let store: any Store
    let operations: Operations

    init(_ store: any Store, on loop: EventLoop, peers: [String] = ["a", "b"]) {
        board = Board(loop: loop)
        self.store = store
        operations = Operations(loop: loop, board: board, store: store)
        board.define(
            [
                UpstreamDefinition(
                    name: "web",
                    peers: peers.map {
                        PeerDefinition(id: $0, address: .host("10.0.0.1", port: 80))
                    }
                )
            ],
            monitors: [.sample()]
        )
    }

    var revision: Revision? { operations.revision(of: "web") }

    func drain(
        _ peer: String,
        _ reason: String,
        expecting expected: Precondition = .anything
    ) async throws(OperationError) -> Operation {
        try await operations.change(PeerKey(upstream: "web", peer: peer), expecting: expected) {
            _,
            _ in
            IntentChange(mode: .init(.drain, reason: reason))
        }
    }
}

extension Revision {
    fileprivate var expected: Precondition { .revisions(["7", description]) }
}

@Suite struct OperationsTests {
    @Test func `an order that takes out the last peer says what requests get, and no other does`()
        async throws
    {
        try await StoreRig.run(.embedded) { rig in
            let store = rig.make()
            let agent = Agent(store, on: rig.loop)
            defer { agent.board.close() }
            try await rig.begin(store, with: agent.board)
            for peer in ["a", "b"] {
                agent.board.apply(.sample(.up, peer: peer, at: rig.loop.wall))
            }
            #expect(try await agent.drain("a", "1").warning == nil)
            let said = "web has no other available peer: requests are answered 503"
            #expect(try await agent.drain("b", "1").warning == said)
            // It takes nobody out who is not out.
            #expect(try await agent.drain("b", "2").warning == nil)
            let back = try await agent.operations.change(
                PeerKey(upstream: "web", peer: "b"),
                expecting: .anything
            ) { _, _ in IntentChange(mode: .init(nil)) }
            #expect(back.warning == nil)
            agent.board.apply(.sample(.down, peer: "a", sequence: 2, at: rig.loop.wall))
            let weightless = try await agent.operations.change(
                PeerKey(upstream: "web", peer: "b"),
                expecting: .anything
            ) { _, _ in IntentChange(weight: .init(0)) }
            #expect(weightless.warning == said)
        }
    }

    @Test(arguments: Backend.allCases)
    func `an order is answered with the revision right after it`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let store = rig.make()
            let agent = Agent(store, on: rig.loop)
            defer { agent.board.close() }
            try await rig.begin(store, with: agent.board)
            let before = try #require(agent.revision)
            let first = try await agent.drain("a", "1", expecting: before.expected)
            #expect(first.revision != before && first.revision == agent.revision)
            #expect(first.report.intent?.mode == .drain && first.reach == .everywhere)
            // Another peer of the same upstream, and the same peer.
            for peer in ["b", "a"] {
                do throws(OperationError) {
                    _ = try await agent.drain(peer, "2", expecting: before.expected)
                    Issue.record("expected an error")
                } catch {
                    #expect(error == .outdated(first.revision))
                }
            }
            #expect(agent.board.intent(for: PeerKey(upstream: "web", peer: "b")) == nil)
            // As one does whose answer was lost: it holds already.
            let again = try await agent.drain("a", "1", expecting: before.expected)
            #expect(again.revision == first.revision && agent.revision == first.revision)
            let second = try await agent.drain("b", "3", expecting: first.revision.expected)
            let third = try await agent.drain("b", "4")
            #expect(Set([before, first.revision, second.revision, third.revision]).count == 4)
        }
    }

    @Test func `health moves no revision, and the definition does`() async throws {
        let loop = try EventLoop.spawn(virtual: "store")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) {
            let agent = Agent(EmbeddedStore(loop: loop), on: loop)
            defer { agent.board.close() }
            let before = try #require(agent.revision)
            for sequence in 1...4 as ClosedRange<UInt64> {
                agent.board.apply(
                    .sample(
                        sequence.isMultiple(of: 2) ? .up : .down,
                        peer: "a",
                        sequence: sequence,
                        at: loop.wall
                    )
                )
                await loop.advance(by: .seconds(120))
            }
            #expect(agent.revision == before)
            let other = Agent(EmbeddedStore(loop: loop), on: loop, peers: ["b", "a"])
            defer { other.board.close() }
            #expect(other.revision == before, "in whatever order")
            let third = Agent(EmbeddedStore(loop: loop), on: loop, peers: ["a", "b", "c"])
            defer { third.board.close() }
            #expect(third.revision != before)
        }
    }

    @Test func `what is not there is told, and so is what makes no sense`() async throws {
        let loop = try EventLoop.spawn(virtual: "store")
        defer { loop.stop() }
        await withTaskExecutorPreference(loop) {
            let agent = Agent(EmbeddedStore(loop: loop), on: loop)
            defer { agent.board.close() }
            for (key, expected) in [
                (PeerKey(upstream: "w", peer: "a"), OperationError.noUpstream("w")),
                (
                    PeerKey(upstream: "web", peer: "c"),
                    .noPeer(PeerKey(upstream: "web", peer: "c"))
                ),
                (PeerKey(upstream: "web", peer: "a"), .mistake("no")),
            ] {
                await #expect(throws: expected) {
                    try await agent.operations.change(key, expecting: .anything) {
                        _,
                        _ throws(OperationError) in throw .mistake("no")
                    }
                }
            }
        }
    }

    @Test func `two agents have one revision, and of two who saw it one wins`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let stores = [rig.make(agent: "a1"), rig.make(agent: "a2")]
            let one = Agent(stores[0], on: rig.loop)
            let two = Agent(stores[1], on: rig.loop, peers: ["b", "a"])
            defer { for agent in [one, two] { agent.board.close() } }
            for agent in [one, two] { try await rig.begin(agent.store, with: agent.board) }
            let loop = rig.loop
            let agents = (LoopBound(one, on: loop), LoopBound(two, on: loop))
            for round in 0..<50 {
                try await two.store.refresh("web")
                try await one.store.refresh("web")
                let seen = try #require(one.revision)
                #expect(two.revision == seen, "round \(round)")
                let ask = {
                    @Sendable (
                        agent: LoopBound<Agent>,
                        peer: String,
                        reason: String
                    )
                        async -> Result<Operation, OperationError> in
                    await Task(executorPreference: loop) {
                        do throws(OperationError) {
                            return .success(
                                try await agent.value.drain(
                                    peer,
                                    "\(round) \(reason)",
                                    expecting: seen.expected
                                )
                            )
                        } catch {
                            return .failure(error)
                        }
                    }.value
                }
                // Different things: who wants what holds already gets it.
                async let first = ask(agents.0, "a", "one")
                async let second = ask(agents.1, round.isMultiple(of: 2) ? "a" : "b", "two")
                let answers = await [first, second]
                let won = answers.compactMap { try? $0.get() }
                #expect(won.count == 1, "round \(round)")
                for case .failure(let error) in answers {
                    #expect(error == .outdated(try #require(won.first).revision))
                }
            }
        }
    }

    /// Of those who decide at one moment one comes first, and each of the others decides anew.
    @Test func `of sixty who define in one upstream at one moment none is turned away`()
        async throws
    {
        try await StoreRig.run(.embedded) { rig in
            let store = rig.make()
            let agent = Agent(store, on: rig.loop)
            defer { agent.board.close() }
            try await rig.begin(store, with: agent.board)
            let (here, loop) = (LoopBound(agent, on: rig.loop), rig.loop)
            let tasks = (0..<60).map { number in
                Task(executorPreference: loop) { () -> String? in
                    let key = LiveKey.peer(PeerKey(upstream: "web", peer: "10.1.0.\(number):80"))
                    do throws(OperationError) {
                        _ = try await here.value.operations.define(
                            in: "web",
                            expecting: .anything
                        ) { () throws(OperationError) in
                            DefinitionDecision(.made, key, (key, LiveDefinition(.object([]))))
                        }
                        return nil
                    } catch {
                        return "\(error)"
                    }
                }
            }
            var refusals: [String] = []
            for task in tasks { if let why = await task.value { refusals.append(why) } }
            #expect(refusals.isEmpty, "\(refusals.count) of 60: \(refusals.first ?? "")")
        }
    }

    @Test func `who saw another agent's revision is believed by one that has not heard`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let one = Agent(rig.make(agent: "a1"), on: rig.loop)
            let two = Agent(rig.make(agent: "a2"), on: rig.loop)
            defer { for agent in [one, two] { agent.board.close() } }
            for agent in [one, two] { try await rig.begin(agent.store, with: agent.board) }
            var seen = try #require(one.revision)
            // Faster than anybody hears of it.
            for round in 0..<20 {
                let agent = round.isMultiple(of: 2) ? one : two
                seen = try await agent.drain("a", "\(round)", expecting: seen.expected).revision
            }
            try await one.store.refresh("web")
            #expect(one.revision == seen)
        }
    }

    /// An agent that has not heard of the last order is asked for the same, and for another that follows it.
    @Test func `an agent that has not heard answers what Redis has, and lives`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let one = Agent(rig.make(agent: "a1"), on: rig.loop)
            let two = Agent(rig.make(agent: "a2"), on: rig.loop)
            defer { for agent in [one, two] { agent.board.close() } }
            for agent in [one, two] { try await rig.begin(agent.store, with: agent.board) }
            let key = PeerKey(upstream: "web", peer: "a")
            func ask(
                _ store: any Store,
                _ reason: String,
                expecting expected: UInt64?
            ) async throws -> UInt64 {
                try await store.change(
                    Intent.self,
                    IntentChange(mode: .init(.drain, reason: reason)),
                    of: key,
                    expecting: expected
                ).stampSum
            }
            for round in 0..<20 {
                // The same as is there already, by somebody who saw something else.
                let first = try await ask(one.store, "\(round)", expecting: nil)
                let again = try await ask(two.store, "\(round)", expecting: StampSum.none)
                #expect(again == first)
                // Something else, by somebody who saw what is there.
                let seen = try await ask(one.store, "\(round) before", expecting: first)
                let next = try await ask(two.store, "\(round) after", expecting: seen)
                for store in [one.store, two.store] {
                    try await store.refresh("web")
                    #expect(store.stampSum(of: "web") == next, "round \(round)")
                }
            }
        }
    }

    /// Redis takes a change of this agent, then one of another: this one hears of the other's first, and of what became
    /// of its own last.
    @Test func `an answer that comes late takes nobody back to what was before`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            guard case .unix(let target)? = rig.server?.url.address else { return }
            let relay = try AnswerRelay(to: target, at: rig.folder.path("relay.sock"))
            defer { relay.stop() }
            let one = Agent(rig.make(agent: "a1"), on: rig.loop)
            let url = RedisURL(address: .unix(path: relay.path))
            let two = Agent(
                rig.make(agent: "a2", url: url, reconcileEvery: RedisStoreTests.never),
                on: rig.loop
            )
            defer { for agent in [one, two] { agent.board.close() } }
            for agent in [one, two] { try await rig.begin(agent.store, with: agent.board) }
            func reason(at agent: Agent) -> String? {
                agent.board.intents[PeerKey(upstream: "web", peer: "a")]?.reason
            }
            for isCompared in [true, false] {
                let start = try await one.drain("a", "before \(isCompared)")
                #expect(await rig.comes { two.revision == start.revision })
                relay.hold()
                let (here, loop) = (LoopBound(two, on: rig.loop), rig.loop)
                let mine = Task(executorPreference: loop) { () -> Revision? in
                    let expected = isCompared ? start.revision.expected : .anything
                    return try? await here.value.drain("a", "late", expecting: expected).revision
                }
                #expect(await rig.comes { reason(at: one) == "late" })
                let seen = try #require(one.revision)
                let next = try await one.drain("a", "next", expecting: seen.expected)
                #expect(await rig.comes { reason(at: two) == "next" })
                relay.goOn()
                let answered = try #require(await mine.value)
                // What it made, and not what another made of it since.
                #expect(answered == seen)
                #expect(two.revision == next.revision)
                #expect(reason(at: two) == "next")
                // Another has followed what he saw there.
                await #expect(throws: OperationError.outdated(next.revision)) {
                    try await two.drain("a", "second", expecting: seen.expected)
                }
            }
        }
    }

    /// They would overtake one another again and again, until one had lost too often.
    @Test func `of those who define in one upstream one writes at a time, as they came`()
        async throws
    {
        let loop = try EventLoop.spawn(virtual: "store")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) {
            let store = SlowStore()
            let agent = Agent(store, on: loop)
            defer { agent.board.close() }
            let here = LoopBound(agent, on: loop)
            @Sendable func define(_ number: Int, in upstream: String) -> Task<String?, Never> {
                Task(executorPreference: loop) {
                    let key = LiveKey.peer(PeerKey(upstream: upstream, peer: "\(number)"))
                    do throws(OperationError) {
                        _ = try await here.value.operations.define(
                            in: upstream,
                            expecting: .anything
                        ) { () throws(OperationError) in
                            DefinitionDecision(.made, key, (key, LiveDefinition(.object([]))))
                        }
                        return nil
                    } catch {
                        return "\(error)"
                    }
                }
            }
            let count = Turns.waitingMax + 1
            let tasks = (0..<count).map { define($0, in: "web") }
            #expect(
                await eventually { agent.operations.turns.waitingCount(for: "web") == count - 1 }
            )
            #expect(store.asked == ["web|0"])
            // Nobody waits for another upstream, and nobody stands behind more than can be.
            let other = define(7, in: "shop")
            #expect(await eventually { store.asked == ["web|0", "shop|7"] })
            let refused = try #require(await define(count, in: "web").value)
            #expect(refused.contains("256 others wait to change it"), "\(refused)")
            for number in 0..<count {
                #expect(await eventually { store.asked.contains("web|\(number)") })
                store.answer()
                if number == 0 { store.answer() }
            }
            for task in tasks + [other] { #expect(await task.value == nil) }
            let ofWeb = store.asked.filter { $0.hasPrefix("web") }
            #expect(ofWeb == (0..<count).map { "web|\($0)" })
            #expect(agent.operations.turns.waitingCount(for: "web") == 0)
        }
    }
}

/// Takes a change when it is told to.
private final class SlowStore: Store {
    private(set) var asked: [String] = []
    private var waiting: [CheckedContinuation<Void, Never>] = []
    let status = StoreStatus(
        kind: "slow",
        isConnected: true,
        since: WallTime(milliseconds: 0)
    )

    /// The one that has waited longest.
    func answer() { if !waiting.isEmpty { waiting.removeFirst().resume() } }

    func start(_ observer: any StoreObserver) {}
    func publish<R: FencedRecord>(_ record: R, isTransition: Bool) {}
    func forget<R: FencedRecord>(_ type: R.Type, _ key: R.Key) {}
    func change<W: Wish>(
        _ wish: W.Type,
        _ change: W.Change,
        of key: W.Key,
        expecting expected: UInt64?
    ) async throws(StoreError) -> Acknowledgement {
        await withCheckedContinuation { waiter in
            waiting.append(waiter)
            asked.append((key as? LiveKey).map(\.text) ?? "")
        }
        return Acknowledgement(.everywhere, stampSum: 0)
    }
    func stampSum(of upstream: String) -> UInt64 { 0 }
    func refresh(_ upstream: String) async throws(StoreError) {}
    func stop() async {}
}

extension LiveKey {
    fileprivate var text: String {
        if case .peer(let key) = self { return key.field }
        return ""
    }
}
