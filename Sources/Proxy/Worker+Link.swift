// Which connections to peers are there, and which of them may a request take? Those that nobody uses
// are kept for a while, the newest first.

import EventLoop
import Glibc
import HTTP1
import Vocabulary

extension Worker {
    /// Something waits to be told of a connection: if nobody uses it, nobody will.
    func peerForetold(_ index: Int, _ readiness: Readiness) {
        if links.elements[index].phase == .idle { peerReady(index, readiness) }
    }

    func peerReady(_ index: Int, _ readiness: Readiness) {
        let link = links.elements + index
        let isBroken = !readiness.isDisjoint(with: [.failed, .hungUp])
        if readiness.contains(.failed) { link.pointee.wire.isReset = true }
        switch link.pointee.phase {
        case .idle:
            // Writable again is no news; anything else means it cannot be used any more: closed, or
            // speaking without having been asked (RFC 9112, section 9.2).
            if isBroken || !readiness.isDisjoint(with: [.readable, .readEnded]) {
                closeIdle(link: index)
            }
            return
        case .connecting:
            let exchange = Int(link.pointee.exchange)
            if exchanges.elements[exchange].link != index { return secondReady(index, readiness) }
            let client = Int(exchanges.elements[exchange].client)
            guard isBroken || readiness.contains(.writable) else { return }
            let code = Socket.pendingError(link.pointee.wire.handle.descriptor)
            if isBroken || code != 0 {
                attemptFailed(exchange, .connect, Self.cause(ofConnect: code), code: code)
                if isOpen(client) { drive(client) }
                return
            }
            link.pointee.phase = .busy
            // A peer may speak, and even hang up, before it is asked anything.
            link.pointee.wire.note(readiness)
            _ = exchanges.elements[exchange].course.on(.connected)
            record(
                .connect,
                since: exchanges.elements[exchange].chosenAt,
                of: pool.peers + Int(link.pointee.peer),
                exchanges.elements + exchange
            )
            exemplify(
                .connect,
                since: exchanges.elements[exchange].chosenAt,
                exchanges.elements + exchange
            )
            setDeadline(client, timeouts.response)
            drive(client)
        case .busy:
            let exchange = Int(link.pointee.exchange)
            if exchanges.elements[exchange].link != index { return secondReady(index, readiness) }
            let client = Int(exchanges.elements[exchange].client)
            if wasStale(link, exchanges.elements + exchange, readiness) {
                attemptFailed(exchange, .silent, .closed)
                if isOpen(client) { drive(client) }
                return
            }
            link.pointee.wire.note(readiness)
            drive(client)
        }
    }

    /// The kernel told of bytes on a connection in the same breath as of the request that took it:
    /// nobody had asked for them when they came, and they are no answer to it.
    @inline(__always)
    func wasStale(
        _ link: UnsafeMutablePointer<PeerConnection>,
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ readiness: Readiness
    ) -> Bool {
        // Of what was in use when the kernel told this, it told of an answer that has been read meanwhile.
        link.pointee.takenAsk >= loop.toldBy && link.pointee.idleAsk < loop.toldBy
            && exchange.pointee.course.heard != .answer
            && !readiness.isDisjoint(with: [.readable, .readEnded])
    }

    /// The exchange on a connection has ended well: keep it for the next one if it allows that.
    @inline(__always)
    func releaseLink(_ index: Int, isClean: Bool) {
        let link = links.elements + index
        let state = pool.peers + Int(link.pointee.peer)
        let isQuiet =
            link.pointee.wire.input.isEmpty && !link.pointee.wire.hasEnded
            && !link.pointee.wire.canRead
        guard isClean, isQuiet, state.pointee.isDefined, !isDraining, idleLinks < idleLinksMax,
            link.pointee.generation == state.pointee.generation,
            Int(state.pointee.idleCount) < limits.idlePeerConnections
        else {
            dropLink(index)
            return
        }
        leaveSlot(link)
        pool.count(link.pointee.peer, -1)
        buffers.release(&link.pointee.wire.input)
        link.pointee.phase = .idle
        exchanges.elements[Int(link.pointee.exchange)].link = -1
        link.pointee.exchange = -1
        link.pointee.idleSince = loop.now
        link.pointee.idleAsk = loop.asks
        // Newest first: the connection used last is the least likely to have gone stale.
        link.pointee.newer = -1
        link.pointee.older = state.pointee.idleNewest
        if state.pointee.idleNewest >= 0 {
            links.elements[Int(state.pointee.idleNewest)].newer = Int32(truncatingIfNeeded: index)
        } else {
            state.pointee.idleOldest = Int32(truncatingIfNeeded: index)
        }
        state.pointee.idleNewest = Int32(truncatingIfNeeded: index)
        state.pointee.idleCount &+= 1
        idleLinks &+= 1
    }

