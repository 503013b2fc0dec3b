// When does an agent not believe itself, and when is it the world after all?

import Fleet
import Health
import Testing
import Vocabulary

@Suite struct DoubtTests {
    private static func at(_ seconds: Int64) -> Instant {
        Instant(nanoseconds: seconds * 1_000_000_000)
    }

    /// Ten targets on five hosts, all of which have answered.
    private static func doubt(_ targets: Int = 10, hosts: Int = 5, answered: Bool = true) -> Doubt {
        var doubt = Doubt()
        for target in 0..<targets {
            doubt.define(PairNumber(target), host: UInt64(target % hosts))
            if answered { doubt.note(.answered, of: PairNumber(target)) }
        }
        return doubt
    }

    @Test func `half of the targets silent is doubt, fewer are not`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<4 { doubt.note(.silent, of: target) }
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)).isEmpty)
        doubt.note(.silent, of: 4)
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)) == [.massFailure])
        #expect(doubt.value(hasOthers: true, at: Self.at(1)) == 0.5)
        // A reset proves the network.
        doubt.note(.answered, of: 4)
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)).isEmpty)
    }

    /// It gave away what failed while it was late, and has it back: that its network is gone it still has to see.
    @Test func `what was given away in doubt is news when it is silent again`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<10 { doubt.leave(target, inDoubt: true) }
        #expect(!doubt.isSilent)
        for target in PairNumber(0)..<5 { doubt.note(.silent, of: target) }
        #expect(doubt.isSilent)
        // What another has had for long and was dead when it came says nothing.
        var other = Self.doubt()
        for target in PairNumber(0)..<10 { other.leave(target) }
        for target in PairNumber(0)..<5 { other.note(.silent, of: target) }
        #expect(!other.isSilent)
    }

    /// Twenty that are asked every second, on ten hosts, and eighty that are asked every ten.
    private static func mixedDoubt() -> Doubt { doubt(100, hosts: 50) }

    @Test func `many silent in a row are a suspicion, while not all were heard since`() {
        var doubt = Self.mixedDoubt()
        for target in PairNumber(0)..<4 { doubt.note(.silent, of: target) }
        #expect(!doubt.isSuspicious)
        doubt.note(.silent, of: 4)
        #expect(doubt.isSuspicious && !doubt.isSilent)
        #expect(doubt.isUnheard(50) && !doubt.isUnheard(4))
        // Those that were not heard since are silent too.
        for target in PairNumber(50)..<55 { doubt.note(.silent, of: target) }
        doubt.sampledUnheard(answers: 0, of: 5)
        #expect(doubt.isSilent && !doubt.isSuspicious)
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)) == [.massFailure])
        // One that answers ends nothing, more than are silent do.
        for target in PairNumber(0)..<5 { doubt.note(.answered, of: target) }
        #expect(doubt.isSilent)
        doubt.note(.answered, of: 50)
        #expect(!doubt.isSilent)
    }

    @Test func `what answers when it is asked ends a suspicion`() {
        var doubt = Self.mixedDoubt()
        for target in PairNumber(0)..<20 { doubt.note(.silent, of: target) }
        #expect(doubt.isSuspicious)
        doubt.sampledUnheard(answers: 3, of: 5)
        #expect(!doubt.isSuspicious && !doubt.isSilent)
        // That they stay silent is no news.
        for target in PairNumber(0)..<20 { doubt.note(.silent, of: target) }
        #expect(!doubt.isSuspicious)
        // Five more are.
        for target in PairNumber(20)..<25 { doubt.note(.silent, of: target) }
        #expect(doubt.isSuspicious)
    }

    @Test func `where nothing has answered since the first fell silent that is too little`() {
        var doubt = Self.mixedDoubt()
        #expect(!doubt.isDark)
        doubt.note(.silent, of: 0)
        #expect(doubt.isDark && !doubt.isSuspicious)
        doubt.note(.silent, of: 1)
        // Those that were asked then, on other hosts.
        for target in PairNumber(50)..<53 { doubt.note(.silent, of: target) }
        doubt.sampledUnheard(answers: 0, of: 3)
        #expect(doubt.isSilent && !doubt.isDark)
        // A handful is no sample, whoever is asked.
        var few = Self.doubt(4, hosts: 4)
        for target in PairNumber(0)..<3 { few.note(.silent, of: target) }
        #expect(few.isDark)
        few.note(.silent, of: 3)
        few.sampledUnheard(answers: 0, of: 1)
        #expect(!few.isSilent && !few.isDark)
        var one = Self.mixedDoubt()
        one.note(.silent, of: 0)
        one.note(.answered, of: 1)
        #expect(!one.isDark)
    }

    @Test func `a dead rack among much that answers is no suspicion, nor is a loss of a fifth`() {
        var rack = Self.mixedDoubt()
        for target in PairNumber(0)..<5 {
            rack.note(.silent, of: target)
            for other in 0..<PairNumber(2) { rack.note(.answered, of: 20 + target * 2 + other) }
            #expect(!rack.isSuspicious)
        }
        var (lossy, dice, suspicions) = (Self.mixedDoubt(), Dice(seed: 7), 0)
        for probe in 0..<10_000 {
            let answer: Doubt.Answer =
                Int.random(in: 0..<5, using: &dice) == 0 ? .silent : .answered
            lossy.note(answer, of: PairNumber(probe % 100))
            guard lossy.isSuspicious else { continue }
            suspicions += 1
            // Of five that are asked then as many are lost.
            lossy.sampledUnheard(answers: 4, of: 5)
            #expect(!lossy.isSilent)
        }
        #expect(suspicions < 10)
    }

    @Test func `one host, or all heard since, is no suspicion`() {
        var host = Self.doubt(100, hosts: 1)
        for target in PairNumber(0)..<20 { host.note(.silent, of: target) }
        #expect(!host.isSuspicious)
        var heard = Self.doubt(20, hosts: 10)
        heard.note(.silent, of: 0)
        for target in PairNumber(5)..<20 { heard.note(.answered, of: target) }
        for target in PairNumber(0)..<5 { heard.note(.silent, of: target) }
        #expect(!heard.isSuspicious)
    }

    @Test func `refusals are deaths and no doubt`() {
        let doubt = Self.doubt()
        #expect(!doubt.isSilent)
    }

    @Test func `a handful, or one host, is no sample`() {
        var few = Self.doubt(4, hosts: 4)
        for target in PairNumber(0)..<4 { few.note(.silent, of: target) }
        #expect(!few.isSilent)
        var one = Self.doubt(10, hosts: 1)
        for target in PairNumber(0)..<10 { one.note(.silent, of: target) }
        #expect(!one.isSilent)
    }

    /// With too much doubt, a rack loses power, every agent doubts itself, and nothing is ever down.
    @Test func `what most others see too is the world`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<10 { doubt.note(.silent, of: target) }
        doubt.note(silentAgents: 1, of: 3)
        #expect(doubt.withholdsFailures(hasOthers: true, at: Self.at(1)))
        doubt.note(silentAgents: 2, of: 3)
        #expect(!doubt.withholdsFailures(hasOthers: true, at: Self.at(1)))
        #expect(doubt.isSilent)
        doubt.note(silentAgents: 2, of: 5)
        #expect(doubt.withholdsFailures(hasOthers: true, at: Self.at(1)))
    }

    @Test func `a doubt that began among others does not end because they are gone`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<10 { doubt.note(.silent, of: target) }
        doubt.settle(hasOthers: true, at: Self.at(1))
        doubt.settle(hasOthers: false, at: Self.at(9))
        #expect(doubt.withholdsFailures(hasOthers: false, at: Self.at(9)))
        #expect(doubt.since == Self.at(1))
        for target in PairNumber(0)..<6 { doubt.note(.answered, of: target) }
        doubt.settle(hasOthers: false, at: Self.at(10))
        #expect(!doubt.withholdsFailures(hasOthers: false, at: Self.at(10)))
        // What falls silent when it has long been alone is down.
        for target in PairNumber(0)..<10 { doubt.note(.silent, of: target) }
        doubt.settle(hasOthers: false, at: Self.at(11))
        #expect(!doubt.withholdsFailures(hasOthers: false, at: Self.at(11)))
    }

    /// It has begun anew, or taken over what others found well.
    @Test func `who has seen nothing at all doubts itself among others, and not what was down`() {
        var doubt = Self.doubt(answered: false)
        for target in PairNumber(0)..<5 { doubt.note(.silent, of: target, after: .up) }
        #expect(doubt.isSilent)
        var anew = Self.doubt(answered: false)
        for target in PairNumber(0)..<5 { anew.note(.silent, of: target, after: .nothing) }
        // That it takes them down itself explains nothing.
        for target in PairNumber(0)..<5 { anew.note(.silent, of: target, after: .self) }
        var alone = anew
        alone.settle(hasOthers: false, at: Self.at(1))
        #expect(!alone.withholdsFailures(hasOthers: false, at: Self.at(1)))
        anew.settle(hasOthers: true, at: Self.at(1))
        #expect(anew.withholdsFailures(hasOthers: true, at: Self.at(1)))
        anew.note(.answered, of: 9)
        for target in PairNumber(0)..<5 { anew.note(.answered, of: target) }
        anew.settle(hasOthers: true, at: Self.at(2))
        #expect(!anew.withholdsFailures(hasOthers: true, at: Self.at(2)))
        var dead = Self.doubt(answered: false)
        for target in PairNumber(0)..<10 { dead.note(.silent, of: target, after: .down) }
        dead.settle(hasOthers: true, at: Self.at(1))
        #expect(!dead.withholdsFailures(hasOthers: true, at: Self.at(1)))
    }

    @Test func `one agent alone does not doubt by what it finds`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<10 { doubt.note(.silent, of: target) }
        #expect(!doubt.withholdsFailures(hasOthers: false, at: Self.at(1)))
    }

    @Test func `a store that is away is doubt, and no reason to ignore what is found`() {
        var doubt = Self.doubt()
        doubt.note(storeAway: true)
        #expect(doubt.value(hasOthers: true, at: Self.at(1)) == 1)
        #expect(!doubt.withholdsFailures(hasOthers: true, at: Self.at(1)))
    }

    @Test func `lag is doubt from a second of it on, and for ten seconds`() {
        var doubt = Self.doubt()
        for second in Int64(1)...9 { doubt.note(lag: .milliseconds(100), at: Self.at(second)) }
        #expect(doubt.reasons(hasOthers: true, at: Self.at(9)).isEmpty)
        doubt.note(lag: .milliseconds(100), at: Self.at(10))
        #expect(doubt.reasons(hasOthers: true, at: Self.at(10)) == [.loopLag])
        #expect(doubt.reasons(hasOthers: true, at: Self.at(19)) == [.loopLag])
        #expect(doubt.reasons(hasOthers: true, at: Self.at(20)).isEmpty)
    }

    @Test func `pairs that were given away say nothing any more`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<10 { doubt.note(.silent, of: target) }
        for target in PairNumber(0)..<10 { doubt.leave(target) }
        // Nor do they say that the network is there again: the next that answers does.
        #expect(doubt.isSilent)
        doubt.note(.answered, of: 3)
        #expect(!doubt.isSilent)
        #expect(doubt.value(hasOthers: true, at: Self.at(1)) == 0)
    }

    /// A firewall, or a route that prohibits: the targets were never asked.
    @Test func `nothing but errors of its own sockets is no network, until a target answers`() {
        var doubt = Self.doubt(3, hosts: 3)
        doubt.note(.unsent, of: 0)
        doubt.note(.unsent, of: 1)
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)).isEmpty, "one still answers")
        doubt.note(.unsent, of: 2)
        // However few there are, and be it alone.
        #expect(doubt.reasons(hasOthers: false, at: Self.at(1)) == [.network])
        #expect(doubt.value(hasOthers: true, at: Self.at(1)) == 1)
        #expect(doubt.isSilent(0))
        // What was given away proves nothing.
        for target in PairNumber(0)..<3 { doubt.leave(target) }
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)) == [.network])
        doubt.sampled(answers: 0, of: 2)
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)) == [.network])
        doubt.note(.answered, of: 1)
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)).isEmpty)
    }

    @Test func `targets that could not be asked are silent among others that are`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<3 { doubt.note(.unsent, of: target) }
        for target in PairNumber(3)..<5 { doubt.note(.silent, of: target) }
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)) == [.massFailure])
    }

    @Test func `what says that nothing went out`() {
        func found(_ reason: Reason, _ code: Int?, _ verdict: Outcome.Verdict) -> Found {
            var outcome = Outcome(verdict, reason)
            outcome.code = code
            return Found(outcome)
        }
        for verdict in [Outcome.Verdict.neutral, .fail] {
            for code in [1, 13, 97, 99] {
                #expect(found(.socketError, code, verdict) == .unsent, "\(code)")
                #expect(found(.layer4Connect, code, verdict) != .unsent)
            }
            // Descriptors that are used up, and programs, are not the network.
            for code in [24, nil] { #expect(found(.socketError, code, verdict) == .nothing) }
        }
    }

    @Test func `an agent that starts before its network is blind`() {
        var doubt = Self.doubt(answered: false)
        for target in PairNumber(0)..<5 { doubt.note(.silent, of: target) }
        #expect(doubt.isBlind)
        #expect(!doubt.isSilent)
        doubt.note(.answered, of: 7)
        #expect(!doubt.isBlind)
    }

    @Test func `it knows since when`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<10 { doubt.note(.silent, of: target) }
        doubt.settle(hasOthers: true, at: Self.at(3))
        doubt.settle(hasOthers: true, at: Self.at(5))
        #expect(doubt.since == Self.at(3))
        for target in PairNumber(0)..<10 { doubt.note(.answered, of: target) }
        doubt.settle(hasOthers: true, at: Self.at(6))
        #expect(doubt.since == nil)
    }

    /// Whether the others see the same takes its time from when it is the network that is doubted.
    @Test func `it knows since when it is its network, however long it was late before`() {
        var doubt = Self.doubt()
        doubt.note(lag: .seconds(2), at: Self.at(1))
        doubt.settle(hasOthers: true, at: Self.at(1))
        #expect(doubt.since == Self.at(1) && doubt.networkSince == nil)
        for target in PairNumber(0)..<10 { doubt.note(.silent, of: target) }
        doubt.settle(hasOthers: true, at: Self.at(5))
        #expect(doubt.since == Self.at(1) && doubt.networkSince == Self.at(5))
        for target in PairNumber(0)..<10 { doubt.note(.answered, of: target) }
        doubt.settle(hasOthers: true, at: Self.at(6))
        #expect(doubt.since == Self.at(1) && doubt.networkSince == nil)
    }

    /// It gave away what it probed, and has nothing of its own that could answer.
    @Test func `more than half of a sample is a network again, one answer of five is not`() {
        var doubt = Self.doubt()
        for target in PairNumber(0)..<10 { doubt.note(.silent, of: target) }
        for target in PairNumber(0)..<10 { doubt.leave(target) }
        #expect(doubt.isOfNetwork(hasOthers: true, at: Self.at(1)))
        doubt.sampled(answers: 1, of: 5)
        doubt.sampled(answers: 2, of: 5)
        #expect(doubt.isOfNetwork(hasOthers: true, at: Self.at(1)))
        doubt.sampled(answers: 3, of: 5)
        #expect(doubt.reasons(hasOthers: true, at: Self.at(1)).isEmpty)
    }
}

