// How does a request get to a peer and its answer back? Streaming both ways, each side read only as
// fast as the other takes it.

import EventLoop
import Glibc
import HTTP1
import Vocabulary

extension Worker {
    /// Moves what can be moved. True when the connection went on to another phase.
    @inline(__always)
    func stepExchange(_ index: Int) -> Bool {
        let exchange = exchanges.elements + index
        let client = Int(exchange.pointee.client)
        guard pumpRequest(index) else {
            return isOpen(client) && clients.elements[client].phase != .exchange
        }
        guard exchange.pointee.link >= 0 else { return false }
        let link = links.elements + Int(exchange.pointee.link)
        if link.pointee.phase == .connecting { return false }
        if exchange.pointee.course.isOpaque { return becomeTunnel(index) }
        return pumpResponse(index)
    }

    // MARK: The request

    /// Moves request bytes from the client to the peer. False when the exchange has ended.
    @inline(__always)
    private func pumpRequest(_ index: Int) -> Bool {
        let exchange = exchanges.elements + index
        let place = Int(exchange.pointee.client)
        let client = clients.elements + place
        var rounds = 0
        while true {
            if !exchange.pointee.course.isWhole, !pullBody(index) { return false }
            guard exchange.pointee.link >= 0 else { return true }
            let link = links.elements + Int(exchange.pointee.link)
            let unsent = exchange.pointee.request.count - Int(exchange.pointee.requestSent)
            if unsent == 0, isOutOfRoom(exchange, client) {
                // Everything here has been sent, and what comes next does not fit behind it: from
                // now on it cannot be sent again.
                exchange.pointee.course.isReplayable = false
                exchange.pointee.request.start = 0
                exchange.pointee.request.end = 0
                exchange.pointee.requestSent = 0
                continue
            }
            guard link.pointee.phase == .busy, link.pointee.wire.canWrite, unsent > 0,
                let base = exchange.pointee.request.base
            else { return true }
            let offset = Int(exchange.pointee.request.start) + Int(exchange.pointee.requestSent)
            let (written, result) = link.pointee.wire.write(base + offset, unsent)
            if written > 0 { _ = exchange.pointee.course.on(.asked) }
            exchange.pointee.requestSent &+= Int32(truncatingIfNeeded: written)
            switch result {
            case .blocked:
                // A slow peer may take its time, as long as it reads.
                if written > 0 { setDeadline(place, timeouts.bodyIdle) }
                return true
            case .failed:
                // The peer hung up. It may have answered before it did: reading will tell.
                link.pointee.wire.noteReset()
                return true
            case .all:
                if exchange.pointee.course.isWhole {
                    setDeadline(place, timeouts.response)
                    return true
                }
                setDeadline(place, timeouts.bodyIdle)
                if client.pointee.wire.input.isEmpty, !client.pointee.wire.canRead { return true }
                rounds &+= 1
                if rounds > Self.readsATurn, goOnLater(place) { return true }
            }
        }
    }

    /// Body bytes wait, or may be waiting, that `request` has no room for.
    @inline(__always)
    private func isOutOfRoom(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ client: UnsafeMutablePointer<ClientConnection>
    ) -> Bool {
        if exchange.pointee.course.isWhole || exchange.pointee.request.isEmpty { return false }
        // A trailer line is moved whole, so it may wait in front of room enough for most things.
        return exchange.pointee.request.room < Self.bodyRoomMin
            || !client.pointee.wire.input.isEmpty
    }

    /// Room in the request buffer below which no body byte is moved.
    static let bodyRoomMin = 2 * BodyTransfer.roomMin

    /// Moves body bytes from the client's input to the request buffer. False when the exchange is
    /// over.
    private func pullBody(_ index: Int) -> Bool {
        let exchange = exchanges.elements + index
        let client = clients.elements + Int(exchange.pointee.client)
        pulling: while !exchange.pointee.course.isWhole {
            if exchange.pointee.request.room < Self.bodyRoomMin { break }
            if !client.pointee.wire.input.isEmpty {
                do throws(HTTPError) {
                    let step = try moveBody(exchange, client)
                    if step.isDone {
                        exchange.pointee.course.isWhole = true
                        break
                    }
                    if step.consumed > 0 { continue }
                } catch {
                    counters.badRequests += 1
                    exchange.pointee.note = FailureNote(cause: .badRequest, error: error)
                    act(index, exchange.pointee.course.on(.senseless(status: error.status)))
                    return false
                }
            }
            guard client.pointee.wire.canRead else { break }
            switch read(&client.pointee.wire) {
            case .bytes: continue
            // Nothing there, or the input is full: then the request has to go out first.
            case .blocked: break pulling
            case .ended, .failed:
                // The body will never be whole (RFC 9112, section 8): nobody is left to answer.
                act(index, exchange.pointee.course.on(.clientGone))
                return false
            }
        }
        if client.pointee.wire.input.isEmpty { buffers.release(&client.pointee.wire.input) }
        return true
    }

