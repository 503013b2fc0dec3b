// Is an order ever taken for lifted because the hash it lay in was thrown away, at whatever moment of
// whoever's reading? Many agents and one hash as models, every interleaving by dice; and a real Redis.

import EventLoop
import Foundation
import Health
import Ledger
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct AskedReadingTests {
    /// The hash, as the scripts treat it.
    private struct Hash {
        var fields = Set<Int>()
        var mark = ""
        var made: UInt64 = 0

        mutating func mark(finishing finished: HashMark = .none) -> HashMark {
            made += 1
            if mark.isEmpty {
                mark = HashMark.made(up: made).text
            } else if mark == finished.text {
                mark = String(mark.dropFirst())
            }
            return HashMark(mark)
        }
    }

    private struct Agent {
        enum Step {
            case begin
            case read(Int)
            case end, tell
        }

        var held = Set<Int>()
        var untold = Set<Int>()
        var known = KnownHash()
        var reading: AskedReading<Int>?
        var unfinished = HashMark.none
        var step = Step.begin

        mutating func ask(_ key: Int, _ hash: inout Hash) {
            hash.fields.insert(key)
            hear(key)
        }

        mutating func hear(_ key: Int) {
            held.insert(key)
            reading?.change(key)
        }

        /// One exchange with Redis.
        mutating func go(_ hash: inout Hash, keys: Int) {
            switch step {
            case .begin:
                reading = AskedReading(hash.mark())
                step = .read(0)
            case .read(let from):
                let end = min(from + 4, keys)
                for key in from..<end where hash.fields.contains(key) {
                    hear(key)
                    reading?.see(key)
                }
                step = end == keys ? .end : .read(end)
            case .end:
                let after = hash.mark()
                guard let end = reading?.end(after, wasEmptied: false, known: &known) else {
                    return
                }
                for key in held where !untold.contains(key) {
                    guard reading?.isMissing(key, isTrusted: end.isTrusted) == true else {
                        continue
                    }
                    if end.isTrusted { held.remove(key) } else { untold.insert(key) }
                }
                unfinished = end.unfinished
                reading = nil
                step = .tell
            case .tell:
                if let key = untold.popFirst() {
                    hash.fields.insert(key)
                } else {
                    if unfinished != .none {
                        let made = hash.mark(finishing: unfinished)
                        if unfinished.isFinished(as: made) { known.note(made) }
                        unfinished = .none
                    }
                    step = .begin
                }
            }
        }
    }

    @Test(arguments: 0..<300)
    func `whenever it is thrown away, everything is told again`(seed: Int) {
        var dice = Dice(seed: UInt64(seed))
        var hash = Hash()
        var agents = Array(repeating: Agent(), count: Int.random(in: 1...3, using: &dice))
        let keys = 24
        var asked = Set<Int>()
        // Nobody takes orders before the first reading is over.
        for _ in 0..<20 { for one in agents.indices { agents[one].go(&hash, keys: keys) } }
        for _ in 0..<2_000 {
            let one = Int.random(in: 0..<agents.count, using: &dice)
            switch Int.random(in: 0..<40, using: &dice) {
            case 0: hash = Hash(made: hash.made)
            case 1: hash.mark = ""
            case 2:
                let key = Int.random(in: 0..<keys, using: &dice)
                agents[one].ask(key, &hash)
                asked.insert(key)
                // Of some the others hear by the stream at once.
                if Bool.random(using: &dice) {
                    for other in agents.indices { agents[other].hear(key) }
                }
            default: agents[one].go(&hash, keys: keys)
            }
        }
        for _ in 0..<400 {
            for one in agents.indices { agents[one].go(&hash, keys: keys) }
        }
        #expect(hash.fields == asked)
        #expect(agents.allSatisfy { $0.held == asked && $0.untold.isEmpty })
        #expect(agents.allSatisfy { $0.known.isTrusted(HashMark(hash.mark)) })
        // And what is taken out by hand of a whole one is lifted, everywhere.
        guard let gone = asked.first else { return }
        hash.fields.remove(gone)
        for _ in 0..<40 {
            for one in agents.indices { agents[one].go(&hash, keys: keys) }
        }
        #expect(agents.allSatisfy { !$0.held.contains(gone) } && !hash.fields.contains(gone))
    }

    @Test func `a real one too, with two agents`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let (one, first) = await rig.start(agent: "a1", reconcileEvery: .milliseconds(5))
            let (two, other) = await rig.start(agent: "a2", reconcileEvery: .milliseconds(5))
            let peers = (0..<300).map { PeerKey(upstream: "web", peer: "p\($0)") }
            for (place, peer) in peers.enumerated() {
                let store = place.isMultiple(of: 2) ? one : two
                try await store.set(intent: Intent(mode: .drain), for: peer)
            }
            #expect(await rig.comes { first.intents.count == 300 && other.intents.count == 300 })
            var dice = Dice(seed: 7)
            for round in 0..<40 {
                for _ in 0..<Int.random(in: 0...60, using: &dice) {
                    _ = try await connection.command(["PING"], timeout: patience)
                }
                let words = round.isMultiple(of: 5) ? ["FLUSHALL"] : ["DEL", "muster:intents"]
                _ = try await connection.command(words, timeout: patience)
            }
            #expect(
                await eventually(within: .seconds(60)) {
                    let held = try? await server.ask("HLEN", "muster:intents", on: rig.loop)
                    let mark = try? await server.ask("HGET", "muster:intents", "#", on: rig.loop)
                    return held == .integer(301) && mark?.text?.hasPrefix("?") == false
                }
            )
            for listener in [first, other] {
                #expect(listener.intents.count { $0.value.mode == .drain } == 300)
                #expect(!listener.askings.contains { $0.wish == nil }, "none was ever lifted")
            }
        }
    }
}

