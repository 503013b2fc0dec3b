// What does a worker tell of peers that do badly? That one failed a request, that it answered with a
// status of trouble, that nothing is heard of it. It judges nobody: the control loop sees all workers.

import EventLoop
import HTTP1
import Vocabulary

extension Worker {
    /// A peer failed a request. Where somebody only waited too long, and had an answer of it for another
    /// request meanwhile, that was not the peer: a lossy line, or a slow request.
    func strike(
        _ peer: Int32,
        _ cause: FailureCause,
        askedAt: Int64
    ) {
        let state = pool.peers + Int(peer)
        guard cause.isOfPeer, isNews(askedAt, of: state) else { return }
        let waited: Nanoseconds =
            switch cause {
            case .connectTimeout: timeouts.connect
            case .timeout: timeouts.response
            case .stalled: timeouts.bodyIdle
            default: .zero
            }
        if waited > .zero, state.pointee.answeredAt + waited > loop.now { return }
        state.pointee.counters.faults &+= 1
        var strike = StrikeTable.Strike(peer: peer)
        strike.cause = cause
        if waited > .zero { strike.late = 1 } else { strike.count = 1 }
        strike.waited = waited
        strike.askedAt = Instant(nanoseconds: askedAt)
        note(strike)
    }

    /// A peer that was asked at that time has been there since. What it was asked before it came back,
    /// or at another address, tells of what is over.
    @inline(__always)
    func isNews(_ askedAt: Int64, of state: UnsafeMutablePointer<PeerState>) -> Bool {
        askedAt >= state.pointee.backAt.nanoseconds
    }

    /// The answer has a status from 500 on.
    @inline(never)
    func noteBadStatus(of peer: Int32, askedAt: Int64) {
        let state = pool.peers + Int(peer)
        guard isNews(askedAt, of: state) else {
            state.pointee.counters.oldBads &+= 1
            return
        }
        let goods = state.pointee.counters.goods
        if goods != state.pointee.counters.goodsBefore { state.pointee.counters.run = 0 }
        state.pointee.counters.goodsBefore = goods
        state.pointee.counters.run &+= 1
        var strike = StrikeTable.Strike(peer: peer)
        strike.hasBadStatus = true
        strike.askedAt = Instant(nanoseconds: askedAt)
        note(strike)
    }

    private func note(_ strike: StrikeTable.Strike) {
        if strikes.add(strike) { onStrike() }
    }

    // MARK: Silence

    /// Looks at each sweep for peers that owe somebody an answer and say nothing to anybody.
    func lookForSilence() {
        var isAnySuspect = false
        for number in 0..<pool.peerCount where pool.peers[number].inFlight > 0 {
            let state = pool.peers + number
            state.pointee.waiting = 0
            state.pointee.waited = .zero
            let silence = pool.upstreams[Int(state.pointee.upstream)].silence
            if silence > .zero, state.pointee.lastHeardAt + silence <= loop.now {
                isAnySuspect = true
            }
        }
        if isAnySuspect { countWaiting() }
    }

    @inline(never)
    private func countWaiting() {
        for index in 0..<exchanges.highWater {
            let exchange = exchanges.elements + index
            guard exchange.pointee.isUnderWay, exchange.pointee.link >= 0,
                let waited = waited(exchange)
            else { continue }
            let state = pool.peers + Int(links.elements[Int(exchange.pointee.link)].peer)
            guard isNews(exchange.pointee.chosenAt, of: state) else { continue }
            state.pointee.waiting &+= 1
            state.pointee.waited = max(state.pointee.waited, waited)
        }
        for number in 0..<pool.peerCount where pool.peers[number].waiting > 0 {
            let state = pool.peers + number
            let silence = pool.upstreams[Int(state.pointee.upstream)].silence
            guard silence > .zero, state.pointee.waited >= silence,
                state.pointee.lastHeardAt + silence <= loop.now
            else { continue }
            var strike = StrikeTable.Strike(peer: Int32(number))
            strike.isSilent = true
            note(strike)
        }
    }

    /// How long a request has waited for its peer; nil where it waits for its client, or for nothing.
    private func waited(_ exchange: UnsafeMutablePointer<Exchange>) -> Nanoseconds? {
        guard exchange.pointee.course.heard == .nothing else { return nil }
        let span: Nanoseconds
        switch exchange.pointee.course.attempt {
        case .connecting: span = timeouts.connect
        case .open, .asked:
            guard exchange.pointee.isSent else { return nil }
            span = timeouts.response
        case .none, .tunnel: return nil
        }
        let left = Instant(nanoseconds: deadlines[Int(exchange.pointee.client)]) - loop.now
        return max(span - left, .zero)
    }

    // MARK: Counts

    /// How the peers of some upstreams do, by their numbers.
    func census(of upstreams: Set<Int32>) -> [(peer: Int32, tally: PeerTally)] {
        var all: [(peer: Int32, tally: PeerTally)] = []
        for number in 0..<pool.peerCount
        where pool.peers[number].isDefined && upstreams.contains(pool.peers[number].upstream) {
            all.append((Int32(number), tally(at: number)))
        }
        return all
    }

    /// How these peers do, by their own numbers.
    func census(ofPeers numbers: [Int32]) -> [(peer: Int32, tally: PeerTally)] {
        numbers.compactMap { number in
            let place = Int(number)
            guard (0..<pool.peerCount).contains(place), pool.peers[place].isDefined else {
                return nil
            }
            return (number, tally(at: place))
        }
    }

    private func tally(at number: Int) -> PeerTally {
        let state = pool.peers + number
        let counters = state.pointee.counters
        return PeerTally(
            goods: counters.goods,
            bads: counters.responses[5] &- counters.oldBads,
            faults: counters.faults,
            run: counters.goods == counters.goodsBefore ? counters.run : 0,
            heardAt: state.pointee.lastHeardAt,
            answeredAt: state.pointee.answeredAt,
            waiting: state.pointee.inFlight > 0 ? state.pointee.waiting : 0,
            waited: state.pointee.waited
        )
    }
}
