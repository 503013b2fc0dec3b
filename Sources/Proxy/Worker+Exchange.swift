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
        let client = clients.elements + index
        guard pumpRequest(index) else { return isOpen(index) && client.pointee.phase != .exchange }
        guard client.pointee.link >= 0 else { return client.pointee.phase != .exchange }
        let link = links.elements + Int(client.pointee.link)
        if link.pointee.phase == .connecting { return false }
        if client.pointee.isTCP {
            client.pointee.phase = .tunnel
            setDeadline(index, timeouts.tunnelIdle)
            return true
        }
        return pumpResponse(index)
    }

    // MARK: The request

    /// Moves request bytes from the client to the peer. False when the connection is gone or went
    /// on to another phase.
    @inline(__always)
    private func pumpRequest(_ index: Int) -> Bool {
        let client = clients.elements + index
        while true {
            if !client.pointee.bodyDone, !pullBody(index) { return false }
            guard client.pointee.link >= 0 else { return true }
            let link = links.elements + Int(client.pointee.link)
            let unsent = client.pointee.request.count - Int(client.pointee.requestSent)
            if unsent == 0, isOutOfRoom(client) {
                // Everything here has been sent, and what comes next does not fit behind it: from
                // now on it cannot be sent again.
                client.pointee.isReplayable = false
                client.pointee.request.start = 0
                client.pointee.request.end = 0
                client.pointee.requestSent = 0
                continue
            }
            guard link.pointee.phase == .busy, link.pointee.canWrite, unsent > 0,
                let base = client.pointee.request.base
            else { return true }
            let offset = Int(client.pointee.request.start) + Int(client.pointee.requestSent)
            let (written, result) = write(
                link.pointee.handle.descriptor,
                base + offset,
                unsent,
                canWrite: &link.pointee.canWrite
            )
            if written > 0 { link.pointee.wroteBytes = true }
            client.pointee.requestSent &+= Int32(truncatingIfNeeded: written)
            switch result {
            case .blocked:
                // A slow peer may take its time, as long as it reads.
                if written > 0 { setDeadline(index, timeouts.bodyIdle) }
                return true
            case .failed:
                // The peer hung up. It may have answered before it did: reading will tell, but not
                // tell again that this was a reset.
                link.pointee.isReset = true
                link.pointee.canRead = true
                link.pointee.hasEnded = true
                return true
            case .all:
                if client.pointee.bodyDone {
                    setDeadline(index, timeouts.response)
                    return true
                }
                setDeadline(index, timeouts.bodyIdle)
                if client.pointee.input.isEmpty, !client.pointee.canRead { return true }
            }
        }
    }

    /// Body bytes wait, or may be waiting, that `request` has no room for.
    @inline(__always)
    private func isOutOfRoom(_ client: UnsafeMutablePointer<ClientConnection>) -> Bool {
        if client.pointee.bodyDone || client.pointee.request.isEmpty { return false }
        // A trailer line is moved whole, so it may wait in front of room enough for most things.
        return client.pointee.request.room < Self.bodyRoomMin || !client.pointee.input.isEmpty
    }

    /// Room in the request buffer below which no body byte is moved.
    private static let bodyRoomMin = 2 * BodyTransfer.roomMin

    /// Moves body bytes from the client's input to the request buffer. False when the exchange is
    /// over.
    private func pullBody(_ index: Int) -> Bool {
        let client = clients.elements + index
        pulling: while !client.pointee.bodyDone {
            if client.pointee.request.room < Self.bodyRoomMin { break }
            if !client.pointee.input.isEmpty {
                do throws(HTTPError) {
                    let step = try moveBody(client)
                    if step.isDone {
                        client.pointee.bodyDone = true
                        break
                    }
                    if step.consumed > 0 { continue }
                } catch {
                    counters.badRequests += 1
                    complain(.badRequest, .status(error.status), error)
                    abandonRequest(index, Int(error.status), error.description)
                    return false
                }
            }
            guard client.pointee.canRead else { break }
            switch read(
                client.pointee.handle.descriptor,
                into: &client.pointee.input,
                canRead: &client.pointee.canRead,
                hasEnded: client.pointee.hasEnded
            )
            {
            case .bytes: continue
            // Nothing there, or the input is full: then the request has to go out first.
            case .blocked: break pulling
            case .ended, .failed:
                // The body will never be whole (RFC 9112, section 8): nobody is left to answer.
                counters.aborted += 1
                dropClient(index)
                return false
            }
        }
        if client.pointee.input.isEmpty { buffers.release(&client.pointee.input) }
        return true
    }

    private func moveBody(
        _ client: UnsafeMutablePointer<ClientConnection>
    ) throws(HTTPError) -> BodyTransfer.Step {
        if client.pointee.bodyIsChunked {
            return try BodyTransfer.chunked(
                &client.pointee.bodyDecoder,
                from: &client.pointee.input,
                to: &client.pointee.request,
                rechunks: true,
                trailersBegun: &client.pointee.requestTrailersBegun
            )
        }
        return BodyTransfer.length(
            &client.pointee.bodyLeft,
            from: &client.pointee.input,
            to: &client.pointee.request
        )
    }

    /// The request turned out to be malformed while it was under way.
    private func abandonRequest(_ index: Int, _ status: Int, _ sentence: String) {
        let client = clients.elements + index
        if client.pointee.link >= 0 { dropLink(Int(client.pointee.link)) }
        if client.pointee.responseStarted {
            dropClient(index, reset: true)
        } else {
            refuse(index, status, sentence)
        }
    }

    // MARK: The response

    /// Moves response bytes from the peer to the client. True when the connection went on to
    /// another phase.
    @inline(__always)
    private func pumpResponse(_ index: Int) -> Bool {
        let client = clients.elements + index
        while true {
            let link = links.elements + Int(client.pointee.link)
            if !link.pointee.headDone {
                switch takeHead(index, link) {
                case .again: continue
                case .wait:
                    _ = flush(index)
                    return false
                case .phaseChanged: return isOpen(index)
                case .done: break
                }
            }
            if link.pointee.isTunnel { return becomeTunnel(index) }
            switch takeBody(index, link) {
            case .again: continue
            case .wait: return false
            case .phaseChanged: return isOpen(index)
            case .done: return finish(index)
            }
        }
    }

    private enum Take { case again, wait, phaseChanged, done }

    /// Reads and forwards heads until the final one has been.
    @inline(__always)
    private func takeHead(_ index: Int, _ link: UnsafeMutablePointer<PeerConnection>) -> Take {
        let client = clients.elements + index
        if !link.pointee.input.isEmpty {
            do throws(HTTPError) {
                let input = link.pointee.input
                let head = try input.withSpan { (bytes) throws(HTTPError) in
                    let head = try link.pointee.parser.parseResponse(
                        bytes,
                        to: client.pointee.method,
                        fields: &fields,
                        limits: headLimits
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
        guard link.pointee.canRead else {
            if link.pointee.input.isEmpty { buffers.release(&link.pointee.input) }
            return .wait
        }
        let result = read(
            link.pointee.handle.descriptor,
            into: &link.pointee.input,
            canRead: &link.pointee.canRead,
            hasEnded: link.pointee.hasEnded
        )
        if result == .bytes || result == .blocked { return .again }
        if link.pointee.input.isEmpty {
            attemptFailed(
                index,
                .diedSilent(
                    isReused: link.pointee.isReused,
                    wroteBytes: link.pointee.wroteBytes
                ),
                result == .failed || link.pointee.isReset ? .reset : .closed
            )
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
        let client = clients.elements + index
        buffers.fill(&client.pointee.output)
        // What an interim response left unsent must not be overrun.
        if client.pointee.output.room < Int(head.end) + HeadRewriter.growthMax {
            guard flush(index) else { return .phaseChanged }
            buffers.fill(&client.pointee.output)
            client.pointee.output.compact()
            if client.pointee.output.room < Int(head.end) + HeadRewriter.growthMax {
                return .wait
            }
        }
        guard let base = link.pointee.input.base else { return .wait }
        let bytes = UnsafePointer(base + Int(link.pointee.input.start))

        if head.isInterim {
            // An interim response means nothing to HTTP/1.0 (RFC 9110, section 15.2).
            if client.pointee.minorVersion >= 1 {
                HeadRewriter.response(
                    head,
                    fields,
                    bytes,
                    style: HeadRewriter.ResponseStyle(),
                    to: &client.pointee.output
                )
                client.pointee.interimSent = true
                guard flush(index) else { return .phaseChanged }
            }
            link.pointee.input.consume(Int(head.end))
            return .again
        }
        if head.isTunnel, !client.pointee.wantsUpgrade || !requestIsSent(client) {
            // 101 without having been asked, or before the request was whole (RFC 9110, section
            // 7.8): whatever follows is not HTTP.
            attemptFailed(index, .malformed, .strayUpgrade)
            return .phaseChanged
        }
        var style = settle(head, client, link)
        style.date = date
        HeadRewriter.response(head, fields, bytes, style: style, to: &client.pointee.output)
        link.pointee.input.consume(Int(head.end))
        link.pointee.headDone = true
        client.pointee.responseStarted = true
        countResponse(link.pointee.peer, head.status)
        setDeadline(index, timeouts.bodyIdle)
        return .done
    }

    /// Decides how the body is framed for the client and what becomes of both connections.
    @inline(__always)
    private func settle(
        _ head: ResponseHead,
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ link: UnsafeMutablePointer<PeerConnection>
    ) -> HeadRewriter.ResponseStyle {
        var style = HeadRewriter.ResponseStyle()
        link.pointee.framing = head.framing
        link.pointee.isPersistent = head.isPersistent
        link.pointee.isTunnel = head.isTunnel
        link.pointee.trailersBegun = false
        var closes = !client.pointee.isPersistent || isDraining || !client.pointee.bodyDone
        switch head.framing {
        case .none:
            link.pointee.bodyLeft = 0
        case .length(let count):
            link.pointee.bodyLeft = count
        case .chunked:
            link.pointee.decoder = ChunkedDecoder(of: .response)
            style.rechunks = client.pointee.minorVersion >= 1
            closes = closes || !style.rechunks
        case .untilClose:
            style.rechunks =
                client.pointee.minorVersion >= 1 && !head.hasForeignCoding && !head.isTunnel
            closes = closes || !style.rechunks
        }
        link.pointee.rechunks = style.rechunks
        style.isUpgrade = head.isTunnel
        style.closes = closes && !head.isTunnel
        style.saysKeepAlive = !closes && client.pointee.minorVersion == 0
        client.pointee.closesAfterResponse = closes
        return style
    }

    /// Moves body bytes.
    @inline(__always)
    private func takeBody(_ index: Int, _ link: UnsafeMutablePointer<PeerConnection>) -> Take {
        let client = clients.elements + index
        var moved = false
        while true {
            buffers.fill(&client.pointee.output)
            var progressed = false
            do throws(HTTPError) {
                let step = try moveResponseBody(client, link)
                if step.isDone { return .done }
                progressed = step.consumed > 0
            } catch {
                attemptFailed(index, .midResponse, .badBody, error)
                return .phaseChanged
            }
            // A large body that waits for nothing else goes out without being copied.
            if link.pointee.input.count >= Self.directBytesMin, client.pointee.output.isEmpty,
                case .length = link.pointee.framing
            {
                let before = link.pointee.bodyLeft
                guard sendDirectly(index, link) else { return .phaseChanged }
                if link.pointee.bodyLeft == 0 { return .done }
                progressed = link.pointee.bodyLeft < before
                moved = moved || progressed
            }
            if !client.pointee.output.isEmpty {
                guard flush(index) else { return .phaseChanged }
                if !client.pointee.output.isEmpty { break }
                // What had no room before has some now, and no edge will say so.
                progressed = true
                moved = true
            }
            if progressed, !link.pointee.input.isEmpty { continue }
            guard link.pointee.canRead, client.pointee.canWrite else { break }
            let result = read(
                link.pointee.handle.descriptor,
                into: &link.pointee.input,
                canRead: &link.pointee.canRead,
                hasEnded: link.pointee.hasEnded
            )
            switch result {
            case .bytes:
                moved = true
                continue
            case .blocked: break
            case .ended, .failed:
                link.pointee.isPersistent = false
                // A reset is no end: what came before it may be a part of the body.
                if result == .ended, !link.pointee.isReset, case .untilClose = link.pointee.framing
                {
                    if link.pointee.rechunks {
                        buffers.fill(&client.pointee.output)
                        BodyTransfer.appendLastChunk(to: &client.pointee.output)
                    }
                    return .done
                }
                let isReset = result == .failed || link.pointee.isReset
                attemptFailed(index, .midResponse, isReset ? .bodyReset : .bodyCut)
                return .phaseChanged
            }
            if !link.pointee.canRead { break }
        }
        if moved { setDeadline(index, timeouts.bodyIdle) }
        if link.pointee.input.isEmpty { buffers.release(&link.pointee.input) }
        if client.pointee.output.isEmpty { buffers.release(&client.pointee.output) }
        return .wait
    }

    /// Below this a copy is cheaper than a second write.
    static let directBytesMin = 8_192

    /// Moves what the input holds into the output.
    @inline(__always)
    private func moveResponseBody(
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ link: UnsafeMutablePointer<PeerConnection>
    ) throws(HTTPError) -> BodyTransfer.Step {
        switch link.pointee.framing {
        case .none: return BodyTransfer.Step(isDone: true)
        case .length:
            if link.pointee.input.count >= Self.directBytesMin, client.pointee.output.isEmpty {
                return BodyTransfer.Step()
            }
            return BodyTransfer.length(
                &link.pointee.bodyLeft,
                from: &link.pointee.input,
                to: &client.pointee.output
            )
        case .chunked:
            return try BodyTransfer.chunked(
                &link.pointee.decoder,
                from: &link.pointee.input,
                to: &client.pointee.output,
                rechunks: link.pointee.rechunks,
                trailersBegun: &link.pointee.trailersBegun
            )
        case .untilClose:
            return BodyTransfer.untilClose(
                from: &link.pointee.input,
                to: &client.pointee.output,
                rechunks: link.pointee.rechunks
            )
        }
    }

    /// Writes body bytes from the link's input straight to the client. False when it is gone.
    private func sendDirectly(_ index: Int, _ link: UnsafeMutablePointer<PeerConnection>) -> Bool {
        let client = clients.elements + index
        guard client.pointee.canWrite, let base = link.pointee.input.base else { return true }
        let available = link.pointee.input.count
        let count =
            link.pointee.bodyLeft < UInt64(available) ? Int(link.pointee.bodyLeft) : available
        let (written, result) = write(
            client.pointee.handle.descriptor,
            base + Int(link.pointee.input.start),
            count,
            canWrite: &client.pointee.canWrite
        )
        link.pointee.input.consume(written)
        link.pointee.bodyLeft &-= UInt64(written)
        if result == .failed {
            dropClient(index)
            return false
        }
        return true
    }

    /// The response is complete. True when there is something else to do now.
    @inline(__always)
    private func finish(_ index: Int) -> Bool {
        let client = clients.elements + index
        guard flush(index) else { return false }
        releaseLink(Int(client.pointee.link), requestWasWhole: requestIsSent(client))
        client.pointee.link = -1
        buffers.release(&client.pointee.request)
        if client.pointee.closesAfterResponse || !client.pointee.bodyDone || isDraining {
            client.pointee.phase = .flushing
            setDeadline(index, timeouts.bodyIdle)
        } else {
            client.pointee.phase = .head
            setDeadline(
                index,
                client.pointee.output.isEmpty ? timeouts.clientIdle : timeouts.bodyIdle
            )
        }
        return true
    }

    @inline(__always)
    private func requestIsSent(_ client: UnsafeMutablePointer<ClientConnection>) -> Bool {
        client.pointee.bodyDone
            && Int(client.pointee.requestSent) == client.pointee.request.count
    }

    private func becomeTunnel(_ index: Int) -> Bool {
        let client = clients.elements + index
        buffers.release(&client.pointee.request)
        client.pointee.phase = .tunnel
        setDeadline(index, timeouts.tunnelIdle)
        return true
    }

    @inline(__always)
    private func countResponse(_ peer: Int32, _ status: UInt16) {
        let digit = Int(status / 100)
        pool.peers[Int(peer)].counters.responses[digit <= 5 ? digit : 0] &+= 1
    }
}
