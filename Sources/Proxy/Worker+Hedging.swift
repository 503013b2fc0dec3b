// What becomes of a request whose answer is late, where a second peer has nothing to do? It is asked too,
// and the first whole head of an answer wins. The other connection is closed and held against nobody.
//
// The second connection is an exchange's `second`: it sends the request and reads a head, and that is all
// it can do. The moment that it wins, or that the first fails, it becomes the exchange's `link`.

import EventLoop
import Glibc
import HTTP1
import Health
import Vocabulary

extension Worker {
    static let hedgeTag = Tag.make(Tag.sweep, 3)
    /// Peers looked at for one that is idle.
    private static let hedgeLooks = 3

    // MARK: Waiting

    /// A request begins. What changes nothing and is small may be sent twice.
    @inline(never)
    func awaitAnswer(_ index: Int, _ line: UnsafeMutablePointer<HedgeLine>) {
        let exchange = exchanges.elements + index
        guard exchange.pointee.course.isSafe, exchange.pointee.course.isWhole,
            !exchange.pointee.wantsUpgrade, exchange.pointee.pick.named < 0
        else { return }
        line.pointee.asked()
        let entry = HedgeLine.Entry(
            exchange: Int32(truncatingIfNeeded: index),
            chosenAt: loop.now.nanoseconds
        )
        guard line.pointee.isReady, line.pointee.append(entry) else { return }
        wakeHedges(at: loop.now + line.pointee.late)
    }

    private func wakeHedges(at moment: Instant) {
        if hedgeTimer.isNone {
            hedgeTimer = loop.schedule(at: moment, sink: self, tag: Self.hedgeTag)
        } else if moment < hedgeDue {
            loop.move(hedgeTimer, to: moment)
        } else {
            return
        }
        hedgeDue = moment
    }

    func lookForLate() {
        hedgeTimer = .none
        var next = Instant.distantFuture
        for number in hedging {
            guard let line = pool.upstreams[Int(number)].hedge else { continue }
            while let entry = line.pointee.first {
                let due = Instant(nanoseconds: entry.chosenAt) + line.pointee.late
                let isWaiting = isWaiting(entry, for: number)
                if isWaiting, due > loop.now {
                    next = min(next, due)
                    break
                }
                line.pointee.removeFirst()
                if isWaiting { askSecond(Int(entry.exchange), line) }
            }
        }
        if next < .distantFuture { wakeHedges(at: next) }
    }

    /// For the first byte of the answer that it waited for when it was noted down.
    private func isWaiting(_ entry: HedgeLine.Entry, for upstream: Int32) -> Bool {
        let exchange = exchanges.elements + Int(entry.exchange)
        return exchange.pointee.isUnderWay && exchange.pointee.upstream == upstream
            && exchange.pointee.chosenAt == entry.chosenAt && exchange.pointee.link >= 0
            && exchange.pointee.second < 0 && exchange.pointee.course.heard == .nothing
            && exchange.pointee.course.isReplayable
    }

    // MARK: Asking

    private func askSecond(_ index: Int, _ line: UnsafeMutablePointer<HedgeLine>) {
        let exchange = exchanges.elements + index
        let upstream = pool.upstreams + Int(exchange.pointee.upstream)
        // Where nearly nobody is left, or some wait for a place, all have enough to do.
        guard line.pointee.mayAskTwice, !upstream.pointee.isPanic, upstream.pointee.line.count == 0
        else { return }
        let peer = idlePeer(upstream, exchange)
        guard peer >= 0, claim(peer, for: exchange) else { return }
        line.pointee.askedTwice()
        pool.peers[Int(peer)].counters.requests &+= 1
        pool.peers[Int(peer)].counters.hedges &+= 1
        exchange.pointee.secondAt = loop.now.nanoseconds
        beginSecondTry(exchange)
        openSecond(index, peer)
    }

