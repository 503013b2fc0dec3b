// May so many peers go down at once? When half of everything falls within seconds and the others see the
// same, the operator has said beforehand what is to be believed: the probes, or the status before. Pure.

public import Vocabulary

public struct MassChange: Sendable {
    public enum Action: String, Hashable, Sendable, CaseIterable { case hold, publish }

    /// `store.mass-change`.
    public struct Rule: Hashable, Sendable {
        /// In hundredths.
        public var share: Int
        public var within: Nanoseconds
        public var action: Action

        public init(
            share: Int = 50,
            within: Nanoseconds = .seconds(5),
            action: Action = .hold
        ) {
            self.share = share
            self.within = within
            self.action = action
        }
    }

    private let rule: Rule
    /// Who would have gone down lately, in the order of time, and when each last would.
    private var falls: [(pair: PairNumber, at: Instant)] = []
    private var done = 0
    private var latest: [PairNumber: Instant] = [:]
    public private(set) var isHolding = false

    /// A handful is no mass, whatever share it is.
    static let fallsMin = 5

    public init(rule: Rule = Rule()) { self.rule = rule }

    /// One more peer would go down in silence, of so many that this agent probes. Returns whether it may. One that
    /// may not comes again with its next failure, and may when it is one of few. `isSilent`: most of them
    /// have fallen silent and are about to go down; the first of a mass is not to be let through.
    public mutating func mayFall(
        _ pair: PairNumber,
        of size: Int,
        isSilent: Bool = false,
        hasOthers: Bool,
        at now: Instant
    ) -> Bool {
        forget(before: now)
        falls.append((pair, now))
        latest[pair] = now
        let isMass = latest.count >= Self.fallsMin && latest.count * 100 >= size * rule.share
        isHolding = (isMass || isSilent) && rule.action == .hold && hasOthers
        return !isHolding
    }

    private mutating func forget(before now: Instant) {
        while done < falls.count, now - falls[done].at > rule.within {
            let (pair, at) = falls[done]
            if latest[pair] == at { latest[pair] = nil }
            done += 1
        }
        if done > 64, done * 2 > falls.count {
            falls.removeFirst(done)
            done = 0
        }
    }
}