/// What becomes of orders that Redis cannot be told, and of those asked for twice.
@Suite struct UntoldTests {
    private let peer = PeerKey(upstream: "web", peer: "a")

    @Test func `an order given while Redis is away outlives a kill, and is told`() async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let ledger = Ledger(path: rig.folder.path("s.ledger"), loop: rig.loop, writer: rig.loop)
            let store = rig.make(ledger: ledger)
            try await ledger.open()
            let listener = Listener()
            store.start(listener)
            #expect(await rig.comes { store.status.isConnected })
            server.kill()
            let order = IntentChange(mode: .init(.drain, reason: "away"))
            #expect(try await store.change(order, of: peer) == .here)
            // As a kill leaves it: what is on the disk now.
            let left = try Data(contentsOf: URL(fileURLWithPath: ledger.path))
            await rig.stop(store)
            await ledger.stop()
            try left.write(to: URL(fileURLWithPath: rig.folder.path("k.ledger")))
            try server.restart()
            #expect(await server.isReady(on: rig.loop))

            let again = Ledger(path: rig.folder.path("k.ledger"), loop: rig.loop, writer: rig.loop)
            let next = rig.make(agent: "a1", ledger: again)
            try await again.open()
            next.start(Listener())
            #expect(await rig.comes { next.status.isConnected && next.status.pending == 0 })
            #expect(await rig.reopened().intents[peer]?.reason == "away")
            // Told, it is none of the ledger's any more: what others lift later stays lifted.
            await rig.stop(next)
            await again.stop()
            let kept = try Data(contentsOf: URL(fileURLWithPath: again.path))
            #expect(kept.range(of: Data("away".utf8)) == nil)
        }
    }

    @Test func `scripts that were taken away are loaded again within the same call`() async throws {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            let (store, listener) = await rig.start()
            for number in 1...3 {
                _ = try await server.ask("SCRIPT", "FLUSH", on: rig.loop)
                let order = IntentChange(weight: .init(number))
                let sum = store.stampSum(of: "web")
                let answer = try await store.change(Intent.self, order, of: peer, expecting: sum)
                #expect(answer.reach == .everywhere && listener.intents[peer]?.weight == number)
            }
            #expect(!rig.lines.all.contains { $0.contains("away") })
        }
    }

    /// Ten thousand orders and more may lie there, and Redis serves nobody else while a script runs.
    @Test func `a compared write does not look at all that is asked for`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            func scans() async throws -> String? {
                let stats = try await server.ask("INFO", "commandstats", on: rig.loop).text ?? ""
                return stats.split(whereSeparator: \.isNewline).first {
                    $0.hasPrefix("cmdstat_hscan")
                }
                .map { String($0.prefix { $0 != "," }) }
            }
            let (one, _) = await rig.start(agent: "a1", reconcileEvery: .seconds(3_600))
            let (two, other) = await rig.start(agent: "a2", reconcileEvery: .seconds(3_600))
            func order(
                _ store: any Store,
                _ upstream: String,
                _ peer: Int,
                _ weight: Int
            ) async throws {
                _ = try await store.change(
                    Intent.self,
                    IntentChange(weight: .init(weight)),
                    of: PeerKey(upstream: upstream, peer: "\(peer)"),
                    expecting: store.stampSum(of: upstream)
                )
            }
            let stores = [one, two].compactMap { $0 as? RedisStore }
            #expect(await rig.comes { stores.count == 2 && stores.allSatisfy(\.knowsAll) })
            let before = try await scans()
            // Each before the stream has told of the one before it.
            for peer in 1...20 { try await order(one, "web", peer, 1) }
            #expect(await rig.comes { other.intents.count == 20 })
            for weight in 2...10 {
                // What others ask of other upstreams is none of ours.
                try await order(two, "api", weight, 1)
                try await order(one, "web", weight, weight)
            }
            #expect(try await scans() == before)
        }
    }

    @Test(arguments: ["web", "w", "web2", "api"])
    func `a change nobody had told of is found, if it is of the same upstream`(
        upstream: String
    )
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let (any, _) = await rig.start(agent: "a1", reconcileEvery: .seconds(3_600))
            let store = try #require(any as? RedisStore)
            func weigh(_ upstream: String, _ weight: Int) async throws {
                let key = PeerKey(upstream: upstream, peer: "p")
                let change = IntentChange(weight: .init(weight))
                _ = try await store.change(Intent.self, change, of: key, expecting: nil)
            }
            func number() async throws -> UInt64 {
                let reply = try await server.ask("GET", store.keys.revision, on: rig.loop)
                return reply.text.flatMap(UInt64.init) ?? 0
            }
            try await weigh("web", 1)
            let known = try await number()
            try await weigh(upstream, 2)
            let sum = "not the sum"
            var grounds = store.grounds(of: "web", trusting: false)
            func write(_ weight: Int, knowing revision: String) async throws -> RedisReply {
                grounds[0] = revision
                let words =
                    store.call(.ask, on: Intent.sort)
                    + ["web|q", "{\"weight\":{\"weight\":\(weight)}}", "", sum] + grounds
                let writer = try await server.connect(on: rig.loop)
                defer { writer.close() }
                return try await writer.command(words, timeout: .seconds(30))
            }
            #expect(try await write(7, knowing: "").array?.count == 3)
            let answer = try await write(7, knowing: "\(known)")
            if upstream == "web" {
                #expect(answer.array?.isEmpty == true)
            } else {
                #expect(answer.array?.first?.text?.contains("7") == true, "\(answer)")
            }
            // A number from another life of the store says nothing.
            grounds[1] = "another"
            #expect(try await write(8, knowing: "\(try await number())").array?.isEmpty == true)
        }
    }

    @Test(arguments: Backend.allCases)
    func `what holds already is no change, with its revision and without`(
        backend: Backend
    )
        async throws
    {
        try await StoreRig.run(backend) { [peer] rig in
            let (store, listener) = await rig.start()
            let before = store.stampSum(of: "web")
            let drain = IntentChange(mode: .init(.drain, reason: "x"))
            let first = try await store.change(Intent.self, drain, of: peer, expecting: before)
            let told = listener.askings.count
            // As one does whose answer was lost.
            let again = try await store.change(Intent.self, drain, of: peer, expecting: before)
            #expect(again == first && store.stampSum(of: "web") == first.stampSum)
            #expect(try await store.change(drain, of: peer) == .everywhere)
            #expect(store.stampSum(of: "web") == first.stampSum && listener.askings.count == told)
            await #expect(throws: StoreError.self) {
                let other = IntentChange(mode: .init(.drain, reason: "y"))
                _ = try await store.change(Intent.self, other, of: peer, expecting: before)
            }
        }
    }

    private final class Stranger: StoreObserver {
        var heard = 0
        func storeChanged(_ change: any StoreChange) { heard += 1 }
        func storeStatusChanged(_ status: StoreStatus) {}
        func isDefined(_ key: any RecordKey) -> Bool { false }
    }

    /// What somebody filled Redis with is theirs to fill again.
    @Test func `after a loss one tells what was asked for here, and what is defined here`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { [peer] rig in
            let server = try #require(rig.server)
            for number in 0..<40 {
                let field = "other|\(number)"
                _ = try await server.ask(
                    "HSET",
                    "muster:intents",
                    field,
                    #"{"mode":"drain"}"#,
                    on: rig.loop
                )
            }
            let store = rig.make(reconcileEvery: .milliseconds(50))
            let stranger = Stranger()
            try await rig.begin(store, with: stranger)
            #expect(await rig.comes { stranger.heard == 40 && store.status.pending == 0 })
            try await store.set(intent: Intent(mode: .drain), for: peer)
            _ = try await server.ask("DEL", "muster:intents", on: rig.loop)
            // And then they are known to be gone.
            #expect(await rig.comes { stranger.heard == 81 })
            let held = try await server.ask("HKEYS", "muster:intents", on: rig.loop)
            let fields = Set((held.array ?? []).compactMap(\.text))
            #expect(fields == ["#", peer.field])
        }
    }

    @Test func `a key of others keeps its data under another name, and that is told`() async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            _ = try await server.ask("SET", "muster:intents", "theirs", on: rig.loop)
            _ = try await server.ask("RPUSH", "muster:revision", "x", on: rig.loop)
            _ = await rig.start(reconcileEvery: .milliseconds(50))
            let kept = try await server.ask("GET", "muster:intents:aside:1", on: rig.loop)
            #expect(kept.text == "theirs")
            #expect(
                try await server.ask("LLEN", "muster:revision:aside:1", on: rig.loop) == .integer(1)
            )
            let lines = rig.lines.all.filter { $0.contains(":aside:") }
            #expect(lines.count == 2, "\(lines)")
            #expect(lines.contains { $0.contains("muster:intents held a string") })
        }
    }
}
