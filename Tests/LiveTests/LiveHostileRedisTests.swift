// What may lie in Redis beside a running muster? Some hundred values that a hostile hand, or another
// program, writes under its names while it probes: wrong types, numbers beyond all, a hundred megabytes.

import EventLoop
import Foundation
import TestSupport
import Testing
import Vocabulary

/// Commands to Redis of which nobody reads the answers but the last.
private struct HostileHand {
    private var dice: Dice
    private(set) var bytes: [UInt8] = []
    private let peers: [String]
    private let now: Int64

    private static let edges = [
        "-1", "0", "1e400", "-1e400", "9223372036854775807", "-9223372036854775808", "0.1",
        "253402300799999", "-253402300799999", "99999999999999999999", "\"x\"", "null", "true",
        "[]", "{}",
    ]

    init(seed: UInt64, peers: [String], now: WallTime) {
        dice = Dice(seed: seed)
        self.peers = peers
        self.now = now.milliseconds
    }

    mutating func write(_ words: [String]) { write(words.map { Array($0.utf8) }) }

    mutating func write(_ words: [[UInt8]]) {
        bytes += Array("*\(words.count)\r\n".utf8)
        for word in words { bytes += Array("$\(word.count)\r\n".utf8) + word + Array("\r\n".utf8) }
    }

    private mutating func pick<Choice>(_ choices: [Choice]) -> Choice {
        choices[Int(dice.next() % UInt64(choices.count))]
    }

    /// An object in which one value is another than it should be.
    private mutating func broken(_ members: [(String, String)]) -> String {
        let place = Int(dice.next() % UInt64(members.count))
        let edge = pick(Self.edges)
        let texts = members.enumerated().map { index, member in
            "\"\(member.0)\":\(index == place ? edge : member.1)"
        }
        return "{\(texts.joined(separator: ","))}"
    }

    private mutating func verdict() -> String {
        let epoch = pick([1, now, 1 << 47, 1 << 48, 1 << 53])
        return broken([
            ("status", pick(["\"up\"", "\"down\""])), ("degraded", "false"), ("health", "3"),
            ("rise", "2"), ("fall", "2"), ("kind", "\"http\""), ("reason", "\"L7OK\""),
            ("code", "200"), ("message", "\"\(String(repeating: "m", count: 900))\""),
            ("latency_us", "100"), ("since", "\(now - 5_000)"), ("checked_at", "\(now)"),
            ("expires_at", "\(now + 3_000)"), ("agent", pick(["\"other\"", "\"\\u0000\""])),
            ("epoch", "\(epoch)"), ("sequence", "1"),
        ])
    }

    private mutating func intent() -> String {
        broken([
            ("mode", pick(["\"ready\"", "\"x\"", "null"])), ("reason", "\"\\u001b[31m\""),
            ("mode_at", pick(["0", "\(now)", "\(now + 1_000_000_000)"])), ("weight", "null"),
            ("weight_at", pick(["0", "\(now)"])),
        ])
    }

