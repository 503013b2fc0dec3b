// Is it still down for the same reason? A peer that was refused, and now answers 500, has been worked on:
// that is news, though its status is the same. Told at most a few times a minute for each pair, so that
// reasons in turn fill no log.

import Health
import Vocabulary

/// What was told last of each pair that is not well. Pure.
struct ReasonWatch {
    /// What is to be told now.
    struct News: Equatable {
        /// Nil when nothing was told before.
        var before: String?
        /// Changes since the last one told.
        var leftOut: Int
    }

    private struct Told {
        var reason: Reason
        var code: Int?
        var since: Instant
        var count = 1
        var leftOut = 0
    }

    private var told: [VerdictKey: Told] = [:]

    /// So many changes of a pair in a minute are told.
    static let linesMax = 3
    static let window = Nanoseconds.seconds(60)

    /// A verdict came whose pair is down, or of whom nothing is known. `isTold` when another line has
    /// just said so.
    mutating func heard(_ verdict: Verdict, isTold: Bool, at now: Instant) -> News? {
        guard var last = told[verdict.key] else {
            told[verdict.key] = Told(reason: verdict.reason, code: verdict.code, since: now)
            return isTold ? nil : News(before: nil, leftOut: 0)
        }
        if last.reason == verdict.reason, last.code == verdict.code { return nil }
        let before = Self.words(last.reason, last.code)
        last.reason = verdict.reason
        last.code = verdict.code
        if now - last.since >= Self.window {
            last.since = now
            last.count = 0
        }
        let isNews = !isTold && last.count < Self.linesMax
        let news = News(before: before, leftOut: last.leftOut)
        last.count += isTold || isNews ? 1 : 0
        last.leftOut = isTold || isNews ? 0 : last.leftOut + 1
        told[verdict.key] = last
        return isNews ? news : nil
    }

    /// The pair is well.
    mutating func forget(_ key: VerdictKey) {
        if !told.isEmpty { told[key] = nil }
    }

    mutating func forget(where isGone: (VerdictKey) -> Bool) {
        if !told.isEmpty { told = told.filter { !isGone($0.key) } }
    }

    /// `L7STS/503`.
    static func words(_ reason: Reason, _ code: Int?) -> String {
        guard let code, reason.layer == "L7" else { return reason.rawValue }
        return "\(reason.rawValue)/\(code)"
    }
}
