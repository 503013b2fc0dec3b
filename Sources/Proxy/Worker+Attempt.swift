// Which peer gets the request, and which one next if that goes wrong?

import EventLoop
import Glibc
import HTTP1
import Vocabulary

extension Worker {
    // MARK: Trying

    /// Chooses a peer that has not been tried and gets a connection to it.
    func startAttempt(_ index: Int) {
        let client = clients.elements + index
        guard client.pointee.upstream >= 0 else {
            client.pointee.note.cause = .noUpstream
            giveUp(index, 503)
            return
        }
        let upstream = pool.upstreams + Int(client.pointee.upstream)
        let peer = PeerPool.choose(upstream, &client.pointee.pick)
        guard peer >= 0 else {
            let isFirst = client.pointee.pick.tried.count == 0
            if isFirst { client.pointee.note.cause = Self.whyNobody(upstream) }
            giveUp(index, isFirst ? 503 : 502)
            return
        }
        if client.pointee.note.cause != .none { settleNote(index, .retried) }
        client.pointee.pick.tried.insert(peer)
        pool.peers[Int(peer)].counters.requests &+= 1
        // A request that has met a stale connection trusts no other idle one.
        attempt(index, peer, mayReuse: !client.pointee.isTCP && !client.pointee.usedFreeRetry)
    }

    /// Why nobody could be chosen.
    private static func whyNobody(_ upstream: UnsafeMutablePointer<UpstreamState>) -> FailureCause {
        guard upstream.pointee.balancer != nil else { return .noUpstream }
        let isPanic = upstream.pointee.isPanic
        let isEmpty =
            upstream.pointee.primary.candidates(isPanic: isPanic).isEmpty
            && upstream.pointee.backup.candidates(isPanic: isPanic).isEmpty
        return isEmpty ? .noPeer : .full
    }

    private func attempt(_ index: Int, _ peer: Int32, mayReuse: Bool) {
        let client = clients.elements + index
        client.pointee.requestSent = 0
        if mayReuse, let link = takeIdle(peer, for: client.pointee.method) {
            links.elements[link].client = Int32(truncatingIfNeeded: index)
            client.pointee.link = Int32(truncatingIfNeeded: link)
            pool.count(peer, 1)
            setDeadline(index, timeouts.response)
            return
        }
        connect(index, peer)
    }

    private func connect(_ index: Int, _ peer: Int32) {
        let client = clients.elements + index
        let state = pool.peers + Int(peer)
        state.pointee.counters.connects &+= 1
        guard let address = state.pointee.address,
            let link = links.insert(
                PeerConnection(
                    peer: peer,
                    generation: state.pointee.generation,
                    client: Int32(truncatingIfNeeded: index)
                )
            )
        else {
            state.pointee.counters.connectFailures &+= 1
            let cause = state.pointee.address == nil ? FailureCause.unresolved : .noRoom
            client.pointee.note = FailureNote(cause: cause, peer: peer)
            decide(index, .connect)
            return
        }
        do throws(SystemError) {
            let attempt = try begin(address)
            let isConnected = attempt.isConnected
            let handle = try loop.register(
                attempt.take(),
                sink: self,
                tag: Tag.make(Tag.peer, link)
            )
            let connection = links.elements + link
            connection.pointee.handle = handle
            connection.pointee.phase = isConnected ? .busy : .connecting
            connection.pointee.canWrite = isConnected
            client.pointee.link = Int32(truncatingIfNeeded: link)
            pool.count(peer, 1)
            setDeadline(index, isConnected ? timeouts.response : timeouts.connect)
        } catch {
            links.remove(link)
            state.pointee.counters.connectFailures &+= 1
            client.pointee.note = FailureNote(
                cause: Self.cause(ofConnect: error.code),
                peer: peer,
                code: error.code
            )
            decide(index, .connect)
        }
    }

