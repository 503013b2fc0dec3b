// How does a client connection begin, bring requests, and end? What becomes of a request is its
// exchange's.

import EventLoop
import Glibc
import HTTP1
import Health
import Vocabulary

extension Worker {
    // MARK: Life

    /// Its listener has seen to it that small packets are not held back.
    func accept(_ descriptor: consuming Descriptor, _ place: Int, from caller: sockaddr_storage) {
        counters.accepted += 1
        let isTCP = listeners[place].isTCP
        var client = ClientConnection()
        client.wire.canWrite = true
        client.listener = Int32(place)
        client.isTCP = isTCP
        let isLocal = note(caller, in: &client)
        if isLocal, !listeners[place].isLoopback { Socket.paceNothing(descriptor.raw) }
        if !believesAnybody { client.isTrusted = trustedProxies.trusts(caller) }
        var free = clients.insert(client)
        if free == nil, displaceClient() { free = clients.insert(client) }
        guard let index = free else {
            shed(descriptor, isTCP: isTCP)
            return
        }
        do throws(SystemError) {
            clients.elements[index].wire.handle = try loop.register(
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
        if isTCP { beginOpaque(index, to: listeners[place].upstream) } else { rest(index) }
    }

    /// The table is full of clients that are being served: say so instead of letting the client wait
    /// for nothing.
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

    /// Returns whether the client is on this host.
    private func note(_ caller: sockaddr_storage, in client: inout ClientConnection) -> Bool {
        switch Int32(caller.ss_family) {
        case AF_INET:
            let number = withUnsafeBytes(of: caller) {
                UInt32(bigEndian: $0.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr)
            }
            client.note(address: number)
            return SocketAddress.isLoopback(ipv4: number)
        case AF_INET6:
            let address = SocketAddress(filling: { form, _ in
                form.withMemoryRebound(to: sockaddr_storage.self, capacity: 1) {
                    $0.pointee = caller
                }
                return true
            })
            guard let address else { return false }
            client.note(address: address.host)
            return address.isLoopback
        default: return false
        }
    }

    /// Ends a connection, and with it what is under way on it.
    func dropClient(_ index: Int, reset: Bool = false) {
        let exchange = Int(clients.elements[index].exchange)
        if exchange >= 0 {
            end(exchange, reset ? .reset : .gone)
        } else {
            if hasMissed(clients.elements + index) { counters.aborted += 1 }
            closeClient(index, reset: reset)
        }
    }

    /// The client has not had all of its last answer.
    private func hasMissed(_ client: UnsafeMutablePointer<ClientConnection>) -> Bool {
        switch client.pointee.phase {
        case .head, .flushing, .lingering, .parting:
            !client.pointee.output.isEmpty || client.pointee.hasLeft && client.pointee.wire.isReset
        case .routing, .exchange, .tunnel, .cutting, .holding: false
        }
    }

    /// Nothing is under way on the connection, or any more.
    func closeClient(_ index: Int, reset: Bool) {
        let client = clients.elements + index
        if client.pointee.phase == .routing { endWait(index) }
        endRest(index)
        endHead(index)
        buffers.release(&client.pointee.wire.input)
        buffers.release(&client.pointee.output)
        if reset { Socket.resetOnClose(client.pointee.wire.handle.descriptor) }
        loop.close(client.pointee.wire.handle)
        client.pointee.wire.handle = .none
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
            if client.pointee.phase == .cutting, client.pointee.wire.isReset { return }
            client.pointee.wire.isReset = true
        }
        // That we have ended our side too is no news while we look whether the client takes what was sent.
        if client.pointee.phase == .parting, !readiness.contains(.failed) { return }
        // Both ways are over: there is nobody left to answer. In a tunnel whose other way ended
        // before, it only means that the last bytes are here.
        if !isTunnel, !readiness.isDisjoint(with: [.failed, .hungUp]) {
            dropClient(index)
            return
        }
        client.pointee.wire.note(readiness)
        if readiness.contains(.readEnded), isGoneFromLine(client) {
            dropClient(index)
            return
        }
        drive(index)
    }

    /// Whoever hung up while its request waits in line is not served: nobody would read the answer.
    private func isGoneFromLine(_ client: UnsafeMutablePointer<ClientConnection>) -> Bool {
        client.pointee.exchange >= 0
            && exchanges.elements[Int(client.pointee.exchange)].isWaiting
    }

    /// Goes on with a connection until it has to wait for somebody.
    func drive(_ index: Int) {
        while true {
            switch clients.elements[index].phase {
            case .head: if !stepHead(index) { return }
            case .exchange: if !stepExchange(Int(clients.elements[index].exchange)) { return }
            case .tunnel:
                stepTunnel(index)
                return
            case .flushing: if !stepFlush(index) { return }
            case .holding:
                // Whoever has gone waits for nothing.
                guard clients.elements[index].wire.hasEnded else { return }
                endHold(index)
            case .lingering:
                stepLinger(index)
                return
            case .routing, .parting: return
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
            if client.pointee.wire.input.isEmpty {
                // A request may have come since the last event.
                client.pointee.wire.canRead = true
                drive(index)
                let isIdle =
                    isOpen(index) && client.pointee.phase == .head
                    && client.pointee.wire.input.isEmpty && !client.pointee.headBegun
                if isIdle { dropClient(index) }
            } else {
                refuseHead(index, 408, FailureNote(cause: .slowHead))
                drive(index)
            }
        case .routing:
            endWait(index)
            refuseRouting(index)
        case .exchange: exchangeExpired(Int(client.pointee.exchange))
        case .tunnel:
            note(.idle, of: exchanges.elements + Int(client.pointee.exchange))
            dropClient(index)
        case .flushing, .lingering: dropClient(index)
        case .parting: part(index)
        case .holding:
            endHold(index)
            drive(index)
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
            if !client.pointee.wire.input.isEmpty {
                do throws(HTTPError) {
                    if let head = try parseRequest(client) { return begin(index, head) }
                } catch {
                    counters.badRequests += 1
                    refuseHead(
                        index,
                        error.status,
                        FailureNote(cause: .badRequest, error: error)
                    )
                    return true
                }
                // The first piece of a head sets its deadline; later pieces do not move it.
                if !client.pointee.headBegun {
                    client.pointee.headBegun = true
                    setDeadline(index, timeouts.requestHead)
                }
            }
            if !client.pointee.wire.canRead {
                if client.pointee.wire.input.isEmpty {
                    buffers.release(&client.pointee.wire.input)
                    rest(index)
                } else {
                    beginHead(index)
                }
                return false
            }
            let result = read(&client.pointee.wire)
            switch result {
            case .bytes: endRest(index)
            case .blocked: continue
            case .ended, .failed:
                // Nothing was begun, or nothing that could still be finished.
                if result == .failed { client.pointee.wire.isReset = true }
                if client.pointee.hasLeft { part(index) } else { dropClient(index) }
                return false
            }
        }
    }

    @inline(__always)
    private func parseRequest(
        _ client: UnsafeMutablePointer<ClientConnection>
    ) throws(HTTPError) -> RequestHead? {
        let input = client.pointee.wire.input
        return try input.withSpan { (bytes) throws(HTTPError) in
            let head = try client.pointee.parser.parseRequest(
                bytes,
                fields: &fields,
                limits: headLimits,
                isLenient: isLenientToClients
            )
            if head != nil { fields.markHopByHop(in: bytes) }
            return head
        }
    }

    /// The exchange of a request that begins on a connection. There is a place for one each.
    @inline(__always)
    private func open(_ index: Int) -> Int {
        guard let place = exchanges.claim(Exchange()) else {
            preconditionFailure("more exchanges than clients")
        }
        let client = clients.elements + index
        client.pointee.headBegun = false
        endHead(index)
        client.pointee.exchange = Int32(truncatingIfNeeded: place)
        client.pointee.phase = .exchange
        let exchange = exchanges.elements + place
        exchange.pointee.client = Int32(truncatingIfNeeded: index)
        exchange.pointee.upstream = -1
        exchange.pointee.route = -1
        exchange.pointee.second = -1
        exchange.pointee.course = Course()
        exchange.pointee.pick = Pick()
        exchange.pointee.note = FailureNote()
        exchange.pointee.wantsUpgrade = false
        exchange.pointee.requestSent = 0
        exchange.pointee.begunAt = loop.now.nanoseconds
        return place
    }

    /// From now on the exchange is one of an upstream's.
    @inline(__always)
    @discardableResult
    private func join(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ number: Int32
    ) -> UnsafeMutablePointer<UpstreamState> {
        let upstream = pool.upstreams + Int(number)
        exchange.pointee.upstream = number
        exchange.pointee.course.occasions = upstream.pointee.occasions
        exchange.pointee.isLenient = upstream.pointee.isLenient
        exchange.pointee.course.triesMax = min(upstream.pointee.retries &+ 1, triesMax)
        upstream.pointee.budget.underWay &+= 1
        return upstream
    }

    /// What came is no request, or not all of one.
    func refuseHead(_ index: Int, _ status: UInt16, _ note: FailureNote) {
        let place = open(index)
        let exchange = exchanges.elements + place
        exchange.pointee.method = .other
        exchange.pointee.note = note
        end(place, .refused(status: status))
    }

    /// In TCP mode: everything that comes on a connection is for a peer of `upstream`.
    private func beginOpaque(_ index: Int, to upstream: Int32) {
        let place = open(index)
        let exchange = exchanges.elements + place
        exchange.pointee.course.isOpaque = true
        if upstream >= 0 { join(exchange, upstream) }
        exchange.pointee.pick.key = clients.elements[index].addressHash
        startAttempt(place)
        if isOpen(index) { drive(index) }
    }

    /// A request head has arrived. True when there is something else to do now.
    @inline(__always)
    private func begin(_ index: Int, _ head: RequestHead) -> Bool {
        let client = clients.elements + index
        guard let base = client.pointee.wire.input.base else { return false }
        let bytes = UnsafePointer(base + Int(client.pointee.wire.input.start))
        let place = open(index)
        let exchange = exchanges.elements + place
        exchange.pointee.method = head.method
        exchange.pointee.minorVersion = head.minorVersion
        exchange.pointee.isPersistent = head.isPersistent && !client.pointee.isLeaving
        exchange.pointee.course.isIdempotent = head.method.isIdempotent
        exchange.pointee.course.isSafe = head.method == .get || head.method == .head
        if case .none = head.framing {
        } else {
            exchange.pointee.upload.begin(head.framing)
            exchange.pointee.course.isWhole = false
        }
        counters.requests &+= 1

        if head.method == .connect {
            client.pointee.wire.input.consume(Int(head.end))
            exchange.pointee.note.cause = .connectMethod
            end(place, .refused(status: 501))
            return true
        }
        if fields.kinds & KnownField.via.bit != 0, Int(head.end) > Self.loopBytesMin,
            hasLooped(bytes)
        {
            client.pointee.wire.input.consume(Int(head.end))
            exchange.pointee.note.cause = .loop
            end(place, .own(status: 508))
            return true
        }
        if answersPing, isPing(head, bytes) {
            client.pointee.wire.input.consume(Int(head.end))
            answer(place, manners.pingAnswer)
            return true
        }
        var maxForwards = -1
        if head.method == .options || head.method == .trace,
            let field = fields.first(.maxForwards), let hops = HeadRewriter.hops(field, bytes)
        {
            if hops == 0 {
                answerAsLast(place, head, bytes)
                return true
            }
            maxForwards = hops - 1
        }
        var normalised = 0
        var routed = route(client, head, bytes, &normalised)
        if routed == nil, asksForRoutes {
            let host = UnsafeBufferPointer(
                start: bytes + head.hostRange.lowerBound,
                count: Int(head.hostRange.count)
            )
            switch askSource(index, host) {
            case .known(let upstream): routed = RouteTable.Match(upstream: upstream, stripBytes: 0)
            case .absent: break
            case .waits:
                // It begins anew when the answer is there.
                counters.requests &-= 1
                exchange.pointee.client = -1
                client.pointee.exchange = -1
                exchanges.remove(place)
                return false
            case .busy:
                client.pointee.wire.input.consume(Int(head.end))
                exchange.pointee.note.cause = .routeUnknown
                end(place, .own(status: 503))
                return true
            }
        }
        guard let match = routed else {
            client.pointee.wire.input.consume(Int(head.end))
            exchange.pointee.note.cause = .noRoute
            end(place, .own(status: absentStatus))
            return true
        }
        guard match.upstream >= 0 else {
            client.pointee.wire.input.consume(Int(head.end))
            exchange.pointee.note.cause = .noUpstream
            end(place, .own(status: 503))
            return true
        }
        let upstream = join(exchange, match.upstream)
        exchange.pointee.route = match.route
        exchange.pointee.wantsDebug = upstream.pointee.tellsDebug && asksForDebug(fields, bytes)
        exchange.pointee.course.isMovable =
            head.method.isHarmless
            || exchange.pointee.course.isIdempotent && upstream.pointee.movesWrites
        if !exchange.pointee.course.isIdempotent, let key = upstream.pointee.retryKey,
            RequestKey.isThere(key, fields, bytes)
        {
            exchange.pointee.course.isIdempotent = true
            exchange.pointee.course.isMovable = true
        }
        if let key = upstream.pointee.key {
            // Without a key it goes anywhere, not where all others without one go.
            exchange.pointee.pick.key =
                RequestKey.of(key, client.pointee, head, fields, bytes)
                ?? StableHash.mix(counters.requests)
        }
        if let cookie = upstream.pointee.cookie {
            exchange.pointee.pick.named =
                cookie.pointee.peer(in: pool, match.upstream, fields, bytes)
        }
        if head.hasUpgrade, let upgrade = fields.first(.upgrade) {
            exchange.pointee.wantsUpgrade = HeadRewriter.isForwarded(upgrade, bytes)
        }
        let isTraced = isTracing && beginTrace(exchange, head, bytes)
        buffers.fill(&exchange.pointee.request)
        HeadRewriter.request(
            head,
            fields,
            bytes,
            stripBytes: Int(match.stripBytes),
            normalised: UnsafeBufferPointer(start: scratch, count: normalised),
            client: client.pointee,
            wantsUpgrade: exchange.pointee.wantsUpgrade,
            maxForwards: maxForwards,
            tellsMore: upstream.pointee.tellsMore,
            keepsForwarded: client.pointee.isTrusted
                || upstream.pointee.keepsForwarded && believesAnybody,
            to: &exchange.pointee.request
        )
        if isTraced { writeParent(exchange) }
        if upstream.pointee.namesHosts { partHost(exchange, client, upstream) }
        client.pointee.wire.input.consume(Int(head.end))
        if client.pointee.wire.input.isEmpty { buffers.release(&client.pointee.wire.input) }
        if let line = upstream.pointee.hedge { awaitAnswer(place, line) }
        startAttempt(place)
        return isOpen(index)
    }

    /// So often a request may pass through muster (RFC 9110, section 7.6.3). Each time leaves an entry, which
    /// whoever is in between may join to one line.
    static let hopsMax = 16
    /// A shorter head has no room for so many.
    private static let loopBytesMin = hopsMax * (viaText.utf8CodeUnitCount + 1)

    @inline(never)
    private func hasLooped(_ bytes: UnsafePointer<UInt8>) -> Bool {
        var hops = 0
        for index in 0..<fields.count where fields[index].known == .via {
            let value = fields[index].value
            let end = Int(value.upperBound)
            var start = Int(value.lowerBound)
            while start < end {
                let comma = memchr(bytes + start, Int32(UInt8(ascii: ",")), end - start)
                let next = comma.map { UnsafeRawPointer($0) - UnsafeRawPointer(bytes) } ?? end
                if isOurHop(bytes, start, next) { hops += 1 }
                start = next + 1
            }
        }
        return hops >= Self.hopsMax
    }

    /// One entry, with the whitespace around it.
    private func isOurHop(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Bool {
        func isBlank(_ place: Int) -> Bool {
            bytes[place] == UInt8(ascii: " ") || bytes[place] == UInt8(ascii: "\t")
        }
        var (start, end) = (start, end)
        while start < end, isBlank(start) { start += 1 }
        while start < end, isBlank(end - 1) { end -= 1 }
        guard end - start == Self.viaText.utf8CodeUnitCount else { return false }
        let ours = Self.viaText.utf8Start + Self.viaVersion
        return memcmp(bytes + start + Self.viaVersion, ours, end - start - Self.viaVersion) == 0
    }

    private static let viaText: StaticString = "1.1 muster"
    /// The version in front is that of the client.
    private static let viaVersion = 3

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

    private static let pingHost: StaticString = "__ping__"

    @inline(never)
    private func isPing(_ head: RequestHead, _ bytes: UnsafePointer<UInt8>) -> Bool {
        head.hostRange.count == Self.pingHost.utf8CodeUnitCount
            && memcmp(
                bytes + head.hostRange.lowerBound,
                Self.pingHost.utf8Start,
                Self.pingHost.utf8CodeUnitCount
            ) == 0
    }

    /// 200 with a short text.
    private func answer(_ place: Int, _ text: String) {
        let exchange = exchanges.elements + place
        let client = clients.elements + Int(exchange.pointee.client)
        buffers.fill(&client.pointee.output)
        client.pointee.output.compact()
        guard client.pointee.output.room >= HeadRewriter.growthMax else {
            // Answers to earlier requests still wait in front of it.
            exchange.pointee.note.cause = .slowReader
            end(place, .refused(status: 503))
            return
        }
        let closes =
            !exchange.pointee.course.isWhole || !exchange.pointee.isPersistent || isDraining
        client.pointee.output.append("HTTP/1.1 200 OK\r\nDate: ")
        client.pointee.output.append(date, HTTPDate.count)
        client.pointee.output.append(
            "\r\nContent-Type: text/plain\r\nCache-Control: no-cache\r\nContent-Length: "
        )
        client.pointee.output.append(decimal: text.utf8.count)
        client.pointee.output.append(closes ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n")
        if exchange.pointee.method != .head { client.pointee.output.append(text: text) }
        exchange.pointee.closesClient = closes
        act(place, exchange.pointee.course.on(.complete))
    }

    /// `Max-Forwards: 0`: the request was meant for us (RFC 9110, section 7.6.2). TRACE gets back what
    /// arrived, but for what is secret (section 9.3.8).
    private func answerAsLast(_ place: Int, _ head: RequestHead, _ bytes: UnsafePointer<UInt8>) {
        let exchange = exchanges.elements + place
        let client = clients.elements + Int(exchange.pointee.client)
        buffers.fill(&client.pointee.output)
        buffers.fill(&exchange.pointee.request)
        client.pointee.output.compact()
        if head.method == .trace {
            HeadRewriter.reflection(head, fields, bytes, to: &exchange.pointee.request)
        }
        let count = exchange.pointee.request.count
        client.pointee.wire.input.consume(Int(head.end))
        guard client.pointee.output.room >= count + HeadRewriter.growthMax else {
            // Answers to earlier requests still wait in front of it.
            exchange.pointee.note.cause = .slowReader
            end(place, .refused(status: 503))
            return
        }
        let closes =
            !exchange.pointee.course.isWhole || !exchange.pointee.isPersistent || isDraining
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
        if let base = exchange.pointee.request.base {
            client.pointee.output.append(base + Int(exchange.pointee.request.start), count)
        }
        exchange.pointee.closesClient = closes
        act(place, exchange.pointee.course.on(.complete))
    }

    // MARK: Ending

    /// Writes what waits for the client, `isLast` as `Wire.write` has it. False when the connection is gone.
    @inline(__always)
    func flush(_ index: Int, isLast: Bool = false) -> Bool {
        let client = clients.elements + index
        if client.pointee.output.isEmpty {
            buffers.release(&client.pointee.output)
            return true
        }
        guard client.pointee.wire.canWrite, let base = client.pointee.output.base else {
            return true
        }
        let (written, result) = client.pointee.wire.write(
            base + Int(client.pointee.output.start),
            client.pointee.output.count,
            isLast: isLast
        )
        client.pointee.output.consume(written)
        if result != .all {
            if result == .failed {
                client.pointee.wire.isReset = true
                // In a tunnel the client may have said something before it was reset.
                if client.pointee.phase == .tunnel {
                    client.pointee.wire.noteReset()
                    buffers.release(&client.pointee.output)
                    return true
                }
                dropClient(index)
                return false
            }
            // A slow reader may take its time, as long as it reads.
            if written > 0 { setDeadline(index, timeouts.bodyIdle) }
        }
        if client.pointee.output.isEmpty {
            buffers.release(&client.pointee.output)
            // An answer of ours has been taken, and nothing has been asked since.
            if client.pointee.phase == .head, !client.pointee.headBegun {
                setDeadline(index, timeouts.clientIdle)
            }
            // What comes next stands at the same place, and is no beginning of an answer.
            if client.pointee.exchange >= 0 {
                exchanges.elements[Int(client.pointee.exchange)].answerStart = -1
            }
        }
        return true
    }

    private func stepFlush(_ index: Int) -> Bool {
        guard flush(index) else { return false }
        let client = clients.elements + index
        guard client.pointee.output.isEmpty else { return false }
        if client.pointee.isHeld, !client.pointee.wire.hasEnded {
            client.pointee.phase = .holding
            setDeadline(index, Self.holdTime)
            rest(index)
            return false
        }
        if client.pointee.wire.hasEnded, !client.pointee.wire.canRead {
            part(index)
            return false
        }
        if client.pointee.isDone, !client.pointee.hasLeft, !client.pointee.wire.canRead,
            client.pointee.wire.input.isEmpty
        {
            // Nothing will come that the kernel could answer with RST.
            closeClient(index, reset: false)
            return false
        }
        if !client.pointee.hasLeft {
            shutdown(client.pointee.wire.handle.descriptor, Int32(SHUT_WR))
        }
        client.pointee.phase = .lingering
        client.pointee.cutUntil = loop.now + (isDraining ? Self.lingerTime : Self.lingerTimeMax)
        setDeadline(index, Self.lingerTime)
        rest(index)
        return true
    }

    /// Longer than the second that clients of that age waited, and short enough for their places.
    static let holdTime = Nanoseconds.seconds(2)

    private func endHold(_ index: Int) {
        clients.elements[index].isHeld = false
        clients.elements[index].phase = .flushing
    }

    /// How long a client that has had its last answer may say nothing, and how long it may go on sending: many send all
    /// of a body before they read what was said to the beginning of it, and to close before would take the answer away
    /// (RFC 9112, section 9.6). By time and not by bytes, as nginx does.
    static let lingerTime = Nanoseconds.seconds(5)
    static let lingerTimeMax = Nanoseconds.seconds(30)

    private func stepLinger(_ index: Int) {
        let client = clients.elements + index
        client.pointee.wire.input.start = client.pointee.wire.input.end
        var reads = 0
        while client.pointee.wire.canRead {
            if reads >= Self.readsATurn, goOnLater(index) { break }
            let result = read(&client.pointee.wire)
            guard result == .bytes else {
                if result == .blocked { break }
                if result == .failed { client.pointee.wire.isReset = true }
                part(index)
                return
            }
            client.pointee.wire.input.start = client.pointee.wire.input.end
            reads += 1
        }
        if reads > 0 {
            let left = client.pointee.cutUntil - loop.now
            if left <= .zero { return dropClient(index) }
            setDeadline(index, min(left, Self.lingerTime))
        }
        buffers.release(&client.pointee.wire.input)
    }

    /// Nothing more is to be said. Whoever ended its side before it was answered may only have nothing more
    /// to ask, or be gone: then its machine refuses what was sent.
    private func part(_ index: Int) {
        let client = clients.elements + index
        let descriptor = client.pointee.wire.handle.descriptor
        guard client.pointee.hasLeft, !client.pointee.wire.isReset else { return dropClient(index) }
        if client.pointee.phase != .parting {
            client.pointee.phase = .parting
            client.pointee.cutUntil = loop.now + Self.lingerTime
            // The end goes out with the last byte, whenever it is taken: it may be what ends the answer.
            shutdown(descriptor, Int32(SHUT_WR))
            rest(index)
        }
        let isTaken = Socket.unsent(descriptor) == 0
        let isLate = loop.now >= client.pointee.cutUntil
        if Socket.pendingError(descriptor) != 0 || isLate && !isTaken {
            client.pointee.wire.isReset = true
        }
        if isTaken || isLate || client.pointee.wire.isReset {
            dropClient(index)
        } else {
            setDeadline(index, Self.sweepInterval)
        }
    }
}
