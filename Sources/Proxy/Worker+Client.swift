// How does a client connection begin, bring requests, and end?

import EventLoop
import Glibc
import HTTP1
import Vocabulary

extension Worker {
    // MARK: Life

    func accept(_ descriptor: consuming Descriptor, _ place: Int) {
        counters.accepted += 1
        let isTCP = listeners[place].isTCP
        var client = ClientConnection()
        client.listener = Int32(place)
        client.isTCP = isTCP
        Socket.noDelay(descriptor.raw)
        note(Socket.remoteAddress(descriptor.raw), in: &client)
        var free = clients.insert(client)
        if free == nil, displaceClient() { free = clients.insert(client) }
        guard let index = free else {
            shed(descriptor, isTCP: isTCP)
            return
        }
        do throws(SystemError) {
            clients.elements[index].handle = try loop.register(
                descriptor,
                sink: self,
                tag: Tag.make(Tag.client, index)
            )
        } catch {
            clients.remove(index)
            counters.refused += 1
            return
        }
        setDeadline(index, timeouts.clientIdle)
        wakeSweep()
        if isTCP {
            clients.elements[index].upstream = listeners[place].upstream
            clients.elements[index].phase = .exchange
            clients.elements[index].pick.key = clients.elements[index].addressHash
            startAttempt(index)
            if isOpen(index) { drive(index) }
        } else {
            rest(index)
        }
    }

