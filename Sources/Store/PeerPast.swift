// Since when, how often, how long? What is remembered of one peer: its turns from one status to another, and
// how long its probes took, five minutes at a time. Pure.

public import Health
public import Vocabulary

/// The probes of five minutes.
public struct ProbeBucket: Hashable, Sendable {
    /// Since 1970, in spans of five minutes.
    public var index: UInt32
    public var count: UInt16 = 0
    public var failures: UInt16 = 0
    // Of those that passed; 16 bits hold a duration to three digits.
    private var least = ShortSpan.none
    private var mean = ShortSpan.none
    private var most = ShortSpan.none
    private var half = ShortSpan.none
    private var nearlyAll = ShortSpan.none
    /// How far into the five minutes it was first looked at, in steps of five milliseconds.
    private var late: UInt16 = 0

    public static let span = Nanoseconds.seconds(300)
    static let milliseconds = span.milliseconds
    /// As it lies in memory and in the file.
    static let bytes = 20
    /// Without the percentiles, as versions before this one wrote it.
    static let bytesBefore = 16
    private static let lateStep: Int64 = 5

    init(index: UInt32) { self.index = index }

    public static func index(of time: WallTime) -> UInt32 {
        UInt32(clamping: max(time.milliseconds, 0) / milliseconds)
    }

    public var start: WallTime { WallTime(milliseconds: Int64(index) * Self.milliseconds) }
    /// Before then nothing was looked at.
    var knownFrom: WallTime {
        WallTime(milliseconds: start.milliseconds + Int64(late) * Self.lateStep)
    }

    /// Of the probes that passed; nil where none did.
    public var minimum: Nanoseconds? { least.value }
    public var average: Nanoseconds? { mean.value }
    public var maximum: Nanoseconds? { most.value }
    /// So long half of them took at most, and 99 of 100; nil too where an older version counted them.
    public var median: Nanoseconds? { half.value }
    public var percentile99: Nanoseconds? { nearlyAll.value }

    init(_ sum: ProbeSum, index: UInt32) {
        self.index = index
        count = UInt16(clamping: sum.count)
        failures = UInt16(clamping: sum.failures)
        if let begun = sum.begun, begun > start {
            late = UInt16(clamping: (begun - start).milliseconds / Self.lateStep)
        }
        guard sum.passes > 0 else { return }
        least = ShortSpan(sum.least)
        mean = ShortSpan(Nanoseconds(sum.total.count / Int64(sum.passes)))
        most = ShortSpan(sum.most)
        half = sum.percentile(50)
        nearlyAll = sum.percentile(99)
    }

    /// Both are of the same five minutes.
    func joined(with other: ProbeBucket) -> ProbeBucket {
        var both = ProbeSum()
        both.begun = knownFrom
        for bucket in [self, other] {
            let passes = Int(bucket.count - min(bucket.failures, bucket.count))
            both.count += Int(bucket.count)
            both.failures += Int(bucket.failures)
            guard passes > 0, let least = bucket.minimum, let mean = bucket.average,
                let most = bucket.maximum
            else { continue }
            both.passes += passes
            both.total = both.total + mean * Int64(passes)
            both.least = min(both.least, least)
            both.most = max(both.most, most)
        }
        var bucket = ProbeBucket(both, index: index)
        // Of two lists that are gone: the median lies between theirs, and the tail is the longer one's.
        bucket.half = Self.between(self, other)
        bucket.nearlyAll =
            [nearlyAll, other.nearlyAll].filter { $0 != .none }
            .max { $0.bits < $1.bits } ?? .none
        return bucket
    }

    /// Their medians, weighted by how many each is of.
    private static func between(_ one: ProbeBucket, _ other: ProbeBucket) -> ShortSpan {
        guard let left = one.median else { return other.half }
        guard let right = other.median else { return one.half }
        let passes = [one, other].map { Int64($0.count - min($0.failures, $0.count)) }
        let sum = left * passes[0] + right * passes[1]
        return ShortSpan(Nanoseconds(sum.count / max(passes[0] + passes[1], 1)))
    }