    private func moveBody(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ client: UnsafeMutablePointer<ClientConnection>
    ) throws(HTTPError) -> BodyTransfer.Step {
        if case .chunked = exchange.pointee.upload.framing {
            return try BodyTransfer.chunked(
                &exchange.pointee.upload.decoder,
                from: &client.pointee.wire.input,
                to: &exchange.pointee.request,
                rechunks: true,
                trailersBegun: &exchange.pointee.upload.trailersBegun
            )
        }
        return BodyTransfer.length(
            &exchange.pointee.upload.left,
            from: &client.pointee.wire.input,
            to: &exchange.pointee.request
        )
    }

    // MARK: The response

    /// Moves response bytes from the peer to the client. True when the connection went on to
    /// another phase.
    @inline(__always)
    private func pumpResponse(_ index: Int) -> Bool {
        let exchange = exchanges.elements + index
        let client = Int(exchange.pointee.client)
        while true {
            let link = links.elements + Int(exchange.pointee.link)
            if exchange.pointee.course.heard != .answer {
                switch takeHead(index, link) {
                case .again: continue
                case .wait:
                    _ = flush(client)
                    return false
                case .phaseChanged: return isOpen(client)
                case .done: break
                }
            }
            if exchange.pointee.isUpgrade { return becomeTunnel(index) }
            switch takeBody(index, link) {
            case .again: continue
            case .wait: return false
            case .phaseChanged: return isOpen(client)
            case .done:
                // Who has ended its side already is closed only when its machine has taken all.
                let isLast =
                    exchange.pointee.closesClient && !clients.elements[client].wire.hasEnded
                exchange.pointee.isBrief =
                    exchange.pointee.answerStart >= 0
                    && clients.elements[client].output.count <= Self.briefBytesMax
                guard flush(client, isLast: isLast) else { return false }
                act(index, exchange.pointee.course.on(.complete))
                return true
            }
        }
    }

    /// What a client's machine has, or will have in a moment, whatever happens on the connection afterwards.
    private static let briefBytesMax = 14_600

    private enum Take { case again, wait, phaseChanged, done }

    /// Reads and forwards heads until the final one has been.
    @inline(__always)
    private func takeHead(_ index: Int, _ link: UnsafeMutablePointer<PeerConnection>) -> Take {
        let exchange = exchanges.elements + index
        if !link.pointee.wire.input.isEmpty {
            do throws(HTTPError) {
                let input = link.pointee.wire.input
                let head = try input.withSpan { (bytes) throws(HTTPError) in
                    let head = try link.pointee.parser.parseResponse(
                        bytes,
                        to: exchange.pointee.method,
                        fields: &fields,
                        limits: headLimits,
                        isLenient: exchange.pointee.isLenient
                    )
                    if head != nil { fields.markHopByHop(in: bytes) }
                    return head
                }
                if let head { return forward(head, index, link) }
            } catch {
                let isTooLarge = error.code == .headTooLarge || error.code == .tooManyFields
                attemptFailed(index, .malformed, isTooLarge ? .headTooLarge : .malformed, error)
                return .phaseChanged
            }
        }
        guard link.pointee.wire.canRead else {
            if link.pointee.wire.input.isEmpty { buffers.release(&link.pointee.wire.input) }
            return .wait
        }
        let result = read(&link.pointee.wire)
        if result == .bytes || result == .blocked { return .again }
        if link.pointee.wire.input.isEmpty {
            let isReset = result == .failed || link.pointee.wire.isReset
            attemptFailed(index, .silent, isReset ? .reset : .closed)
        } else {
            attemptFailed(index, .malformed, .headCut)
        }
        return .phaseChanged
    }

