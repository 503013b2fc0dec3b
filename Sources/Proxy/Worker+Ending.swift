// Where does an exchange end? Here, however it does: what it held goes back, what went wrong is told,
// and its connection goes on or goes away. Whatever has to be known of every request is known here.

import EventLoop
import HTTP1
import Spans
import Vocabulary

extension Worker {
    /// Ends an exchange. Its client may be gone afterwards.
    @inline(__always)
    func end(_ index: Int, _ how: Ending) {
        if how == .answered { endWell(index) } else { endOtherwise(index, how) }
    }

    /// The answer has been handed on whole: both connections go on if they may.
    @inline(__always)
    private func endWell(_ index: Int) {
        let exchange = exchanges.elements + index
        if exchange.pointee.trace != nil { endTrace(exchange, .answered, .none) }
        if exchange.pointee.link >= 0 {
            let isClean = exchange.pointee.keepsLink && exchange.pointee.isSent
            let peer = pool.peers + Int(links.elements[Int(exchange.pointee.link)].peer)
            peer.pointee.answeredAt = loop.now
            record(.total, since: exchange.pointee.begunAt, of: peer, exchange)
            releaseLink(Int(exchange.pointee.link), isClean: isClean)
        }
        let closes =
            exchange.pointee.closesClient || !exchange.pointee.course.isWhole || isDraining
        // Where more is on its way than that, whatever the client still sends must not cut it off (RFC 9112, section 9.6).
        let saidLast =
            !exchange.pointee.isPersistent && exchange.pointee.course.isWhole
            && exchange.pointee.isBrief
        let place = leave(index)
        let client = clients.elements + place
        if client.pointee.wire.hasEnded { client.pointee.hasLeft = true }
        client.pointee.isDone = saidLast && !client.pointee.isLeaving
        goOn(place, closes: closes)
    }

    @inline(never)
    private func endOtherwise(_ index: Int, _ ending: Ending) {
        let exchange = exchanges.elements + index
        let client = clients.elements + Int(exchange.pointee.client)
        count(exchange, ending)
        let how = asTold(ending, by: exchange)
        let note = exchange.pointee.note
        let showsCut = exchange.pointee.showsCut
        client.pointee.isHeld =
            how == .cut && showsCut && note.cause == .bodyCut && !isDraining
            && pool.upstreams[Int(exchange.pointee.upstream)].holdsCuts
        settleNote(exchange, Self.answer(how))
        if exchange.pointee.trace != nil { endTrace(exchange, how, note.cause) }
        if exchange.pointee.link >= 0 {
            let link = Int(exchange.pointee.link)
            if client.pointee.wire.isReset {
                Socket.resetOnClose(links.elements[link].wire.handle.descriptor)
            }
            dropLink(link)
        }
        let isHead = exchange.pointee.method == .head
        let closes =
            !exchange.pointee.course.isWhole || !exchange.pointee.isPersistent || isDraining
        let place = leave(index)
        clients.elements[place].hasLeft = clients.elements[place].wire.hasEnded
        switch how {
        case .answered: break
        case .own(let status):
            respond(place, Int(status), note, closes: closes, isHead: isHead)
            goOn(place, closes: closes)
        case .refused(let status):
            respond(place, Int(status), note, closes: true, isHead: isHead)
            goOn(place, closes: true)
        case .cut: if showsCut { goOn(place, closes: true) } else { beginCut(place) }
        case .reset: closeClient(place, reset: true)
        case .gone: closeClient(place, reset: false)
        }
    }

    /// Some proxies say one status whatever went wrong.
    private func asTold(_ how: Ending, by exchange: UnsafeMutablePointer<Exchange>) -> Ending {
        guard case .own(let status) = how, status == 502 || status == 504,
            exchange.pointee.upstream >= 0
        else { return how }
        let told = pool.upstreams[Int(exchange.pointee.upstream)].failedStatus
        return told == 0 ? how : .own(status: told)
    }