    private func begin(_ address: SocketAddress) throws(SystemError) -> Socket.Attempt {
        do throws(SystemError) { return try Socket.connect(to: address) } catch {
            guard giveBack(code: error.code) else { throw error }
            return try Socket.connect(to: address)
        }
    }

    private static func cause(ofConnect code: Int32) -> FailureCause {
        switch code {
        case ECONNREFUSED: .refused
        case ETIMEDOUT: .connectTimeout
        case EMFILE, ENFILE: .noDescriptor
        default: .unreachable
        }
    }

    // MARK: Failing

    /// The attempt under way failed: its connection goes, and the table says what comes next.
    func attemptFailed(
        _ index: Int,
        _ failure: AttemptFailure,
        _ cause: FailureCause,
        code: Int32 = 0,
        _ error: HTTPError? = nil
    ) {
        let client = clients.elements + index
        client.pointee.note = FailureNote(cause: cause, code: code, error: error)
        if client.pointee.link >= 0 {
            let link = Int(client.pointee.link)
            client.pointee.note.peer = links.elements[link].peer
            let peer = pool.peers + Int(links.elements[link].peer)
            switch failure {
            case .connect: peer.pointee.counters.connectFailures &+= 1
            case .diedSilent(isReused: true, _): break
            default: peer.pointee.counters.responseFailures &+= 1
            }
            dropLink(link)
        }
        decide(index, failure)
    }

    private func decide(_ index: Int, _ failure: AttemptFailure) {
        let client = clients.elements + index
        let failure = client.pointee.responseStarted ? .midResponse : failure
        if client.pointee.isTCP {
            // No byte was exchanged yet: another peer can take the connection.
            if failure == .connect, client.pointee.pick.tried.count < triesMax {
                startAttempt(index)
            } else {
                giveUp(index, 502)
            }
            return
        }
        let state = AttemptState(
            isIdempotent: client.pointee.method.isIdempotent,
            isReplayable: client.pointee.isReplayable,
            interimWasSent: client.pointee.interimSent,
            tries: client.pointee.pick.tried.count,
            triesMax: triesMax,
            usedFreeRetry: client.pointee.usedFreeRetry,
            hasBudget: !budget.isEmpty
        )
        switch Failover.decide(failure, state) {
        case .anotherPeer:
            if failure != .connect { budget.withdraw() }
            if let last = client.pointee.pick.tried.last {
                pool.peers[Int(last)].counters.retries &+= 1
            }
            startAttempt(index)
        case .freshConnection:
            client.pointee.usedFreeRetry = true
            // An idle connection may be closed at any time: nobody's failure, and nothing to tell.
            client.pointee.note = FailureNote()
            // A peer whose definition went meanwhile may be somebody else under its number by now.
            if let last = client.pointee.pick.tried.last, pool.peers[Int(last)].isDefined {
                pool.peers[Int(last)].counters.retries &+= 1
                attempt(index, last, mayReuse: false)
            } else {
                startAttempt(index)
            }
        case .respond(let status): giveUp(index, status)
        case .abort:
            counters.aborted += 1
            abort(index)
        }
    }

    /// The answer will never be whole. What came of it goes out, and then the client is cut off, so
    /// that it takes no part for the whole whatever the framing (RFC 9112, section 8).
    private func abort(_ index: Int) {
        settleNote(index, .cut)
        if clients.elements[index].responseStarted {
            beginCut(index)
        } else {
            dropClient(index, reset: true)
        }
    }

    /// It is known now what became of the request that failed.
    private func settleNote(_ index: Int, _ answer: FailureAnswer) {
        let client = clients.elements + index
        if client.pointee.note.cause == .none { return }
        tell(client.pointee.note, of: client.pointee.upstream, answer)
        client.pointee.note = FailureNote()
    }

    /// Counts a failure, and wakes the control plane if it is the first for a while.
    func tell(_ note: FailureNote, of upstream: Int32, _ answer: FailureAnswer) {
        if failures.count(note, of: upstream, answer) { onFailure() }
    }

