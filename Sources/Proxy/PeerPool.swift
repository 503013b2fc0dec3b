// Which peers does a worker know, and which may be chosen? State per peer lives as long as the peer
// does: a change of one peer touches that peer, and costs the same among ten and among ten thousand.

import EventLoop
import Health
import Vocabulary

/// What a worker counts for one peer. Plain numbers: one thread writes them.
struct PeerCounters: Sendable {
    var requests: UInt64 = 0
    /// Responses by first digit of the status; the others under 0.
    var responses = InlineArray<6, UInt64>(repeating: 0)
    var connects: UInt64 = 0
    var connectFailures: UInt64 = 0
    /// Attempts that failed after the connection stood.
    var responseFailures: UInt64 = 0
    /// Attempts that went to another peer or to a fresh connection afterwards.
    var retries: UInt64 = 0
    /// Requests sent to it because another was late, and those of them that it answered first.
    var hedges: UInt64 = 0
    var hedgesWon: UInt64 = 0
    /// Failures that were the peer's own.
    var faults: UInt64 = 0
    /// Bad answers since the last good one, and how many good ones there had been then.
    var run: Int32 = 0
    var goodsBefore: UInt64 = 0
    /// Bad answers to what had been asked before it came back, or that speak against nobody.
    var oldBads: UInt64 = 0

    /// Answers that are no failure of the peer.
    var goods: UInt64 {
        responses[0] &+ responses[1] &+ responses[2] &+ responses[3] &+ responses[4]
    }
}

/// One peer, as one worker knows it.
struct PeerState {
    var address: SocketAddress?
    /// Counts the addresses it has had: connections to an older one are not used again.
    var generation: UInt32 = 0
    var upstream: Int32
    var identity: UInt64
    var centiweight: Int32 = 0
    var isAvailable = false
    var isDown = false
    var isEligibleInPanic = false
    /// It would serve, or be tried in a panic, if it had an address.
    var isNowhere = false
    var isLost = false
    var keepsClients = false
    var isReserve = false
    var isBackup = false
    var isNear = false
    var maxInFlight: Int32 = .max
    /// Kept once it is there: exchanges give back what they took.
    var slots: Unmanaged<PeerSlots>?
    /// Grows with every peer that is defined.
    var order: Int32 = 0
    /// False before it is defined, and once its definition is gone: the place is kept until its last
    /// exchange ends.
    var isDefined = false

    var inFlight: Int32 = 0
    /// Its candidate in its tier; -1 while it may not be chosen, not even in a panic.
    var place: Int32 = -1

    /// What a sticky cookie says of it, and the next peer in the same part of the table of these.
    var token: UInt64 = 0
    var nextByToken: Int32 = -1

    var idleNewest: Int32 = -1
    var idleOldest: Int32 = -1
    var idleCount: Int32 = 0

    /// When it came back last, or moved. Who was asked before that is judged no more.
    var backAt = Instant(nanoseconds: .min)
    /// When requests died with it last, of which as many as it had then need no budget; how many are left.
    var diedAt = Instant(nanoseconds: .min)
    var spared: Int32 = 0
    /// Requests that other peers lost, and that came to it within one step of moving them.
    var taken: Int32 = 0
    /// When a byte of an answer came of it last that was not the last of it; in TCP mode, a connection.
    var heardAt = Instant(nanoseconds: .min)
    var lastHeardAt: Instant { max(heardAt, answeredAt) }
    /// Requests that wait for its first byte, and how long the first of them does: as last looked at.
    var waiting: Int32 = 0
    var waited = Nanoseconds.zero
    /// When an answer of it was whole last.
    var answeredAt = Instant(nanoseconds: .min)
    var counters = PeerCounters()
    /// How long its requests took; nil before the first.
    var times: UnsafeMutablePointer<PhaseTimes>?

    /// As its candidate has it.
    var maxOfCandidate: Int32 { slots == nil || maxInFlight == .max ? maxInFlight : -maxInFlight }

    /// All workers together.
    var isFull: Bool {
        guard let slots, maxInFlight != .max else { return false }
        return slots._withUnsafeGuaranteedRef { $0.isFull(maxInFlight) }
    }
}