@Suite struct MassChangeTests {
    private static func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test func `half at once is held, what goes down one by one is not`() {
        var mass = MassChange()
        let together = (PairNumber(0)..<10).map {
            mass.mayFall($0, of: 10, hasOthers: true, at: Self.at(1))
        }
        #expect(together == [true, true, true, true, false, false, false, false, false, false])
        #expect(mass.isHolding)

        var slow = MassChange()
        for pair in PairNumber(0)..<10 {
            let may = slow.mayFall(pair, of: 10, hasOthers: true, at: Self.at(Int64(pair) * 2_000))
            #expect(may)
        }
    }

    /// Those with long intervals cannot have fallen yet.
    @Test func `what was not asked within that time counts on neither side`() {
        for heard in [PairNumber(100), 10] {
            var mass = MassChange()
            for pair in 0..<PairNumber(100) { mass.heard(pair, at: Self.at(0)) }
            for pair in 0..<heard { mass.heard(pair, at: Self.at(9_000)) }
            let may = (PairNumber(0)..<10).map {
                mass.mayFall($0, of: 100, hasOthers: true, at: Self.at(9_500))
            }
            #expect(may.contains(false) == (heard == 10))
        }
        var mass = MassChange()
        for pair in 0..<PairNumber(20) { mass.heard(pair, at: Self.at(0)) }
        // Another has half of them.
        for pair in PairNumber(10)..<20 { mass.leave(pair) }
        let may = (PairNumber(0)..<5).map {
            mass.mayFall($0, of: 99, hasOthers: true, at: Self.at(1))
        }
        #expect(may == [true, true, true, true, false])
    }

