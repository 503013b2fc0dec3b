// Can everybody be probed in time, however bad it gets? A peer that says nothing holds a place for
// the whole timeout of each probe: that sum, when all are silent, against the places that there are.
// Pure.

public import Checks
import Health
import Vocabulary

/// What probing takes in the worst case.
public struct ProbeDemand: Sendable {
    private struct Part {
        var pairs = 0
        /// Places taken at a time, on average.
        var places = 0.0

        mutating func add(_ share: Double, pairs count: Int = 1) {
            pairs += count
            places += share * Double(count)
        }
    }

    private var whole = Part()
    private var upstreams: [(name: String, part: Part)] = []
    private var addresses: [Address: (peer: String, part: Part)] = [:]

    /// Of more upstreams, or addresses, only their number is said.
    private static let namedMax = 3

    public init(_ upstreams: [MonitoredUpstream]) {
        for upstream in upstreams {
            let name = upstream.definition.name
            let each = upstream.monitors.filter { type(of: $0.check).waitsForAnswer }
                .map { Self.share(of: $0.schedule) }
            var part = Part()
            for share in each {
                part.add(share, pairs: upstream.definition.peers.count)
                whole.add(share, pairs: upstream.definition.peers.count)
            }
            self.upstreams.append((name, part))
            for peer in upstream.definition.peers {
                let first = ("\(name)/\(peer.id)", Part())
                for share in each { addresses[peer.address, default: first].part.add(share) }
            }
        }
    }

    /// How much of the time a silent peer's probe is in flight. A pair has one at a time.
    private static func share(of schedule: Schedule) -> Double {
        let pause = min(schedule.interval, schedule.downInterval)
        guard pause > .zero else { return 1 }
        return min(1, schedule.timeout.seconds / pause.seconds)
    }

    /// What will not do within `limits`, with the numbers and what to do.
    public func warnings(within limits: ProbeLimits) -> [String] {
        var lines: [String] = []
        if whole.places > Double(limits.inFlight) {
            lines.append(
                "probes: " + Self.sentence(whole, limits.inFlight, "that may be in flight")
                    + Self.advice(limits)
            )
        }
        let beside = upstreams.count { $0.part.pairs > 0 } > 1
        let share = Admission.share(of: limits.inFlight, isAlone: !beside)
        if beside {
            let parts = upstreams.filter { $0.part.places > Double(share) }
            lines += Self.lines(parts.map { ("upstream \($0.name)", $0.part) }) {
                Self.sentence(
                    $0,
                    share,
                    "that one upstream may have beside others (three quarters of "
                        + "\(limits.inFlight))"
                ) + Self.advice(limits)
            }
        }
        let crowded = addresses.filter { $0.value.part.places > Double(limits.perAddress) }
            .map { ("\($0.value.peer) (\($0.key))", $0.value.part) }
        lines += Self.lines(crowded.sorted { $0.0 < $1.0 }) {
            Self.sentence($0, limits.perAddress, "that one address may have")
                + " Shorten timeouts, lengthen intervals, or probe it by fewer monitors"
        }
        return lines
    }

    private static func lines(
        _ parts: [(who: String, part: Part)],
        _ sentence: (Part) -> String
    ) -> [String] {
        var lines = parts.prefix(namedMax).map { "\($0.who): \(sentence($0.part))" }
        if parts.count > namedMax {
            lines.append("… and \(parts.count - namedMax) more like these")
        }
        return lines
    }

    private static func sentence(_ part: Part, _ limit: Int, _ why: String) -> String {
        let needed = Int(part.places.rounded(.up))
        let intervals = (part.places / Double(max(limit, 1)) * 10).rounded(.up) / 10
        return "expected silent peers to take at most the \(limit) probes \(why), saw \(needed) "
            + "(timeout ÷ interval of \(part.pairs) pairs of monitor and peer): when all are silent, "
            + "each is probed every \(intervals) intervals only."
    }

    private static func advice(_ limits: ProbeLimits) -> String {
        " Shorten timeouts or lengthen intervals"
            + (limits.remedy.isEmpty ? "" : "; \(limits.remedy)")
    }
}
