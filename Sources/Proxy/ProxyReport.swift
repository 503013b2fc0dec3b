// What did the proxy do so far? Each worker counts by number; here the numbers get their names back.

public import Health
public import Vocabulary

extension Proxy {
    /// Where it listens.
    public var listeners: [ListenerConfiguration] { listening }

    /// What all workers counted, summed.
    public struct Report: Sendable {
        public var peers: [PeerKey: PeerTotals] = [:]
        public var connectionsAccepted: UInt64 = 0
        public var connectionsRefused: UInt64 = 0
        public var connectionsDisplaced: UInt64 = 0
        public var connectionsActive: Int = 0
        /// Idle ones too.
        public var connectionsToPeers: Int = 0
        public var requests: UInt64 = 0
        public var badRequests: UInt64 = 0
        public var unavailable: UInt64 = 0
        public var aborted: UInt64 = 0
        public var failures: [FailureTotal] = []
        /// Of routes that have had a request, in order.
        public var routes: [(name: RouteName, times: PhaseTimes)] = []
        /// Of traced requests, by upstream and by route.
        public var upstreamExemplars: [String: Exemplars] = [:]
        public var routeExemplars: [RouteName: Exemplars] = [:]
    }

    /// One sort of failure: of whom, why, and how the client heard of it.
    public struct FailureTotal: Hashable, Sendable {
        /// Nil where a client failed.
        public var upstream: String?
        /// Nil where none was asked.
        public var peer: String?
        public var cause: String
        /// A status, `cut` or `retried`.
        public var answer: String
        public var count: UInt64
    }

    public struct PeerTotals: Sendable {
        public var requests: UInt64 = 0
        /// By first digit of the status; others under 0.
        public var responses: [UInt64] = [0, 0, 0, 0, 0, 0]
        public var connects: UInt64 = 0
        public var connectFailures: UInt64 = 0
        public var responseFailures: UInt64 = 0
        public var retries: UInt64 = 0
        public var ejections: UInt64 = 0
        public var hedges: UInt64 = 0
        public var hedgesWon: UInt64 = 0
        public var inFlight: Int = 0
        public var idleConnections: Int = 0
        /// Nil before its first request.
        public var times: PhaseTimes?

        public init() {}
    }

    public func report() async -> Report {
        var report = Report()
        report.routes = await timesOfRoutes()
        (report.upstreamExemplars, report.routeExemplars) = await exemplars()
        for (_, worker) in workers {
            let part = await worker.call { worker in
                (worker.counters, worker.clients.count, worker.peerTotals(), worker.links.count)
            }
            report.connectionsAccepted += part.0.accepted
            report.connectionsRefused += part.0.refused
            report.connectionsDisplaced += part.0.displaced
            report.connectionsActive += part.1
            report.connectionsToPeers += part.3
            report.requests += part.0.requests
            report.badRequests += part.0.badRequests
            report.unavailable += part.0.unavailable
            report.aborted += part.0.aborted
            for (number, totals) in part.2 {
                guard let key = routing.peer(number) else { continue }
                report.peers[key, default: PeerTotals()].add(totals)
            }
        }
        for (key, count) in judging.ejections { report.peers[key]?.ejections = count }
        for (sort, count) in await failureTotals() {
            report.failures.append(
                FailureTotal(
                    upstream: sort.upstream,
                    peer: sort.peer,
                    cause: sort.cause.word,
                    answer: sort.answer.word,
                    count: count
                )
            )
        }
        return report
    }
}

extension Proxy {
    private func timesOfRoutes() async -> [(name: RouteName, times: PhaseTimes)] {
        var sums: [Int32: PhaseTimes] = [:]
        for (_, worker) in workers {
            for (number, times) in await worker.call({ $0.timesOfRoutes() }) {
                sums[number, default: PhaseTimes()].add(times)
            }
        }
        // Named by now: a number that was given back meanwhile has none.
        let names = routing.routeNumbers.names
        return sums.compactMap { number, times in names[number].map { (name: $0, times: times) } }
            .sorted { $0.name < $1.name }
    }
}

extension Proxy {
    /// Of so many requests of the last moments so many failed.
    public struct Failing: Hashable, Sendable {
        public var requests: Int
        public var failures: Int

        public init(requests: Int, failures: Int) {
            self.requests = requests
            self.failures = failures
        }
    }

