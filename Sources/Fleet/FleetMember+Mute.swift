// What becomes of a pair that says nothing to the agent that probes it? Others are asked, and where it says something to one
// of them it goes there. The part of `FleetMember` that looks for somebody who hears it.

import Health
import Vocabulary

extension FleetMember {
    mutating func noteMute(_ found: Found, of pair: PairNumber) {
        switch found {
        case .nothing: mutes[pair, default: MuteRun()].noteProbe()
        case .passes, .fails, .unsent: mutes[pair] = nil
        }
    }

    /// Where it doubts itself it offers the pair without asking anybody.
    mutating func askWhoHears(
        _ pair: PairNumber,
        _ plan: PairPlan,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard mutes[pair]?.isToAsk(at: now) == true, canTell, !withholds(at: now),
            offers[pair] == nil, case .held(let epoch, _) = claims.hold(of: pair)
        else { return }
        let others = wellOnes(on: pair, atMost: MuteRun.earsMax)
        if others.isEmpty { return }
        askings += 1
        mutes[pair]?.ask(askings, epoch: epoch, every: plan.schedule.interval, at: now)
        let ask = Ask(by: agent, epoch: epoch, number: askings, askedAt: clock.now(at: now))
        let letters = others.map { FleetCall.Letter(to: $0, .asked(plan.key, ask)) }
        tell(letters, at: now, into: &effects)
    }

    mutating func hears(
        _ vote: Vote,
        of pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard mutes[pair]?.take(vote) == true, offers[pair] == nil, !withholds(at: now) else {
            return
        }
        giveAway(pair, to: vote.by, because: .unheard, at: now, into: &effects)
    }
}