    private func idlePeer(
        _ upstream: UnsafeMutablePointer<UpstreamState>,
        _ exchange: UnsafeMutablePointer<Exchange>
    ) -> Int32 {
        var pick = exchange.pointee.pick
        for _ in 0..<Self.hedgeLooks {
            let peer = PeerPool.choose(upstream, &pick)
            if peer < 0 || pool.peers[Int(peer)].inFlight == 0 { return peer }
            pick.tried.insert(peer)
        }
        return -1
    }

    private func openSecond(_ index: Int, _ peer: Int32) {
        let exchange = exchanges.elements + index
        let state = pool.peers + Int(peer)
        if let link = takeIdle(peer, for: exchange.pointee.method) {
            links.elements[link].exchange = Int32(truncatingIfNeeded: index)
            beginSecond(exchange, link, isConnected: true)
            return
        }
        state.pointee.counters.connects &+= 1
        var cause = state.pointee.address == nil ? FailureCause.unresolved : .noRoom
        if let address = state.pointee.address,
            let link = links.insert(
                PeerConnection(
                    peer: peer,
                    generation: state.pointee.generation,
                    exchange: Int32(truncatingIfNeeded: index)
                )
            )
        {
            do throws(SystemError) {
                let attempt = try Socket.connect(to: address)
                let isConnected = attempt.isConnected
                links.elements[link].wire.handle = try loop.register(
                    attempt.take(),
                    sink: self,
                    tag: Tag.make(Tag.peer, link)
                )
                links.elements[link].phase = isConnected ? .busy : .connecting
                links.elements[link].wire.canWrite = isConnected
                beginSecond(exchange, link, isConnected: isConnected)
                return
            } catch {
                links.remove(link)
                cause = Self.cause(ofConnect: error.code)
            }
        }
        if exchange.pointee.holdsSlot {
            exchange.pointee.holdsSlot = false
            giveBackSlot(of: peer)
        }
        state.pointee.counters.connectFailures &+= 1
        strike(peer, cause, askedAt: exchange.pointee.secondAt)
        endSecondTry(exchange, peer, cause)
    }

    private func beginSecond(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ link: Int,
        isConnected: Bool
    ) {
        exchange.pointee.second = Int32(truncatingIfNeeded: link)
        takeSlot(exchange, links.elements + link)
        pool.count(links.elements[link].peer, 1)
        if isConnected { sendSecond(exchange) }
    }

    /// All of it, which is a head: what does not fit into a new connection at once need not be.
    private func sendSecond(_ exchange: UnsafeMutablePointer<Exchange>) {
        let link = links.elements + Int(exchange.pointee.second)
        guard let base = exchange.pointee.request.base else { return dropSecond(exchange) }
        let (_, result) = link.pointee.wire.write(
            base + Int(exchange.pointee.request.start),
            exchange.pointee.request.count
        )
        if result != .all { dropSecond(exchange) }
    }

    // MARK: Hearing

    @inline(never)
    func secondReady(_ index: Int, _ readiness: Readiness) {
        let link = links.elements + index
        let exchange = exchanges.elements + Int(link.pointee.exchange)
        if link.pointee.phase == .connecting {
            let isBroken = !readiness.isDisjoint(with: [.failed, .hungUp])
            guard isBroken || readiness.contains(.writable) else { return }
            let code = Socket.pendingError(link.pointee.wire.handle.descriptor)
            if isBroken || code != 0 {
                pool.peers[Int(link.pointee.peer)].counters.connectFailures &+= 1
                return secondFailed(exchange, Self.cause(ofConnect: code))
            }
            link.pointee.phase = .busy
            record(
                .connect,
                since: exchange.pointee.secondAt,
                of: pool.peers + Int(link.pointee.peer),
                exchange
            )
            exemplify(.connect, since: exchange.pointee.secondAt, exchange)
            link.pointee.wire.note(readiness)
            sendSecond(exchange)
            if exchange.pointee.second < 0 { return }
        } else if wasStale(link, exchange, readiness) {
            return dropSecond(exchange)
        }
        link.pointee.wire.note(readiness)
        readSecond(Int(link.pointee.exchange))
    }

