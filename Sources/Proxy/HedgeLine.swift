// Which requests wait longer than they usually would, and how long is that? The requests of an upstream
// stand here in the order in which they were sent, until their answer would be late; few still wait then.

import Health
import Vocabulary

struct HedgeLine {
    /// A request by its exchange and the moment that a peer was chosen for it: who has been answered
    /// meanwhile, or asks somebody else, is known by that.
    struct Entry {
        var exchange: Int32
        var chosenAt: Int64
    }

    /// What share of answers comes sooner; 0 where the time is given.
    private let share: Double
    private let budget: Double
    /// What has been saved up for requests that are sent twice.
    private var allowance = 0.0
    /// How late is late.
    private var span: Double
    private var answers = 0

    private var entries: UnsafeMutablePointer<Entry>
    private var capacity = 0
    private var head = 0
    private(set) var count = 0

    /// The loop's timers are no finer.
    static let spanMin = 1_000_000.0
    /// Before so many answers nobody knows what is usual.
    static let answersMin = 200
    /// So many at once, after a time in which nobody was late.
    static let allowanceMax = 10.0
    /// Beyond these requests are not looked at.
    static let capacityMax = 8_192

    init(_ definition: HedgeDefinition) {
        budget = definition.budget
        switch definition.after {
        case .share(let share):
            self.share = share
            span = Self.spanMin
        case .time(let time):
            share = 0
            span = Double(time.count)
        }
        entries = .allocate(capacity: 0)
    }

    func destroy() { entries.deallocate() }

    // MARK: What is late

    var isReady: Bool { share == 0 || answers >= Self.answersMin }

    var late: Nanoseconds { Nanoseconds(Int64(max(span, Self.spanMin))) }

    /// An answer took so long. The span moves so that the share of answers that take longer becomes what
    /// it is meant to be: up by much where one was late, down by little where one was not.
    mutating func learn(_ latency: Nanoseconds) {
        if share == 0 { return }
        answers += answers < Self.answersMin ? 1 : 0
        if answers == 1 {
            span = max(Double(latency.count), 1)
            return
        }
        let step = answers < Self.answersMin ? 0.2 : 0.05
        let isLate = Double(latency.count) > span
        span = max(span * (isLate ? 1 + step * share : 1 - step * (1 - share)), 1)
    }

    /// An answer is not waited for any more, and was late already.
    mutating func learnLate() { learn(Nanoseconds(Int64(span) + 1)) }

    // MARK: The budget

    mutating func asked() { allowance = min(allowance + budget, Self.allowanceMax) }
    var mayAskTwice: Bool { allowance >= 1 }
    mutating func askedTwice() { allowance -= 1 }

    // MARK: Who waits

    var first: Entry? { count > 0 ? entries[head] : nil }

    mutating func removeFirst() {
        head = (head + 1) & (capacity - 1)
        count -= 1
    }

    /// False where there are too many.
    mutating func append(_ entry: Entry) -> Bool {
        if count == capacity {
            guard capacity < Self.capacityMax else { return false }
            grow()
        }
        (entries + ((head + count) & (capacity - 1))).initialize(to: entry)
        count += 1
        return true
    }

    private mutating func grow() {
        let grown = UnsafeMutablePointer<Entry>.allocate(capacity: max(64, capacity * 2))
        for place in 0..<count {
            (grown + place).initialize(to: entries[(head + place) & (capacity - 1)])
        }
        entries.deallocate()
        entries = grown
        capacity = max(64, capacity * 2)
        head = 0
    }
}