/// One upstream, as one worker knows it.
struct UpstreamState {
    /// What the balancer hashes; nil when it does not.
    var key: HashKey?
    var primary = CandidateTier()
    var backup = CandidateTier()
    var settings: UpstreamSettings?
    var isPanic = false
    /// Its balancer wants to know how long answers take, or who looks for late ones.
    var observes = false
    var balancerObserves = false
    /// Nil where requests whose answer is late are left to themselves.
    var hedge: UnsafeMutablePointer<HedgeLine>?
    /// Requests for which nobody has room.
    var line = WaitingLine()
    /// Whoever says nothing for so long is suspect; zero: nobody is.
    var silence = Nanoseconds.zero
    /// Peers that have no address, and would be asked if they had.
    var nowhere: Int32 = 0
    var isLenient = false
    /// As its manners say.
    var nobodyStatus: UInt16 = 503
    var tellsMore = false
    var keepsForwarded = false
    var namesHosts = false
    var failedStatus: UInt16 = 0
    var excusesStatuses = false
    var holdsCuts = false
    /// Answers tell of their peer where a request asks for that.
    var tellsDebug = false
    /// Nil where clients do not come back to the same peer.
    var cookie: UnsafeMutablePointer<StickyCookie>?

    // How requests are tried again.
    var budget = RetryBudget()
    var occasions: TryingDefinition.Occasions = []
    var retries: UInt8 = 0
    var retryStatuses = StatusSet()
    var retryKey: HashKey?
    var reusesAlways = false
    /// The operator has said what may be tried again: PUT and DELETE leave a lost peer too.
    var movesWrites = false

    /// More than so many could be asked, were they not full.
    func hasMore(than count: Int) -> Bool {
        let all =
            primary.candidates(isPanic: isPanic).count + backup.candidates(isPanic: isPanic).count
        return all > count
    }

    fileprivate mutating func setCookie(_ sticky: StickyDefinition?) {
        cookie?.pointee.destroy()
        cookie?.deallocate()
        cookie = sticky.map { definition in
            let cookie = UnsafeMutablePointer<StickyCookie>.allocate(capacity: 1)
            cookie.initialize(to: StickyCookie(definition))
            return cookie
        }
    }

    fileprivate mutating func setHedge(_ definition: HedgeDefinition?) {
        hedge?.pointee.destroy()
        hedge?.deallocate()
        hedge = definition.map { definition in
            let line = UnsafeMutablePointer<HedgeLine>.allocate(capacity: 1)
            line.initialize(to: HedgeLine(definition))
            return line
        }
    }

    fileprivate mutating func set(_ trying: TryingDefinition) {
        budget.share = trying.budgetShare
        budget.least = Int32(clamping: trying.budgetMin)
        occasions = trying.occasions
        retryStatuses = StatusSet()
        for status in trying.statuses { retryStatuses.insert(status) }
        if !trying.statuses.isEmpty { occasions.insert(.status) }
        retries = UInt8(clamping: trying.retries)
        retryKey = trying.key.flatMap { HashKey($0) }
        reusesAlways = trying.reuse == .always
        let usual = TryingDefinition()
        movesWrites = occasions != usual.occasions && !occasions.isEmpty
    }
}

/// Some of the statuses from 0 to 1,023.
struct StatusSet: BitwiseCopyable {
    private var words = InlineArray<16, UInt64>(repeating: 0)

    mutating func insert(_ status: Int) {
        guard (0..<1_024).contains(status) else { return }
        words[status >> 6] |= 1 << UInt64(status & 63)
    }

    func contains(_ status: UInt16) -> Bool {
        status < 1_024 && words[Int(status) >> 6] & 1 << UInt64(status & 63) != 0
    }
}

/// All upstreams and peers of one worker, by their numbers.
struct PeerPool {
    /// Move when they grow, which they do between two events of the loop only.
    private(set) var peers: UnsafeMutablePointer<PeerState>
    private(set) var upstreams: UnsafeMutablePointer<UpstreamState>
    private var peerCapacity = 0
    private var upstreamCapacity = 0

    /// Numbers from here on have never been used.
    private(set) var peerCount = 0
    private(set) var upstreamCount = 0
    private var orders: Int32 = 0
    /// The first peer of each part of the table of tokens, or -1; as many parts as peers have places.
    private var tokenHeads: UnsafeMutablePointer<Int32>

    static let peersMax = 1 << 20
    static let upstreamsMax = 1 << 18

