// To whom does a pair go that fails here, and not there? The part of `FleetMember` that offers what it had better not
// probe itself.

import Health
import Vocabulary

extension FleetMember {
    /// Offers the pair, and probes it until the other has claimed it.
    mutating func giveAway(
        _ pair: PairNumber,
        to successor: String,
        because parting: Parting,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        // Without a store there is nobody to give it to, and nobody who would hear that.
        guard canTell, let plan = plan(of: pair), let epoch = claims.publishableEpoch(of: pair)
        else { return }
        // What was lost by votes does not come back sooner for a doubt.
        let before = claims.abstains(from: pair, at: now) ? claims.parting(from: pair) : nil
        claims.abstain(
            from: pair,
            until: now + terms.abstention,
            because: parting == .doubt ? before ?? .doubt : parting
        )
        let letter = FleetCall.Letter(to: successor, .offered(plan.key, epoch: epoch, by: agent))
        offers[pair] = Offer(
            to: successor,
            parting: parting,
            isRepeated: parting == .doubt && passedOn[pair]?.isAgain ?? false
        )
        if parting == .doubt { passedOn[pair, default: PassedOn()].note(successor, at: now) }
        tell([letter], at: now, into: &effects)
        (runs[pair], mutes[pair]) = (nil, nil)
        mass.end(pair, .left)
    }

    /// A pair that is being given away: said to people when the store has heard of it.
    struct Offer: Sendable {
        var to: String
        var parting: Parting
        /// All were offered it before.
        var isRepeated = false
        /// The letter was lost, or was never sent: to be given away again.
        var isLost = false
    }

    /// They may not define it, or may not have heard of it, or could not take it then.
    struct PassedOn: Sendable {
        var to = Set<String>()
        var at = Instant(nanoseconds: .min)
        /// None of them took it, and they are offered it once more.
        var isAgain = false

        fileprivate mutating func note(_ agent: String, at now: Instant) {
            to.insert(agent)
            at = now
        }

        fileprivate mutating func beginAgain() {
            to = []
            isAgain = true
        }
    }

    /// The store has these letters.
    mutating func told(_ letters: [FleetCall.Letter], into effects: inout [FleetEffect]) {
        if offers.isEmpty { return }
        for letter in letters {
            guard case .offered(let key, _, _) = letter.words, let pair = number(of: key),
                let offer = offers[pair], offer.to == letter.to
            else { continue }
            offers[pair] = nil
            if offer.isRepeated { continue }
            effects.append(.say(.gaveAway(pair, to: offer.to, because: offer.parting)))
        }
    }

    /// Nobody knows whether the store has what was to be told.
    mutating func loseOffers() {
        for pair in offers.keys { offers[pair]?.isLost = true }
    }

    /// Doubting for a while already: somebody who does not should look at what fails here. Where whoever it was offered to has
    /// not taken it by its next failure the next in rank is offered it, each once; `again`: all of them anew, as whoever could
    /// not take it then may be able to by now.
    mutating func giveAwayInDoubt(
        _ pair: PairNumber,
        again isAgain: Bool = false,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        guard let from = givesAwayFrom, now >= from, !isAway(at: now),
            case .held = claims.hold(of: pair)
        else { return }
        let isLost = offers[pair]?.isLost ?? false
        if offers[pair] != nil, !isLost { return }
        if let passed = passedOn[pair], !isLost, now - passed.at < terms.rankStep { return }
        let well = wellOnes(on: pair, atMost: .max)
        let before = isLost ? [] : passedOn[pair]?.to ?? []
        var successor = well.first { !before.contains($0) }
        if successor == nil, isAgain {
            passedOn[pair]?.beginAgain()
            successor = well.first
        }
        guard let successor else { return }
        giveAway(pair, to: successor, because: .doubt, at: now, into: &effects)
    }

    /// It said nothing, or was not even asked. Where this agent has doubted itself for a while, it came back to it, as its heir, before it
    /// can send again.
    mutating func giveAwayUnheard(
        _ pair: PairNumber,
        at now: Instant,
        into effects: inout [FleetEffect]
    ) {
        let hasOthers = membership.knowsOthers && !isAway(at: now)
        guard doubt.withholdsFailures(hasOthers: hasOthers, at: now) else { return }
        giveAwayInDoubt(pair, at: now, into: &effects)
    }
}
