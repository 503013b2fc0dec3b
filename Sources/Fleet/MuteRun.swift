// Does anybody hear what says nothing here? An agent-check that is not answered is no failure, so nothing is ever voted on,
// and its pair would stay unknown to all with the one agent that cannot hear it. So that one asks two others, as about a
// failure: where one of them was told something in three askings the pair goes there. Pure.
//
//   nothing, nothing: ask ── a word ─► ask with the next ── a word ─► … the third: given to whoever had it
//                         └─ none ───► ask after twice as long, up to a minute

import Vocabulary

/// One pair that says nothing to its holder: from the first probe of that until it says something, or has another holder.
struct MuteRun: Hashable, Sendable {
    /// Probes in a row.
    private var probes = 0
    private var question: Question?
    /// Askings in a row that were answered with a word.
    private var heard = 0
    private var pause = Nanoseconds.zero
    private var askAt = Instant(nanoseconds: .min)

    private struct Question: Hashable, Sendable {
        var number: UInt64
        var epoch: UInt64
        var isHeard = false
    }

    /// One lost datagram is no reason to ask anybody.
    static let probesMin = 2
    /// How many others are asked.
    static let earsMax = 2
    /// What says nothing to anybody is not asked more often by three than by one.
    static let pauseMax = Nanoseconds.seconds(60)

    mutating func noteProbe() { probes += 1 }

    /// It was probed in vain, and this is the time to ask others.
    func isToAsk(at now: Instant) -> Bool { probes >= Self.probesMin && now >= askAt }

    mutating func ask(
        _ number: UInt64,
        epoch: UInt64,
        every interval: Nanoseconds,
        at now: Instant
    ) {
        if let question, !question.isHeard {
            heard = 0
            pause = min(pause + pause, Self.pauseMax)
        } else {
            // A little less than to its next probe.
            pause = Nanoseconds(interval.count / 2)
        }
        question = Question(number: number, epoch: epoch)
        askAt = now + pause
    }

    /// Returns whether the pair should go to whoever says that.
    mutating func take(_ vote: Vote) -> Bool {
        guard let question, question.number == vote.number, question.epoch == vote.epoch,
            vote.word != .abstains
        else { return false }
        if !question.isHeard {
            self.question?.isHeard = true
            heard += 1
        }
        return heard >= FleetTerms.patience
    }
}