    /// The table is full of clients that are being served: say so instead of letting the client wait for nothing.
    private func shed(_ descriptor: consuming Descriptor, isTCP: Bool) {
        counters.refused += 1
        tell(
            FailureNote(
                cause: .tooManyConnections,
                code: Int32(truncatingIfNeeded: clients.capacity)
            ),
            of: -1,
            isTCP ? .cut : .status(503)
        )
        guard !isTCP else { return }
        // Closing with bytes unread sends RST, which would take the answer away.
        _ = recv(descriptor.raw, scratch, Buffer.capacity, 0)
        var text = ErrorResponse.text(
            503,
            "too many connections",
            closes: true,
            isHead: false,
            date: date
        )
        text.withUTF8 {
            _ = send(descriptor.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
    }

    private func note(_ address: SocketAddress?, in client: inout ClientConnection) {
        guard let address, !address.isUnix else { return }
        let text = address.host
        var count = 0
        for byte in text.utf8.prefix(46) {
            client.address[count] = byte
            count += 1
        }
        client.addressCount = UInt8(count)
        client.addressHash = RequestKey.hash(text.utf8)
    }

    func dropClient(_ index: Int, reset: Bool = false) {
        let client = clients.elements + index
        if client.pointee.link >= 0 {
            let link = Int(client.pointee.link)
            if client.pointee.isReset {
                Socket.resetOnClose(links.elements[link].handle.descriptor)
            }
            dropLink(link)
        }
        endRest(index)
        buffers.release(&client.pointee.input)
        buffers.release(&client.pointee.output)
        buffers.release(&client.pointee.request)
        if reset { Socket.resetOnClose(client.pointee.handle.descriptor) }
        loop.close(client.pointee.handle)
        client.pointee.handle = .none
        deadlines[index] = Self.nobody
        clients.remove(index)
        if isDraining { noteIfDrained() }
    }

    @inline(__always)
    func setDeadline(_ index: Int, _ span: Nanoseconds) {
        deadlines[index] = (loop.now + span).nanoseconds
    }

    // MARK: Events

    func clientReady(_ index: Int, _ readiness: Readiness) {
        let client = clients.elements + index
        // What a tunnel has from a client that was reset still goes to the peer.
        let isTunnel = client.pointee.phase == .tunnel
        if readiness.contains(.failed) {
            if client.pointee.phase == .cutting, client.pointee.isReset { return }
            client.pointee.isReset = true
        }
        // Both ways are over: there is nobody left to answer. In a tunnel whose other way ended
        // before, it only means that the last bytes are here.
        if !isTunnel, !readiness.isDisjoint(with: [.failed, .hungUp]) {
            if client.pointee.phase == .exchange { counters.aborted += 1 }
            dropClient(index)
            return
        }
        if !readiness.isDisjoint(with: [.readEnded, .hungUp, .failed]) {
            client.pointee.hasEnded = true
            client.pointee.canRead = true
        } else if readiness.contains(.readable) {
            client.pointee.canRead = true
        }
        if readiness.contains(.writable) { client.pointee.canWrite = true }
        drive(index)
    }

    /// Goes on with a connection until it has to wait for somebody.
    func drive(_ index: Int) {
        while true {
            switch clients.elements[index].phase {
            case .head: if !stepHead(index) { return }
            case .exchange: if !stepExchange(index) { return }
            case .tunnel:
                stepTunnel(index)
                return
            case .flushing: if !stepFlush(index) { return }
            case .lingering:
                stepLinger(index)
                return
            case .cutting:
                stepCut(index)
                return
            }
        }
    }

    /// The deadline of a connection has come.
    func expired(_ index: Int) {
        let client = clients.elements + index
        switch client.pointee.phase {
        case .head:
            if client.pointee.input.isEmpty {
                // A request may have come since the last event.
                client.pointee.canRead = true
                drive(index)
                let isIdle =
                    isOpen(index) && client.pointee.phase == .head
                    && client.pointee.input.isEmpty && !client.pointee.headBegun
                if isIdle { dropClient(index) }
            } else {
                complain(.slowHead, .status(408))
                refuse(index, 408, "the request head did not arrive in time")
                drive(index)
            }
        case .exchange: exchangeExpired(index)
        case .tunnel, .flushing, .lingering: dropClient(index)
        case .cutting:
            if client.pointee.output.isEmpty {
                stepCut(index)
            } else {
                dropClient(index, reset: true)
            }
        }
    }

    // MARK: Request heads

    /// Reads and parses. True when there is something else to do now.
    @inline(__always)
    private func stepHead(_ index: Int) -> Bool {
        let client = clients.elements + index
        // A client that does not read what it asked for gets no further request served.
        if !client.pointee.output.isEmpty {
            guard flush(index) else { return false }
            if !client.pointee.output.isEmpty { return false }
        }
        while true {
            if !client.pointee.input.isEmpty {
                do throws(HTTPError) {
                    if let head = try parseRequest(client) { return begin(index, head) }
                } catch {
                    counters.badRequests += 1
                    client.pointee.method = .other
                    complain(.badRequest, .status(error.status), error)
                    refuse(index, Int(error.status), error.description)
                    return true
                }
                // The first piece of a head sets its deadline; later pieces do not move it.
                if !client.pointee.headBegun {
                    client.pointee.headBegun = true
                    setDeadline(index, timeouts.requestHead)
                }
            }
            if !client.pointee.canRead {
                if client.pointee.input.isEmpty {
                    buffers.release(&client.pointee.input)
                    rest(index)
                }
                return false
            }
            let result = read(
                client.pointee.handle.descriptor,
                into: &client.pointee.input,
                canRead: &client.pointee.canRead,
                hasEnded: client.pointee.hasEnded
            )
            switch result {
            case .bytes: endRest(index)
            case .blocked: continue
            case .ended, .failed:
                // Nothing was begun, or nothing that could still be finished.
                dropClient(index)
                return false
            }
        }
    }

    @inline(__always)
    private func parseRequest(
        _ client: UnsafeMutablePointer<ClientConnection>
    ) throws(HTTPError) -> RequestHead? {
        let input = client.pointee.input
        return try input.withSpan { (bytes) throws(HTTPError) in
            let head = try client.pointee.parser.parseRequest(
                bytes,
                fields: &fields,
                limits: headLimits
            )
            if head != nil { fields.markHopByHop(in: bytes) }
            return head
        }
    }

    /// A request head has arrived. True when there is something else to do now.
    @inline(__always)
    private func begin(_ index: Int, _ head: RequestHead) -> Bool {
        let client = clients.elements + index
        client.pointee.headBegun = false
        client.pointee.method = head.method
        client.pointee.minorVersion = head.minorVersion
        client.pointee.isPersistent = head.isPersistent && !client.pointee.isLeaving
        client.pointee.wantsUpgrade = false
        client.pointee.responseStarted = false
        client.pointee.interimSent = false
        client.pointee.requestTrailersBegun = false
        client.pointee.usedFreeRetry = false
        client.pointee.isReplayable = true
        client.pointee.note = FailureNote()
        client.pointee.requestSent = 0
        client.pointee.pick = Pick()
        counters.requests &+= 1
        budget.deposit()

        switch head.framing {
        case .none, .untilClose:
            client.pointee.bodyDone = true
        case .length(let count):
            client.pointee.bodyIsChunked = false
            client.pointee.bodyLeft = count
            client.pointee.bodyDone = count == 0
        case .chunked:
            client.pointee.bodyIsChunked = true
            client.pointee.bodyDecoder = ChunkedDecoder(of: .request)
            client.pointee.bodyDone = false
        }
        guard let base = client.pointee.input.base else { return false }
        let bytes = UnsafePointer(base + Int(client.pointee.input.start))
        if head.method == .connect {
            client.pointee.input.consume(Int(head.end))
            complain(.connectMethod, .status(501))
            refuse(index, 501, "CONNECT is not served here")
            return true
        }
        var maxForwards = -1
        if head.method == .options || head.method == .trace,
            let field = fields.first(.maxForwards), let hops = HeadRewriter.hops(field, bytes)
        {
            if hops == 0 {
                answerAsLast(index, head, bytes)
                return true
            }
            maxForwards = hops - 1
        }
        var normalised = 0
        guard let match = route(client, head, bytes, &normalised) else {
            client.pointee.input.consume(Int(head.end))
            complain(.noRoute, .status(404))
            answer(index, 404, "no route for this host and path")
            return true
        }
        client.pointee.upstream = match.upstream
        if let key = pool.upstreams[Int(match.upstream)].key {
            client.pointee.pick.key = RequestKey.of(
                key,
                client.pointee,
                head,
                fields,
                bytes
            )
        }
        if head.hasUpgrade, let upgrade = fields.first(.upgrade) {
            client.pointee.wantsUpgrade = HeadRewriter.isForwarded(upgrade, bytes)
        }
        buffers.fill(&client.pointee.request)
        HeadRewriter.request(
            head,
            fields,
            bytes,
            stripBytes: Int(match.stripBytes),
            normalised: UnsafeBufferPointer(start: scratch, count: normalised),
            client: client.pointee,
            maxForwards: maxForwards,
            to: &client.pointee.request
        )
        client.pointee.input.consume(Int(head.end))
        if client.pointee.input.isEmpty { buffers.release(&client.pointee.input) }
        client.pointee.phase = .exchange
        startAttempt(index)
        return isOpen(index)
    }

    /// `normalised` becomes the length of the path in `scratch` if it is another than was sent.
    @inline(__always)
    private func route(
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ head: RequestHead,
        _ bytes: UnsafePointer<UInt8>,
        _ normalised: inout Int
    ) -> RouteTable.Match? {
        guard let table = client.pointee.routes(in: self) else { return nil }
        let host = UnsafeBufferPointer(
            start: bytes + head.hostRange.lowerBound,
            count: Int(head.hostRange.count)
        )
        // Constants throughout: a variable that a span or a closure borrows goes to the heap.
        let sent = UnsafeBufferPointer(
            start: bytes + head.pathRange.lowerBound,
            count: Int(head.pathRange.count)
        )
        let path: UnsafeBufferPointer<UInt8>
        if sent.isEmpty || head.isServerWide {
            path = UnsafeBufferPointer(start: Self.rootPath.utf8Start, count: 1)
        } else if RoutePath.hasDotSegments(sent.span) {
            var view = MutableSpan(
                _unsafeStart: scratch,
                count: Buffer.capacity
            )
            normalised = RoutePath.normalise(sent.span, into: &view)
            path = UnsafeBufferPointer(start: scratch, count: normalised)
        } else {
            path = sent
        }
        return table._withUnsafeGuaranteedRef { $0.match(host: host, path: path) }
    }

    private static let rootPath: StaticString = "/"

    // MARK: Answers of our own

    /// Answers and ends the connection: what follows on it cannot be trusted or is not wanted.
    func refuse(_ index: Int, _ status: Int, _ sentence: String) {
        let client = clients.elements + index
        respond(client, status, sentence, closes: true)
        client.pointee.phase = .flushing
        setDeadline(index, timeouts.bodyIdle)
    }

    /// Answers and keeps the connection if nothing of the request is still to come.
    func answer(_ index: Int, _ status: Int, _ sentence: String) {
        let client = clients.elements + index
        if status >= 500 { counters.unavailable += 1 }
        let closes = !client.pointee.bodyDone || !client.pointee.isPersistent || isDraining
        respond(client, status, sentence, closes: closes)
        buffers.release(&client.pointee.request)
        client.pointee.phase = closes ? .flushing : .head
        setDeadline(index, closes ? timeouts.bodyIdle : timeouts.clientIdle)
    }

    /// `Max-Forwards: 0`: the request was meant for us (RFC 9110, section 7.6.2). TRACE gets back what
    /// arrived, but for what is secret (section 9.3.8).
    private func answerAsLast(_ index: Int, _ head: RequestHead, _ bytes: UnsafePointer<UInt8>) {
        let client = clients.elements + index
        buffers.fill(&client.pointee.output)
        buffers.fill(&client.pointee.request)
        client.pointee.output.compact()
        if head.method == .trace {
            HeadRewriter.reflection(head, fields, bytes, to: &client.pointee.request)
        }
        let count = client.pointee.request.count
        let closes = !client.pointee.bodyDone || !client.pointee.isPersistent || isDraining
        client.pointee.input.consume(Int(head.end))
        guard client.pointee.output.room >= count + HeadRewriter.growthMax else {
            // Answers to earlier requests still wait in front of it.
            refuse(index, 503, "the client reads too slowly")
            return
        }
        client.pointee.output.append("HTTP/1.1 200 OK\r\nDate: ")
        client.pointee.output.append(date, HTTPDate.count)
        if head.method == .trace {
            client.pointee.output.append("\r\nContent-Type: message/http")
        } else {
            client.pointee.output.append(
                "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"
            )
        }
        client.pointee.output.append("\r\nContent-Length: ")
        client.pointee.output.append(decimal: count)
        client.pointee.output.append(closes ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n")
        if let base = client.pointee.request.base {
            client.pointee.output.append(base + Int(client.pointee.request.start), count)
        }
        buffers.release(&client.pointee.request)
        client.pointee.phase = closes ? .flushing : .head
        setDeadline(index, closes ? timeouts.bodyIdle : timeouts.clientIdle)
    }

    private func respond(
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ status: Int,
        _ sentence: String,
        closes: Bool
    ) {
        buffers.fill(&client.pointee.output)
        client.pointee.output.compact()
        let text = ErrorResponse.text(
            status,
            sentence,
            closes: closes,
            isHead: client.pointee.method == .head,
            date: date
        )
        if text.utf8.count <= client.pointee.output.room {
            client.pointee.output.append(text: text)
        }
    }

    // MARK: Ending

    /// Writes what waits for the client. False when the connection is gone.
    @inline(__always)
    func flush(_ index: Int) -> Bool {
        let client = clients.elements + index
        if client.pointee.output.isEmpty {
            buffers.release(&client.pointee.output)
            return true
        }
        guard client.pointee.canWrite, let base = client.pointee.output.base else { return true }
        let (written, result) = write(
            client.pointee.handle.descriptor,
            base + Int(client.pointee.output.start),
            client.pointee.output.count,
            canWrite: &client.pointee.canWrite
        )
        client.pointee.output.consume(written)
        if result != .all {
            if result == .failed {
                client.pointee.isReset = true
                // In a tunnel the client may have said something before it was reset.
                if client.pointee.phase == .tunnel {
                    client.pointee.canRead = true
                    client.pointee.hasEnded = true
                    buffers.release(&client.pointee.output)
                    return true
                }
                dropClient(index)
                return false
            }
            // A slow reader may take its time, as long as it reads.
            if written > 0 { setDeadline(index, timeouts.bodyIdle) }
        }
        if client.pointee.output.isEmpty { buffers.release(&client.pointee.output) }
        return true
    }

    private func stepFlush(_ index: Int) -> Bool {
        guard flush(index) else { return false }
        let client = clients.elements + index
        guard client.pointee.output.isEmpty else { return false }
        buffers.release(&client.pointee.request)
        if client.pointee.hasEnded, !client.pointee.canRead {
            dropClient(index)
            return false
        }
        shutdown(client.pointee.handle.descriptor, Int32(SHUT_WR))
        client.pointee.phase = .lingering
        client.pointee.lingerLeft = Self.lingerBytesMax
        setDeadline(index, Self.lingerTime)
        rest(index)
        return true
    }

    /// What a client may still send after its last response before it is cut off.
    static let lingerBytesMax: Int32 = 1 << 20
    static let lingerTime = Nanoseconds.seconds(5)

    private func stepLinger(_ index: Int) {
        let client = clients.elements + index
        client.pointee.input.start = client.pointee.input.end
        while client.pointee.canRead {
            let result = read(
                client.pointee.handle.descriptor,
                into: &client.pointee.input,
                canRead: &client.pointee.canRead,
                hasEnded: client.pointee.hasEnded
            )
            guard result == .bytes else {
                if result == .blocked { break }
                dropClient(index)
                return
            }
            client.pointee.lingerLeft -= Int32(client.pointee.input.count)
            client.pointee.input.start = client.pointee.input.end
            if client.pointee.lingerLeft < 0 {
                dropClient(index)
                return
            }
        }
        buffers.release(&client.pointee.input)
    }
}
