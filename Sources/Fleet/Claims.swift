// What does this agent hold, what does it want, what does it give away? A ledger of its pairs, and the claims
// that are to be made, in the order in which they matter. Pure.

public import Health
public import Vocabulary

public struct Claims: Sendable {
    public enum Hold: Hashable, Sendable {
        case nothing
        /// It holds the pair; a claim of this era and instance was granted.
        case held(epoch: UInt64, from: WallTime)
        /// It probes the pair by an earlier grant that must be renewed: it may not publish.
        case kept(epoch: UInt64)
        /// Another holds it from then on; slots before are still this agent's.
        case ceding(epoch: UInt64, at: WallTime)
    }

    /// A claim that is to be made, or under way.
    private struct Wish: Hashable, Sendable {
        var reason: FleetCall.Reason
        var holder = ""
        var mark = WallTime(milliseconds: 0)
        var isUnderWay = false
        /// In the line of its reason: where it is wanted for another reason meanwhile, the old place is void.
        var ticket: UInt32 = 0
    }

    private struct Abstention: Hashable {
        var until: Instant
        var parting: Parting
    }

    private var holds: [Hold] = []
    /// The latest epoch heard of, whoever's.
    private var epochs: [UInt64] = []
    private var wishes: [PairNumber: Wish] = [:]
    /// One line a reason, in the order in which they matter.
    private var lines: [[(pair: PairNumber, ticket: UInt32)]] = [[], [], [], []]
    private var heads = [0, 0, 0, 0]
    private var tickets: UInt32 = 0
    /// What the store has just said who has it, the first first: whatever makes an agent ask again and again, it does
    /// not before then.
    private var paused: [PairNumber: Instant] = [:]
    private var pauses: [(until: Instant, pair: PairNumber)] = []
    private var abstained: [PairNumber: Abstention] = [:]
    public private(set) var heldCount = 0

    public init() {}

    // MARK: Reading

    public func hold(of pair: PairNumber) -> Hold {
        holds.indices.contains(Int(pair)) ? holds[Int(pair)] : .nothing
    }

    /// It probes the pair, by whatever right.
    public func probes(_ pair: PairNumber) -> Bool { hold(of: pair) != .nothing }

    /// What a verdict of this pair may be published under.
    public func publishableEpoch(of pair: PairNumber) -> UInt64? {
        switch hold(of: pair) {
        case .held(let epoch, _), .ceding(let epoch, _): epoch
        case .kept, .nothing: nil
        }
    }

    public func epoch(of pair: PairNumber) -> UInt64 {
        epochs.indices.contains(Int(pair)) ? epochs[Int(pair)] : 0
    }

    public var wishCount: Int { wishes.count }
    public func wants(_ pair: PairNumber) -> Bool { wishes[pair] != nil }

    /// Pairs that it probes: looks at every pair.
    public var probed: [PairNumber] {
        holds.indices.filter { holds[$0] != .nothing }.map { PairNumber($0) }
    }

    public func abstains(from pair: PairNumber, at now: Instant) -> Bool {
        abstained[pair].map { now < $0.until } ?? false
    }

    // MARK: Knowing

    public mutating func define(_ pair: PairNumber) {
        while holds.count <= Int(pair) {
            holds.append(.nothing)
            epochs.append(0)
        }
    }

    /// The number is somebody else's from now on.
    public mutating func forget(_ pair: PairNumber) {
        _ = drop(pair)
        epochs[Int(pair)] = 0
        wishes[pair] = nil
        abstained[pair] = nil
        paused[pair] = nil
    }

    /// Of all pairs.
    var latestEpoch: UInt64 { epochs.max() ?? 0 }

    /// Heard of a claim or a verdict under this epoch.
    public mutating func note(epoch: UInt64, of pair: PairNumber) {
        epochs[Int(pair)] = max(epochs[Int(pair)], epoch)
    }

    // MARK: Wanting