    /// Writes a response head for the client. The head lies at the start of the link's input.
    @inline(__always)
    private func forward(
        _ head: ResponseHead,
        _ index: Int,
        _ link: UnsafeMutablePointer<PeerConnection>
    ) -> Take {
        let exchange = exchanges.elements + index
        let place = Int(exchange.pointee.client)
        let client = clients.elements + place
        buffers.fill(&client.pointee.output)
        // What an interim response left unsent must not be overrun.
        if client.pointee.output.room < Int(head.end) + HeadRewriter.growthMax {
            guard flush(place) else { return .phaseChanged }
            buffers.fill(&client.pointee.output)
            client.pointee.output.compact()
            if client.pointee.output.room < Int(head.end) + HeadRewriter.growthMax {
                return .wait
            }
        }
        guard let base = link.pointee.wire.input.base else { return .wait }
        let bytes = UnsafePointer(base + Int(link.pointee.wire.input.start))

        if head.isInterim {
            // An interim response means nothing to HTTP/1.0 (RFC 9110, section 15.2).
            if exchange.pointee.minorVersion >= 1 {
                HeadRewriter.response(
                    head,
                    fields,
                    bytes,
                    style: HeadRewriter.ResponseStyle(),
                    to: &client.pointee.output
                )
                _ = exchange.pointee.course.on(.interim)
                // What the client hears is of one peer.
                if exchange.pointee.second >= 0 { dropSecond(exchange) }
                pool.peers[Int(link.pointee.peer)].heardAt = loop.now
                guard flush(place) else { return .phaseChanged }
            }
            link.pointee.wire.input.consume(Int(head.end))
            return .again
        }
        if head.isTunnel,
            !exchange.pointee.wantsUpgrade || !exchange.pointee.isSent
                || fields.kinds & KnownField.upgrade.bit == 0
                || exchange.pointee.course.isReplayable
                    && !OfferedProtocols.cover(fields, bytes, of: exchange.pointee.request)
        {
            // 101 without having been asked, before the request was whole, without saying to what, or to what
            // was not asked for (RFC 9110, section 7.8): whatever follows is not HTTP. What was asked is not
            // known any more of a request whose body was too long to be kept: then its client judges.
            attemptFailed(index, .malformed, .strayUpgrade)
            return .phaseChanged
        }
        if head.hasForeignCoding, exchange.pointee.minorVersion == 0 {
            // Who speaks HTTP/1.0 knows no codings (RFC 9112, section 6.1).
            attemptFailed(index, .malformed, .malformed)
            return .phaseChanged
        }
        if head.status == 408, exchange.pointee.course.isAnsweredTooLate(isLast: !head.isPersistent)
        {
            attemptFailed(index, .silent, .closed)
            return .phaseChanged
        }
        if exchange.pointee.course.occasions.contains(.status), turnAway(index, head.status) {
            return .phaseChanged
        }
        if exchange.pointee.second >= 0 { dropSecond(exchange) }
        exchange.pointee.answerStart =
            client.pointee.output.isEmpty ? client.pointee.output.start : -1
        var style = settle(head, exchange)
        style.date = date
        HeadRewriter.response(head, fields, bytes, style: style, to: &client.pointee.output)
        if let cookie = pool.upstreams[Int(exchange.pointee.upstream)].cookie,
            exchange.pointee.pick.named != link.pointee.peer
        {
            let token = pool.peers[Int(link.pointee.peer)].token
            cookie.pointee.add(token, to: &client.pointee.output)
        }
        if exchange.pointee.wantsDebug { addDebug(exchange, link.pointee.peer, to: client) }
        let isExcused =
            head.status >= 500
            && pool.upstreams[Int(exchange.pointee.upstream)].excusesStatuses
            && isExcused(head.status, bytes)
        link.pointee.wire.input.consume(Int(head.end))
        _ = exchange.pointee.course.on(.answering)
        countResponse(
            link.pointee.peer,
            head.status,
            askedAt: exchange.pointee.chosenAt,
            isExcused: isExcused
        )
        record(
            .firstByte,
            since: exchange.pointee.chosenAt,
            of: pool.peers + Int(link.pointee.peer),
            exchange
        )
        observe(exchange, link.pointee.peer)
        if exchange.pointee.trace != nil { noteAnswer(exchange, head.status) }
        setDeadline(place, timeouts.bodyIdle)
        return .done
    }

    /// Decides how the body is framed for the client and what becomes of both connections.
    @inline(__always)
    private func settle(
        _ head: ResponseHead,
        _ exchange: UnsafeMutablePointer<Exchange>
    ) -> HeadRewriter.ResponseStyle {
        var style = HeadRewriter.ResponseStyle()
        exchange.pointee.download.begin(
            head.framing,
            isLenient: exchange.pointee.isLenient
        )
        exchange.pointee.keepsLink = head.isPersistent
        exchange.pointee.isUpgrade = head.isTunnel
        let knowsChunks = exchange.pointee.minorVersion >= 1
        var closes =
            !exchange.pointee.isPersistent || isDraining || !exchange.pointee.course.isWhole
        switch head.framing {
        case .none, .length: break
        case .chunked:
            style.rechunks = knowsChunks
            closes = closes || !style.rechunks
        case .untilClose:
            style.rechunks = knowsChunks && !head.hasForeignCoding && !head.isTunnel
            closes = closes || !style.rechunks
        }
        exchange.pointee.rechunks = style.rechunks
        style.isUpgrade = head.isTunnel
        style.closes = closes && !head.isTunnel
        style.saysKeepAlive = !closes && exchange.pointee.minorVersion == 0
        exchange.pointee.closesClient = closes
        return style
    }