    private mutating func value() -> [UInt8] {
        switch dice.next() % 8 {
        case 0, 1: Array(verdict().utf8)
        case 2, 3: Array(intent().utf8)
        case 4: Array(String(repeating: "[", count: 20_000).utf8)
        case 5: (0..<200).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
        case 6: [UInt8](repeating: 0, count: pick([1, 70_000]))
        default: Array(pick(["", "0", "null", "{}", #"{"mode":"drain","x":1e400}"#]).utf8)
        }
    }

    private mutating func field() -> [UInt8] {
        switch dice.next() % 6 {
        case 0, 1, 2: Array("web|\(pick(peers))|http".utf8)
        // Not the field of an order, or the hand would drain what is counted on.
        case 3: Array("web|\(pick(peers))".utf8)
        case 4: (0..<40).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
        default: Array(pick(["", "|", "||", "#", "a|b|c|d", "web|%00|http"]).utf8)
        }
    }

    mutating func act() {
        let keys = ["revision", "id", "changes", "verdicts", "intents"].map { "muster:\($0)" }
        switch dice.next() % 16 {
        case 0: write(["SET", "muster:revision", pick(Self.edges)])
        case 1: write(["SET", "muster:id", pick(Self.edges)])
        case 2: write(["DEL", pick(keys)])
        case 3:
            let key = pick(keys)
            write(["DEL", key])
            write([pick(["SET", "LPUSH", "SADD"]), key, "x"])
        case 4:
            let field = field()
            write(
                ["XADD", "muster:changes", "*", "kind", "verdict", "field"].map { Array($0.utf8) }
                    + [field]
            )
        case 5: write(["XADD", "muster:changes", "*", "a", "b"])
        case 6...10: write([Array("HSET".utf8), Array("muster:verdicts".utf8), field(), value()])
        default: write([Array("HSET".utf8), Array("muster:intents".utf8), field(), value()])
        }
    }

    /// As long as a string in Redis may well be, without sending it there.
    mutating func actHugely() {
        let large = "string.rep('x', 50000000)"
        for call in [
            "'SET', 'muster:id', \(large)", "'SET', 'muster:revision', \(large)",
            "'HSET', 'muster:verdicts', 'web|\(peers[0])|http', \(large)",
            "'HSET', 'muster:intents', 'web|\(peers[0])', \(large)",
            "'HSET', 'muster:intents', string.rep('f', 10000000), '{}'",
            "'XADD', 'muster:changes', '*', 'field', \(large)",
        ] {
            write(["EVAL", "redis.pcall(\(call))", "0"])
        }
    }

    mutating func takeBytes() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }
}

extension Live {
    @Suite struct LiveHostileRedisTests {
        private static let rounds = 20
        private static let actsPerRound = 20

        @Test func `whatever is written under our names, probing goes on and orders are taken`()
            async throws
        {
            let folder = try TemporaryDirectory()
            let redis = try LiveRedis(in: folder)
            try await redis.start()
            // Each connection is a probe.
            let target = try ScriptedServer(
                .expect("\r\n\r\n"),
                .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
                .close
            )
            defer { target.stop() }
            let peer = "127.0.0.1:\(target.port)"
            let installation = try Installation()
            let other = "127.0.0.1:\(installation.servers[1])"
            try installation.startServer(1)
            try await installation.startMuster(
                """
                store: { url: "redis://127.0.0.1:\(redis.port)/0" }
                upstreams:
                  web:
                    monitors: [http: { path: /health, interval: 200ms, timeout: 200ms }]
                    peers: ["\(peer)", "\(other)"]
                admin: { bind: "127.0.0.1:\(installation.adminPort)" }
                """
            )
            var hand = HostileHand(seed: 20_261_128, peers: [peer, other], now: Clock.wall())
            let port = redis.port
            for round in 0..<Self.rounds {
                for _ in 0..<Self.actsPerRound { hand.act() }
                if round == 5 { hand.actHugely() }
                hand.write(["QUIT"])
                let bytes = hand.takeBytes()
                let isDone = try await blocking {
                    let connection = try HTTPConnection(port: port)
                    try connection.send(bytes)
                    // Of what is huge Redis itself has enough to do.
                    return (0..<6).contains { _ in connection.rest() != nil }
                }
                #expect(isDone)
                // Of each round some probes see what it left.
                let before = target.connectionCount
                let goesOn = await eventually(within: .seconds(30)) {
                    target.connectionCount >= before + 2
                }
                #expect(goesOn, "round \(round)")
            }
            let muster = try #require(installation.muster)
            #expect(muster.isRunning)
            // An order is taken by Redis, and found there.
            let isDrained = try await eventually(within: .seconds(30)) {
                let result = try await installation.command("peer", "drain", "web", other)
                return result.exitCode == 0 && !result.output.contains("only")
            }
            #expect(isDrained)
            let held = try await redis.ask("HGET", "muster:intents", "web|\(other)")
            #expect(held.first?.contains(#""mode":"drain""#) == true, "\(held)")
            let lines = muster.output.split(separator: "\n").filter { $0.contains(" warning ") }
            for word in ["ignored", "has lost", "is away: WRONGTYPE", "is away: expected"] {
                // One a kind a minute: verdict, intent and size are three.
                let count = lines.count { $0.contains(word) }
                #expect(count <= 6, "\(lines.filter { $0.contains(word) })")
            }
        }
    }
}
