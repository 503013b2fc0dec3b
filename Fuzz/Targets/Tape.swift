// What happens in a history? Bytes of libFuzzer become numbers at the ends of their ranges, names, verdicts
// and intents as they lie in a store, and outcomes of probes.

import Health
import Vocabulary

@testable import Store

/// Reads a history out of the input; what it lacks is zero.
struct Tape {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isOver: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func pick<Choice>(_ choices: [Choice]) -> Choice {
        choices[Int(byte()) % choices.count]
    }

    /// The ends of every range, what lies beside them, and anything else.
    mutating func number() -> Int64 {
        let edges: [Int64] = [
            .min, .min + 1, -253_402_300_800_000, -1, 0, 1, 2, 3, 100, 256, 86_400, 1 << 31,
            1 << 48,
            1 << 53, 253_402_300_799_000, 1_795_000_000_000, .max - 1, .max,
        ]
        let choice = Int(byte())
        if choice < edges.count * 8 { return edges[choice % edges.count] }
        return (0..<8).reduce(0) { number, _ in number << 8 | Int64(byte()) }
    }

    mutating func text() -> String {
        let length = Int(byte()) % 24
        return String(decoding: (0..<length).map { _ in byte() }, as: UTF8.self)
    }

    /// As it lies in Redis or in the file: written as JSON, parsed, believed or not.
    mutating func verdict(of key: VerdictKey) -> Verdict? {
        let members: [JSON.Member] = [
            .init("status", .string(pick(["up", "down", "unknown", "ill"]))),
            .init("degraded", .bool(byte() & 1 == 1)),
            .init("health", .integer(pick([0, 1, 2, 3, 4, number()]))),
            .init("rise", .integer(pick([1, 2, 2, number()]))),
            .init("fall", .integer(pick([1, 3, 3, number()]))),
            .init("kind", .string(pick(["http", "tcp", text()]))),
            .init("reason", .string(pick(Reason.allCases).rawValue)),
            .init("code", .integer(number())),
            .init("message", .string(text())),
            .init("latency_us", .integer(number())),
            .init("weight_percent", byte() & 1 == 1 ? .integer(number()) : .null),
            .init("max_connections", byte() & 1 == 1 ? .integer(number()) : .null),
            .init("admin", .string(pick(["ready", "drain", "maint", "no"]))),
            .init("since", .integer(number())),
            .init("checked_at", .integer(number())),
            .init("expires_at", .integer(number())),
            .init("agent", .string(pick(["a1", "a2", text()]))),
            .init("epoch", .integer(pick([1, 2, number()]))),
            .init("sequence", .integer(number())),
        ]
        guard let json = try? JSON(parsing: JSON.object(members).bytes),
            let verdict = Verdict(key: key, json: json)
        else { return nil }
        require(Verdict(key: key, json: verdict.json) == verdict, "\(verdict) is read otherwise")
        return verdict
    }

    mutating func intent(of key: PeerKey) -> Asked<Intent>? {
        let members: [JSON.Member] = [
            .init("mode", pick([.null, "ready", "drain", "maint", "no"])),
            .init("reason", .string(text())),
            .init("until", byte() & 1 == 1 ? .integer(number()) : .null),
            .init("weight", byte() & 1 == 1 ? .integer(number()) : .null),
            .init("weight_until", byte() & 1 == 1 ? .integer(number()) : .null),
            .init("mode_at", .integer(number())),
            .init("weight_at", .integer(number())),
        ]
        return (try? JSON(parsing: JSON.object(members).bytes))
            .flatMap { Asked<Intent>.read($0, of: key) }
    }

    /// Of a probe, with whatever a peer may say.
    mutating func outcome() -> Outcome {
        var phases = Phases(total: Nanoseconds(number()))
        phases.connect = Nanoseconds(number())
        return Outcome(
            pick([.pass, .warn, .fail, .neutral]),
            pick(Reason.allCases),
            code: Int(number()),
            message: text(),
            phases: phases,
            hints: Hints(
                weightPercent: byte() & 1 == 1 ? Int(number()) : nil,
                maxConnections: byte() & 1 == 1 ? Int(number()) : nil,
                admin: pick([nil, .ready, .drain, .maint])
            ),
            isImmediate: byte() & 1 == 1
        )
    }
}