    @Test func `one that is held and fails again is still one`() {
        var mass = MassChange()
        for pair in PairNumber(0)..<5 {
            _ = mass.mayFall(pair, of: 10, hasOthers: true, at: Self.at(0))
        }
        // The others came back; this one goes on failing.
        var held = 0
        for second in Int64(1)...10 {
            if !mass.mayFall(4, of: 10, hasOthers: true, at: Self.at(second * 1_000)) { held += 1 }
        }
        #expect(held == 5)
        #expect(!mass.isHolding)
        let over = mass.takeOver()
        #expect(over?.ends == [.fell: 1])
    }

    @Test func `a hold lasts until none is held any more, and says once what became of them`() {
        var mass = MassChange()
        for pair in PairNumber(0)..<10 {
            _ = mass.mayFall(pair, of: 10, isSilent: true, hasOthers: true, at: Self.at(7))
        }
        #expect(mass.hold?.pairs.count == 10)
        for pair in PairNumber(0)..<7 { mass.end(pair, .passed) }
        mass.end(7, .left)
        mass.end(8, .fell)
        // What is held no more ends nothing a second time.
        mass.end(8, .passed)
        let early = mass.takeOver()
        #expect(early == nil)
        #expect(mass.hold?.since == Self.at(7))
        let may = mass.mayFall(9, of: 10, hasOthers: true, at: Self.at(60_000))
        let (over, again) = (mass.takeOver(), mass.takeOver())
        #expect(may && mass.hold == nil)
        #expect(over?.since == Self.at(7))
        #expect(over?.ends == [.passed: 7, .left: 1, .fell: 2])
        #expect(again == nil)
    }

