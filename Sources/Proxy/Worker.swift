// What runs on a worker thread? Its own loop, its own listeners, its own connections and its own
// view of the peers. It shares nothing with other workers and takes no lock; what the control plane
// has to say arrives through the loop's mailbox.
//
// The parts: `Worker+Client` reads requests, `Worker+Exchange` moves them to a peer and the answer
// back, `Worker+Attempt` chooses peers and does what the exchange's course says, `Worker+Hedging` asks a
// second one where the first is late, `Worker+Ending` is where every exchange ends, `Worker+Strikes` tells of peers that do badly, `Worker+Link` keeps the
// connections to peers, `Worker+Tunnel` moves bytes unread, `Worker+Room` decides who goes for a newcomer,
// `Worker+Tracing` notes down what goes into a trace.

import EventLoop
import Glibc
import HTTP1
import Health
import Spans
import Vocabulary

/// The data plane of one thread.
final class Worker: EventSink {
    let loop: EventLoop

    // Copied out of the configuration: a request must not touch anything that is counted.
    let timeouts: ProxyTimeouts
    let limits: ProxyLimits
    let manners: ProxyManners
    let absentStatus: UInt16
    let answersPing: Bool
    let isLenientToClients: Bool
    let trustedProxies: TrustedProxies
    /// Nobody has named proxies: then older systems' upstreams believe whoever comes.
    let believesAnybody: Bool
    let headLimits: HeadLimits
    /// Some requests are traced. Of all that tracing needs, others touch only this.
    let isTracing: Bool
    let sampler: Sampler
    /// Idle connections may take neither the places nor the descriptors of those that a client waits
    /// for.
    let idleLinksMax: Int

    /// What requests touch; see `State`.
    let state: UnsafeMutablePointer<State>
    /// One a client connection. Kept apart so that looking for expired ones is one short scan.
    let deadlines: UnsafeMutablePointer<Int64>
    /// Clients with more to move than one turn allows, and how many; each at most once, but for places
    /// that others have taken since.
    let unfinished: UnsafeMutablePointer<Int32>
    /// Of routes that have had a request, by number.
    let routeTimes: UnsafeMutablePointer<UnsafeMutablePointer<PhaseTimes>?>
    var unfinishedCount = 0
    private var unfinishedTimer = TimerID.none
    /// A routing path after its dot segments are gone.
    let scratch: UnsafeMutablePointer<UInt8>

    private var onDrained: (() -> Void)?
    /// Hears of numbers that this worker uses no more.
    private let onRelease: (Released) -> Void
    /// Hears of the first failure since they were last taken.
    let onFailure: () -> Void
    /// Hears of the first strike since they were last taken.
    let onStrike: () -> Void
    /// Hears of a host whose route is wanted; nil where no source has any.
    let asksForRoutes: Bool
    let onAsk: (_ host: String, _ key: UInt64) -> Void
    /// Hears of the first traced request since they were last taken.
    let onTraced: () -> Void
    /// Traced requests that have ended, and how many had no room among them.
    var traced: [TracedExchange] = []
    var tracedLost = 0
    /// Of upstreams and routes that have had a traced request.
    var exemplars: [ExemplarKey: Exemplars] = [:]
    private var leavingUpstreams: [Int32] = []
    private var sweep = TimerID.none
    private var sweeps = 0
    /// Peers that are lost, with requests that wait there for a place elsewhere.
    var leftBehind: [Int32] = []
    var moving = TimerID.none
    /// When lines are looked at next.
    var queueTimer = TimerID.none
    var queueDue = Instant.distantFuture
    /// Upstreams that ask a second peer when the first is late, and when the next of their requests is.
    private(set) var hedging: [Int32] = []
    var hedgeTimer = TimerID.none
    var hedgeDue = Instant.distantFuture
    /// False while nobody is known yet who could serve: connections wait in the kernel.
    private var isAccepting: Bool

    /// Behind a pointer, because where exclusive access is checked, as in debug builds, every access to
    /// a stored property of a class is checked while the program runs: that was a third of all
    /// instructions of a request. Release builds of this target check none.
    struct State: ~Copyable {
        var clients: Slab<ClientConnection>
        var links: Slab<PeerConnection>
        var exchanges: Slab<Exchange>
        /// How many of `links` serve nobody.
        var idleLinks = 0
        /// How many exchanges are in line.
        var waiting = 0
        var resting = ClientList()
        var beginning = ClientList()
        /// Where the search for an idle connection to a peer goes on.
        var nextIdleLink = 0
        var hosts = HostBook()
        var buffers = BufferPool()
        var pool = PeerPool()
        var fields = FieldTable()
        var counters = WorkerCounters()
        var failures = FailureTable()
        var strikes = StrikeTable()
        var date = HTTPDate()
        var listeners: [Listener] = []
        var isDraining = false
    }

