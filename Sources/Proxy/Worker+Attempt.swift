// Which peer gets the request, and which one next if that goes wrong?

import EventLoop
import Glibc
import HTTP1
import Vocabulary

extension Worker {
    // MARK: Trying

    /// Chooses a peer that has not been tried and gets a connection to it.
    func startAttempt(_ index: Int) {
        let exchange = exchanges.elements + index
        guard exchange.pointee.upstream >= 0 else {
            exchange.pointee.note.cause = .noUpstream
            act(index, exchange.pointee.course.on(.nobody))
            return
        }
        let peer = chooseAndClaim(exchange)
        guard peer >= 0 else { return nobodyIsThere(index) }
        startAttempt(index, with: peer)
    }

    @inline(never)
    private func nobodyIsThere(_ index: Int) {
        let exchange = exchanges.elements + index
        let upstream = pool.upstreams + Int(exchange.pointee.upstream)
        let isFirst = exchange.pointee.course.tries == 0
        // Who is left for one that failed somewhere already may only be busy.
        if isFirst || upstream.pointee.hasMore(than: exchange.pointee.pick.tried.count),
            waitInLine(index)
        {
            return
        }
        if !isFirst, let peer = reserve(exchange) { return startAttempt(index, with: peer) }
        if isFirst {
            let hasWaited = exchange.pointee.waitsUntil != 0
            exchange.pointee.note = Self.whyNobody(upstream, hasWaited: hasWaited)
        }
        let action = exchange.pointee.course.on(.nobody)
        if action == .end(.own(status: 503)), exchange.pointee.note.cause == .noPeer {
            return end(index, .own(status: upstream.pointee.nobodyStatus))
        }
        act(index, action)
    }

    /// Of the ejected ones, which would serve if they were not, one that has not been tried: checks may take a while to find out
    /// that the others are gone.
    private func reserve(_ exchange: UnsafeMutablePointer<Exchange>) -> Int32? {
        let upstream = pool.upstreams + Int(exchange.pointee.upstream)
        for tier in [upstream.pointee.primary, upstream.pointee.backup] {
            for candidate in tier.candidates(isPanic: true) {
                let peer = pool.peers + Int(candidate.peer)
                if peer.pointee.isReserve, !exchange.pointee.pick.tried.contains(candidate.peer),
                    claim(candidate.peer, for: exchange)
                {
                    return candidate.peer
                }
            }
        }
        return nil
    }

    /// With a peer of which a slot has been taken, if it has any.
    @inline(__always)
    func startAttempt(_ index: Int, with peer: Int32) {
        let exchange = exchanges.elements + index
        if exchange.pointee.note.cause != .none { settleNote(exchange, .retried) }
        exchange.pointee.pick.tried.insert(peer)
        exchange.pointee.course.tries &+= 1
        exchange.pointee.chosenAt = loop.now.nanoseconds
        pool.peers[Int(peer)].counters.requests &+= 1
        attempt(index, peer, mayReuse: mayReuse(exchange))
    }

    /// Whether a connection will do that others have used. What must not be sent twice could not be saved
    /// if it had gone stale; a request that has met one that had trusts no other.
    @inline(__always)
    private func mayReuse(_ exchange: UnsafeMutablePointer<Exchange>) -> Bool {
        if exchange.pointee.course.isOpaque || exchange.pointee.course.usedFreeRetry {
            return false
        }
        return exchange.pointee.course.isIdempotent && isKept(exchange)
            || pool.upstreams[Int(exchange.pointee.upstream)].reusesAlways
    }

    /// All of the request is here, or will be as long as nobody answers it: so it can be sent again.
    @inline(__always)
    private func isKept(_ exchange: UnsafeMutablePointer<Exchange>) -> Bool {
        if exchange.pointee.course.isWhole { return true }
        // Of chunks nobody knows how many there will be.
        guard case .length = exchange.pointee.upload.framing else { return false }
        return exchange.pointee.upload.left + UInt64(Self.bodyRoomMin)
            <= UInt64(exchange.pointee.request.room)
    }

    /// Why nobody could be chosen: `hasWaited` for somebody for as long as it may.
    static func whyNobody(
        _ upstream: UnsafeMutablePointer<UpstreamState>,
        hasWaited: Bool = false
    ) -> FailureNote {
        guard upstream.pointee.primary.balancer != nil else {
            return FailureNote(cause: .noUpstream)
        }
        let isEmpty = { (isPanic: Bool) in
            upstream.pointee.primary.candidates(isPanic: isPanic).isEmpty
                && upstream.pointee.backup.candidates(isPanic: isPanic).isEmpty
        }
        guard isEmpty(upstream.pointee.isPanic) else {
            return FailureNote(
                cause: hasWaited ? .waited : .full,
                code: upstream.pointee.line.size
            )
        }
        // Nobody that could be asked even in a panic, but for want of an address.
        let isNowhere = upstream.pointee.nowhere > 0 && isEmpty(true)
        return FailureNote(cause: isNowhere ? .unresolved : .noPeer)
    }

