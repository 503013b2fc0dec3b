// What do the addresses of one name mean together? Each is counted by itself; the peer serves while
// one of them does, and whoever looks sees which do not.

/// The states of a name's addresses, as one monitor sees them.
public struct AddressStates: Sendable {
    public struct State: Sendable {
        public let address: String
        public fileprivate(set) var counter: HealthCounter
        /// The last that said anything.
        public fileprivate(set) var outcome: Outcome

        public var isDown: Bool { counter.status == .down }
    }

    /// In the order the name has them now; what the name no longer has is forgotten.
    public private(set) var states: [State] = []

    public init() {}

    /// Goes on from what another agent found, or this one before a restart: what was down has to pass
    /// as often as its monitor says.
    public init(resuming down: [String], thresholds: Thresholds) {
        states = down.map { address in
            State(
                address: address,
                counter: HealthCounter(thresholds: thresholds, resuming: .down, health: 0),
                outcome: Outcome(.fail, .unknown, message: "found down before")
            )
        }
    }

    /// Those that are down, in an order that does not depend on how DNS turns them.
    public var down: [String] {
        guard states.contains(where: \.isDown) else { return [] }
        return states.filter(\.isDown).map(\.address).sorted()
    }

    /// What a single probe means, with nothing known from before.
    public static func outcome(
        of found: [(address: String, outcome: Outcome)],
        isOneMachine: Bool
    ) -> Outcome {
        var states = AddressStates()
        let thresholds = Thresholds(rise: 1, fall: 1)
        return states.take(found, thresholds: thresholds, isOneMachine: isOneMachine)
    }

    /// Takes what one probe found at each address, and returns what that means for the peer. Where
    /// all addresses are one machine, one that nobody listens on is nothing to warn of.
    public mutating func take(
        _ found: [(address: String, outcome: Outcome)],
        thresholds: Thresholds,
        isOneMachine: Bool = false
    ) -> Outcome {
        states = found.map { address, outcome in
            var state =
                states.first { $0.address == address }
                ?? State(
                    address: address,
                    counter: HealthCounter(thresholds: thresholds),
                    outcome: outcome
                )
            if state.counter.thresholds != thresholds {
                state.counter = HealthCounter(
                    thresholds: thresholds,
                    resuming: state.counter.status,
                    health: state.counter.health
                )
            }
            if outcome.verdict != .neutral {
                _ = state.counter.observe(
                    passed: outcome.verdict != .fail,
                    isImmediate: outcome.isImmediate
                )
                state.outcome = outcome
            }
            return state
        }
        return joined(found, isOneMachine: isOneMachine)
    }

    private func joined(
        _ found: [(address: String, outcome: Outcome)],
        isOneMachine: Bool
    ) -> Outcome {
        // The best answer speaks for the peer: a client that is sent there gets it. Of failures the
        // one that got furthest says most.
        let best = found.map(\.outcome).max { Self.rank($0) < Self.rank($1) }
        guard var outcome = best, found.count > 1 else {
            return best ?? Outcome(.neutral, .resolver, message: "no address")
        }
        switch outcome.verdict {
        case .pass, .warn:
            let down = states.filter(\.isDown)
            guard let first = down.first, !isOneMachine else { return outcome }
            outcome.verdict = .warn
            outcome.message = Outcome.oneLine(
                "\(down.count) of \(found.count) addresses down: \(Self.told(first))"
            )
        case .fail:
            // Plain only if it is so everywhere.
            outcome.isImmediate = found.allSatisfy(\.outcome.isImmediate)
            outcome.message = Outcome.oneLine(
                "each of \(found.count) addresses fails: \(outcome.message)"
            )
        case .neutral: break
        }
        return outcome
    }

    private static func rank(_ outcome: Outcome) -> Int {
        switch outcome.verdict {
        case .pass: 6
        case .warn: 5
        case .fail:
            switch outcome.reason.layer {
            case "L4": 1
            case "L6": 2
            default: 3
            }
        case .neutral: 0
        }
    }

    private static func told(_ state: State) -> String {
        let outcome = state.outcome
        let hasPlace = outcome.message.contains(state.address)
        let place = hasPlace ? "" : "\(state.address) "
        return "\(place)\(outcome.reason.rawValue) \(outcome.message)"
    }
}