    struct Listener {
        var bind: Address
        var handle: Handle
        /// Only this host reaches it, and what it accepts has from it that it paces nothing.
        var isLoopback: Bool
        var routes: Unmanaged<RouteTable>?
        var isTCP = false
        /// In TCP mode.
        var upstream: Int32 = -1
        /// Goes on accepting what one burst left.
        var again = TimerID.none
        /// Of a unix socket.
        var file: SocketFile?
        var remaking = SocketFile.Remaking()
    }

    /// What a tag names: the kind in the two lowest bits, the index above.
    enum Tag {
        static let client = 0
        static let peer = 1
        static let listener = 2
        static let sweep = 3

        @inline(__always)
        static func make(_ kind: Int, _ index: Int) -> Int { index << 2 | kind }
    }

    /// How often deadlines are looked at, and so how late a timeout may be.
    static let sweepInterval = Nanoseconds.milliseconds(100)
    /// Idle connections may stay a second longer than they should.
    static let sweepsPerIdleExpiry = 10
    /// Accepted in one go before other descriptors get their turn.
    static let acceptBurst = 64

    init(
        loop: EventLoop,
        isAccepting: Bool = true,
        timeouts: ProxyTimeouts,
        limits: ProxyLimits,
        descriptors: Int? = nil,
        manners: ProxyManners = ProxyManners(),
        trustedProxies: TrustedProxies = TrustedProxies(),
        onRelease: @escaping (Released) -> Void,
        onFailure: @escaping () -> Void = {},
        onStrike: @escaping () -> Void = {},
        onAsk: ((_ host: String, _ key: UInt64) -> Void)? = nil,
        sampler: Sampler? = nil,
        onTraced: @escaping () -> Void = {}
    ) {
        self.loop = loop
        self.isAccepting = isAccepting
        self.onRelease = onRelease
        self.onFailure = onFailure
        self.onStrike = onStrike
        asksForRoutes = onAsk != nil
        self.onAsk = onAsk ?? { _, _ in }
        isTracing = sampler != nil
        self.sampler = sampler ?? Sampler(share: 0)
        self.onTraced = onTraced
        self.timeouts = timeouts
        self.manners = manners
        absentStatus = manners.absentStatus
        answersPing = manners.answersPing
        isLenientToClients = manners.isLenientToClients
        self.trustedProxies = trustedProxies
        believesAnybody = trustedProxies.isEmpty
        var limits = limits
        limits.clientConnections = limits.clients(within: descriptors)
        self.limits = limits
        idleLinksMax = min(
            limits.clientConnections,
            descriptors.map { max($0 - 2 * limits.clientConnections, 0) } ?? .max
        )
        var headLimits = HeadLimits()
        headLimits.headBytes = Buffer.capacity - 2 * HeadRewriter.growthMax
        headLimits.responseHeadBytes = headLimits.headBytes
        self.headLimits = headLimits
        state = .allocate(capacity: 1)
        state.initialize(
            to: State(
                clients: Slab(capacity: limits.clientConnections),
                // Each client has at most one peer connection; the rest are idle ones.
                links: Slab(capacity: limits.clientConnections * 2),
                exchanges: Slab(capacity: limits.clientConnections)
            )
        )
        deadlines = .allocate(capacity: limits.clientConnections)
        deadlines.initialize(repeating: Self.nobody, count: limits.clientConnections)
        unfinished = .allocate(capacity: limits.clientConnections)
        routeTimes = .allocate(capacity: RouteNumbers.max)
        routeTimes.initialize(repeating: nil, count: RouteNumbers.max)
        scratch = .allocate(capacity: Buffer.capacity)
        super.init()
    }

    deinit {
        for listener in listeners { listener.routes?.release() }
        clients.destroy()
        links.destroy()
        exchanges.destroy()
        buffers.destroy()
        pool.destroy()
        failures.destroy()
        strikes.destroy()
        state.pointee.date.destroy()
        state.deinitialize(count: 1)
        state.deallocate()
        deadlines.deallocate()
        unfinished.deallocate()
        for route in 0..<RouteNumbers.max { routeTimes[route]?.deallocate() }
        routeTimes.deallocate()
        scratch.deallocate()
    }