    /// Moves body bytes.
    @inline(__always)
    private func takeBody(_ index: Int, _ link: UnsafeMutablePointer<PeerConnection>) -> Take {
        let exchange = exchanges.elements + index
        let place = Int(exchange.pointee.client)
        let client = clients.elements + place
        var moved = false
        var reads = 0
        if link.pointee.wire.input.count >= Self.directBytesMin { joinHead(exchange, client, link) }
        while true {
            buffers.fill(&client.pointee.output)
            var progressed = false
            do throws(HTTPError) {
                let step = try moveResponseBody(exchange, client, link)
                if step.isDone { return .done }
                progressed = step.consumed > 0
            } catch {
                if takeBack(index) {
                    attemptFailed(index, .malformed, .badBody, error)
                } else {
                    attemptFailed(index, .broken, .badBody, error)
                }
                return .phaseChanged
            }
            // A large body that waits for nothing else goes out without being copied.
            if link.pointee.wire.input.count >= Self.directBytesMin, client.pointee.output.isEmpty,
                case .length = exchange.pointee.download.framing
            {
                let before = exchange.pointee.download.left
                guard sendDirectly(index, link) else { return .phaseChanged }
                if exchange.pointee.download.left == 0 { return .done }
                progressed = exchange.pointee.download.left < before
                moved = moved || progressed
            }
            if !client.pointee.output.isEmpty {
                guard flush(place) else { return .phaseChanged }
                if !client.pointee.output.isEmpty { break }
                // What had no room before has some now, and no edge will say so.
                progressed = true
                moved = true
            }
            if progressed, !link.pointee.wire.input.isEmpty { continue }
            guard link.pointee.wire.canRead, client.pointee.wire.canWrite else { break }
            if reads >= Self.readsATurn, goOnLater(place) { break }
            let isMuch = exchange.pointee.download.left > UInt64(Buffer.capacity)
            let result = isMuch ? readMuch(&link.pointee.wire) : read(&link.pointee.wire)
            reads &+= link.pointee.wire.input.isLarge ? Self.readsATurn : 1
            switch result {
            case .bytes:
                moved = true
                continue
            case .blocked: break
            case .ended, .failed:
                exchange.pointee.keepsLink = false
                let isReset = result == .failed || link.pointee.wire.isReset
                // A reset is no end: what came before it may be a part of the body.
                if !isReset, case .untilClose = exchange.pointee.download.framing {
                    if exchange.pointee.rechunks {
                        buffers.fill(&client.pointee.output)
                        BodyTransfer.appendLastChunk(to: &client.pointee.output)
                    }
                    return .done
                }
                attemptFailed(index, .broken, isReset ? .bodyReset : .bodyCut)
                return .phaseChanged
            }
            if !link.pointee.wire.canRead { break }
        }
        if moved {
            setDeadline(place, timeouts.bodyIdle)
            pool.peers[Int(link.pointee.peer)].heardAt = loop.now
        }
        buffers.shrink(&link.pointee.wire.input)
        if client.pointee.output.isEmpty { buffers.release(&client.pointee.output) }
        return .wait
    }

    /// The head of a large answer goes out with the beginning of its body, in one call and without a copy of
    /// that: where the head stood as the peer sent it there is nearly always room for ours. From then on it
    /// counts as a part of the body.
    private func joinHead(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ link: UnsafeMutablePointer<PeerConnection>
    ) {
        let count = client.pointee.output.count
        guard case .length = exchange.pointee.download.framing, count > 0,
            client.pointee.output.start == exchange.pointee.answerStart,
            count <= Int(link.pointee.wire.input.start),
            let input = link.pointee.wire.input.base, let output = client.pointee.output.base
        else { return }
        link.pointee.wire.input.start &-= Int32(truncatingIfNeeded: count)
        memcpy(
            input + Int(link.pointee.wire.input.start),
            output + Int(client.pointee.output.start),
            count
        )
        client.pointee.output.start = 0
        client.pointee.output.end = 0
        exchange.pointee.answerStart = -1
        exchange.pointee.download.left &+= UInt64(count)
    }

