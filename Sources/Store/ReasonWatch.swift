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
        /// Of a warning, whose reason is that of a pass: what it warns of, and its numbers left out, which
        /// may differ with each probe.
        var warning: String
        var words: String
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
            told[verdict.key] = Told(
                reason: verdict.reason,
                code: verdict.code,
                warning: Self.warning(of: verdict),
                words: Self.words(of: verdict),
                since: now
            )
            return isTold ? nil : News(before: nil, leftOut: 0)
        }
        let warning = Self.warning(of: verdict)
        if last.reason == verdict.reason, last.code == verdict.code, last.warning == warning {
            return nil
        }
        let before = last.words
        last.warning = warning
        last.words = Self.words(of: verdict)
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

    private static func warning(of verdict: Verdict) -> String {
        guard verdict.isDegraded else { return "" }
        return String(verdict.message.unicodeScalars.filter { !("0"..."9").contains($0) })
    }

    private static func words(of verdict: Verdict) -> String {
        let words = words(verdict.reason, verdict.code)
        return verdict.isDegraded && !verdict.message.isEmpty
            ? "\(words) \(verdict.message)" : words
    }

    /// `L7STS/503`.
    static func words(_ reason: Reason, _ code: Int?) -> String {
        guard let code, reason.layer == "L7" else { return reason.rawValue }
        return "\(reason.rawValue)/\(code)"
    }
}