    // MARK: Mail from the control plane

    func apply(_ changes: [RoutingChange]) {
        for change in changes {
            switch change {
            case .upstream(let upstream, let settings):
                pool.set(upstream, settings, seed: loop.dice.next())
                hedging.removeAll { $0 == upstream }
                if settings.hedge != nil { hedging.append(upstream) }
            case .panic(let upstream, let isPanic):
                pool.setPanic(upstream, isPanic)
                wakeLines()
            case .upstreamGone(let upstream): remove(upstream: upstream)
            case .peer(let peer, let upstream, let snapshot):
                defer { wakeLines() }
                if peer < pool.peerCount, pool.peers[Int(peer)].backAt < snapshot.backAt {
                    strikes.forget(peer)
                }
                let wentDown = pool.set(peer, upstream: upstream, snapshot)
                if snapshot.isLost { moveWaiting(of: peer) }
                if wentDown { self.wentDown(peer) }
            case .peerGone(let peer): remove(peer: peer)
            case .stale(let hosts): for stale in hosts { self.hosts.forget(stale) }
            }
        }
    }

    private func wentDown(_ peer: Int32) {
        let upstream = pool.upstreams + Int(pool.peers[Int(peer)].upstream)
        let settings = upstream.pointee.settings
        let closes = settings?.closes ?? .closeIdle
        if closes != .keep { closeIdle(of: peer) }
        if closes == .closeAll || settings?.cutsOpaque == true {
            closeBusy(of: peer, evenHTTP: closes == .closeAll)
        }
    }

    private func remove(peer: Int32) {
        pool.remove(peer)
        closeIdle(of: peer)
        releaseIfUnused(peer)
    }

    /// A peer without a definition is forgotten with its last exchange.
    func releaseIfUnused(_ peer: Int32) {
        let state = pool.peers + Int(peer)
        guard !state.pointee.isDefined, state.pointee.inFlight == 0 else { return }
        onRelease(.peer(peer))
    }

    /// Requests name their upstream without being counted by it: its place is kept until none does.
    private func remove(upstream: Int32) {
        leavingUpstreams.append(upstream)
        releaseUpstreams()
    }

    private func releaseUpstreams() {
        leavingUpstreams.removeAll { upstream in
            for index in 0..<exchanges.highWater
            where exchanges.elements[index].isUnderWay
                && exchanges.elements[index].upstream == upstream
            {
                return false
            }
            pool.destroy(upstream)
            hosts.forget(upstream: upstream)
            exemplars[.upstream(upstream)] = nil
            hedging.removeAll { $0 == upstream }
            onRelease(.upstream(upstream))
            return true
        }
    }

    /// Brings the listeners to what `orders` say. Returns what could not be opened.
    func listen(_ orders: [ListenerOrder]) -> [String] {
        var problems: [String] = []
        for order in orders {
            let index = listeners.firstIndex { $0.bind == order.bind && !$0.handle.isNone }
            do throws(SystemError) {
                let place: Int
                if let index { place = index } else { place = try open(order.bind) }
                follow(order.mode, at: place)
            } catch {
                problems.append("listener \(order.bind): \(error.reason)")
            }
        }
        // After the new ones are open: where 0.0.0.0:80 takes the place of 127.0.0.1:80, somebody listens at
        // every moment. A closed listener keeps its place: connections that came through it still route by it.
        for place in listeners.indices
        where !orders.contains(where: { $0.bind == listeners[place].bind }) {
            stopListening(place)
        }
        return problems
    }

    private func open(_ bind: Address) throws(SystemError) -> Int {
        guard let address = SocketAddress(bind) else {
            throw SystemError("bind \(bind)", code: EADDRNOTAVAIL)
        }
        let descriptor = try Socket.listen(address, sharesPort: !address.isUnix)
        let place = listeners.count
        let handle = try loop.register(
            descriptor,
            sink: self,
            tag: Tag.make(Tag.listener, place)
        )
        listeners.append(Listener(bind: bind, handle: handle, isLoopback: address.isLoopback))
        listeners[place].file = SocketFile(boundTo: address)
        return place
    }

    /// Nobody else would answer what the kernel has accepted for this listener: that is taken first.
    /// Connections that came through it end with their next answer.
    private func stopListening(_ place: Int) {
        guard !listeners[place].handle.isNone else { return }
        acceptAll(place)
        for index in 0..<clients.highWater
        where isOpen(index) && clients.elements[index].listener == Int32(place) {
            clients.elements[index].isLeaving = true
        }
        loop.close(listeners[place].handle)
        loop.cancel(listeners[place].again)
        listeners[place].handle = .none
        listeners[place].file?.remove()
        listeners[place].file = nil
    }