    /// Takes an answer back of which nothing has left. False where something has.
    @inline(never)
    private func takeBack(_ index: Int) -> Bool {
        let exchange = exchanges.elements + index
        let client = clients.elements + Int(exchange.pointee.client)
        guard !client.pointee.output.isEmpty,
            client.pointee.output.start == exchange.pointee.answerStart
        else { return false }
        client.pointee.output.end = client.pointee.output.start
        exchange.pointee.course.takeBack()
        return true
    }

    /// Below this a copy is cheaper than a second write.
    static let directBytesMin = 8_192

    /// Moves what the input holds into the output.
    @inline(__always)
    private func moveResponseBody(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ link: UnsafeMutablePointer<PeerConnection>
    ) throws(HTTPError) -> BodyTransfer.Step {
        switch exchange.pointee.download.framing {
        case .none: return BodyTransfer.Step(isDone: true)
        case .length:
            if link.pointee.wire.input.count >= Self.directBytesMin, client.pointee.output.isEmpty {
                return BodyTransfer.Step()
            }
            return BodyTransfer.length(
                &exchange.pointee.download.left,
                from: &link.pointee.wire.input,
                to: &client.pointee.output
            )
        case .chunked:
            return try BodyTransfer.chunked(
                &exchange.pointee.download.decoder,
                from: &link.pointee.wire.input,
                to: &client.pointee.output,
                rechunks: exchange.pointee.rechunks,
                trailersBegun: &exchange.pointee.download.trailersBegun
            )
        case .untilClose:
            return BodyTransfer.untilClose(
                from: &link.pointee.wire.input,
                to: &client.pointee.output,
                rechunks: exchange.pointee.rechunks
            )
        }
    }

    /// Writes body bytes from the link's input straight to the client. False when it is gone.
    private func sendDirectly(_ index: Int, _ link: UnsafeMutablePointer<PeerConnection>) -> Bool {
        let exchange = exchanges.elements + index
        let client = clients.elements + Int(exchange.pointee.client)
        guard client.pointee.wire.canWrite, let base = link.pointee.wire.input.base else {
            return true
        }
        let available = link.pointee.wire.input.count
        let left = exchange.pointee.download.left
        let count = left < UInt64(available) ? Int(left) : available
        let (written, result) = client.pointee.wire.write(
            base + Int(link.pointee.wire.input.start),
            count
        )
        link.pointee.wire.input.consume(written)
        exchange.pointee.download.left &-= UInt64(written)
        if result == .failed {
            act(index, exchange.pointee.course.on(.clientGone))
            return false
        }
        return true
    }

    private func becomeTunnel(_ index: Int) -> Bool {
        let exchange = exchanges.elements + index
        buffers.release(&exchange.pointee.request)
        _ = exchange.pointee.course.on(.tunnelled)
        if exchange.pointee.course.isOpaque {
            observe(exchange, links.elements[Int(exchange.pointee.link)].peer)
        }
        // In TCP mode the connection is all that a peer owes.
        pool.peers[Int(links.elements[Int(exchange.pointee.link)].peer)].heardAt = loop.now
        let client = Int(exchange.pointee.client)
        clients.elements[client].phase = .tunnel
        setDeadline(client, timeouts.tunnelIdle)
        return true
    }

    @inline(__always)
    func countResponse(
        _ peer: Int32,
        _ status: UInt16,
        askedAt: Int64,
        isExcused: Bool = false
    ) {
        let digit = Int(status / 100)
        let state = pool.peers + Int(peer)
        state.pointee.counters.responses[digit <= 5 ? digit : 0] &+= 1
        if isExcused {
            state.pointee.counters.oldBads &+= 1
        } else if digit == 5 {
            noteBadStatus(of: peer, askedAt: askedAt)
        }
    }

    private static let retryAfter: StaticString = "retry-after"

    /// Whether a status from 500 on says nothing against the peer.
    @inline(never)
    private func isExcused(_ status: UInt16, _ bytes: UnsafePointer<UInt8>) -> Bool {
        if status != 503 { return status == 500 }
        for index in 0..<fields.count {
            let name = fields[index].name
            guard name.count == Self.retryAfter.utf8CodeUnitCount else { continue }
            var isSame = true
            for place in 0..<name.count
            where ASCII.lowercase(bytes[name.lowerBound + place])
                != Self.retryAfter.utf8Start[place]
            {
                isSame = false
            }
            if isSame { return true }
        }
        return false
    }
}
