// Who looks at a peer beside its holder, and what do they find? With `observers: n` the n that rank first probe each
// peer, a share of the interval apart. The first speaks for all; what the others find is a word with a time, said
// only where it is not what is published. Pure.

public import Health
public import Vocabulary

/// What an agent said of a pair: when it was asked, or because it looks at it beside its holder.
public struct Said: Hashable, Sendable {
    public var agent: String
    /// Nil while it has not answered.
    public var word: Vote.Word?
    /// When it probed, by the clock of the store.
    public var at: WallTime?
    /// What it saw, where it said that.
    public var reason: Reason?

    public init(
        agent: String,
        word: Vote.Word?,
        at: WallTime? = nil,
        reason: Reason? = nil
    ) {
        self.agent = agent
        self.word = word
        self.at = at
        self.reason = reason
    }

    /// What has no time is no answer yet.
    func isLater(than other: Said) -> Bool {
        guard let at else { return false }
        return other.at.map { at > $0 } ?? true
    }
}

public struct Observers: Sendable {
    /// A pair that this agent looks at beside its holder.
    private struct Seat: Sendable {
        /// How long after the holder's slot its own is.
        var offset: Nanoseconds
        /// The last word that it told.
        var told: (word: Vote.Word, at: WallTime)?
    }

    /// What an observer told the holder.
    private struct Told: Sendable {
        var vote: Vote
        /// That it contradicts what the holder finds was said to people.
        var isSaid = false
    }

    /// On what it depends who looks where: what is found otherwise is found anew.
    struct Circumstances: Hashable {
        var era: UInt64
        var roster: UInt64
        var amiss: Set<String>
        var mayLook: Bool
    }

    private var seats: [PairNumber: Seat] = [:]
    private var told: [PairNumber: [Told]] = [:]
    /// Pairs that several look at.
    private(set) var shared = Set<PairNumber>()
    /// To be looked at anew: some, or all from here on.
    var awaited = Set<PairNumber>()
    var cursor = 0
    var circumstances: Circumstances?

    public init() {}

    // MARK: Looking

    /// How long after its holder this agent probes the pair; nil where it does not.
    public func offset(of pair: PairNumber) -> Nanoseconds? { seats[pair]?.offset }

    mutating func define(_ pair: PairNumber, observers count: Int) {
        if count > 1 || shared.contains(pair) { awaited.insert(pair) }
        if count > 1 { shared.insert(pair) } else { shared.remove(pair) }
    }

    /// Its holder is another, or this agent holds it no more.
    mutating func reconsider(_ pair: PairNumber) {
        if shared.contains(pair) { awaited.insert(pair) }
    }

    mutating func forget(_ pair: PairNumber) {
        seats[pair] = nil
        told[pair] = nil
        shared.remove(pair)
        awaited.remove(pair)
    }

    /// Returns whether it is another than before.
    mutating func sit(at offset: Nanoseconds?, on pair: PairNumber) -> Bool {
        if seats[pair]?.offset == offset { return false }
        if let offset {
            seats[pair, default: Seat(offset: offset)].offset = offset
        } else {
            seats[pair] = nil
        }
        return true
    }

    /// All that it looked at, which it does no more.
    mutating func leaveAll() -> [PairNumber] {
        defer { seats = [:] }
        return seats.keys.sorted()
    }

    /// What it found itself: whether its holder should hear of that. `differs` from what is published.
    mutating func found(
        _ word: Vote.Word,
        differs: Bool,
        on pair: PairNumber,
        at time: WallTime,
        life: Nanoseconds
    ) -> Bool {
        guard let seat = seats[pair] else { return false }
        // What it told before is not so any more.
        let isTakenBack = seat.told.map { $0.word != word && time - $0.at <= life } ?? false
        guard differs || isTakenBack else { return false }
        seats[pair]?.told = (word, time)
        return true
    }

    // MARK: Hearing

    /// A word of an observer has come to the holder. Returns whether it is the first of its kind.
    mutating func take(_ vote: Vote, of pair: PairNumber, life: Nanoseconds) -> Bool {
        var all = told[pair] ?? []
        let place = all.firstIndex { $0.vote.by == vote.by }
        let before = place.map { all[$0] }
        if let before, before.vote.at > vote.at, before.vote.at - vote.at < life { return false }
        let isFirst =
            before.map { $0.vote.word != vote.word || vote.at - $0.vote.at > life } ?? true
        let one = Told(vote: vote, isSaid: !isFirst && before?.isSaid == true)
        if let place {
            all[place] = one
        } else {
            // More than may look at a pair are none of them.
            if all.count >= Self.toldMax { return false }
            all.append(one)
        }
        told[pair] = all
        return isFirst
    }

    mutating func forgetTold(_ pair: PairNumber) { told[pair] = nil }

    var toldPairs: [PairNumber] { told.keys.sorted() }

    /// What still holds of it.
    func votes(on pair: PairNumber, at now: WallTime, life: Nanoseconds) -> [Vote] {
        guard let told = told[pair] else { return [] }
        return told.map(\.vote).filter { Self.holds($0, at: now, for: life) }
    }

    /// Contradictions that were said, and hold.
    func hasDissent(on pair: PairNumber, at now: WallTime, life: Nanoseconds) -> Bool {
        told[pair]?.contains { $0.isSaid && Self.holds($0.vote, at: now, for: life) } ?? false
    }

    /// The holder has probed it itself: who says otherwise, and was not told of yet.
    mutating func dissent(
        from word: Vote.Word,
        on pair: PairNumber,
        at now: WallTime,
        life: Nanoseconds
    ) -> [String] {
        guard let all = told[pair] else { return [] }
        var names: [String] = []
        let rest = all.filter { Self.holds($0.vote, at: now, for: life) }.map { one -> Told in
            var one = one
            let differs = one.vote.word != word
            if differs && !one.isSaid { names.append(one.vote.by) }
            one.isSaid = differs
            return one
        }
        told[pair] = rest.isEmpty ? nil : rest
        return names
    }

    private static func holds(_ vote: Vote, at now: WallTime, for life: Nanoseconds) -> Bool {
        now - vote.at <= life && vote.at - now <= FailingRun.clockTolerance
    }

    static let toldMax = 16
}