    private func attempt(_ index: Int, _ peer: Int32, mayReuse: Bool) {
        let exchange = exchanges.elements + index
        exchange.pointee.requestSent = 0
        if exchange.pointee.tail.start != 0 { nameHost(exchange, peer) }
        if mayReuse, let link = takeIdle(peer, for: exchange.pointee.method) {
            links.elements[link].exchange = Int32(truncatingIfNeeded: index)
            exchange.pointee.link = Int32(truncatingIfNeeded: link)
            takeSlot(exchange, links.elements + link)
            _ = exchange.pointee.course.on(.taken)
            pool.count(peer, 1)
            setDeadline(Int(exchange.pointee.client), timeouts.response)
            return
        }
        connect(index, peer)
    }

    private func connect(_ index: Int, _ peer: Int32) {
        let exchange = exchanges.elements + index
        _ = exchange.pointee.course.on(.opening)
        let state = pool.peers + Int(peer)
        state.pointee.counters.connects &+= 1
        guard let address = state.pointee.address,
            let link = links.insert(
                PeerConnection(
                    peer: peer,
                    generation: state.pointee.generation,
                    exchange: Int32(truncatingIfNeeded: index)
                )
            )
        else {
            let cause = state.pointee.address == nil ? FailureCause.unresolved : .noRoom
            couldNotConnect(index, FailureNote(cause: cause, peer: peer))
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
            connection.pointee.wire.handle = handle
            connection.pointee.phase = isConnected ? .busy : .connecting
            connection.pointee.wire.canWrite = isConnected
            exchange.pointee.link = Int32(truncatingIfNeeded: link)
            takeSlot(exchange, connection)
            if isConnected {
                _ = exchange.pointee.course.on(.connected)
                record(.connect, since: exchange.pointee.chosenAt, of: state, exchange)
                exemplify(.connect, since: exchange.pointee.chosenAt, exchange)
            }
            pool.count(peer, 1)
            setDeadline(
                Int(exchange.pointee.client),
                isConnected ? timeouts.response : timeouts.connect
            )
        } catch {
            links.remove(link)
            let cause = Self.cause(ofConnect: error.code)
            couldNotConnect(index, FailureNote(cause: cause, peer: peer, code: error.code))
        }
    }

    /// The connection has it from now on.
    @inline(__always)
    func takeSlot(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ link: UnsafeMutablePointer<PeerConnection>
    ) {
        link.pointee.holdsSlot = exchange.pointee.holdsSlot
        exchange.pointee.holdsSlot = false
    }

    private func begin(_ address: SocketAddress) throws(SystemError) -> Socket.Attempt {
        do throws(SystemError) { return try Socket.connect(to: address) } catch {
            guard giveBack(code: error.code) else { throw error }
            return try Socket.connect(to: address)
        }
    }

    /// Not even a connection could be begun.
    private func couldNotConnect(_ index: Int, _ note: FailureNote) {
        let exchange = exchanges.elements + index
        if exchange.pointee.holdsSlot {
            exchange.pointee.holdsSlot = false
            giveBackSlot(of: note.peer)
        }
        pool.peers[Int(note.peer)].counters.connectFailures &+= 1
        strike(note.peer, note.cause, askedAt: exchange.pointee.chosenAt)
        endTry(exchange, note.peer, note.cause)
        exchange.pointee.note = note
        act(index, exchange.pointee.course.on(.failed(.connect), hasBudget: hasBudget(exchange)))
    }

    static func cause(ofConnect code: Int32) -> FailureCause {
        switch code {
        case ECONNREFUSED: .refused
        case ETIMEDOUT: .connectTimeout
        case EMFILE, ENFILE: .noDescriptor
        default: .unreachable
        }
    }

    // MARK: Failing

    /// The attempt under way failed: its connection goes, and the course says what comes next.
    func attemptFailed(
        _ index: Int,
        _ failing: Failing,
        _ cause: FailureCause,
        code: Int32 = 0,
        _ error: HTTPError? = nil
    ) {
        let note = FailureNote(cause: cause, code: code, error: error)
        attemptFailed(index, .failed(failing), note)
    }

