// How did the probes of one pair go, in numbers? Latency by phase in fixed buckets, and how often
// each reason was given. Failures stand apart, so that a refused connection of no length at all
// never makes a peer look fast.

public import Health
public import Vocabulary

/// Counts of durations in fixed buckets.
public struct Histogram: Sendable {
    /// Upper bounds of the buckets; one more bucket holds what is longer.
    public static let bounds: [Nanoseconds] = [
        .microseconds(500), .milliseconds(1), .microseconds(2_500), .milliseconds(5),
        .milliseconds(10), .milliseconds(25), .milliseconds(50), .milliseconds(100),
        .milliseconds(250), .milliseconds(500), .seconds(1), .milliseconds(2_500), .seconds(5),
        .seconds(10),
    ]

    public private(set) var sum = Nanoseconds.zero
    /// One a bucket, not cumulated. Four bytes each: there are thousands of histograms.
    private var buckets = InlineArray<15, UInt32>(repeating: 0)

    public init() {}

    public mutating func record(_ span: Nanoseconds) {
        var index = 0
        while index < Self.bounds.count, span > Self.bounds[index] { index += 1 }
        buckets[index] &+= 1
        sum = sum + span
    }

    /// Takes in all that another counted.
    public mutating func add(_ other: Histogram) {
        for index in buckets.indices { buckets[index] &+= other.buckets[index] }
        sum = sum + other.sum
    }

    /// How many durations were recorded.
    public var count: UInt64 { cumulative.last ?? 0 }

    /// For each bound, and then for infinity: how many durations were at most that long.
    public var cumulative: [UInt64] {
        var total: UInt64 = 0
        return buckets.indices.map {
            total += UInt64(buckets[$0])
            return total
        }
    }

    /// The bound below which `share` of the durations lie; nil when nothing was recorded or the
    /// answer lies beyond the last bound.
    public func quantile(_ share: Double) -> Nanoseconds? {
        let counts = cumulative
        guard let total = counts.last, total > 0 else { return nil }
        let wanted = (Double(total) * share).rounded(.up)
        guard let index = counts.firstIndex(where: { Double($0) >= wanted }) else { return nil }
        return index < Self.bounds.count ? Self.bounds[index] : nil
    }
}

/// What was recorded within the last minute, or half of it.
struct RecentHistogram: Sendable {
    private var present = Histogram()
    private var before = Histogram()
    private var turnedAt = Instant(nanoseconds: .min)

    private static let span = Nanoseconds.seconds(30)

    mutating func record(_ span: Nanoseconds, at now: Instant) {
        turn(at: now)
        present.record(span)
    }

    private mutating func turn(at now: Instant) {
        let age = now - turnedAt
        if age < Self.span { return }
        before = age < Self.span + Self.span ? present : Histogram()
        present = Histogram()
        turnedAt = now
    }

    /// Zero where nothing was recorded.
    func quantile(_ share: Double, at now: Instant) -> Nanoseconds {
        var copy = self
        copy.turn(at: now)
        copy.present.add(copy.before)
        if copy.present.count == 0 { return .zero }
        return copy.present.quantile(share) ?? Histogram.bounds[Histogram.bounds.count - 1]
    }
}

/// The numbers of one (monitor, peer).
public struct ProbeSeries: Sendable {
    public enum Phase: String, Sendable, CaseIterable {
        case resolve, connect, tls
        case firstByte = "first_byte"
        case total
    }

    /// The smallest at the end, where the histogram leaves four bytes of eight.
    public struct Latency: Sendable {
        public var histogram: Histogram
        public var phase: Phase
        public var verdict: Outcome.Verdict
    }

    /// Only of phases that were reached; made when first needed.
    public private(set) var latencies: [Latency] = []
    /// What the last probe measured beside time.
    public private(set) var measurements: [Measurement] = []
    /// The first that was given, which is the only one of nearly all, needs no room of its own.
    private var others: [ReasonCount] = []
    private var first = ReasonCount(reason: .unknown, count: 0)

    public struct ReasonCount: Sendable {
        public var reason: Reason
        /// At one a second it is full after a century.
        public var count: UInt32

        mutating func add() { if count < .max { count += 1 } }
    }

    /// How often each reason was given, in the order in which they came.
    public var reasons: [ReasonCount] { first.count == 0 ? [] : [first] + others }

    public init() {}

    public mutating func record(_ outcome: Outcome) {
        count(outcome.reason)
        let phases = outcome.phases
        record(phases.resolve, .resolve, outcome.verdict)
        record(phases.connect, .connect, outcome.verdict)
        record(phases.tls, .tls, outcome.verdict)
        record(phases.firstByte, .firstByte, outcome.verdict)
        if phases.total > .zero { record(phases.total, .total, outcome.verdict) }
        measurements = outcome.measurements
    }

    private mutating func count(_ reason: Reason) {
        if first.count == 0 { first.reason = reason }
        if first.reason == reason {
            first.add()
        } else if let index = others.firstIndex(where: { $0.reason == reason }) {
            others[index].add()
        } else {
            others.append(ReasonCount(reason: reason, count: 1))
        }
    }

    private mutating func record(
        _ span: Nanoseconds?,
        _ phase: Phase,
        _ verdict: Outcome.Verdict
    ) {
        guard let span else { return }
        if let index = latencies.firstIndex(where: { $0.phase == phase && $0.verdict == verdict }) {
            latencies[index].histogram.record(span)
        } else {
            var histogram = Histogram()
            histogram.record(span)
            // Exactly as many as there are: growing by doubling would waste most of it.
            latencies.reserveCapacity(latencies.count + 1)
            latencies.append(Latency(histogram: histogram, phase: phase, verdict: verdict))
        }
    }
}
