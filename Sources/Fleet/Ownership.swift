// Who should probe what? Of each pair the three agents that rank first, by weighted rendezvous. When the
// roster changes, only what it touches is computed anew, and in slices: a hundred thousand pairs on a
// thousand agents are a hundred million draws, and probes must have their turn in between.

public import Health

/// An agent that takes part, by the number that `Ownership` gave it.
public typealias MemberNumber = Int32

public struct Ownership: Sendable {
    /// The first in rank of one pair: -1 where there are fewer agents.
    public struct Ranks: Hashable, Sendable {
        public var first: MemberNumber = -1
        public var second: MemberNumber = -1
        public var third: MemberNumber = -1
        fileprivate var firstScore = 0.0
        fileprivate var secondScore = 0.0
        fileprivate var thirdScore = 0.0

        fileprivate mutating func insert(_ member: MemberNumber, _ score: Double) {
            if score > firstScore {
                (third, thirdScore) = (second, secondScore)
                (second, secondScore) = (first, firstScore)
                (first, firstScore) = (member, score)
            } else if score > secondScore {
                (third, thirdScore) = (second, secondScore)
                (second, secondScore) = (member, score)
            } else if score > thirdScore {
                (third, thirdScore) = (member, score)
            }
        }

        fileprivate func contains(_ member: MemberNumber) -> Bool {
            first == member || second == member || third == member
        }

        /// Whoever is not there ranks last.
        public func place(of member: MemberNumber) -> Int? {
            if member < 0 { return nil }
            return first == member ? 0 : second == member ? 1 : third == member ? 2 : nil
        }
    }

    private struct Seat: Sendable {
        var id: String
        var identity: UInt64
        /// Zero is nobody: the seat is free, or its agent probes nothing.
        var weight: Double
    }

    private var seats: [Seat] = []
    private var numbers: [String: MemberNumber] = [:]
    private var present: [MemberNumber] = []
    private var keys: [UInt64] = []
    private var isDefined: [Bool] = []
    private var ranks: [Ranks] = []

    /// What a pass over all pairs still has to do.
    private var cursor = 0
    private var joined: [MemberNumber] = []
    private var left: [MemberNumber] = []
    private var isWhole = false
    public private(set) var isSettled = true

    /// So many of each pair are kept.
    static let ranked = 3
    /// Draws in one slice: less than a millisecond.
    public static let sliceDraws = 40_000

    public init() {}

    // MARK: Reading

    public var members: [MemberNumber] { present }
    public func id(of member: MemberNumber) -> String { seats[Int(member)].id }
    public func number(of id: String) -> MemberNumber? {
        numbers[id].flatMap { seats[Int($0)].weight > 0 ? $0 : nil }
    }

    /// What is known: during a pass, of some pairs by the roster before.
    public func ranks(of pair: PairNumber) -> Ranks { ranks[Int(pair)] }

    /// Everybody in rank order, drawn for this once: what three do not answer.
    public func order(of pair: PairNumber) -> [MemberNumber] { order(byKey: keys[Int(pair)]) }

    public func order(byKey key: UInt64) -> [MemberNumber] {
        present.map { ($0, score(key, $0)) }
            .sorted { ($0.1, seats[Int($1.0)].id) > ($1.1, seats[Int($0.0)].id) }
            .map(\.0)
    }

    // MARK: Pairs

    /// The number that stands for a pair in all draws, everywhere alike.
    public static func key(of pair: VerdictKey) -> UInt64 {
        var hash = StableHash()
        hash.combine(pair.upstream)
        hash.combine(pair.peer)
        hash.combine(pair.monitor)
        return hash.value
    }

    public mutating func define(_ pair: PairNumber, key: UInt64) {
        while keys.count <= Int(pair) {
            keys.append(0)
            isDefined.append(false)
            ranks.append(Ranks())
        }
        keys[Int(pair)] = key
        isDefined[Int(pair)] = true
        ranks[Int(pair)] = drawn(key)
    }

    public mutating func remove(_ pair: PairNumber) {
        isDefined[Int(pair)] = false
        ranks[Int(pair)] = Ranks()
    }

    // MARK: The roster

    /// Takes another roster. What it changes comes out of `advance`, slice by slice.
    public mutating func take(_ members: [RosterMember]) {
        if !isSettled { isWhole = true }
        let before = present
        var weights: [MemberNumber: Double] = [:]
        for member in members where member.weight > 0 {
            weights[seat(of: member.id)] = member.weight
        }
        for number in before where weights[number] != seats[Int(number)].weight {
            left.append(number)
            seats[Int(number)].weight = 0
        }
        for (number, weight) in weights where seats[Int(number)].weight != weight {
            seats[Int(number)].weight = weight
            joined.append(number)
        }
        if joined.isEmpty && left.isEmpty && !isWhole { return }
        // In an order that is the same everywhere and every time.
        joined.sort { seats[Int($0)].id < seats[Int($1)].id }
        present = weights.keys.sorted { seats[Int($0)].id < seats[Int($1)].id }
        cursor = 0
        isSettled = keys.isEmpty
        if isSettled { endPass() }
    }

    private mutating func seat(of id: String) -> MemberNumber {
        if let number = numbers[id] { return number }
        let number = MemberNumber(seats.count)
        var hash = StableHash()
        hash.combine(id)
        seats.append(Seat(id: id, identity: hash.value, weight: 0))
        numbers[id] = number
        return number
    }

    /// Does the next slice of a pass and answers the pairs whose heir is another now. Ask until
    /// `isSettled`.
    public mutating func advance(draws: Int = sliceDraws) -> [PairNumber] {
        var changed: [PairNumber] = []
        var budget = draws
        while budget > 0, cursor < keys.count {
            let pair = cursor
            cursor += 1
            budget -= 1
            if !isDefined[pair] { continue }
            let heir = ranks[pair].first
            if isWhole || left.contains(where: ranks[pair].contains) {
                ranks[pair] = drawn(keys[pair])
                budget -= present.count
            } else {
                // One that was defined during this pass has been drawn with them already.
                for member in joined where !ranks[pair].contains(member) {
                    ranks[pair].insert(member, score(keys[pair], member))
                }
                budget -= joined.count
            }
            if ranks[pair].first != heir { changed.append(PairNumber(pair)) }
        }
        if cursor >= keys.count { endPass() }
        return changed
    }

    private mutating func endPass() {
        isSettled = true
        isWhole = false
        joined = []
        left = []
    }

    private func drawn(_ key: UInt64) -> Ranks {
        var ranks = Ranks()
        for member in present { ranks.insert(member, score(key, member)) }
        return ranks
    }

    private func score(_ key: UInt64, _ member: MemberNumber) -> Double {
        let seat = seats[Int(member)]
        return Rendezvous.score(key: key, identity: seat.identity, weight: seat.weight)
    }
}
