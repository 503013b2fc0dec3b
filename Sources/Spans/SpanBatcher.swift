// Which spans go out when, and which never do? A queue of a fixed length in front of whoever collects them:
// it fills while they are away, and then what is oldest goes. Nobody who hands in a span waits. Pure.

public import Vocabulary

/// What became of an attempt to hand a batch over.
public enum BatchEnd: Hashable, Sendable {
    /// All of it arrived but for so many that were not wanted. Words without any such are a warning.
    case arrived(rejected: Int, String)
    /// Tried again it may well arrive; `later` is when the other side said to come again.
    case failed(String, later: Nanoseconds?)
    /// The other side will not have it, however often it comes.
    case refused(String)
}

/// Why a span was dropped.
public enum SpanLoss: String, CaseIterable, Sendable {
    /// More were made than a worker keeps until it is asked.
    case worker
    /// Newer ones took its place in the queue.
    case queue
    /// The receiver answered that it does not want the batch.
    case refused
    /// The receiver took the batch, and left this one out.
    case rejected
    /// It was still waiting when muster ended.
    case end
}

/// Spans that wait to be sent.
public struct SpanBatcher: Sendable {
    public struct Rules: Hashable, Sendable {
        /// So many spans wait at most, those under way besides.
        public var queue = 2_048
        public var batch = 512
        /// How long the first waits for others.
        public var gather = Nanoseconds.seconds(1)

        public init() {}
    }

    /// How it goes, for people.
    public struct Status: Hashable, Sendable {
        public var waiting = 0
        public var made: UInt64 = 0
        public var sent: UInt64 = 0
        public var dropped: [SpanLoss: UInt64] = [:]
        /// Why the last attempt failed, or nothing of it was wanted; nil where some of it arrived.
        public var problem: String?
        /// The last attempt was understood, and nothing of it was wanted: it does not wait, it is dropped.
        public var isRefused = false
        public var failingSince: Instant?
        /// What the receiver did not want, last.
        public var refusal: String?
        /// What it had to say, last, though it took everything.
        public var warning: String?

        public init() {}
    }

    /// Between two attempts, twice as long each time.
    static let pauseMin = Nanoseconds.seconds(1)
    static let pauseMax = Nanoseconds.seconds(30)
    /// Nobody waits longer because a receiver says so.
    static let laterMax = Nanoseconds.seconds(300)

    public let rules: Rules
    public private(set) var status = Status()
    /// The oldest stands at `first`, and those after it wrap around.
    private var spans: [SpanRecord] = []
    private var first = 0
    private var firstAt = Instant.distantFuture
    /// Under way, or to be tried again.
    private var batch: [SpanRecord] = []
    private var isSending = false
    private var notBefore = Instant(nanoseconds: .min)
    private var pause = Self.pauseMin
    private var isEnding = false
    private var isOver = false

    public init(_ rules: Rules = Rules()) { self.rules = rules }

    public var isEmpty: Bool { spans.isEmpty && batch.isEmpty }

    // MARK: Taking

    /// Returns whether somebody has to look again when to send, which is where it was empty or is full enough.
    public mutating func add(_ new: [SpanRecord], at now: Instant) -> Bool {
        status.made &+= UInt64(new.count)
        if isOver {
            lose(new.count, .end)
            return false
        }
        let before = wakeAt(now)
        if spans.isEmpty, !new.isEmpty { firstAt = now }
        for span in new {
            if spans.count < rules.queue {
                // Until it is full nothing has been taken off the front of it but all.
                spans.append(span)
                continue
            }
            spans[first] = span
            first = (first + 1) % spans.count
            lose(1, .queue)
        }
        status.waiting = spans.count + batch.count
        let after = wakeAt(now)
        return after != before
    }

    /// Spans that never came here.
    public mutating func lose(_ count: Int, _ why: SpanLoss) {
        if count > 0 { status.dropped[why, default: 0] &+= UInt64(count) }
    }

    // MARK: Sending

    /// When there is something to send, if nothing else happens.
    public func wakeAt(_ now: Instant) -> Instant? {
        if isSending || isEmpty { return nil }
        if isEnding { return now }
        if !batch.isEmpty { return max(notBefore, now) }
        let ready = spans.count >= rules.batch ? now : firstAt + rules.gather
        return max(ready, notBefore, now)
    }

    /// What to send now; nil while there is nothing, or not yet. Until its `ended` nothing else is.
    public mutating func next(_ now: Instant) -> [SpanRecord]? {
        guard let due = wakeAt(now), due <= now else { return nil }
        if batch.isEmpty { batch = takeOldest(rules.batch) }
        if spans.isEmpty { firstAt = .distantFuture }
        isSending = true
        return batch
    }

    private mutating func takeOldest(_ count: Int) -> [SpanRecord] {
        if first > 0 {
            spans = Array(spans[first...] + spans[..<first])
            first = 0
        }
        let taken = Array(spans.prefix(count))
        spans.removeFirst(taken.count)
        return taken
    }

    public mutating func ended(_ end: BatchEnd, _ now: Instant) {
        precondition(isSending)
        isSending = false
        switch end {
        case .arrived(let rejected, let words):
            let rejected = min(max(rejected, 0), batch.count)
            status.sent &+= UInt64(batch.count - rejected)
            lose(rejected, .rejected)
            if rejected == 0, !words.isEmpty { status.warning = words }
            let words = words.isEmpty ? "the receiver left spans out, and did not say why" : words
            if rejected > 0 { status.refusal = words }
            let isNothing = rejected == batch.count && rejected > 0
            goOn()
            if isNothing { fail(words, at: now, isRefused: true) } else { forgetTrouble() }
        case .refused(let words):
            lose(batch.count, .refused)
            status.refusal = words
            goOn()
            fail(words, at: now, isRefused: true)
        case .failed(let words, let later):
            fail(words, at: now, isRefused: false)
            notBefore = now + min(max(pause, later ?? .zero), Self.laterMax)
            pause = min(pause * 2, Self.pauseMax)
            if isEnding { giveUp() }
        }
        status.waiting = spans.count + batch.count
    }

    /// The receiver answers: the next batch need not wait.
    private mutating func goOn() {
        batch = []
        pause = Self.pauseMin
        notBefore = Instant(nanoseconds: .min)
    }

    private mutating func fail(_ words: String, at now: Instant, isRefused: Bool) {
        status.problem = words
        status.isRefused = isRefused
        if status.failingSince == nil { status.failingSince = now }
    }

    private mutating func forgetTrouble() {
        status.problem = nil
        status.isRefused = false
        status.failingSince = nil
    }

    // MARK: The end

    /// What waits goes out at once, and once: whoever fails now is not tried again.
    public mutating func end() { isEnding = true }

    /// There is no time left, and nobody will come for what is added still.
    public mutating func giveUp() {
        isOver = true
        lose(spans.count + batch.count, .end)
        (spans, batch, first) = ([], [], 0)
        status.waiting = 0
    }
}