    init() {
        peers = .allocate(capacity: 0)
        upstreams = .allocate(capacity: 0)
        tokenHeads = .allocate(capacity: 0)
    }

    func destroy() {
        for index in 0..<upstreamCount { destroy(Int32(index)) }
        upstreams.deinitialize(count: upstreamCapacity)
        upstreams.deallocate()
        for index in 0..<peerCount {
            peers[index].slots?.release()
            peers[index].times?.deallocate()
        }
        peers.deinitialize(count: peerCapacity)
        peers.deallocate()
        tokenHeads.deallocate()
    }

    // MARK: Upstreams

    /// Makes an upstream, or sets it otherwise; its peers stay as they are.
    /// `seed` is chance for a balancer that needs some.
    mutating func set(_ number: Int32, _ settings: UpstreamSettings, seed: UInt64 = 1) {
        reserveUpstreams(Int(number) + 1)
        let state = upstreams + Int(number)
        if state.pointee.settings?.balance != settings.balance {
            // Checked when the configuration was read.
            guard let first = try? BalancerRegistry.make(settings.balance, path: "balance"),
                let second = try? BalancerRegistry.make(settings.balance, path: "balance")
            else { return }
            first.seed(seed)
            second.seed(~seed)
            state.pointee.primary.set(first)
            state.pointee.backup.set(second)
            state.pointee.key = first.key
            state.pointee.balancerObserves = first.observes
        }
        if state.pointee.settings?.hedge != settings.hedge {
            state.pointee.setHedge(settings.hedge)
        }
        state.pointee.observes = state.pointee.balancerObserves || state.pointee.hedge != nil
        if state.pointee.settings?.sticky != settings.sticky {
            state.pointee.setCookie(settings.sticky)
        }
        state.pointee.settings = settings
        state.pointee.isLenient = settings.isLenient
        state.pointee.nobodyStatus = settings.manners.nobodyStatus
        state.pointee.tellsMore = settings.manners.tellsMore
        state.pointee.keepsForwarded = settings.manners.keepsForwarded
        state.pointee.namesHosts = settings.manners.namesHosts
        state.pointee.failedStatus = settings.manners.failedStatus
        state.pointee.excusesStatuses = settings.manners.excusesStatuses
        state.pointee.holdsCuts = settings.manners.holdsCuts
        state.pointee.tellsDebug = !settings.debug.isEmpty
        state.pointee.silence = settings.silence
        state.pointee.line.size = Int32(clamping: settings.queue.size)
        state.pointee.line.timeout = settings.queue.timeout
        state.pointee.set(settings.trying)
    }

    func setPanic(_ number: Int32, _ isPanic: Bool) {
        guard number < upstreamCount else { return }
        upstreams[Int(number)].isPanic = isPanic
    }

    /// Nobody names it any more.
    func destroy(_ number: Int32) {
        let state = upstreams + Int(number)
        state.pointee.setCookie(nil)
        state.pointee.setHedge(nil)
        state.pointee.primary.forget(peers)
        state.pointee.backup.forget(peers)
        state.pointee.primary.destroy()
        state.pointee.backup.destroy()
        state.pointee = UpstreamState()
    }

    private mutating func reserveUpstreams(_ count: Int) {
        upstreamCount = max(upstreamCount, count)
        guard count > upstreamCapacity else { return }
        let capacity = max(64, upstreamCapacity * 2, count)
        let grown = UnsafeMutablePointer<UpstreamState>.allocate(capacity: capacity)
        grown.moveInitialize(from: upstreams, count: upstreamCapacity)
        for index in upstreamCapacity..<capacity { (grown + index).initialize(to: UpstreamState()) }
        upstreams.deallocate()
        upstreams = grown
        upstreamCapacity = capacity
    }

    // MARK: Peers