    public mutating func want(
        _ pair: PairNumber,
        _ reason: FleetCall.Reason,
        holder: String = "",
        mark: WallTime = WallTime(milliseconds: 0)
    ) {
        if let wish = wishes[pair], wish.isUnderWay || order(wish.reason) <= order(reason) {
            return
        }
        tickets &+= 1
        wishes[pair] = Wish(reason: reason, holder: holder, mark: mark, ticket: tickets)
        if paused[pair] == nil { lines[order(reason)].append((pair, tickets)) }
    }

    // MARK: Asking no more than once a beat

    /// It is not asked for before then.
    public mutating func pause(_ pair: PairNumber, until time: Instant) {
        paused[pair] = time
        pauses.append((time, pair))
    }

    /// When something that is wanted may be asked for again; nil where nothing waits for that.
    public var pauseEnds: Instant? { wishes.isEmpty ? nil : pauses.first?.until }

    public mutating func endPauses(at now: Instant) {
        guard let first = pauses.first, first.until <= now else { return }
        let over = pauses.prefix { $0.until <= now }
        pauses.removeFirst(over.count)
        for (until, pair) in over where paused[pair] == until {
            paused[pair] = nil
            guard let wish = wishes[pair], !wish.isUnderWay else { continue }
            lines[order(wish.reason)].append((pair, wish.ticket))
        }
    }

    /// A new era, or a new life, in which nobody has asked for anything yet.
    private mutating func wantNothing() {
        wishes = [:]
        lines = [[], [], [], []]
        heads = [0, 0, 0, 0]
        (paused, pauses) = ([:], [])
    }

    /// It is not its heir any more; what it wants for another reason it goes on wanting.
    public mutating func unwantShare(_ pair: PairNumber) {
        if let wish = wishes[pair], wish.reason == .rank, !wish.isUnderWay { wishes[pair] = nil }
    }

    private func order(_ reason: FleetCall.Reason) -> Int {
        switch reason {
        case .keep: 0
        case .stale: 1
        case .offer: 2
        case .rank: 3
        }
    }

    /// The next claims, as many as fit one call; `mayRank` while the roster is one to claim by.
    public mutating func nextBatch(
        mayRank: Bool,
        key: (PairNumber) -> VerdictKey
    ) -> [(pair: PairNumber, claim: FleetCall.Claim)] {
        var batch: [(pair: PairNumber, claim: FleetCall.Claim)] = []
        for line in lines.indices where mayRank || line == order(.keep) {
            while batch.count < FleetTerms.batch, heads[line] < lines[line].count {
                let (pair, ticket) = lines[line][heads[line]]
                heads[line] += 1
                guard var wish = wishes[pair], wish.ticket == ticket, !wish.isUnderWay else {
                    continue
                }
                wish.isUnderWay = true
                wishes[pair] = wish
                var claim = FleetCall.Claim(key(pair), wish.reason)
                claim.epoch = knownEpoch(of: pair, for: wish.reason)
                claim.holder = wish.holder
                claim.mark = wish.mark
                batch.append((pair, claim))
            }
            if heads[line] == lines[line].count {
                lines[line] = []
                heads[line] = 0
            }
        }
        return batch
    }

    /// What it keeps it keeps by its own epoch: a later one that it heard of is another's right.
    private func knownEpoch(of pair: PairNumber, for reason: FleetCall.Reason) -> UInt64 {
        if reason == .keep, case .kept(let epoch) = hold(of: pair) { return epoch }
        return epochs[Int(pair)]
    }

    /// There is something to call about by now.
    public mutating func hasWishes(mayRank: Bool, at now: Instant) -> Bool {
        endPauses(at: now)
        return lines.indices.contains {
            (mayRank || $0 == order(.keep)) && heads[$0] < lines[$0].count
        }
    }

    /// The call is answered for this pair, or was lost: nothing is under way for it.
    public mutating func settle(_ pair: PairNumber) { wishes[pair] = nil }