    /// Gives back what an exchange held. Returns whose it was.
    @inline(__always)
    private func leave(_ index: Int) -> Int {
        let exchange = exchanges.elements + index
        let client = Int(exchange.pointee.client)
        buffers.release(&exchange.pointee.request)
        if exchange.pointee.second >= 0 { dropSecond(exchange) }
        if exchange.pointee.waitsUntil != 0 {
            if exchange.pointee.isWaiting { leaveLine(index) }
            exchange.pointee.waitsUntil = 0
        }
        if exchange.pointee.upstream >= 0 {
            let upstream = pool.upstreams + Int(exchange.pointee.upstream)
            upstream.pointee.budget.underWay &-= 1
            if exchange.pointee.course.isAgain { upstream.pointee.budget.giveBack() }
        }
        exchange.pointee.client = -1
        clients.elements[client].exchange = -1
        exchanges.remove(index)
        return client
    }

    /// The connection of an exchange that has ended waits for the next request, or for the end of what
    /// is on its way out.
    @inline(__always)
    private func goOn(_ index: Int, closes: Bool) {
        let client = clients.elements + index
        client.pointee.phase = closes ? .flushing : .head
        let isIdle = !closes && client.pointee.output.isEmpty
        setDeadline(index, isIdle ? timeouts.clientIdle : timeouts.bodyIdle)
    }

    private func count(_ exchange: UnsafeMutablePointer<Exchange>, _ how: Ending) {
        if exchange.pointee.course.isOpaque || exchange.pointee.course.attempt == .tunnel { return }
        switch how {
        // 502 and 504 are of a peer that was asked, and counted there.
        case .own(status: 503): counters.unavailable += 1
        case .cut, .reset, .gone: counters.aborted += 1
        default: break
        }
    }

    /// How the client hears of what went wrong.
    private static func answer(_ how: Ending) -> FailureAnswer {
        switch how {
        case .own(let status), .refused(let status): .status(status)
        case .answered, .cut, .reset, .gone: .cut
        }
    }

    private func respond(
        _ index: Int,
        _ status: Int,
        _ note: FailureNote,
        closes: Bool,
        isHead: Bool
    ) {
        let client = clients.elements + index
        buffers.fill(&client.pointee.output)
        client.pointee.output.compact()
        if let page = manners.errorPages[status] ?? manners.errorPages[0] {
            let text = ErrorResponse.page(
                status,
                page,
                closes: closes,
                isHead: isHead,
                date: date
            )
            if text.utf8.count <= client.pointee.output.room {
                return client.pointee.output.append(text: text)
            }
        }
        if let body = manners.texts[status], note.cause == .noRoute || note.cause == .noPeer {
            let text = ErrorResponse.text(
                status,
                whole: body,
                closes: closes,
                isHead: isHead,
                date: date
            )
            if text.utf8.count <= client.pointee.output.room {
                return client.pointee.output.append(text: text)
            }
        }
        let text = ErrorResponse.text(
            status,
            ErrorResponse.sentence(status, note),
            closes: closes,
            isHead: isHead,
            date: date
        )
        if text.utf8.count <= client.pointee.output.room {
            client.pointee.output.append(text: text)
        }
    }

    // MARK: Telling

    /// It is known now what became of the request that failed.
    func settleNote(_ exchange: UnsafeMutablePointer<Exchange>, _ answer: FailureAnswer) {
        let note = exchange.pointee.note
        if note.cause == .none { return }
        tell(
            note,
            of: note.cause.isOfClient ? -1 : exchange.pointee.upstream,
            answer,
            trace: exchange.pointee.trace?.pointee.trace
        )
        exchange.pointee.note = FailureNote()
    }

    /// Counts a failure, and wakes the control plane if it is the first for a while.
    func tell(
        _ note: FailureNote,
        of upstream: Int32,
        _ answer: FailureAnswer,
        trace: TraceID? = nil
    ) {
        if failures.count(note, of: upstream, answer, trace: trace) { onFailure() }
    }
}
