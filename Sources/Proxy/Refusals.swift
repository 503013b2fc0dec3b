// Which setting of an upstream costs its requests these days, how many, and since when? Whoever looks at peers that are all
// well has to be told. Pure.

import EventLoop
import Vocabulary

struct Refusals {
    private struct Spell {
        var count: UInt64 = 0
        var begun: WallTime
        var last: Moment
        var lineSize: Int32
    }

    private struct Sort: Hashable {
        var upstream: String
        var cause: FailureCause
        var status: UInt16
    }

    private var spells: [Sort: Spell] = [:]

    /// It is over when nothing of the sort has come for so long.
    static let lasts = Nanoseconds.seconds(60)

    /// What is not of such a sort is left out.
    mutating func add(
        _ upstream: String,
        _ cause: FailureCause,
        _ answer: FailureAnswer,
        _ count: UInt64,
        code: Int32,
        at now: Moment
    ) {
        guard [.full, .waited, .overBudget].contains(cause), case .status(let status) = answer
        else {
            return
        }
        let sort = Sort(upstream: upstream, cause: cause, status: status)
        var spell =
            spells[sort].flatMap { now.instant - $0.last.instant < Self.lasts ? $0 : nil }
            ?? Spell(begun: now.wall, last: now, lineSize: code)
        spell.count += count
        spell.last = now
        spell.lineSize = code
        spells[sort] = spell
    }

    /// By upstream, in a fixed order.
    func lately(at now: Instant) -> [String: [Proxy.Refusal]] {
        var all: [String: [Proxy.Refusal]] = [:]
        for (sort, spell) in spells where now - spell.last.instant < Self.lasts {
            all[sort.upstream, default: []].append(
                Proxy.Refusal(
                    cause: sort.cause.word,
                    setting: Self.setting(sort.cause, spell.lineSize),
                    answer: Int(sort.status),
                    count: spell.count,
                    since: spell.begun,
                    last: spell.last.wall,
                    words: Self.words(sort.cause, spell.lineSize)
                )
            )
        }
        return all.mapValues { $0.sorted { ($0.cause, $0.answer) < ($1.cause, $1.answer) } }
    }

    mutating func keep(where isKnown: (String) -> Bool) {
        spells = spells.filter { isKnown($0.key.upstream) }
    }

    private static func setting(_ cause: FailureCause, _ lineSize: Int32) -> String {
        switch cause {
        case .waited: "queue.timeout"
        case .overBudget: "retry-budget"
        default: lineSize > 0 ? "queue.size" : "max-connections"
        }
    }

    private static func words(_ cause: FailureCause, _ lineSize: Int32) -> String {
        switch cause {
        case .waited:
            "no peer that is available had room (max-connections) within queue.timeout"
        case .overBudget:
            "a peer failed them, and as many as may be (retry-budget) were being tried again"
        default:
            "every peer that is available has max-connections, and "
                + (lineSize > 0
                    ? "\(lineSize) waited in line, which are as many as may (queue.size)"
                    : "nothing may wait for one (queue)")
        }
    }
}

extension Proxy {
    /// Requests that a setting of their upstream cost, and not its peers alone.
    public struct Refusal: Hashable, Sendable {
        public var cause: String
        public var setting: String
        public var answer: Int
        public var count: UInt64
        /// When the first was heard of, and the last.
        public var since: WallTime
        public var last: WallTime
        public var words: String

        public init(
            cause: String,
            setting: String,
            answer: Int,
            count: UInt64,
            since: WallTime,
            last: WallTime,
            words: String
        ) {
            self.cause = cause
            self.setting = setting
            self.answer = answer
            self.count = count
            self.since = since
            self.last = last
            self.words = words
        }
    }
}