    /// Makes the files of unix sockets again that somebody took away. Returns what there is to say.
    func keepFiles() -> [Journal.Line] {
        listeners.indices.compactMap { place in
            guard let file = listeners[place].file, !file.isThere,
                !listeners[place].handle.isNone, let address = SocketAddress(listeners[place].bind)
            else { return nil }
            var trouble: SystemError?
            do throws(SystemError) {
                let descriptor = try Socket.listen(address)
                listeners[place].file = SocketFile(boundTo: address)
                let tag = Tag.make(Tag.listener, place)
                let handle = try loop.register(descriptor, sink: self, tag: tag)
                // Whoever came before it was taken away is let in first.
                acceptAll(place)
                loop.close(listeners[place].handle)
                listeners[place].handle = handle
            } catch {
                trouble = error
            }
            return listeners[place].remaking.line(
                of: "proxy: listener \(listeners[place].bind)",
                at: file.path,
                trouble
            )
        }
    }

    private func follow(_ mode: ListenerOrder.Mode, at place: Int) {
        listeners[place].routes?.release()
        listeners[place].routes = nil
        switch mode {
        case .http(let table):
            listeners[place].isTCP = false
            listeners[place].routes = .passRetained(table)
        case .tcp(let upstream):
            listeners[place].isTCP = true
            listeners[place].upstream = upstream
        }
    }

    /// Where a listener listens, for tests that bind to port 0.
    func boundAddresses() -> [SocketAddress] {
        listeners.filter { !$0.handle.isNone }
            .compactMap { Socket.localAddress($0.handle.descriptor) }
    }

    // MARK: Draining

    /// Stops accepting, lets exchanges end, and calls `done` when no client is left. Whoever has
    /// not finished by the drain timeout is cut off. A client between two requests may be sending one
    /// at this moment: it is given a while to, and told with the answer that it was the last.
    func drain(_ done: @escaping () -> Void) {
        isDraining = true
        onDrained = done
        for place in listeners.indices { stopListening(place) }
        let grace = (loop.now + timeouts.drainGrace).nanoseconds
        for index in 0..<clients.highWater where isOpen(index) {
            let client = clients.elements + index
            if client.pointee.phase == .head, client.pointee.wire.input.isEmpty,
                client.pointee.output.isEmpty
            {
                deadlines[index] = min(deadlines[index], grace)
            }
        }
        noteIfDrained()
    }

    /// Cuts off every connection that is left. The loop knows nothing of this worker afterwards.
    func abandon() {
        for place in listeners.indices { stopListening(place) }
        loop.cancel(sweep)
        loop.cancel(moving)
        moving = .none
        loop.cancel(queueTimer)
        queueTimer = .none
        loop.cancel(hedgeTimer)
        hedgeTimer = .none
        loop.cancel(unfinishedTimer)
        unfinishedTimer = .none
        unfinishedCount = 0
        leftBehind = []
        for index in 0..<clients.highWater where isOpen(index) {
            let exchange = Int(clients.elements[index].exchange)
            if exchange >= 0 { note(.drained, of: exchanges.elements + exchange) }
            dropClient(index, reset: true)
        }
        for peer in 0..<pool.peerCount { closeIdle(of: Int32(peer)) }
    }

    func noteIfDrained() {
        guard isDraining, clients.count == 0, let done = onDrained else { return }
        onDrained = nil
        done()
    }

    func isOpen(_ index: Int) -> Bool {
        // A free place keeps its last content; its deadline says that nobody is there.
        deadlines[index] != Self.nobody
    }

    static let nobody = Int64.min

    // MARK: Events

    override func ready(_ readiness: Readiness, tag: Int) {
        let index = tag >> 2
        switch tag & 3 {
        case Tag.client: clientReady(index, readiness)
        case Tag.peer: peerReady(index, readiness)
        default: acceptReady(index)
        }
    }

    override func foretold(_ readiness: Readiness, tag: Int) {
        if tag & 3 == Tag.peer { peerForetold(tag >> 2, readiness) }
    }