    func write(to bytes: inout [UInt8]) {
        for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: index >> (shift * 8))) }
        let numbers = [
            count, failures, least.bits, mean.bits, most.bits, late, half.bits, nearlyAll.bits,
        ]
        for number in numbers {
            bytes.append(UInt8(truncatingIfNeeded: number))
            bytes.append(UInt8(truncatingIfNeeded: number >> 8))
        }
    }

    /// Of as many bytes as it takes, or as it took before there were percentiles.
    init(_ bytes: ArraySlice<UInt8>) {
        func number(_ offset: Int) -> UInt16 {
            UInt16(bytes[bytes.startIndex + offset])
                | UInt16(bytes[bytes.startIndex + offset + 1]) << 8
        }
        index = UInt32(number(0)) | UInt32(number(2)) << 16
        count = number(4)
        failures = number(6)
        least = ShortSpan(bits: number(8))
        mean = ShortSpan(bits: number(10))
        most = ShortSpan(bits: number(12))
        late = number(14)
        guard bytes.count >= Self.bytes else { return }
        half = ShortSpan(bits: number(16))
        nearlyAll = ShortSpan(bits: number(18))
    }
}

/// A duration in 16 bits: eleven of microseconds, and five that say how often they are doubled.
struct ShortSpan: Hashable, Sendable {
    var bits: UInt16

    static let none = ShortSpan(bits: .max)

    init(bits: UInt16) { self.bits = bits }

    init(_ span: Nanoseconds) {
        var rest = max(span.count, 0) / 1_000
        var doublings: UInt16 = 0
        while rest > 0x7FF, doublings < 30 {
            rest >>= 1
            doublings += 1
        }
        bits = doublings << 11 | UInt16(clamping: min(rest, 0x7FF))
    }

    var value: Nanoseconds? {
        if self == .none { return nil }
        return .microseconds(Int64(bits & 0x7FF) << Int64(bits >> 11))
    }
}

/// Probes that are being counted.
///
/// Of percentiles no sum can be kept: each latency is, in the 16 bits in which its percentile will be told. Of more
/// than fit every second is, then every fourth, so that what is left is spread over the whole time.
struct ProbeSum: Hashable, Sendable {
    /// Once a second for five minutes.
    static let keptMax = 300

    var count = 0
    var failures = 0
    var passes = 0
    var total = Nanoseconds.zero
    var least = Nanoseconds(.max)
    var most = Nanoseconds.zero
    private var kept: [UInt16] = []
    private var stride = 1
    /// When the first of all probes of the peer began; nil where others are remembered.
    var begun: WallTime?

    mutating func add(_ latency: Nanoseconds, isFailure: Bool) {
        count += 1
        if isFailure {
            failures += 1
            return
        }
        passes += 1
        keep(latency)
        total = total + latency
        least = min(least, latency)
        most = max(most, latency)
    }

    private mutating func keep(_ latency: Nanoseconds) {
        guard passes % stride == 0 else { return }
        kept.append(ShortSpan(latency).bits)
        guard kept.count == Self.keptMax else { return }
        stride *= 2
        // Those whose number the new stride divides.
        kept = kept.indices.filter { !$0.isMultiple(of: 2) }.map { kept[$0] }
    }

    /// The nearest rank: so many of a hundred are no longer than this.
    func percentile(_ share: Int) -> ShortSpan {
        if kept.isEmpty { return .none }
        let rank = (kept.count * share + 99) / 100
        // The bits grow with the duration.
        return ShortSpan(bits: kept.sorted()[max(rank, 1) - 1])
    }
}

/// From one status to another.
public struct Turn: Hashable, Sendable {
    public var at: WallTime
    public var from: PeerStatus
    public var to: PeerStatus
    public var reason: String

    public init(at: WallTime, from: PeerStatus, to: PeerStatus, reason: String) {
        self.at = at
        self.from = from
        self.to = to
        self.reason = reason
    }

    /// About what it takes in memory.
    var bytes: Int { 48 + reason.utf8.count }
}

/// What is remembered of one peer.
public struct PeerPast: Hashable, Sendable {
    /// Oldest first.
    public internal(set) var turns: [Turn] = []
    public internal(set) var buckets: [ProbeBucket] = []
    var sum = ProbeSum()
    /// Older turns of it were dropped for want of room.
    var cutAt: WallTime?

    public static let turnsMax = 500

    public static let nothing = PeerPast()

    init() {}

    mutating func add(_ turn: Turn) {
        // In order, though clocks be set.
        guard turns.last.map({ $0.at <= turn.at }) ?? true else { return }
        turns.append(turn)
        if turns.count > Self.turnsMax { cutAt = turns.removeFirst().at }
    }

    mutating func add(_ bucket: ProbeBucket) {
        guard let last = buckets.last, last.index >= bucket.index else {
            buckets.append(bucket)
            return
        }
        // A process ended within the five minutes, and another went on.
        if last.index == bucket.index { buckets[buckets.count - 1] = last.joined(with: bucket) }
    }