    /// Makes a peer, or brings it to what `snapshot` says. Returns whether it has just gone down.
    mutating func set(_ number: Int32, upstream: Int32, _ snapshot: PeerSnapshot) -> Bool {
        guard upstream < upstreamCount else { return false }
        reservePeers(Int(number) + 1)
        let state = peers + Int(number)
        if !state.pointee.isDefined {
            state.pointee.slots?.release()
            state.pointee.times?.deallocate()
            state.pointee = PeerState(upstream: upstream, identity: snapshot.identity)
            state.pointee.isDefined = true
            state.pointee.order = orders
            orders &+= 1
            state.pointee.token = snapshot.token
            linkToken(number)
        }
        let wasDown = state.pointee.isDown
        if state.pointee.address != snapshot.address { state.pointee.generation &+= 1 }
        state.pointee.address = snapshot.address
        state.pointee.centiweight = Int32(clamping: snapshot.centiweight)
        state.pointee.isAvailable = snapshot.isAvailable && snapshot.address != nil
        state.pointee.isDown = snapshot.isDown
        state.pointee.isLost = snapshot.isLost
        if state.pointee.backAt < snapshot.backAt {
            state.pointee.backAt = snapshot.backAt
            state.pointee.counters.run = 0
        }
        state.pointee.isEligibleInPanic = snapshot.isEligibleInPanic && snapshot.address != nil
        setNowhere(
            number,
            snapshot.address == nil && (snapshot.isAvailable || snapshot.isEligibleInPanic)
        )
        state.pointee.keepsClients = snapshot.keepsClients && snapshot.address != nil
        state.pointee.isReserve = snapshot.isReserve
        state.pointee.maxInFlight = Int32(clamping: snapshot.maxConnections ?? Int(Int32.max))
        if let slots = snapshot.slots, state.pointee.slots == nil {
            state.pointee.slots = .passRetained(slots)
        }
        if state.pointee.isBackup != snapshot.isBackup || state.pointee.isNear != snapshot.isNear {
            withdraw(number)
            state.pointee.isBackup = snapshot.isBackup
            state.pointee.isNear = snapshot.isNear
        }
        list(number)
        return snapshot.isDown && !wasDown
    }

    /// Its definition is gone: nobody chooses it any more. Its place is kept for those it serves.
    mutating func remove(_ number: Int32) {
        let state = peers + Int(number)
        withdraw(number)
        if state.pointee.isDefined { unlinkToken(number) }
        setNowhere(number, false)
        state.pointee.isDefined = false
        state.pointee.keepsClients = false
        state.pointee.isAvailable = false
        state.pointee.isEligibleInPanic = false
    }

    private func setNowhere(_ number: Int32, _ isNowhere: Bool) {
        let state = peers + Int(number)
        if state.pointee.isNowhere == isNowhere { return }
        state.pointee.isNowhere = isNowhere
        let count = upstreams[Int(state.pointee.upstream)].nowhere
        upstreams[Int(state.pointee.upstream)].nowhere = max(count + (isNowhere ? 1 : -1), 0)
    }

    /// Brings the candidate of a peer to what the peer is now.
    private func list(_ number: Int32) {
        let state = peers + Int(number)
        let isWanted = state.pointee.isAvailable || state.pointee.isEligibleInPanic
        guard isWanted else { return withdraw(number) }
        withTier(of: number) { tier in
            let place = Int(state.pointee.place)
            if place >= 0 {
                tier.set(
                    weight: max(state.pointee.centiweight, 1),
                    maxInFlight: state.pointee.maxOfCandidate,
                    slots: state.pointee.slots,
                    at: place
                )
                tier.set(isAvailable: state.pointee.isAvailable, at: place, peers)
            } else {
                let candidate = Candidate(
                    peer: number,
                    weight: max(state.pointee.centiweight, 1),
                    identity: state.pointee.identity,
                    inFlight: state.pointee.inFlight,
                    maxInFlight: state.pointee.maxOfCandidate,
                    slots: state.pointee.slots,
                    order: state.pointee.order,
                    isNear: state.pointee.isNear
                )
                tier.insert(candidate, isAvailable: state.pointee.isAvailable, peers)
            }
        }
    }

    private func withdraw(_ number: Int32) {
        let place = Int(peers[Int(number)].place)
        guard place >= 0 else { return }
        withTier(of: number) { $0.remove(place, peers) }
    }

    private func withTier(of number: Int32, _ body: (inout CandidateTier) -> Void) {
        let upstream = upstreams + Int(peers[Int(number)].upstream)
        if peers[Int(number)].isBackup {
            body(&upstream.pointee.backup)
        } else {
            body(&upstream.pointee.primary)
        }
    }

