// Who stands between the admin API and its clients? This: it accepts, bounds, times, reads and judges,
// on a loop of its own, and calls whoever answers with a whole request. A client can be slow, silent or
// hostile; nobody but its own connection waits for it.

public import EventLoop
import Glibc
import HTTP1
public import TLS
public import Vocabulary

/// The acceptor of the admin endpoint. Confined to its loop.
public final class Front: EventSink {
    /// Answers one request. Called away from the loop; what it throws ends the connection.
    public typealias Handler = @Sendable (FrontRequest, AnswerWriter) async throws -> Void

    let loop: EventLoop
    let rules: OriginRules
    let limits: FrontLimits
    let certificate: ServerCertificate?
    let tally: FrontTally
    let handler: Handler
    private let journal: Journal
    /// The setting that makes it listen.
    private let name: String
    private var acceptor: Acceptor?
    private var crowd: Crowd
    private var visitors: [Int: Visitor] = [:]
    private var nextID = 0
    private var fields: FieldTable
    private var headLimits = HeadLimits()
    private var quietUntil: Instant?
    private var throttle = Throttle()
    private var lastWait = TimerID.none
    /// Looks whether a unix socket still has its file.
    private var fileWatch = TimerID.none
    private static let fileWatchTag = 1
    private static let fileWatchEvery = Nanoseconds.seconds(1)
    private var whenEmpty: CheckedContinuation<Void, Never>?
    private(set) var isStopping = false

    /// A shortage of descriptors is told of once in so long.
    private static let troubleEvery = Nanoseconds.seconds(60)

    public init(
        on loop: EventLoop,
        rules: OriginRules,
        limits: FrontLimits = FrontLimits(),
        certificate: ServerCertificate? = nil,
        tally: FrontTally = FrontTally(),
        name: String = "admin",
        journal: Journal = .silent,
        handler: @escaping Handler
    ) {
        self.loop = loop
        self.rules = rules
        self.limits = limits
        self.certificate = certificate
        self.tally = tally
        self.name = name
        self.journal = journal
        self.handler = handler
        crowd = Crowd(limit: limits.connections, share: limits.share)
        headLimits.headBytes = limits.headBytes
        fields = FieldTable(capacity: HeadLimits().fields)
        super.init()
    }

    // MARK: Life

    /// Begins to listen, and says where.
    public func open(
        at address: SocketAddress,
        access: SocketAccess = SocketAccess()
    ) throws(SystemError) -> SocketAddress {
        let acceptor = try Acceptor(
            on: loop,
            at: address,
            access: access,
            // A newcomer is heard before so many others have come that it has to make room again.
            burst: max(limits.share / 8, 1),
            onTrouble: { [unowned self] in hearTrouble($0) },
            onAccept: { [unowned self] descriptor in accept(descriptor) }
        )
        self.acceptor = acceptor
        if acceptor.address.isUnix { watchFile() }
        return acceptor.address
    }

    /// Lets nobody in any more; whoever is being served has so long. Comes back when all are gone, or
    /// cut.
    public func close(within span: Nanoseconds) async {
        isStopping = true
        loop.cancel(fileWatch)
        acceptor?.close()
        acceptor = nil
        for id in crowd.all where crowd.phase(of: id) != .answering { visitors[id]?.cut() }
        guard !visitors.isEmpty else { return }
        lastWait = loop.schedule(at: loop.instant + span, sink: self)
        // Asked where the wait begins: on the way there the last one may have gone.
        await withCheckedContinuation { waiter in
            if visitors.isEmpty { waiter.resume() } else { whenEmpty = waiter }
        }
        loop.cancel(lastWait)
    }

    private func watchFile() {
        fileWatch = loop.schedule(
            at: loop.now + Self.fileWatchEvery,
            sink: self,
            tag: Self.fileWatchTag
        )
    }

    public override func due(tag: Int) {
        if tag == Self.fileWatchTag {
            acceptor?.keepFile(for: name, journal)
            return watchFile()
        }
        for visitor in visitors.values { visitor.cut() }
        // Whoever still works on an answer has nobody to give it to, and is not waited for.
        whenEmpty.take()?.resume()
    }

    // MARK: The door