    /// The same, whatever has happened.
    func attemptFailed(_ index: Int, _ event: ExchangeEvent, _ note: FailureNote) {
        let exchange = exchanges.elements + index
        exchange.pointee.note = note
        var isSpared = false
        if exchange.pointee.link >= 0 {
            let link = Int(exchange.pointee.link)
            isSpared = event == .failed(.silent) && spare(exchange, links.elements[link].peer)
            exchange.pointee.note.peer = links.elements[link].peer
            countFailure(exchange, event, note.cause, of: links.elements[link].peer)
            endTry(exchange, links.elements[link].peer, note.cause)
            if case .late = event, exchange.pointee.course.heard != .answer {
                observe(exchange, links.elements[link].peer)
            }
            dropLink(link)
            // Another has the request already.
            if exchange.pointee.second >= 0 {
                if exchange.pointee.course.isReused, event == .failed(.silent) {
                    exchange.pointee.note = FailureNote()
                }
                settleNote(exchange, .retried)
                return promote(exchange)
            }
        }
        let before = exchange.pointee.course
        let mayGoOn = isSpared || hasBudget(exchange)
        let action = exchange.pointee.course.on(event, hasBudget: mayGoOn)
        if !mayGoOn, case .end = action { blameBudget(exchange, before, event) }
        guard isSpared, case .choose = action else { return act(index, action) }
        exchange.pointee.course.hasMoved = true
        act(index, .choose(again: false))
    }

    /// It ended where it would have gone on to another peer, had there been a budget: that is why it failed.
    private func blameBudget(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ before: Course,
        _ event: ExchangeEvent
    ) {
        var course = before
        guard case .choose = course.on(event, hasBudget: true), isAnybodyLeft(exchange) else {
            return
        }
        exchange.pointee.note.first = exchange.pointee.note.cause
        exchange.pointee.note.cause = .overBudget
    }

    private func isAnybodyLeft(_ exchange: UnsafeMutablePointer<Exchange>) -> Bool {
        exchange.pointee.upstream >= 0
            && pool.upstreams[Int(exchange.pointee.upstream)]
                .hasMore(than: exchange.pointee.pick.tried.count)
    }

    /// When a peer dies all that it has dies with it, in one moment, and that is more than a budget allows
    /// for. So many requests, once for each, are moved and not retried: as they are where a verdict finds
    /// that the peer is lost. Of one that goes on to close connections only what it had at first.
    private func spare(_ exchange: UnsafeMutablePointer<Exchange>, _ peer: Int32) -> Bool {
        guard exchange.pointee.course.isMovable, !exchange.pointee.course.hasMoved else {
            return false
        }
        let state = pool.peers + Int(peer)
        if state.pointee.diedAt.nanoseconds == .min
            || state.pointee.diedAt + Self.deathsApart <= loop.now
            || state.pointee.diedAt < state.pointee.backAt
        {
            state.pointee.diedAt = loop.now
            state.pointee.spared = state.pointee.inFlight
        }
        guard state.pointee.spared > 0 else { return false }
        state.pointee.spared -= 1
        return true
    }

    private static let deathsApart = Nanoseconds.seconds(10)

    /// For balancers that go by how long answers take, and for whoever wants to know what is late.
    @inline(__always)
    func observe(_ exchange: UnsafeMutablePointer<Exchange>, _ peer: Int32) {
        if pool.upstreams[Int(exchange.pointee.upstream)].observes,
            isNews(exchange.pointee.chosenAt, of: pool.peers + Int(peer))
        {
            let latency = loop.now - Instant(nanoseconds: exchange.pointee.chosenAt)
            let upstream = pool.upstreams + Int(exchange.pointee.upstream)
            if upstream.pointee.balancerObserves { pool.observe(peer, latency, now: loop.now) }
            if exchange.pointee.course.isSafe { upstream.pointee.hedge?.pointee.learn(latency) }
        }
    }

    private func countFailure(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ event: ExchangeEvent,
        _ cause: FailureCause,
        of peer: Int32
    ) {
        let course = exchange.pointee.course
        let state = pool.peers + Int(peer)
        if course.attempt == .connecting {
            state.pointee.counters.connectFailures &+= 1
        } else if event == .failed(.silent), course.isReused, course.heard != .answer {
            // An idle connection may be closed at any time: nobody's failure.
            return
        } else {
            state.pointee.counters.responseFailures &+= 1
        }
        strike(peer, cause, askedAt: exchange.pointee.chosenAt)
    }

    /// Does what the course of an exchange says.
    @inline(__always)
    func act(_ index: Int, _ action: ExchangeAction) {
        switch action {
        case .goOn: break
        case .end(let how): end(index, how)
        case .choose(let again): tryAgain(index, isSentAgain: again)
        case .reconnect: reconnect(index)
        }
    }

    @inline(never)
    private func tryAgain(_ index: Int, isSentAgain: Bool) {
        noteRetry(exchanges.elements + index, isSentAgain: isSentAgain)
        startAttempt(index)
    }

    private func noteRetry(_ exchange: UnsafeMutablePointer<Exchange>, isSentAgain: Bool) {
        if isSentAgain, !exchange.pointee.course.isAgain {
            exchange.pointee.course.isAgain = true
            pool.upstreams[Int(exchange.pointee.upstream)].budget.take()
        }
        if let last = exchange.pointee.pick.tried.last {
            pool.peers[Int(last)].counters.retries &+= 1
        }
    }