    override func due(tag: Int) {
        if tag & 3 == Tag.listener {
            acceptReady(tag >> 2)
            return
        }
        if tag == Self.movingTag { return goOnMoving() }
        if tag == Self.queueTag { return serveLines() }
        if tag == Self.hedgeTag { return lookForLate() }
        if tag == Self.unfinishedTag { return goOnWithUnfinished(unfinishedCount) }
        sweep = .none
        let now = loop.now.nanoseconds
        for index in 0..<clients.highWater
        where deadlines[index] != Self.nobody && deadlines[index] <= now {
            expired(index)
        }
        lookForSilence()
        sweeps &+= 1
        let isSecond = sweeps % Self.sweepsPerIdleExpiry == 0
        if isSecond { expireIdle() }
        buffers.rest(isPeriodOver: isSecond)
        if !leavingUpstreams.isEmpty { releaseUpstreams() }
        wakeSweep()
    }

    /// The sweep sleeps while there is nothing to look at.
    func wakeSweep() {
        guard sweep.isNone, clients.count > 0 || links.count > 0 else { return }
        sweep = loop.schedule(at: loop.now + Self.sweepInterval, sink: self, tag: Tag.sweep)
    }

    /// What the kernel has accepted meanwhile is served first.
    func beginAccepting() {
        isAccepting = true
        for place in listeners.indices { acceptReady(place) }
    }

    private func acceptReady(_ place: Int) {
        guard isAccepting, place < listeners.count, !listeners[place].handle.isNone else { return }
        // Once: what is given back may be taken by others.
        var mayGiveBack = true
        for _ in 0..<Self.acceptBurst {
            do throws(SystemError) {
                var caller = sockaddr_storage()
                let listener = listeners[place].handle.descriptor
                guard let descriptor = try Socket.accept(listener, from: &caller) else { return }
                accept(descriptor, place, from: caller)
            } catch {
                if mayGiveBack, giveBack(code: error.code) {
                    mayGiveBack = false
                    continue
                }
                // Out of descriptors: the edge is used up, so come back by time.
                tell(FailureNote(cause: .acceptPaused, code: error.code), of: -1, .retried)
                acceptLater(place, after: Self.sweepInterval)
                return
            }
        }
        acceptLater(place, after: .zero)
    }

    /// Empties the queue of a listener that is about to close. Bounded: clients may come as fast as they
    /// are taken.
    private func acceptAll(_ place: Int) {
        for _ in 0..<Int(Socket.backlog) {
            let handle = listeners[place].handle
            var caller = sockaddr_storage()
            guard let waiting = try? Socket.accept(handle.descriptor, from: &caller) else { return }
            accept(waiting, place, from: caller)
        }
    }

    private func acceptLater(_ place: Int, after pause: Nanoseconds) {
        loop.cancel(listeners[place].again)
        listeners[place].again = loop.schedule(
            at: loop.now + pause,
            sink: self,
            tag: Tag.make(Tag.listener, place)
        )
    }

    // MARK: Bytes

    /// Reads of one body in one turn, of which one into a large block is worth all. A peer and a client that are both fast would keep
    /// all others waiting.
    static let readsATurn = 8
    private static let unfinishedTag = Tag.make(Tag.sweep, 4)

    /// The connection goes on when all others have had their turn: no edge will tell. False where that
    /// cannot be noted down.
    @inline(never)
    func goOnLater(_ index: Int) -> Bool {
        let client = clients.elements + index
        if client.pointee.isUnfinished { return true }
        guard unfinishedCount < limits.clientConnections else { return false }
        client.pointee.isUnfinished = true
        unfinished[unfinishedCount] = Int32(truncatingIfNeeded: index)
        unfinishedCount += 1
        if unfinishedTimer.isNone {
            unfinishedTimer = loop.schedule(at: loop.now, sink: self, tag: Self.unfinishedTag)
        }
        return true
    }

    /// Whoever is still not done stands in the list again, at a place that has been looked at.
    private func goOnWithUnfinished(_ count: Int) {
        unfinishedTimer = .none
        unfinishedCount = 0
        for place in 0..<count {
            let index = Int(unfinished[place])
            guard isOpen(index), clients.elements[index].isUnfinished else { continue }
            clients.elements[index].isUnfinished = false
            drive(index)
        }
    }

    /// Reads once into the input of `wire`.
    @inline(__always)
    func read(_ wire: inout Wire) -> Wire.ReadResult {
        buffers.fill(&wire.input)
        return wire.read()
    }

    /// As `read`, of what is known to be much: the fewer reads and writes it takes, the less do the kernel
    /// and those who wait for it have to do.
    @inline(__always)
    func readMuch(_ wire: inout Wire) -> Wire.ReadResult {
        if wire.input.isEmpty { buffers.enlarge(&wire.input) }
        return read(&wire)
    }
}

