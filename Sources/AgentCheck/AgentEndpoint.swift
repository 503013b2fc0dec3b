// Where does a load balancer ask? At one port for all peers, where its first line names the one it
// means, or at a port that stands for one peer. Either way the answer is one write from memory.
//
// HAProxy connects, may send its `agent-send`, reads one line and closes. A client that closes first
// keeps the TIME_WAIT; one that waits for our end gets it two milliseconds after the line. Nothing is
// reset before the client has had time to read: unread bytes of its request would turn a plain close
// into a reset, so those are read away first.

public import EventLoop
import Glibc
public import Health
public import Store
public import Vocabulary

/// Answers HAProxy's agent checks. Confined to its loop's thread.
public final class AgentEndpoint: EventSink {
    /// A port whose every answer is about one peer.
    public struct PeerPort: Hashable, Sendable {
        public var bind: Address
        public var peer: PeerKey

        public init(bind: Address, peer: PeerKey) {
            self.bind = bind
            self.peer = peer
        }
    }

    private struct Listener {
        /// Nil on the port for all.
        var name: String?
        var acceptor: Acceptor
    }

    private let loop: EventLoop
    private let journal: Journal
    private let book: AnswerBook
    private let bind: Address?
    private let ports: [PeerPort]

    private var listeners: [Listener] = []
    private var queues = ConnectionQueues()
    private var patience = [TimerID](repeating: .none, count: Phase.allCases.count)
    private var housekeeping = TimerID.none
    private var connectionLimit: Int
    private let remedy: String
    private var throttle = Throttle()
    private var scratch = [UInt8](repeating: 0, count: AgentRequest.bytesMax)
    private var unknownNames = UnknownNames()

    public private(set) var counters = AgentCheckCounters()

    /// Open connections; beyond it the one that waits longest makes room.
    public static let connectionsMax = 10_000
    /// A line without its line feed counts as finished after this long without another byte.
    public static let silence = Nanoseconds.milliseconds(25)
    /// Reads of what a client sends after its request, before others get their turn.
    private static let readsMax = 16
    private static let housekeepingInterval = Nanoseconds.seconds(1)
    /// Tags below zero are the endpoint's own timers: housekeeping, then one a phase.
    private static let housekeepingTag = -1

    /// Without `bind` there are only ports of single peers. `memoryPath` names the file that lets
    /// a restarted process lift a drain that was ended while it was away. `remedy` says what to do where
    /// the limit of connections is too low.
    public init(
        loop: EventLoop,
        board: Board,
        bind: Address?,
        ports: [PeerPort] = [],
        policy: AgentCheckPolicy = AgentCheckPolicy(),
        memoryPath: String? = nil,
        connectionLimit: Int = AgentEndpoint.connectionsMax,
        remedy: String = "",
        journal: Journal = .silent
    ) {
        self.loop = loop
        self.bind = bind
        self.ports = ports
        self.connectionLimit = connectionLimit
        self.remedy = remedy
        self.journal = journal
        let memory = memoryPath.map { AdminMemory(path: $0, loop: loop, journal: journal) }
        book = AnswerBook(loop: loop, board: board, policy: policy, memory: memory)
        super.init()
    }

    deinit { assert(housekeeping.isNone, "an endpoint must be closed") }

    // MARK: Life

    /// Listens, everywhere or nowhere.
    public func start() throws(SystemError) {
        connectionLimit = min(connectionLimit, Self.affordableConnections())
        do throws(SystemError) {
            if let bind { try listen(at: bind, name: nil) }
            for port in ports {
                try listen(at: port.bind, name: "\(port.peer.upstream)/\(port.peer.peer)")
            }
        } catch {
            closeListeners()
            throw error
        }
        book.open(at: loop.now)
        keepHouse()
    }

    /// Where it listens: the port for all first, if there is one, then the others in their order.
    public var addresses: [SocketAddress] { listeners.map(\.acceptor.address) }

    /// How the file is that remembers what was said; nil without one.
    public var memoryFile: MemoryFileStatus? { book.memory?.status }

    /// Takes effect with the next answer.
    public var policy: AgentCheckPolicy {
        get { book.policy }
        set { book.policy = newValue }
    }

    /// Stops at once. What HAProxy was told stays as it is there.
    public func close() {
        guard !housekeeping.isNone else { return }
        closeListeners()
        for index in queues.all { drop(index) }
        loop.cancel(housekeeping)
        housekeeping = .none
        for timer in patience { loop.cancel(timer) }
        book.close()
    }

    /// What an asker would be told now; the API serves it too.
    public func line(for key: PeerKey) -> AgentAnswer {
        let name = "\(key.upstream)/\(key.peer)"
        guard let page = book.page(named: name) else {
            return book.answer(to: book.policy.unknownPeer, about: name)
        }
        book.refresh(page, at: loop.instant)
        return page.answer
    }