    @Test func `an agent alone holds nothing, nor does one that is told to publish`() {
        var alone = MassChange()
        var publishing = MassChange(rule: .init(action: .publish))
        for pair in PairNumber(0)..<10 {
            let mayAlone = alone.mayFall(pair, of: 10, hasOthers: false, at: Self.at(0))
            let mayPublish = publishing.mayFall(pair, of: 10, hasOthers: true, at: Self.at(0))
            #expect(mayAlone && mayPublish)
        }
    }

    /// The pairs that fail are given away one by one, and with them the evidence.
    @Test func `an agent that gave away what fails doubts itself until something answers`() {
        var doubt = Doubt()
        let now = Instant(nanoseconds: 0)
        for pair in 0..<PairNumber(5) {
            doubt.define(pair, host: UInt64(pair))
            doubt.note(.answered, of: pair)
        }
        for pair in 0..<PairNumber(5) { doubt.note(.silent, of: pair) }
        #expect(doubt.reasons(hasOthers: true, at: now) == [.massFailure])
        for pair in 0..<PairNumber(5) {
            doubt.leave(pair)
            #expect(doubt.reasons(hasOthers: true, at: now) == [.massFailure])
            #expect(doubt.value(hasOthers: true, at: now) >= Doubt.withheldFrom)
        }
        doubt.note(.silent, of: 0)
        #expect(doubt.reasons(hasOthers: true, at: now) == [.massFailure])
        doubt.note(.answered, of: 1)
        doubt.note(.answered, of: 2)
        #expect(doubt.reasons(hasOthers: true, at: now) == [])
    }
}
