// When is a request sent to a second peer although nothing has failed yet? As defined.

public import Vocabulary

public struct HedgeDefinition: Hashable, Sendable {
    /// How late its answer must be.
    public enum After: Hashable, Sendable {
        /// Later than such a share of the upstream's answers.
        case share(Double)
        case time(Nanoseconds)
    }

    public var after: After
    /// How many of the requests may be sent twice for it.
    public var budget: Double

    public init(after: After = .share(0.95), budget: Double = 0.05) {
        self.after = after
        self.budget = budget
    }
}

extension HedgeDefinition: CustomStringConvertible {
    /// `p95, 5%`: for whoever compares two.
    public var description: String {
        let after =
            switch after {
            case .share(let share): "p\(Self.short(share * 100))"
            case .time(let time): "\(time)"
            }
        return "\(after), \(Self.short(budget * 100))%"
    }

    /// Without the noise of binary fractions.
    private static func short(_ number: Double) -> String {
        let thousandths = Int((number * 1_000).rounded())
        if thousandths % 1_000 == 0 { return "\(thousandths / 1_000)" }
        return "\(Double(thousandths) / 1_000)"
    }
}