extension Worker {
    var clients: Slab<ClientConnection> {
        @inline(__always) _read { yield state.pointee.clients }
        @inline(__always) _modify { yield &state.pointee.clients }
    }
    var links: Slab<PeerConnection> {
        @inline(__always) _read { yield state.pointee.links }
        @inline(__always) _modify { yield &state.pointee.links }
    }
    var exchanges: Slab<Exchange> {
        @inline(__always) _read { yield state.pointee.exchanges }
        @inline(__always) _modify { yield &state.pointee.exchanges }
    }
    var idleLinks: Int {
        @inline(__always) _read { yield state.pointee.idleLinks }
        @inline(__always) _modify { yield &state.pointee.idleLinks }
    }
    var waiting: Int {
        @inline(__always) _read { yield state.pointee.waiting }
        @inline(__always) _modify { yield &state.pointee.waiting }
    }
    /// Clients that nothing is under way with, by when that began.
    var resting: ClientList {
        @inline(__always) _read { yield state.pointee.resting }
        @inline(__always) _modify { yield &state.pointee.resting }
    }
    /// Clients whose head did not come in one piece, by when it began.
    var beginning: ClientList {
        @inline(__always) _read { yield state.pointee.beginning }
        @inline(__always) _modify { yield &state.pointee.beginning }
    }
    var nextIdleLink: Int {
        get { state.pointee.nextIdleLink }
        set { state.pointee.nextIdleLink = newValue }
    }
    var hosts: HostBook {
        @inline(__always) _read { yield state.pointee.hosts }
        @inline(__always) _modify { yield &state.pointee.hosts }
    }
    var buffers: BufferPool {
        @inline(__always) _read { yield state.pointee.buffers }
        @inline(__always) _modify { yield &state.pointee.buffers }
    }
    var pool: PeerPool {
        @inline(__always) _read { yield state.pointee.pool }
        @inline(__always) _modify { yield &state.pointee.pool }
    }
    var fields: FieldTable {
        @inline(__always) _read { yield state.pointee.fields }
        @inline(__always) _modify { yield &state.pointee.fields }
    }
    var listeners: [Listener] {
        @inline(__always) _read { yield state.pointee.listeners }
        @inline(__always) _modify { yield &state.pointee.listeners }
    }
    var isDraining: Bool {
        @inline(__always) _read { yield state.pointee.isDraining }
        @inline(__always) _modify { yield &state.pointee.isDraining }
    }
    var failures: FailureTable {
        @inline(__always) _read { yield state.pointee.failures }
        @inline(__always) _modify { yield &state.pointee.failures }
    }
    var strikes: StrikeTable {
        @inline(__always) _read { yield state.pointee.strikes }
        @inline(__always) _modify { yield &state.pointee.strikes }
    }
    /// What `Date` says now.
    var date: UnsafePointer<UInt8> {
        @inline(__always) get { state.pointee.date.at(loop.now, wall: loop.wall) }
    }
    var counters: WorkerCounters {
        @inline(__always) _read { yield state.pointee.counters }
        @inline(__always) _modify { yield &state.pointee.counters }
    }
}

/// What a worker counts apart from peers.
struct WorkerCounters: Sendable {
    var accepted: UInt64 = 0
    var refused: UInt64 = 0
    /// Idle ones closed for newcomers.
    var displaced: UInt64 = 0
    var requests: UInt64 = 0
    var badRequests: UInt64 = 0
    /// Answered 503 by muster itself, because no peer could be had.
    var unavailable: UInt64 = 0
    var aborted: UInt64 = 0
}

/// What a worker holds on to. Everything but listeners and idle connections is nothing when nobody
/// is served: for tests that look for leaks.
struct Holdings: Equatable, Sendable {
    var clients = 0
    var exchanges = 0
    var busyLinks = 0
    var idleLinks = 0
    var inFlight = 0
    var waiting = 0
    var buffers = 0
    var descriptors = 0
}

extension Worker {
    var holdings: Holdings {
        var holdings = Holdings()
        holdings.clients = clients.count
        holdings.exchanges = exchanges.count
        holdings.busyLinks = links.count - idleLinks
        holdings.idleLinks = idleLinks
        holdings.waiting = waiting
        for peer in 0..<pool.peerCount { holdings.inFlight += Int(pool.peers[peer].inFlight) }
        holdings.buffers = buffers.lent
        holdings.descriptors = loop.watchedCount
        return holdings
    }
}
