// Since when does this process keep its requests away from a peer, and what brings it back? Time does;
// or probes that try what had failed, sooner. Pure.

public import Vocabulary

/// One ejection.
public struct Ejection: Hashable, Sendable {
    /// What a probe has to get through before it says anything about what failed.
    public enum Test: Hashable, Sendable {
        /// A connection was not to be had: whoever gets one knows better.
        case connection
        /// Something was wrong with answers: only an answer tells.
        case answer
        /// Probes ask something else than requests do: they tell only of a peer that they have found down.
        case recovery
        /// Nothing: it has fallen too often.
        case none
    }

    public var reason: String
    /// When its time is over, and when probes that passed end it before, as long as they go on passing.
    private var end: WallTime
    private var early: WallTime?
    private let test: Test
    /// Up to when probes have been counted, and how many passed in a row since.
    private var seen: WallTime
    private var passes = 0
    /// Checks have found it down meanwhile.
    private var wasDown = false

    /// How long probes must have passed before requests follow, with a last one at the end of it; and how
    /// long that one is waited for, where another agent probes.
    public static let probation = Nanoseconds.seconds(1)
    static let lastProbeWithin = Nanoseconds.seconds(2)

    public init(_ reason: String, from now: WallTime, for span: Nanoseconds, test: Test) {
        self.reason = reason
        end = now + span
        seen = now
        self.test = test
    }

    /// What ends it, for people.
    public var endWords: String {
        let words =
            if wasDown, test != .none {
                "a second after its checks find it up, at \(end) at the latest"
            } else if let early {
                "at \(early), for its checks pass again, if the next of them do too; at \(until) at the latest"
            } else {
                switch test {
                case .connection:
                    "at \(end), or where this agent probes it, a second after its checks have passed `rise` times in a row"
                case .answer:
                    "at \(end), or where this agent probes it, a second after its checks were answered well `rise` times in a row"
                case .recovery:
                    "at \(end), or a second after its checks have found it down and up again"
                case .none: "at \(end), whatever its checks find: it fell again too soon"
                }
            }
        return words + "; or when no other peer is left"
    }

    public var until: WallTime { early.map { min($0 + Self.lastProbeWithin, end) } ?? end }

    mutating func shift(by step: Nanoseconds) {
        end = end + step
        early = early.map { $0 + step }
        seen = seen + step
    }

    /// Takes in what the required monitors say now. Whoever they found down is judged by them from then
    /// on: it is back a moment after they find it up.
    mutating func consider(_ required: [Verdict], isDown: Bool, now: WallTime) {
        if isDown {
            wasDown = true
            passes = 0
            early = nil
            return
        }
        if wasDown {
            wasDown = false
            if test != .none { early = now + Self.probation }
            seen = required.map(\.checkedAt).min() ?? seen
            return
        }
        guard let oldest = required.map(\.checkedAt).min(), oldest > seen else { return }
        seen = oldest
        guard required.allSatisfy(\.lastPassed) else {
            passes = 0
            early = nil
            return
        }
        if let passed = early, oldest >= passed {
            end = min(end, now)
            return
        }
        guard required.allSatisfy(tells(_:)) else { return }
        passes += 1
        if passes == required.map(\.rise).max() { early = now + Self.probation }
    }

    /// Its probes go as far as what had failed.
    private func tells(_ verdict: Verdict) -> Bool {
        switch test {
        case .connection: ["L4", "L6", "L7"].contains(verdict.reason.layer)
        case .answer: verdict.reason.layer == "L7"
        case .recovery, .none: false
        }
    }
}

extension Verdict {
    fileprivate var lastPassed: Bool { status == .up && health >= rise + fall - 1 }
}