    /// What requests have shown of one peer.
    public struct Traffic: Sendable {
        /// Attempts sent, and those that failed or were answered with a status from 500 on.
        public var requests: UInt64 = 0
        public var failures: UInt64 = 0
        /// How long ago an answer of it was whole; nil where none ever was.
        public var answered: Nanoseconds?
        /// Most requests to it fail at this time.
        public var failing: Failing?

        public init() {}

        mutating func add(_ tally: PeerTally, at now: Instant) {
            requests += tally.requests
            failures += tally.failures
            guard tally.answeredAt.nanoseconds > .min else { return }
            let ago = now - tally.answeredAt
            answered = min(answered ?? ago, ago)
        }
    }

    /// Whether an answer of the peer has been whole since then.
    public func hasAnswered(_ key: PeerKey, since: Instant) async -> Bool {
        let numbers = routing.numbers(of: key)
        if numbers.isEmpty { return false }
        for (_, worker) in workers {
            let answered = await worker.call { worker in numbers.map { worker.answered($0) }.max() }
            if let answered, answered >= since { return true }
        }
        return false
    }

    /// Of the peers of these upstreams.
    public func traffic(of upstreams: [String]) async -> [PeerKey: Traffic] {
        let numbers = routing.numbers(of: upstreams)
        var all: [PeerKey: Traffic] = [:]
        if numbers.isEmpty { return all }
        for (_, worker) in workers {
            let (part, now) = await worker.call { ($0.census(of: numbers), $0.loop.instant) }
            for (number, tally) in part {
                guard let key = routing.peer(number) else { continue }
                all[key, default: Traffic()].add(tally, at: now)
            }
        }
        for key in all.keys { all[key]?.failing = judging.failing(key, at: loop.instant) }
        return all
    }

    /// Of one peer: however many others there are, nobody looks at them.
    public func traffic(of key: PeerKey) async -> Traffic? {
        let numbers = routing.numbers(of: key)
        if numbers.isEmpty { return nil }
        var traffic: Traffic?
        for (_, worker) in workers {
            let (part, now) = await worker.call { ($0.census(ofPeers: numbers), $0.loop.instant) }
            for (_, tally) in part {
                var sum = traffic ?? Traffic()
                sum.add(tally, at: now)
                traffic = sum
            }
        }
        traffic?.failing = judging.failing(key, at: loop.instant)
        return traffic
    }
}

extension Proxy.PeerTotals {
    public mutating func add(_ other: Proxy.PeerTotals) {
        requests += other.requests
        for index in responses.indices { responses[index] += other.responses[index] }
        connects += other.connects
        connectFailures += other.connectFailures
        responseFailures += other.responseFailures
        retries += other.retries
        hedges += other.hedges
        hedgesWon += other.hedgesWon
        inFlight += other.inFlight
        idleConnections += other.idleConnections
        if let more = other.times {
            var sum = times ?? PhaseTimes()
            sum.add(more)
            times = sum
        }
    }
}

extension Worker {
    /// When an answer of the peer was whole last.
    fileprivate func answered(_ number: Int32) -> Instant {
        number < pool.peerCount
            ? pool.peers[Int(number)].answeredAt : Instant(nanoseconds: .min)
    }

    /// The totals of every peer that is defined, with its number.
    func peerTotals() -> [(Int32, Proxy.PeerTotals)] {
        var all: [(Int32, Proxy.PeerTotals)] = []
        all.reserveCapacity(pool.peerCount)
        for number in 0..<pool.peerCount {
            let state = pool.peers + number
            guard state.pointee.isDefined else { continue }
            var totals = Proxy.PeerTotals()
            totals.requests = state.pointee.counters.requests
            for digit in 0..<6 { totals.responses[digit] = state.pointee.counters.responses[digit] }
            totals.connects = state.pointee.counters.connects
            totals.connectFailures = state.pointee.counters.connectFailures
            totals.responseFailures = state.pointee.counters.responseFailures
            totals.retries = state.pointee.counters.retries
            totals.hedges = state.pointee.counters.hedges
            totals.hedgesWon = state.pointee.counters.hedgesWon
            totals.inFlight = Int(state.pointee.inFlight)
            totals.idleConnections = Int(state.pointee.idleCount)
            totals.times = state.pointee.times?.pointee
            all.append((Int32(number), totals))
        }
        return all
    }
}