    /// Takes the newest idle connection to `peer` that is fit for `method`.
    @inline(__always)
    func takeIdle(_ peer: Int32, for method: Method) -> Int? {
        while true {
            let newest = pool.peers[Int(peer)].idleNewest
            guard newest >= 0 else { return nil }
            let index = rested(Int(newest))
            let link = links.elements + index
            // The kernel tells of every byte and end, and a connection of which it does is closed at once:
            // it is asked again where it was asked before the last answer, or a while ago. That is one
            // call for all that are idle. A look at one is for requests that cannot be sent twice.
            var mustLook = !method.isIdempotent
            if !mustLook,
                link.pointee.idleAsk == loop.asks || loop.eventsSinceAsk > Self.eventsTrusted
            {
                if loop.askAgain() { continue }
                mustLook = true
            }
            unlinkIdle(index)
            // Or the peer has another address by now.
            if link.pointee.generation != pool.peers[Int(peer)].generation
                || mustLook && !isStillOpen(link.pointee.wire.handle.descriptor)
            {
                close(index)
                continue
            }
            link.pointee.takenAsk = loop.asks
            link.pointee.phase = .busy
            link.pointee.wire.canWrite = true
            link.pointee.parser = HeadParser()
            return index
        }
    }

    /// Bytes that nobody asked for come right behind an answer, if they do. Whoever takes the connection
    /// before they are there gets them for an answer: one that has rested for a moment is taken rather, if
    /// it stands near.
    @inline(__always)
    private func rested(_ newest: Int) -> Int {
        let moment = loop.now.nanoseconds &- Self.restMin.count
        var index = newest
        var looks = 0
        while links.elements[index].idleSince.nanoseconds > moment, looks < Self.restLooks {
            let older = links.elements[index].older
            if older < 0 { return newest }
            index = Int(older)
            looks &+= 1
        }
        return links.elements[index].idleSince.nanoseconds > moment ? newest : index
    }

    private static let restMin = Nanoseconds.milliseconds(1)
    private static let restLooks = 2

    /// After so many events the kernel is asked anew.
    private static let eventsTrusted = 8

    /// Open, and nothing to read.
    private func isStillOpen(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) < 0 && errno == EAGAIN
    }

    func unlinkIdle(_ index: Int) {
        let link = links.elements + index
        let state = pool.peers + Int(link.pointee.peer)
        if link.pointee.newer >= 0 {
            links.elements[Int(link.pointee.newer)].older = link.pointee.older
        } else {
            state.pointee.idleNewest = link.pointee.older
        }
        if link.pointee.older >= 0 {
            links.elements[Int(link.pointee.older)].newer = link.pointee.newer
        } else {
            state.pointee.idleOldest = link.pointee.newer
        }
        state.pointee.idleCount &-= 1
        idleLinks &-= 1
    }

    /// Ends a connection that serves a client.
    func dropLink(_ index: Int) {
        let link = links.elements + index
        let peer = link.pointee.peer
        if link.pointee.exchange >= 0 {
            let exchange = exchanges.elements + Int(link.pointee.exchange)
            if Int(exchange.pointee.link) == index { exchange.pointee.link = -1 }
            if Int(exchange.pointee.second) == index { exchange.pointee.second = -1 }
        }
        leaveSlot(link)
        pool.count(peer, -1)
        close(index)
        if !pool.peers[Int(peer)].isDefined { releaseIfUnused(peer) }
    }

    /// Another request may have the place at the peer.
    @inline(__always)
    private func leaveSlot(_ link: UnsafeMutablePointer<PeerConnection>) {
        if link.pointee.holdsSlot {
            link.pointee.holdsSlot = false
            giveBackSlot(of: link.pointee.peer)
        }
        if waiting > 0 { wakeLines() }
    }

    private func close(_ index: Int) {
        let link = links.elements + index
        buffers.release(&link.pointee.wire.input)
        loop.close(link.pointee.wire.handle)
        link.pointee.wire.handle = .none
        links.remove(index)
    }

    func closeIdle(link index: Int) {
        unlinkIdle(index)
        close(index)
    }

    // MARK: Many at once

    func closeIdle(of peer: Int32) {
        while pool.peers[Int(peer)].idleNewest >= 0 {
            closeIdle(link: Int(pool.peers[Int(peer)].idleNewest))
        }
    }

    /// Cuts every exchange with a peer that went down, where the operator wants that.
    func closeBusy(of peer: Int32, evenHTTP: Bool) {
        for index in 0..<exchanges.highWater where exchanges.elements[index].isUnderWay {
            let exchange = exchanges.elements + index
            guard evenHTTP || exchange.pointee.course.isOpaque else { continue }
            let (link, second) = (exchange.pointee.link, exchange.pointee.second)
            if second >= 0, links.elements[Int(second)].peer == peer { dropSecond(exchange) }
            guard link >= 0, links.elements[Int(link)].peer == peer else { continue }
            let client = Int(exchanges.elements[index].client)
            if exchanges.elements[index].course.attempt == .tunnel {
                note(.wentDown, of: exchange)
                act(index, exchanges.elements[index].course.on(.wentDown))
            } else {
                attemptFailed(index, .wentDown, FailureNote(cause: .wentDown))
            }
            if isOpen(client) { drive(client) }
        }
    }

    func expireIdle() {
        let limit = loop.now.nanoseconds - timeouts.peerIdle.count
        for peer in 0..<pool.peerCount {
            while true {
                let oldest = pool.peers[peer].idleOldest
                guard oldest >= 0,
                    links.elements[Int(oldest)].idleSince.nanoseconds <= limit
                else { break }
                closeIdle(link: Int(oldest))
            }
        }
    }
}