    // MARK: Holding

    /// Returns whether it began to probe the pair by it.
    public mutating func grant(_ pair: PairNumber, epoch: UInt64, from: WallTime) -> Bool {
        let began = !probes(pair)
        set(pair, .held(epoch: epoch, from: from))
        note(epoch: epoch, of: pair)
        return began
    }

    /// Another holds it from `time` on. Returns whether this agent probed it, and was not told before.
    public mutating func cede(_ pair: PairNumber, epoch: UInt64, at time: WallTime) -> Bool {
        note(epoch: epoch, of: pair)
        // Against its own epoch: a verdict of the new holder may have been read before.
        switch hold(of: pair) {
        case .held(let mine, _) where epoch > mine, .kept(let mine) where epoch > mine:
            set(pair, .ceding(epoch: mine, at: time))
            return true
        case .held, .kept, .ceding, .nothing: return false
        }
    }

    /// It is another's, or nobody's: no slot of it is this agent's any more. Returns whether one was.
    public mutating func drop(_ pair: PairNumber) -> Bool {
        defer { set(pair, .nothing) }
        return probes(pair)
    }

    /// It probes the pair and does not know whether it may: a claim was lost, or there is no store.
    public mutating func keep(_ pair: PairNumber) {
        if probes(pair) { return }
        set(pair, .kept(epoch: 0))
    }

    /// What lies in the store is not its claim, and nobody's who is known: it probes on, and claims it again.
    public mutating func keepAgain(_ pair: PairNumber) {
        switch hold(of: pair) {
        case .held(let epoch, _), .ceding(let epoch, _): set(pair, .kept(epoch: epoch))
        case .kept: break
        case .nothing: return
        }
        want(pair, .keep)
    }

    /// A new era, or a new instance: whatever it holds must be claimed again, before all else.
    public mutating func keepAll() {
        wantNothing()
        for index in holds.indices {
            let pair = PairNumber(index)
            switch holds[index] {
            case .held(let epoch, _), .kept(let epoch), .ceding(let epoch, _):
                set(pair, .kept(epoch: epoch))
                want(pair, .keep)
            case .nothing: break
            }
        }
    }

    /// It stood still itself, or another has its id: it holds nothing. Returns what it probed.
    public mutating func dropAll() -> [PairNumber] {
        let pairs = probed
        for pair in pairs { set(pair, .nothing) }
        wantNothing()
        return pairs
    }

    private mutating func set(_ pair: PairNumber, _ hold: Hold) {
        let before = holds[Int(pair)] != .nothing
        holds[Int(pair)] = hold
        heldCount += (hold != .nothing ? 1 : 0) - (before ? 1 : 0)
    }

    // MARK: Abstaining

    /// Until when; nil where it may claim it.
    public func abstention(from pair: PairNumber) -> Instant? { abstained[pair]?.until }

    /// Why it gave the pair away.
    public func parting(from pair: PairNumber) -> Parting? { abstained[pair]?.parting }

    /// For the reason alone that it doubted itself.
    func abstainsInDoubt(from pair: PairNumber) -> Bool { parting(from: pair) == .doubt }

    public mutating func abstain(
        from pair: PairNumber,
        until: Instant,
        because parting: Parting = .outvoted
    ) {
        abstained[pair] = Abstention(until: until, parting: parting)
    }

    /// It sees again: what it gave away for that alone it may have back soon.
    public mutating func endDoubt(until time: Instant) {
        for (pair, one) in abstained where one.parting == .doubt {
            abstained[pair]?.until = min(one.until, time)
        }
    }

    /// Answers whom it need not stay away from any more.
    public mutating func endAbstentions(at now: Instant) -> [PairNumber] {
        let over = abstained.filter { $0.value.until <= now }.keys.sorted()
        for pair in over { abstained[pair] = nil }
        return over
    }
}