    private func accept(_ descriptor: consuming Descriptor) {
        tally.count { $0.connections += 1 }
        nextID += 1
        let id = nextID
        let (source, isNeighbour) = Self.source(descriptor.raw)
        let wasFull = crowd.isFull
        let share = limits.share(ofNeighbour: isNeighbour)
        let admission = crowd.admit(id, from: source, share: share, at: loop.now)
        if admission != .welcome { tellFull(wasFull ? nil : source) }
        switch admission {
        case .welcome: break
        case .inPlaceOf(let other):
            tally.count { $0.displaced += 1 }
            visitors[other]?.cut()
        case .full:
            tally.count { $0.full += 1 }
            return turnAway(descriptor)
        }
        let stream: ByteStream
        do throws(SystemError) {
            stream = try ByteStream.adopt(
                descriptor,
                on: loop,
                deadline: loop.now + limits.head
            )
        } catch {
            return crowd.remove(id)
        }
        let visitor = Visitor(id, stream, of: self)
        visitors[id] = visitor
        tally.count { $0.open = visitors.count }
        let bound = LoopBound(visitor, on: loop)
        Task(executorPreference: loop) { await bound.value.serve() }
    }

    /// Not for each newcomer: whoever comes in great numbers would fill the log.
    private func tellFull(_ source: String?) {
        guard let silent = throttle.note(source == nil ? "all" : "one", at: loop.now) else {
            return
        }
        // Of several that listen: which one, and by which setting.
        var text = "\(name).bind\(acceptor.map { " \($0.address)" } ?? ""): "
        let count: Int
        if let source {
            count = limits.share
            text += "one client (\(source.isEmpty ? "unix" : source)) has all \(count) connections "
            text += "that one may have; for each more, its own that has done least is closed"
        } else {
            count = limits.connections
            text +=
                "all \(count) connections that it may have are open; for a newcomer the one that has "
            text += "done least is closed"
        }
        if !limits.remedy.isEmpty { text += "; \(limits.remedy)" }
        if silent > 0 { text += " (\(silent) more since the last line)" }
        journal.warning("\(text)", [.event("full"), .count(count)])
    }

    /// A quick word and the end. Where TLS is spoken there is no word without a handshake.
    private func turnAway(_ descriptor: consuming Descriptor) {
        guard certificate == nil else { return }
        let refusal = Refusal(
            503,
            "all \(limits.connections) connections, or the \(limits.share) of one address, are being "
                + "served; try again in a moment"
        )
        let bytes = refusal.bytes(path: "", date: HTTPDate.now(loop.wall))
        _ = bytes.withUnsafeBytes {
            send(descriptor.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        shutdown(descriptor.raw, Int32(SHUT_WR))
        // What it has asked already, so that the end is no reset.
        var unread = [UInt8](repeating: 0, count: limits.headBytes)
        _ = recv(descriptor.raw, &unread, unread.count, 0)
    }

    /// Descriptors ran out: whoever is only sitting here gives one back.
    private func hearTrouble(_ error: SystemError) {
        tally.count { $0.withoutDescriptor += 1 }
        if let id = crowd.least() {
            tally.count { $0.displaced += 1 }
            visitors[id]?.cut()
        }
        if let quietUntil, loop.now < quietUntil { return }
        quietUntil = loop.now + Self.troubleEvery
        journal.warning(
            "\(name): a client cannot be let in: \(error.reason); \(visitors.count) connections are open "
                + "here, and the limit of the process (ulimit -n) is used up",
            [.event("admin-full")]
        )
    }

    /// Who counts as one client: an IPv4 address, an IPv6 network of 64 bits, a unix socket. And whether it is
    /// of this machine.
    private static func source(_ raw: Int32) -> (name: String, isNeighbour: Bool) {
        guard let host = Socket.remoteAddress(raw)?.host else { return ("", true) }
        var bytes = in6_addr()
        guard host.contains(":"), inet_pton(AF_INET6, host, &bytes) == 1 else {
            return (host, host.hasPrefix("127."))
        }
        let name = withUnsafeBytes(of: bytes) { "\(Array($0.prefix(8)))" }
        return (name, host == "::1" || host.hasPrefix("::ffff:127."))
    }

    // MARK: For visitors

    func move(_ visitor: Visitor, to phase: Crowd.Phase) {
        crowd.move(visitor.id, to: phase, at: loop.instant)
        // Nobody stays for another request while the process ends.
        if isStopping, phase == .idle { visitor.cut() }
    }

    func forget(_ visitor: Visitor) {
        crowd.remove(visitor.id)
        visitors[visitor.id] = nil
        tally.count { $0.open = visitors.count }
        guard visitors.isEmpty else { return }
        whenEmpty.take()?.resume()
    }

    /// Nil where the head is not whole.
    func parse(
        _ bytes: [UInt8],
        with parser: inout HeadParser
    ) throws(HTTPError) -> (RequestHead, FrontRequest)? {
        let head = try parser.parseRequest(bytes.span, fields: &fields, limits: headLimits)
        guard let head else { return nil }
        return (head, FrontRequest(head, fields, in: bytes))
    }
}