    /// Reads until there is the head of an answer that is no interim one.
    private func readSecond(_ index: Int) {
        let exchange = exchanges.elements + index
        let link = links.elements + Int(exchange.pointee.second)
        while true {
            if !link.pointee.wire.input.isEmpty {
                do throws(HTTPError) {
                    let input = link.pointee.wire.input
                    let head = try input.withSpan { (bytes) throws(HTTPError) in
                        try link.pointee.parser.parseResponse(
                            bytes,
                            to: exchange.pointee.method,
                            fields: &fields,
                            limits: headLimits,
                            isLenient: exchange.pointee.isLenient
                        )
                    }
                    if let head {
                        if !head.isInterim { return secondWins(index) }
                        link.pointee.wire.input.consume(Int(head.end))
                        continue
                    }
                } catch {
                    return secondFailed(exchange, .malformed)
                }
            }
            guard link.pointee.wire.canRead else {
                if link.pointee.wire.input.isEmpty { buffers.release(&link.pointee.wire.input) }
                return
            }
            switch read(&link.pointee.wire) {
            case .bytes, .blocked: continue
            case .ended, .failed:
                if !link.pointee.wire.input.isEmpty { return secondFailed(exchange, .headCut) }
                // One that was kept may be closed at any time.
                if link.pointee.isReused { return dropSecond(exchange) }
                return secondFailed(exchange, link.pointee.wire.isReset ? .reset : .closed)
            }
        }
    }

    private func secondFailed(_ exchange: UnsafeMutablePointer<Exchange>, _ cause: FailureCause) {
        let link = links.elements + Int(exchange.pointee.second)
        if link.pointee.phase == .busy {
            pool.peers[Int(link.pointee.peer)].counters.responseFailures &+= 1
        }
        strike(link.pointee.peer, cause, askedAt: exchange.pointee.secondAt)
        endSecondTry(exchange, link.pointee.peer, cause)
        dropSecond(exchange)
    }

    private func secondWins(_ index: Int) {
        let exchange = exchanges.elements + index
        let first = Int(exchange.pointee.link)
        let winner = Int(exchange.pointee.second)
        pool.peers[Int(links.elements[winner].peer)].counters.hedgesWon &+= 1
        pool.upstreams[Int(exchange.pointee.upstream)].hedge?.pointee.learnLate()
        endTry(exchange, links.elements[first].peer, .none)
        promote(exchange)
        dropLink(first)
        // The head is read once more, by those who forward it.
        links.elements[winner].parser = HeadParser()
        drive(Int(exchange.pointee.client))
    }

    // MARK: Ending

    /// The second connection takes the place of the first, which has failed or is about to go.
    func promote(_ exchange: UnsafeMutablePointer<Exchange>) {
        let link = links.elements + Int(exchange.pointee.second)
        let isOpen = link.pointee.phase == .busy
        exchange.pointee.link = exchange.pointee.second
        exchange.pointee.second = -1
        exchange.pointee.chosenAt = exchange.pointee.secondAt
        promoteTry(exchange)
        exchange.pointee.pick.tried.insert(link.pointee.peer)
        exchange.pointee.requestSent =
            isOpen ? Int32(truncatingIfNeeded: exchange.pointee.request.count) : 0
        _ = exchange.pointee.course.on(isOpen && link.pointee.isReused ? .taken : .opening)
        if isOpen { _ = exchange.pointee.course.on(.asked) }
        let span = isOpen ? timeouts.response : timeouts.connect
        deadlines[Int(exchange.pointee.client)] = exchange.pointee.secondAt &+ span.count
    }

    /// The second connection goes, whatever it was about to bring.
    @inline(never)
    func dropSecond(_ exchange: UnsafeMutablePointer<Exchange>) {
        endSecondTry(exchange, links.elements[Int(exchange.pointee.second)].peer, .none)
        dropLink(Int(exchange.pointee.second))
    }
}
