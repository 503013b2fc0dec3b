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
    private var heard: HeardWithin

    /// Whose statuses are held as they were, and what became of those that were held with them.
    public struct Hold: Hashable, Sendable {
        public let since: Instant
        public fileprivate(set) var pairs: Set<PairNumber> = []
        public fileprivate(set) var ends: [End: Int] = [:]
    }

    /// How a hold ends for one pair.
    public enum End: String, Hashable, Sendable, CaseIterable {
        case passed, fell
        /// Another probes it, or it is defined no more.
        case left
    }

    public private(set) var hold: Hold?
    /// The last one that is over and was not told of.
    private var over: Hold?

    public var isHolding: Bool { hold != nil }

    /// A handful is no mass, whatever share it is.
    static let fallsMin = 5

    public init(rule: Rule = Rule()) {
        self.rule = rule
        heard = HeardWithin(rule.within)
    }

    /// Something was heard of it, or nothing where something was awaited.
    public mutating func heard(_ pair: PairNumber, at now: Instant) { heard.note(pair, at: now) }

    /// Another probes it.
    public mutating func leave(_ pair: PairNumber) {
        heard.forget(pair)
        end(pair, .left)
    }

    /// One more peer would go down in silence, of so many that this agent probes. What has not been asked for as long as
    /// a mass may take counts on neither side. Returns whether it may. One that
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
        let heardCount = heard.count(at: now)
        let most = heardCount > 0 ? min(size, heardCount) : size
        let isMass = latest.count >= Self.fallsMin && latest.count * 100 >= most * rule.share
        guard isMass || isSilent, rule.action == .hold, hasOthers else {
            end(pair, .fell)
            return true
        }
        hold = hold ?? Hold(since: now)
        hold?.pairs.insert(pair)
        return false
    }

    public func holds(_ pair: PairNumber) -> Bool { hold?.pairs.contains(pair) ?? false }

    /// It is held no more, if it was. With the last of them the hold is over.
    public mutating func end(_ pair: PairNumber, _ end: End) {
        guard hold?.pairs.remove(pair) != nil else { return }
        hold?.ends[end, default: 0] += 1
        if hold?.pairs.isEmpty == true { (hold, over) = (nil, hold) }
    }

    /// A hold that is over, once.
    public mutating func takeOver() -> Hold? {
        defer { over = nil }
        return over
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