    private mutating func reservePeers(_ count: Int) {
        peerCount = max(peerCount, count)
        guard count > peerCapacity else { return }
        let capacity = max(64, peerCapacity * 2, count)
        let grown = UnsafeMutablePointer<PeerState>.allocate(capacity: capacity)
        grown.moveInitialize(from: peers, count: peerCapacity)
        (grown + peerCapacity).initialize(
            repeating: PeerState(upstream: -1, identity: 0),
            count: capacity - peerCapacity
        )
        peers.deallocate()
        peers = grown
        peerCapacity = capacity
        tokenHeads.deallocate()
        tokenHeads = .allocate(capacity: capacity)
        tokenHeads.initialize(repeating: -1, count: capacity)
        for number in 0..<capacity where peers[number].isDefined { linkToken(Int32(number)) }
    }

    // MARK: Cookies

    @inline(__always)
    private func part(of token: UInt64) -> Int {
        Int(token.multipliedFullWidth(by: UInt64(peerCapacity)).high)
    }

    private func linkToken(_ number: Int32) {
        let head = tokenHeads + part(of: peers[Int(number)].token)
        peers[Int(number)].nextByToken = head.pointee
        head.pointee = number
    }

    private func unlinkToken(_ number: Int32) {
        let next = peers[Int(number)].nextByToken
        let head = tokenHeads + part(of: peers[Int(number)].token)
        if head.pointee == number {
            head.pointee = next
            return
        }
        var before = Int(head.pointee)
        while peers[before].nextByToken != number { before = Int(peers[before].nextByToken) }
        peers[before].nextByToken = next
    }

    /// The peer of `upstream` that has this token; -1 where none has.
    func peer(of upstream: Int32, token: UInt64) -> Int32 {
        guard peerCapacity > 0 else { return -1 }
        var number = tokenHeads[part(of: token)]
        while number >= 0 {
            let state = peers + Int(number)
            if state.pointee.token == token, state.pointee.upstream == upstream { return number }
            number = state.pointee.nextByToken
        }
        return -1
    }

    /// Whether the peer that a client's cookie names may serve it: also one that drains, for whom nobody
    /// new is chosen, and as long as nothing has gone wrong with it in this exchange.
    func mayServeNamed(_ pick: UnsafePointer<Pick>) -> Bool {
        let state = peers + Int(pick.pointee.named)
        guard state.pointee.inFlight < state.pointee.maxInFlight, !state.pointee.isFull,
            !pick.pointee.tried.contains(pick.pointee.named)
        else { return false }
        return state.pointee.isAvailable || state.pointee.keepsClients
            || (state.pointee.isEligibleInPanic
                && upstreams[Int(state.pointee.upstream)].isPanic)
    }

    // MARK: Choosing

    /// Chooses a peer of `upstream` for `pick`: among the primary ones, then the backups. Takes
    /// pointers, so that nothing is copied and no reference is counted.
    @inline(__always)
    static func choose(
        _ upstream: UnsafeMutablePointer<UpstreamState>,
        _ pick: UnsafePointer<Pick>
    ) -> Int32 {
        let isPanic = upstream.pointee.isPanic
        let peer = upstream.pointee.primary.choose(isPanic: isPanic, pick)
        return peer >= 0 ? peer : upstream.pointee.backup.choose(isPanic: isPanic, pick)
    }

    /// An answer of `peer` took so long to begin.
    @inline(never)
    func observe(_ peer: Int32, _ latency: Nanoseconds, now: Instant) {
        let state = peers + Int(peer)
        let place = Int(state.pointee.place)
        guard place >= 0 else { return }
        let upstream = upstreams + Int(state.pointee.upstream)
        if state.pointee.isBackup {
            upstream.pointee.backup.observe(latency, at: place, now: now)
        } else {
            upstream.pointee.primary.observe(latency, at: place, now: now)
        }
    }

    /// An exchange with `peer` begins (1) or ends (-1).
    @inline(__always)
    func count(_ peer: Int32, _ change: Int32) {
        let state = peers + Int(peer)
        state.pointee.inFlight &+= change
        let place = Int(state.pointee.place)
        guard place >= 0 else { return }
        let upstream = upstreams + Int(state.pointee.upstream)
        if state.pointee.isBackup {
            upstream.pointee.backup.storage[place].inFlight &+= change
        } else {
            upstream.pointee.primary.storage[place].inFlight &+= change
        }
    }
}
