// Where does a request wait for which no peer has room? In the line of its upstream, until a peer has some,
// is back, or is there at all; not longer than its time, and not once its client is gone.

import EventLoop
import HTTP1
import Vocabulary

/// The requests of an upstream that wait, first come first served: a list through the exchanges.
struct WaitingLine {
    var first: Int32 = -1
    var last: Int32 = -1
    var count: Int32 = 0
    var size: Int32 = 0
    var timeout = Nanoseconds.zero
}

extension Worker {
    static let queueTag = Tag.make(Tag.sweep, 2)
    /// What other workers give back is seen at the next look.
    private static let queuePause = Nanoseconds.milliseconds(5)

    // MARK: Slots

    /// Takes a slot of `peer` for an exchange, where there is a limit. False where all are taken.
    @inline(__always)
    func claim(_ peer: Int32, for exchange: UnsafeMutablePointer<Exchange>) -> Bool {
        let state = pool.peers + Int(peer)
        guard let slots = state.pointee.slots, state.pointee.maxInFlight != .max else {
            return true
        }
        let limit = state.pointee.maxInFlight
        exchange.pointee.holdsSlot = slots._withUnsafeGuaranteedRef { $0.take(upTo: limit) }
        return exchange.pointee.holdsSlot
    }

    /// The same where the exchange has had one a moment ago.
    func claimAnyway(_ peer: Int32, for exchange: UnsafeMutablePointer<Exchange>) {
        let state = pool.peers + Int(peer)
        guard let slots = state.pointee.slots, state.pointee.maxInFlight != .max else { return }
        slots._withUnsafeGuaranteedRef { $0.takeAnyway() }
        exchange.pointee.holdsSlot = true
    }

    /// Chooses a peer and takes a slot of it; -1 where nobody has one.
    @inline(__always)
    func chooseAndClaim(_ exchange: UnsafeMutablePointer<Exchange>) -> Int32 {
        let upstream = pool.upstreams + Int(exchange.pointee.upstream)
        // Others may take the last slot in between: then it is seen to be full.
        for _ in 0..<Self.claimsMax {
            var peer = exchange.pointee.pick.named
            if peer < 0 || !pool.mayServeNamed(&exchange.pointee.pick) {
                if peer >= 0, waitsForNamed(exchange, upstream) { return -1 }
                peer = PeerPool.choose(upstream, &exchange.pointee.pick)
                if upstream.pointee.line.size > 0, upstream.pointee.key != nil,
                    waitsForOwn(exchange, upstream, insteadOf: peer)
                {
                    return -1
                }
            }
            if peer < 0 || claim(peer, for: exchange) { return peer }
        }
        return -1
    }

    private static let claimsMax = 8

    func giveBackSlot(of peer: Int32) {
        pool.peers[Int(peer)].slots?._withUnsafeGuaranteedRef { $0.giveBack() }
    }

    // MARK: Waiting

    /// The peer that the client's cookie names is well and has no room: half of the time it is waited for.
    private func waitsForNamed(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ upstream: UnsafeMutablePointer<UpstreamState>
    ) -> Bool {
        let state = pool.peers + Int(exchange.pointee.pick.named)
        guard state.pointee.isAvailable,
            !exchange.pointee.pick.tried.contains(exchange.pointee.pick.named)
        else { return false }
        return mayWaitForOne(exchange, upstream)
    }

    /// The key leads to another peer than the one that has room: the same for that.
    @inline(never)
    private func waitsForOwn(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ upstream: UnsafeMutablePointer<UpstreamState>,
        insteadOf peer: Int32
    ) -> Bool {
        guard exchange.pointee.pick.tried.count == 0, mayWaitForOne(exchange, upstream) else {
            return false
        }
        exchange.pointee.pick.ignoresRoom = true
        let own = PeerPool.choose(upstream, &exchange.pointee.pick)
        exchange.pointee.pick.ignoresRoom = false
        return own != peer
    }

    /// There is a place in line, and less than half of the time is over.
    private func mayWaitForOne(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ upstream: UnsafeMutablePointer<UpstreamState>
    ) -> Bool {
        let line = upstream.pointee.line
        guard exchange.pointee.isWaiting || line.count < line.size else { return false }
        let patience = Nanoseconds(line.timeout.count / 2)
        return exchange.pointee.waitsUntil == 0
            || Instant(nanoseconds: exchange.pointee.waitsUntil) - loop.now > patience
    }