    private func hasBudget(_ exchange: UnsafeMutablePointer<Exchange>) -> Bool {
        exchange.pointee.upstream >= 0
            && !pool.upstreams[Int(exchange.pointee.upstream)].budget.isEmpty
    }

    /// The answer on `link` has a status with which a request shall be tried elsewhere. False where it
    /// cannot be: then the answer is the best there is.
    @inline(never)
    func turnAway(_ index: Int, _ status: UInt16) -> Bool {
        let exchange = exchanges.elements + index
        let upstream = pool.upstreams + Int(exchange.pointee.upstream)
        guard upstream.pointee.retryStatuses.contains(status) else { return false }
        guard exchange.pointee.course.state(hasBudget(exchange)).mayBeSentAgain else {
            let isForBudget = exchange.pointee.course.state(true).mayBeSentAgain
            if isForBudget, exchange.pointee.second < 0, isAnybodyLeft(exchange) {
                tellOfBudget(exchange, status)
            }
            return false
        }
        if exchange.pointee.second >= 0 {
            let link = Int(exchange.pointee.link)
            turnAway(exchange, links.elements + link, status)
            dropLink(link)
            settleNote(exchange, .retried)
            promote(exchange)
            return true
        }
        let peer = PeerPool.choose(upstream, &exchange.pointee.pick)
        guard peer >= 0, claim(peer, for: exchange) else { return false }
        _ = exchange.pointee.course.on(.unwelcome, hasBudget: true)
        let link = Int(exchange.pointee.link)
        turnAway(exchange, links.elements + link, status)
        dropLink(link)
        noteRetry(exchange, isSentAgain: true)
        startAttempt(index, with: peer)
        return true
    }

    /// The client gets an answer that it was to be spared.
    private func tellOfBudget(_ exchange: UnsafeMutablePointer<Exchange>, _ status: UInt16) {
        let peer = links.elements[Int(exchange.pointee.link)].peer
        tell(
            FailureNote(cause: .overBudget, first: .status, peer: peer, code: Int32(status)),
            of: exchange.pointee.upstream,
            .status(status),
            trace: exchange.pointee.trace?.pointee.trace
        )
    }

    private func turnAway(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ link: UnsafeMutablePointer<PeerConnection>,
        _ status: UInt16
    ) {
        let peer = link.pointee.peer
        countResponse(peer, status, askedAt: exchange.pointee.chosenAt)
        pool.peers[Int(peer)].heardAt = loop.now
        endTry(exchange, peer, .status, status)
        exchange.pointee.note = FailureNote(cause: .status, peer: peer, code: Int32(status))
    }

    @inline(never)
    private func reconnect(_ index: Int) {
        let exchange = exchanges.elements + index
        // An idle connection may be closed at any time: nobody's failure, and nothing to tell.
        exchange.pointee.note = FailureNote()
        // A peer whose definition went meanwhile may be somebody else under its number by now.
        if let last = exchange.pointee.pick.tried.last, pool.peers[Int(last)].isDefined {
            pool.peers[Int(last)].counters.retries &+= 1
            claimAnyway(last, for: exchange)
            exchange.pointee.chosenAt = loop.now.nanoseconds
            attempt(index, last, mayReuse: false)
        } else {
            startAttempt(index)
        }
    }

    var triesMax: UInt8 { UInt8(truncatingIfNeeded: min(limits.tries, Tried.capacity)) }

    /// The deadline of an exchange has come.
    func exchangeExpired(_ index: Int) {
        let exchange = exchanges.elements + index
        let client = Int(exchange.pointee.client)
        if exchange.pointee.isWaiting {
            waitedTooLong(index)
            if isOpen(client) { drive(client) }
            return
        }
        let lateness = exchange.pointee.course.lateness(
            isSent: Int(exchange.pointee.requestSent) == exchange.pointee.request.count,
            // Of a large body what waits for the client does so where it came in.
            isDelivered: clients.elements[client].output.isEmpty
                && clients.elements[client].wire.canWrite
        )
        let cause: FailureCause =
            switch lateness {
            case .connecting: .connectTimeout
            case .peer: .timeout
            case .stalled: .stalled
            case .clientSends: .slowBody
            case .clientReads: .none
            }
        let event = ExchangeEvent.late(lateness)
        switch lateness {
        case .connecting, .peer, .stalled:
            attemptFailed(index, event, FailureNote(cause: cause))
        case .clientSends, .clientReads:
            exchange.pointee.note = FailureNote(cause: cause)
            act(index, exchange.pointee.course.on(event))
        }
        if isOpen(client) { drive(client) }
    }
}