    private func listen(at address: Address, name: String?) throws(SystemError) {
        guard let socket = SocketAddress(address) else {
            throw SystemError("bind \(address)", code: EADDRNOTAVAIL)
        }
        let port = listeners.count
        let acceptor = try Acceptor(on: loop, at: socket) { [unowned self] descriptor in
            accept(descriptor, port: port)
        }
        listeners.append(Listener(name: name, acceptor: acceptor))
    }

    private func closeListeners() {
        for listener in listeners { listener.acceptor.close() }
        listeners = []
    }

    /// Probes and the proxy need descriptors too: at most half of what the process may open.
    private static func affordableConnections() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return connectionsMax
        }
        return min(connectionsMax, max(Int(clamping: limit.rlim_cur) / 2, 1))
    }

    // MARK: Time

    private func keepHouse() {
        housekeeping = loop.schedule(
            at: loop.now + Self.housekeepingInterval,
            sink: self,
            tag: Self.housekeepingTag
        )
    }

    public override func due(tag: Int) {
        if tag >= 0 {
            queues[tag].silence = .none
            return takeUnfinished(tag)
        }
        if tag == Self.housekeepingTag {
            book.tidy(at: loop.now)
            for listener in listeners { listener.acceptor.keepFile(for: "agent-check", journal) }
            return keepHouse()
        }
        guard let phase = Phase(rawValue: Self.housekeepingTag - 1 - tag) else { return }
        patience[phase.rawValue] = .none
        while let index = queues.first(in: phase), queues[index].since + phase.patience <= loop.now
        {
            runOut(index, phase)
        }
        arm(phase)
    }

    /// One timer a queue, for its head.
    private func arm(_ phase: Phase) {
        guard patience[phase.rawValue].isNone, let deadline = queues.deadline(of: phase) else {
            return
        }
        let tag = Self.housekeepingTag - 1 - phase.rawValue
        patience[phase.rawValue] = loop.schedule(at: deadline, sink: self, tag: tag)
    }

    private func runOut(_ index: Int, _ phase: Phase) {
        switch phase {
        case .asking:
            counters.timeouts += 1
            drop(index)
        case .answered: end(index)
        case .ended: drop(index)
        }
    }

    // MARK: Connections

    private func accept(_ descriptor: consuming Descriptor, port: Int) {
        counters.connections += 1
        if queues.count >= connectionLimit { dropOldest() }
        let connection = AskerConnection(raw: descriptor.take(), port: port, since: loop.now)
        let index = queues.insert(connection)
        counters.open = queues.count
        guard let name = listeners[port].name else { return receive(index) }
        answer(index, about: name)
    }

    public override func ready(_ readiness: Readiness, tag: Int) {
        if readiness.rawValue == Readiness.writable.rawValue { return }
        if queues[tag].phase == .asking { receive(tag) } else { readAway(tag) }
    }

    /// Reads until the request is whole or the kernel has no more.
    private func receive(_ index: Int) {
        // Bounded by what a request may have: every turn adds a byte, or ends it.
        while true {
            let kept = queues[index].partial.count
            let room = scratch.count - kept
            let count = scratch.withUnsafeMutableBytes {
                recv(queues[index].raw, $0.baseAddress, room, 0)
            }
            if count < 0 {
                switch errno {
                case EINTR: continue
                case EAGAIN: return watch(index)
                default: return drop(index)
                }
            }
            if count == 0, kept == 0 { return drop(index) }
            if take(index, count: count) { return }
        }
    }

    /// Looks at what was read. True when that ended the reading.
    private func take(_ index: Int, count: Int) -> Bool {
        let isEnded = count == 0
        let request: AgentRequest
        if queues[index].partial.isEmpty {
            request = AgentRequest(scratch.span.extracting(0..<count), isEnded: isEnded)
        } else {
            queues[index].partial.append(contentsOf: scratch[..<count])
            request = AgentRequest(queues[index].partial.span, isEnded: isEnded)
        }
        switch request {
        case .peer(let name): answer(index, about: name)
        case .page(let path, let isHead): answer(index, page: path, isHead: isHead)
        case .garbage:
            counters.garbage += 1
            send(index, Self.neutral)
        case .incomplete(let isHTTP):
            if queues[index].partial.isEmpty { queues[index].partial = Array(scratch[..<count]) }
            if !isHTTP { waitForSilence(index) }
            return false
        }
        return true
    }

    private func waitForSilence(_ index: Int) {
        let deadline = loop.now + Self.silence
        let timer = queues[index].silence
        if timer.isNone || !loop.move(timer, to: deadline) {
            queues[index].silence = loop.schedule(at: deadline, sink: self, tag: index)
        }
    }

    /// Nothing came for a while: `agent-send` without its line feed, if it names a peer. Anything
    /// else may still become a name.
    private func takeUnfinished(_ index: Int) {
        let name = AgentRequest.unfinishedName(queues[index].partial.span)
        if book.page(named: name) != nil { answer(index, about: name) }
    }

    // MARK: Answering

    private static let neutral = Array(AgentLine.neutral.text.utf8)

    private func answer(_ index: Int, about name: String) {
        guard let page = book.page(named: name) else {
            complain(about: name, from: index)
            counters.unknownPeers += 1
            return send(index, Array(book.answer(to: policy.unknownPeer, about: name).text.utf8))
        }
        let raw = queues[index].raw
        book.refresh(page, at: loop.now) { Socket.remoteAddress(raw)?.host ?? "" }
        counters.answers += 1
        send(index, page.bytes)
    }

    private func answer(_ index: Int, page path: String, isHead: Bool) {
        counters.pages += 1
        let answer: AgentAnswer
        if let name = AgentPage.peer(in: path) {
            if let page = book.page(named: name) {
                let raw = queues[index].raw
                book.refresh(page, at: loop.now) { Socket.remoteAddress(raw)?.host ?? "" }
                answer = page.answer
            } else {
                complain(about: name, from: index)
                counters.unknownPeers += 1
                answer = book.answer(to: policy.unknownPeer, about: name)
            }
        } else {
            answer = AgentPage.notFound
        }
        send(index, AgentPage.response(answer, isHead: isHead))
    }

    /// Into an empty socket buffer an answer always fits.
    private func send(_ index: Int, _ bytes: [UInt8]) {
        let sent = bytes.withUnsafeBytes {
            Glibc.send(queues[index].raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard sent == bytes.count else { return drop(index) }
        loop.cancel(queues[index].silence)
        queues[index].silence = .none
        queues[index].partial = []
        queues.move(index, to: .answered, at: loop.now)
        arm(.answered)
    }

    /// The client has had its moment to close first. Now it hears our end, and has a second more.
    private func end(_ index: Int) {
        readAway(index)
        guard queues[index].raw >= 0, queues[index].phase == .answered else { return }
        shutdown(queues[index].raw, Int32(SHUT_WR))
        queues.move(index, to: .ended, at: loop.now)
        watch(index)
    }

    /// Whatever a client sends after its request; its end is the end.
    private func readAway(_ index: Int) {
        for _ in 0..<Self.readsMax {
            let count = scratch.withUnsafeMutableBytes {
                recv(queues[index].raw, $0.baseAddress, $0.count, 0)
            }
            if count > 0 { continue }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            break
        }
        drop(index)
    }

    /// Hears of it from now on. Most clients are answered and gone without that.
    private func watch(_ index: Int) {
        if queues[index].phase != .answered { arm(queues[index].phase) }
        guard queues[index].handle.isNone else { return }
        let raw = queues[index].raw
        do throws(SystemError) {
            queues[index].handle = try loop.register(
                Descriptor(owning: raw),
                sink: self,
                tag: index
            )
        } catch {
            // The failed call has closed the descriptor.
            queues[index].raw = -1
            drop(index)
        }
    }

    private func drop(_ index: Int) {
        let connection = queues.remove(index)
        counters.open = queues.count
        loop.cancel(connection.silence)
        if !connection.handle.isNone {
            loop.close(connection.handle)
        } else if connection.raw >= 0 {
            _ = Descriptor(owning: connection.raw)
        }
    }

    /// Makes room: those who have their answer go first, then whoever has been silent for longest.
    private func dropOldest() {
        let oldest =
            queues.first(in: .ended) ?? queues.first(in: .asking) ?? queues.first(in: .answered)
        guard let oldest else { return }
        counters.dropped += 1
        drop(oldest)
        tellFull()
    }

    private func tellFull() {
        guard let silent = throttle.note("full", at: loop.now) else { return }
        var text =
            "agent-check: all \(connectionLimit) connections that it may have are open; for a newcomer "
            + "the one that has waited longest is closed"
        if !remedy.isEmpty { text += "; \(remedy)" }
        if silent > 0 { text += " (\(silent) more since the last line)" }
        journal.warning("\(text)", [.event("full"), .count(connectionLimit)])
    }

    /// A name that nobody knows is a mistake in a configuration: said, but not for every question.
    private func complain(about name: String, from index: Int) {
        let printable = AgentLine.printable(name)
        guard unknownNames.isWorthALine(printable, now: loop.now) else { return }
        let asker = Socket.remoteAddress(queues[index].raw)?.host ?? "unknown"
        journal.warning(
            "agent-check: expected upstream/peer of a defined peer, "
                + "saw '\(printable)' from \(asker)",
            [.event("agent-check-unknown")]
        )
    }
}