    /// Puts a request in line for which there is nobody now. False where there is no line, or no room.
    func waitInLine(_ index: Int) -> Bool {
        let exchange = exchanges.elements + index
        guard exchange.pointee.upstream >= 0 else { return false }
        let line = pool.upstreams + Int(exchange.pointee.upstream)
        guard line.pointee.line.count < line.pointee.line.size,
            line.pointee.primary.balancer != nil
        else { return false }
        if exchange.pointee.waitsUntil == 0 {
            exchange.pointee.waitsUntil = (loop.now + line.pointee.line.timeout).nanoseconds
        } else if exchange.pointee.waitsUntil <= loop.now.nanoseconds {
            return false
        }
        let number = Int32(truncatingIfNeeded: index)
        exchange.pointee.isWaiting = true
        exchange.pointee.linedUpAt = loop.now.nanoseconds
        exchange.pointee.after = -1
        exchange.pointee.before = line.pointee.line.last
        if line.pointee.line.last >= 0 {
            exchanges.elements[Int(line.pointee.line.last)].after = number
        } else {
            line.pointee.line.first = number
        }
        line.pointee.line.last = number
        line.pointee.line.count += 1
        waiting += 1
        deadlines[Int(exchange.pointee.client)] = exchange.pointee.waitsUntil
        wakeLines(after: Self.queuePause)
        return true
    }

    func leaveLine(_ index: Int) {
        let exchange = exchanges.elements + index
        let line = pool.upstreams + Int(exchange.pointee.upstream)
        if exchange.pointee.before >= 0 {
            exchanges.elements[Int(exchange.pointee.before)].after = exchange.pointee.after
        } else {
            line.pointee.line.first = exchange.pointee.after
        }
        if exchange.pointee.after >= 0 {
            exchanges.elements[Int(exchange.pointee.after)].before = exchange.pointee.before
        } else {
            line.pointee.line.last = exchange.pointee.before
        }
        line.pointee.line.count -= 1
        waiting -= 1
        exchange.pointee.isWaiting = false
    }

    /// Its time is over.
    func waitedTooLong(_ index: Int) {
        let exchange = exchanges.elements + index
        leaveLine(index)
        if exchange.pointee.course.tries == 0 {
            exchange.pointee.note = Self.whyNobody(
                pool.upstreams + Int(exchange.pointee.upstream),
                hasWaited: true
            )
        }
        act(index, exchange.pointee.course.on(.nobody))
    }

    // MARK: Waking

    /// Somebody may have room now.
    func wakeLines(after pause: Nanoseconds = .zero) {
        if waiting == 0 { return }
        let moment = loop.now + pause
        if queueTimer.isNone {
            queueTimer = loop.schedule(at: moment, sink: self, tag: Self.queueTag)
        } else if moment < queueDue {
            loop.move(queueTimer, to: moment)
        } else {
            return
        }
        queueDue = moment
    }

    func serveLines() {
        queueTimer = .none
        for number in 0..<pool.upstreamCount where pool.upstreams[number].line.count > 0 {
            serveLine(Int32(number))
        }
        wakeLines(after: Self.queuePause)
    }

    private func serveLine(_ number: Int32) {
        var index = pool.upstreams[Int(number)].line.first
        // Whoever finds nobody again stands behind: as many are looked at as there are now.
        var left = pool.upstreams[Int(number)].line.count
        while index >= 0, left > 0 {
            left -= 1
            let exchange = exchanges.elements + Int(index)
            let next = exchange.pointee.after
            let peer = chooseAndClaim(exchange)
            guard peer >= 0 else {
                // Where one that may go anywhere finds nobody, nobody does.
                if exchange.pointee.pick.tried.count == 0, exchange.pointee.pick.named < 0,
                    pool.upstreams[Int(number)].key == nil
                {
                    return
                }
                index = next
                continue
            }
            leaveLine(Int(index))
            record(
                .queue,
                since: exchange.pointee.linedUpAt,
                of: pool.peers + Int(peer),
                exchange
            )
            exemplify(.queue, since: exchange.pointee.linedUpAt, exchange)
            let client = Int(exchange.pointee.client)
            startAttempt(Int(index), with: peer)
            if isOpen(client) { drive(client) }
            // What was driven may have ended others: from the beginning, as long as there is room.
            index = pool.upstreams[Int(number)].line.first
        }
    }
}
