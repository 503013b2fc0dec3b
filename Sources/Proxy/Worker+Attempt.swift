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
            giveUp(index, 503)
            return
        }
        let peer = PeerPool.choose(
            pool.upstreams + Int(client.pointee.upstream),
            &client.pointee.pick
        )
        guard peer >= 0 else {
            giveUp(index, client.pointee.pick.tried.count > 0 ? 502 : 503)
            return
        }
        client.pointee.pick.tried.insert(peer)
        pool.peers[Int(peer)].counters.requests &+= 1
        // A request that has met a stale connection trusts no other idle one.
        attempt(index, peer, mayReuse: !client.pointee.isTCP && !client.pointee.usedFreeRetry)
    }

    private func attempt(_ index: Int, _ peer: Int32, mayReuse: Bool) {
        let client = clients.elements + index
        client.pointee.requestSent = 0
        if mayReuse, let link = takeIdle(peer, for: client.pointee.method) {
            links.elements[link].client = Int32(truncatingIfNeeded: index)
            client.pointee.peer = Int32(truncatingIfNeeded: link)
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
            decide(index, .connect)
            return
        }
        do throws(SystemError) {
            let attempt = try Socket.connect(to: address)
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
            client.pointee.peer = Int32(truncatingIfNeeded: link)
            pool.count(peer, 1)
            setDeadline(index, isConnected ? timeouts.response : timeouts.connect)
        } catch {
            links.remove(link)
            state.pointee.counters.connectFailures &+= 1
            decide(index, .connect)
        }
    }

    // MARK: Failing

    /// The attempt under way failed: its connection goes, and the table says what comes next.
    func attemptFailed(_ index: Int, _ failure: AttemptFailure) {
        let client = clients.elements + index
        if client.pointee.peer >= 0 {
            let link = Int(client.pointee.peer)
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
                dropClient(index, reset: true)
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
            dropClient(index, reset: true)
        }
    }

    private var triesMax: Int { min(limits.tries, Tried.capacity) }

    private func giveUp(_ index: Int, _ status: Int) {
        if clients.elements[index].isTCP {
            dropClient(index, reset: true)
            return
        }
        switch status {
        case 503: answer(index, 503, "no peer of this upstream is available")
        case 504: answer(index, 504, "the peer did not answer in time")
        default: answer(index, 502, "no peer could be reached, or the answer made no sense")
        }
    }

    /// The deadline of an exchange has come.
    func exchangeExpired(_ index: Int) {
        let client = clients.elements + index
        guard client.pointee.peer >= 0 else {
            dropClient(index)
            return
        }
        let link = links.elements + Int(client.pointee.peer)
        if link.pointee.phase == .connecting {
            attemptFailed(index, .connect)
        } else if client.pointee.responseStarted {
            // The client stopped reading, or the peer stopped sending: only a cut tells the client.
            attemptFailed(index, .midResponse)
        } else if !client.pointee.bodyDone,
            Int(client.pointee.requestSent) == client.pointee.request.count
        {
            dropLink(Int(client.pointee.peer))
            refuse(index, 408, "the request body did not arrive in time")
        } else {
            attemptFailed(index, .timeout)
        }
        if isOpen(index) { drive(index) }
    }

    // MARK: Peer connections

    func peerReady(_ index: Int, _ readiness: Readiness) {
        let link = links.elements + index
        let isBroken = !readiness.isDisjoint(with: [.failed, .hungUp])
        switch link.pointee.phase {
        case .idle:
            // Writable again is no news; anything else means it cannot be used any more: closed, or
            // speaking without having been asked (RFC 9112, section 9.2).
            if isBroken || !readiness.isDisjoint(with: [.readable, .readEnded]) {
                unlinkIdle(index)
                close(index)
            }
            return
        case .connecting:
            let client = Int(link.pointee.client)
            guard isBroken || readiness.contains(.writable) else { return }
            if isBroken || Socket.pendingError(link.pointee.handle.descriptor) != 0 {
                attemptFailed(client, .connect)
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

    /// Idle connections may not take the places of those that a client waits for.
    private var idleLinksMax: Int { links.capacity &- clients.capacity }

    /// Takes the newest idle connection to `peer` that is fit for `method`.
    @inline(__always)
    private func takeIdle(_ peer: Int32, for method: Method) -> Int? {
        while true {
            let newest = pool.peers[Int(peer)].idleNewest
            guard newest >= 0 else { return nil }
            let index = Int(newest)
            unlinkIdle(index)
            let link = links.elements + index
            // The peer has another address by now. Or it has hung up: a request that cannot be sent
            // twice looks first.
            if link.pointee.generation != pool.peers[Int(peer)].generation
                || !method.isIdempotent && !isStillOpen(link.pointee.handle.descriptor)
            {
                close(index)
                continue
            }
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
        if link.pointee.client >= 0 { clients.elements[Int(link.pointee.client)].peer = -1 }
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

    // MARK: Many at once

    func closeIdle(of peer: Int32) {
        while pool.peers[Int(peer)].idleNewest >= 0 {
            let index = Int(pool.peers[Int(peer)].idleNewest)
            unlinkIdle(index)
            close(index)
        }
    }

    /// Cuts every exchange with a peer that went down, where the operator wants that.
    func closeBusy(of peer: Int32) {
        for index in 0..<clients.highWater where isOpen(index) {
            let link = clients.elements[index].peer
            guard link >= 0, links.elements[Int(link)].peer == peer else { continue }
            if clients.elements[index].phase == .exchange {
                let connection = links.elements[Int(link)]
                attemptFailed(
                    index,
                    connection.phase == .connecting
                        ? .connect
                        : .diedSilent(isReused: false, wroteBytes: connection.wroteBytes)
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
                unlinkIdle(Int(oldest))
                close(Int(oldest))
            }
        }
    }
}