    /// A failure that no peer and no upstream is concerned with.
    func complain(_ cause: FailureCause, _ answer: FailureAnswer, _ error: HTTPError? = nil) {
        tell(FailureNote(cause: cause, error: error), of: -1, answer)
    }

    private var triesMax: Int { min(limits.tries, Tried.capacity) }

    private func giveUp(_ index: Int, _ status: Int) {
        if clients.elements[index].isTCP {
            settleNote(index, .cut)
            dropClient(index, reset: true)
            return
        }
        let isFull = clients.elements[index].note.cause == .full
        settleNote(index, .status(UInt16(truncatingIfNeeded: status)))
        switch status {
        case 503 where isFull:
            answer(index, 503, "every peer has all the connections it may have")
        case 503: answer(index, 503, "no peer of this upstream is available")
        case 504: answer(index, 504, "the peer did not answer in time")
        default: answer(index, 502, "no peer could be reached, or the answer made no sense")
        }
    }

    /// The deadline of an exchange has come.
    func exchangeExpired(_ index: Int) {
        let client = clients.elements + index
        guard client.pointee.link >= 0 else {
            dropClient(index)
            return
        }
        let link = links.elements + Int(client.pointee.link)
        if link.pointee.phase == .connecting {
            attemptFailed(index, .connect, .connectTimeout)
        } else if client.pointee.responseStarted {
            if client.pointee.output.isEmpty {
                attemptFailed(index, .midResponse, .stalled)
            } else {
                // The client stopped reading. What waits for it would wait for ever.
                counters.aborted += 1
                dropClient(index, reset: true)
            }
        } else if !client.pointee.bodyDone,
            Int(client.pointee.requestSent) == client.pointee.request.count
        {
            dropLink(Int(client.pointee.link))
            complain(.slowBody, .status(408))
            refuse(index, 408, "the request body did not arrive in time")
        } else {
            attemptFailed(index, .timeout, .timeout)
        }
        if isOpen(index) { drive(index) }
    }

    // MARK: Peer connections

    func peerReady(_ index: Int, _ readiness: Readiness) {
        let link = links.elements + index
        let isBroken = !readiness.isDisjoint(with: [.failed, .hungUp])
        if readiness.contains(.failed) { link.pointee.isReset = true }
        switch link.pointee.phase {
        case .idle:
            // Writable again is no news; anything else means it cannot be used any more: closed, or
            // speaking without having been asked (RFC 9112, section 9.2).
            if isBroken || !readiness.isDisjoint(with: [.readable, .readEnded]) {
                closeIdle(link: index)
            }
            return
        case .connecting:
            let client = Int(link.pointee.client)
            guard isBroken || readiness.contains(.writable) else { return }
            let code = Socket.pendingError(link.pointee.handle.descriptor)
            if isBroken || code != 0 {
                attemptFailed(client, .connect, Self.cause(ofConnect: code), code: code)
                if isOpen(client) { drive(client) }
                return
            }
            link.pointee.phase = .busy
            link.pointee.canWrite = true
            // A peer may speak, and even hang up, before it is asked anything.
            if readiness.contains(.readEnded) { link.pointee.hasEnded = true }
            if !readiness.isDisjoint(with: [.readable, .readEnded]) {
                link.pointee.canRead = true
            }
            setDeadline(client, timeouts.response)
            drive(client)
        case .busy:
            if wasStale(link, readiness) {
                let client = Int(link.pointee.client)
                attemptFailed(
                    client,
                    .diedSilent(isReused: true, wroteBytes: link.pointee.wroteBytes),
                    .closed
                )
                if isOpen(client) { drive(client) }
                return
            }
            if isBroken || readiness.contains(.readEnded) {
                link.pointee.hasEnded = true
                link.pointee.canRead = true
            } else if readiness.contains(.readable) {
                link.pointee.canRead = true
            }
            if readiness.contains(.writable) || isBroken { link.pointee.canWrite = true }
            drive(Int(link.pointee.client))
        }
    }