    mutating func add(_ latency: Nanoseconds, isFailure: Bool, begun: WallTime) {
        if buckets.isEmpty, sum.count == 0 { sum.begun = begun }
        sum.add(latency, isFailure: isFailure)
    }

    mutating func forget(before time: WallTime) {
        let index = ProbeBucket.index(of: time)
        if let first = buckets.first, first.index < index {
            buckets.removeAll { $0.index < index }
        }
        // The last one before that tells how it was then.
        while turns.count > 1, turns[1].at <= time { turns.removeFirst() }
    }

    var bytes: Int { buckets.count * ProbeBucket.bytes + turns.reduce(0) { $0 + $1.bytes } }
    var isEmpty: Bool { turns.isEmpty && buckets.isEmpty && sum.count == 0 }

    // MARK: Asking

    /// Before then nothing is known; nil where nothing is remembered.
    public var knownFrom: WallTime? {
        [turns.first?.at, buckets.first?.knownFrom ?? sum.begun].compactMap { $0 }.min()
    }

    /// A time in which it was in one status.
    public struct Stretch: Hashable, Sendable {
        public var from: WallTime
        public var to: WallTime
        public var status: PeerStatus

        public init(from: WallTime, to: WallTime, status: PeerStatus) {
            (self.from, self.to, self.status) = (from, to, status)
        }
    }

    /// How it was between two times, in order and without gaps where anything is known; it is `now` in that
    /// status since then.
    public func stretches(
        from start: WallTime,
        to end: WallTime,
        now: (status: PeerStatus, since: WallTime)?
    ) -> [Stretch] {
        var stretches: [Stretch] = []
        func add(_ status: PeerStatus, _ from: WallTime, _ to: WallTime) {
            let (from, to) = (max(from, start), min(to, end))
            if from < to, status != .unknown {
                stretches.append(Stretch(from: from, to: to, status: status))
            }
        }
        var turns = turns
        if let now, turns.last?.to != now.status {
            // A turn that nobody was here to see.
            let since = max(now.since, turns.last?.at ?? now.since)
            turns.append(
                Turn(at: since, from: turns.last?.to ?? .unknown, to: now.status, reason: "")
            )
        }
        for (index, turn) in turns.enumerated() {
            let next = index + 1 < turns.count ? turns[index + 1].at : end
            add(turn.to, turn.at, next)
        }
        return stretches
    }

    /// Which share of the time in which it was meant to serve it could; nil where nothing is known of that.
    public static func uptime(_ stretches: [Stretch]) -> Double? {
        var (up, down) = (Nanoseconds.zero, Nanoseconds.zero)
        for stretch in stretches {
            let span = stretch.to - stretch.from
            switch stretch.status {
            case .up, .degraded, .starting: up = up + span
            case .down, .ejected: down = down + span
            // Out of service because somebody wanted it so, or not known.
            case .maint, .drain, .unknown: break
            }
        }
        let whole = (up + down).seconds
        return whole > 0 ? up.seconds / whole : nil
    }

    /// The worst that it was in each of `count` parts of the time, one letter a part: `d` down or ejected, `w`
    /// degraded or starting, `m` maint or drain, `u` up, `.` not known.
    public static func strip(
        _ stretches: [Stretch],
        from start: WallTime,
        to end: WallTime,
        count: Int
    ) -> String {
        guard count > 0, start < end else { return "" }
        var letters = [UInt8](repeating: UInt8(ascii: "."), count: count)
        let whole = end.milliseconds - start.milliseconds
        for stretch in stretches {
            let letter = Self.letter(of: stretch.status)
            let first = (stretch.from.milliseconds - start.milliseconds) * Int64(count) / whole
            // Up to and without its end.
            let last = (stretch.to.milliseconds - 1 - start.milliseconds) * Int64(count) / whole
            for place in Int(max(first, 0))...Int(max(min(last, Int64(count) - 1), first, 0))
            where place < count && Self.rank(letter) > Self.rank(letters[place]) {
                letters[place] = letter
            }
        }
        return String(decoding: letters, as: UTF8.self)
    }

    private static func letter(of status: PeerStatus) -> UInt8 {
        switch status {
        case .down, .ejected: UInt8(ascii: "d")
        case .degraded, .starting: UInt8(ascii: "w")
        case .maint, .drain: UInt8(ascii: "m")
        case .up: UInt8(ascii: "u")
        case .unknown: UInt8(ascii: ".")
        }
    }

    private static func rank(_ letter: UInt8) -> Int {
        Array(".umwd".utf8).firstIndex(of: letter) ?? 0
    }
}
