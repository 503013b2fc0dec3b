// What becomes of requests that wait for a peer which is lost? Those that may are tried elsewhere at once,
// not after their timeout. A few at a time: whoever takes them in has work of its own.

import EventLoop
import Glibc
import Vocabulary

extension Worker {
    static let movingTag = Tag.make(Tag.sweep, 1)
    /// Between two steps, and how many requests a peer takes in one at any rate. Else it is a quarter of
    /// those that it has.
    private static let movingPause = Nanoseconds.milliseconds(10)
    private static let movedAtLeast: Int32 = 8

    /// Moves what waits at `peer`, as much as the others take now; the rest follows.
    func moveWaiting(of peer: Int32) {
        if leftBehind.contains(peer) { return }
        if move(from: peer) { return }
        leftBehind.append(peer)
        if moving.isNone {
            moving = loop.schedule(
                at: loop.now + Self.movingPause,
                sink: self,
                tag: Self.movingTag
            )
        }
    }

    func goOnMoving() {
        moving = .none
        let peers = leftBehind
        leftBehind = []
        for number in 0..<pool.peerCount { pool.peers[number].taken = 0 }
        // Who is back answers what it has.
        for peer in peers where pool.peers[Int(peer)].isLost { moveWaiting(of: peer) }
    }

    /// False where some are left for the next step.
    private func move(from peer: Int32) -> Bool {
        for index in 0..<exchanges.highWater {
            let exchange = exchanges.elements + index
            guard exchange.pointee.isUnderWay else { continue }
            let second = exchange.pointee.second
            if second >= 0, links.elements[Int(second)].peer == peer { dropSecond(exchange) }
            guard exchange.pointee.link >= 0,
                links.elements[Int(exchange.pointee.link)].peer == peer,
                exchange.pointee.course.mayMove
            else { continue }
            let upstream = pool.upstreams + Int(exchange.pointee.upstream)
            // When nearly nobody is left, nobody is known to be better.
            if upstream.pointee.isPanic { return true }
            if hasNews(exchange) { continue }
            if exchange.pointee.second >= 0 {
                attemptFailed(index, .lost, FailureNote(cause: .lost))
                continue
            }
            let other = PeerPool.choose(upstream, &exchange.pointee.pick)
            if other < 0 { return true }
            let target = pool.peers + Int(other)
            if target.pointee.taken >= max(Self.movedAtLeast, target.pointee.inFlight / 4) {
                return false
            }
            target.pointee.taken += 1
            let client = Int(exchange.pointee.client)
            leave(peer, index, for: other)
            if isOpen(client) { drive(client) }
        }
        return true
    }

    /// The peer said something, or hung up, and the kernel has not told of it yet: that comes first.
    private func hasNews(_ exchange: UnsafeMutablePointer<Exchange>) -> Bool {
        let link = links.elements + Int(exchange.pointee.link)
        if !link.pointee.wire.input.isEmpty || link.pointee.wire.canRead { return true }
        if link.pointee.phase == .connecting { return false }
        var byte: UInt8 = 0
        let count = recv(link.pointee.wire.handle.descriptor, &byte, 1, Int32(MSG_PEEK))
        return count >= 0 || errno != EAGAIN
    }

    private func leave(_ peer: Int32, _ index: Int, for other: Int32) {
        let exchange = exchanges.elements + index
        let action = exchange.pointee.course.on(.lost)
        exchange.pointee.note = FailureNote(cause: .lost, peer: peer)
        endTry(exchange, peer, .lost)
        if exchange.pointee.link >= 0 { dropLink(Int(exchange.pointee.link)) }
        guard case .choose = action else { return act(index, action) }
        pool.peers[Int(peer)].counters.retries &+= 1
        if claim(other, for: exchange) {
            startAttempt(index, with: other)
        } else {
            startAttempt(index)
        }
    }
}
