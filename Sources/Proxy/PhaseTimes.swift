// How long did requests take, and where? Counted for each peer in plain numbers, by one worker; what a
// worker's turn takes is not seen, since all that happens in one turn happens at one moment.

public import Vocabulary

/// A part of a request's time.
public enum RequestPhase: Int, CaseIterable, Sendable {
    /// In line for a peer; only of those that waited.
    case queue
    /// From the choice of the peer to a connection; only of new ones.
    case connect
    /// From the choice of the peer to the head of its answer.
    case firstByte
    /// From the head of the request to the end of the answer.
    case total

    public var word: String {
        switch self {
        case .queue: "queue"
        case .connect: "connect"
        case .firstByte: "first-byte"
        case .total: "total"
        }
    }
}

/// Histograms of one peer, one a phase.
public struct PhaseTimes: BitwiseCopyable, Sendable {
    /// Upper bounds; one more bucket holds what is longer.
    public static let bounds: [Nanoseconds] = [
        .microseconds(100), .microseconds(250), .microseconds(500), .milliseconds(1),
        .microseconds(2_500), .milliseconds(5), .milliseconds(10), .milliseconds(25),
        .milliseconds(50), .milliseconds(100), .milliseconds(250), .milliseconds(500),
        .seconds(1), .milliseconds(2_500), .seconds(5), .seconds(10),
    ]
    private static let buckets = 17

    private var counts = InlineArray<68, UInt64>(repeating: 0)
    private var sums = InlineArray<4, Int64>(repeating: 0)

    public init() {}

    @inline(__always)
    mutating func record(_ span: Nanoseconds, _ phase: RequestPhase) {
        let place = phase.rawValue &* Self.buckets &+ Self.bucket(of: span.count)
        counts[place] &+= 1
        sums[phase.rawValue] &+= span.count
    }

    /// Comparisons with constants: a table would be looked up.
    @inline(__always)
    static func bucket(of span: Int64) -> Int {
        if span <= 5_000_000 {
            if span <= 500_000 { return span <= 100_000 ? 0 : span <= 250_000 ? 1 : 2 }
            return span <= 1_000_000 ? 3 : span <= 2_500_000 ? 4 : 5
        }
        return longBucket(of: span)
    }

    @inline(never)
    private static func longBucket(of span: Int64) -> Int {
        bounds.firstIndex { span <= $0.count } ?? bounds.count
    }

    /// Also of several peers together.
    public mutating func add(_ other: PhaseTimes) {
        for place in counts.indices { counts[place] &+= other.counts[place] }
        for place in sums.indices { sums[place] &+= other.sums[place] }
    }

    /// For each bound, and then for infinity: how many were at most that long.
    public func cumulative(_ phase: RequestPhase) -> [UInt64] {
        var total: UInt64 = 0
        return (0..<Self.buckets).map {
            total += counts[phase.rawValue * Self.buckets + $0]
            return total
        }
    }

    public func sum(_ phase: RequestPhase) -> Nanoseconds { Nanoseconds(sums[phase.rawValue]) }
}

extension Worker {
    /// A request spent so long on a peer, and by its route.
    @inline(__always)
    func record(
        _ phase: RequestPhase,
        since begin: Int64,
        of state: UnsafeMutablePointer<PeerState>,
        _ exchange: UnsafeMutablePointer<Exchange>
    ) {
        if state.pointee.times == nil { beginTimes(of: state) }
        let span = loop.now - Instant(nanoseconds: begin)
        state.pointee.times?.pointee.record(span, phase)
        let route = Int(exchange.pointee.route)
        if route < 0 { return }
        if routeTimes[route] == nil { beginTimes(ofRoute: route) }
        routeTimes[route]?.pointee.record(span, phase)
    }

    /// Most routes of thousands have never had a request.
    @inline(never)
    private func beginTimes(ofRoute route: Int) {
        let times = UnsafeMutablePointer<PhaseTimes>.allocate(capacity: 1)
        times.initialize(to: PhaseTimes())
        routeTimes[route] = times
    }

    /// These numbers may be others' from now on.
    func forgetTimes(ofRoutes numbers: [Int32]) {
        for number in numbers {
            routeTimes[Int(number)]?.deallocate()
            routeTimes[Int(number)] = nil
            exemplars[.route(number)] = nil
        }
    }

    func timesOfRoutes() -> [(Int32, PhaseTimes)] {
        (0..<RouteNumbers.max).compactMap { number in
            routeTimes[number].map { (Int32(number), $0.pointee) }
        }
    }

    /// Most peers of ten thousand have never had a request.
    @inline(never)
    private func beginTimes(of state: UnsafeMutablePointer<PeerState>) {
        let times = UnsafeMutablePointer<PhaseTimes>.allocate(capacity: 1)
        times.initialize(to: PhaseTimes())
        state.pointee.times = times
    }
}