    /// The kernel told of bytes on a connection in the same breath as of the request that took it:
    /// nobody had asked for them when they came, and they are no answer to it.
    @inline(__always)
    private func wasStale(
        _ link: UnsafeMutablePointer<PeerConnection>,
        _ readiness: Readiness
    ) -> Bool {
        // What was in use earlier in this turn was looked at when it was taken, and what is told of
        // it now has been read meanwhile.
        link.pointee.takenAt == loop.now && link.pointee.idleSince < loop.now
            && !link.pointee.headDone && !readiness.isDisjoint(with: [.readable, .readEnded])
    }

    /// The exchange on a connection has ended well: keep it for the next one if it allows that.
    @inline(__always)
    func releaseLink(_ index: Int, requestWasWhole: Bool) {
        let link = links.elements + index
        let state = pool.peers + Int(link.pointee.peer)
        let isClean =
            link.pointee.isPersistent && requestWasWhole && link.pointee.input.isEmpty
            && !link.pointee.hasEnded && !link.pointee.canRead
        guard isClean, state.pointee.isDefined, !isDraining, idleLinks < idleLinksMax,
            link.pointee.generation == state.pointee.generation,
            Int(state.pointee.idleCount) < limits.idlePeerConnections
        else {
            dropLink(index)
            return
        }
        pool.count(link.pointee.peer, -1)
        buffers.release(&link.pointee.input)
        link.pointee.phase = .idle
        link.pointee.client = -1
        link.pointee.idleSince = loop.now
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
    private func takeIdle(_ peer: Int32, for method: Method) -> Int? {
        while true {
            let newest = pool.peers[Int(peer)].idleNewest
            guard newest >= 0 else { return nil }
            let index = Int(newest)
            unlinkIdle(index)
            let link = links.elements + index
            // The kernel has told of every byte and end up to the beginning of this turn, and such a
            // connection is closed at once. A look is for what may have come since, and for requests
            // that cannot be sent twice.
            let mustLook =
                link.pointee.idleSince == loop.now || loop.eventsThisTurn > Self.eventsTrusted
                || !method.isIdempotent
            // Or the peer has another address by now.
            if link.pointee.generation != pool.peers[Int(peer)].generation
                || mustLook && !isStillOpen(link.pointee.handle.descriptor)
            {
                close(index)
                continue
            }
            link.pointee.takenAt = loop.now
            link.pointee.phase = .busy
            link.pointee.isReused = true
            link.pointee.wroteBytes = false
            link.pointee.headDone = false
            link.pointee.isTunnel = false
            link.pointee.canWrite = true
            link.pointee.parser = HeadParser()
            return index
        }
    }

    /// After so many events of one turn the kernel is asked anew.
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
        if link.pointee.client >= 0 { clients.elements[Int(link.pointee.client)].link = -1 }
        pool.count(peer, -1)
        close(index)
        if !pool.peers[Int(peer)].isDefined { releaseIfUnused(peer) }
    }

    private func close(_ index: Int) {
        let link = links.elements + index
        buffers.release(&link.pointee.input)
        loop.close(link.pointee.handle)
        link.pointee.handle = .none
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
    func closeBusy(of peer: Int32) {
        for index in 0..<clients.highWater where isOpen(index) {
            let link = clients.elements[index].link
            guard link >= 0, links.elements[Int(link)].peer == peer else { continue }
            if clients.elements[index].phase == .exchange {
                let connection = links.elements[Int(link)]
                attemptFailed(
                    index,
                    connection.phase == .connecting
                        ? .connect
                        : .diedSilent(isReused: false, wroteBytes: connection.wroteBytes),
                    .wentDown
                )
                if isOpen(index) { drive(index) }
            } else {
                dropClient(index, reset: true)
            }
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
