// Does a fleet hold together, whatever befalls it? Whole runs by seed, and the few stories that have a bar of
// their own, measured where it counts: at the targets, and at what is published.

import Fleet
import Health
import Testing
import Vocabulary

@testable import Simulation

@Suite struct SeedTests {
    @Test(arguments: Array(stride(from: UInt64(1), through: 176, by: 25)))
    func `twenty-five seeds from this one on hold`(first: UInt64) throws {
        for seed in first..<first + 25 {
            let setting = Simulation.setting(seed: seed, minutes: 2)
            let report = try Simulation.run(seed: seed, setting)
            #expect(report.isFine, "\(report.text)")
        }
    }

    @Test func `a seed is one story, always`() throws {
        let setting = Simulation.setting(seed: 7, minutes: 2)
        let faults = Simulation.faults(seed: 7, setting)
        let stories = try (0..<2).map { _ in
            let world = World(setting, seed: 7, faults: faults, isTold: true)
            _ = try world.run()
            world.close()
            return world.story
        }
        #expect(stories[0].count > 50)
        #expect(stories[0].count == stories[1].count)
        // A whole story is longer than anybody reads.
        let other = zip(stories[0], stories[1]).first { $0 != $1 }
        #expect(other == nil)
    }

    /// `make simulate-shares` counts it for a hundred thousand pairs over a thousand agents.
    @Test func `of five hundred agents one that is lost moves its own pairs and no others`() {
        let shares = Shares(agents: 500, pairs: 20_000, losses: 10)
        #expect(shares.needless == 0)
        // A five-hundredth is 0.2%; of 400 that moved in all, four standard deviations are 80.
        #expect((0.16...0.24).contains(shares.movedShare), "\(shares.text)")
        #expect(shares.fewest > 10 && shares.most < 80, "\(shares.text)")
    }

    /// Only a fault of the fleet makes one, and then the story is what people have.
    @Test func `an epoch below its era is told like any other`() {
        #expect(World.name(of: 7, in: 5) == "+2")
        #expect(World.name(of: 3, in: 5) == "-2")
    }

    /// Faults that last until the end leave it in disorder: that must be seen, and told in few words.
    @Test func `a run that ends badly is told with the faults that it takes`() throws {
        var setting = WorldSetting(agents: 3, targets: 8, minutes: 2)
        setting.faultsUntil = 40_000
        var bad: SeedReport?
        for seed in UInt64(1)...20 where bad == nil {
            var late = setting
            late.length = 41_000
            let report = try Simulation.run(seed: seed, late)
            if !report.isFine { bad = report }
        }
        let text = bad?.text ?? "every seed was fine"
        #expect(text.contains("it takes ") && text.contains("what happened last"), "\(text)")
        #expect((bad?.faults.count ?? 99) < 12)
    }
}

@Suite struct StoryTests {
    private static let interval = Int64(1_000)
    private static let timeout = Int64(400)

    private func world(
        _ faults: [Fault],
        agents: Int = 3,
        targets: Int = 20,
        action: MassChange.Action = .hold
    ) -> World {
        var setting = WorldSetting(agents: agents, targets: targets, minutes: 2)
        setting.massAction = action
        setting.abstention = .seconds(60)
        return World(setting, seed: 11, faults: faults, isTold: true)
    }

    private func run(_ world: World) throws {
        let violation = try world.run()
        world.close()
        #expect(violation == nil, "\(violation?.text ?? "") \(world.story.suffix(30).map(\.text))")
    }

    private func told(_ world: World, _ word: String) -> [String] {
        world.story.map(\.text).filter { $0.contains(word) }
    }

    @Test
    func
        `one of three is killed: nobody goes unprobed for longer than interval, timeout and a second`()
        throws
    {
        for at in stride(from: Int64(20_000), to: 21_000, by: 70) {
            let world = world([Fault(at: at, length: 30_000, kind: .crash(agent: 1))])
            try run(world)
            let gap = world.checks.gaps.max() ?? .max
            #expect(gap <= Self.interval + Self.timeout + 1_000, "killed at \(at): \(gap)ms")
            #expect(world.checks.falls == 0)
        }
    }

    /// The lease may be over before a pair is stale: its heir has it by its rank then, and has missed a slot.
    @Test(arguments: [Int64(3_000), 5_000, 10_000])
    func `however long the interval is, who is killed leaves no slot out`(interval: Int64) throws {
        for at in stride(from: Int64(30_000), to: 30_000 + interval, by: Int(interval / 7)) {
            var setting = WorldSetting(agents: 3, targets: 20, minutes: 2)
            setting.interval = .milliseconds(interval)
            setting.timeout = .seconds(1)
            let faults = [Fault(at: at, length: 40_000, kind: .crash(agent: 1))]
            let world = World(setting, seed: 11, faults: faults, isTold: true)
            let violation = try world.run()
            world.close()
            let gap = world.checks.gaps.max() ?? .max
            #expect(gap <= interval + 1_000 + 1_000, "killed at \(at): \(gap)ms")
            #expect(violation == nil, "\(violation?.text ?? "")")
        }
    }

    @Test func `two of five are killed together: half a second more`() throws {
        for at in stride(from: Int64(20_000), to: 21_000, by: 130) {
            let world = world(
                [
                    Fault(at: at, length: 30_000, kind: .crash(agent: 1)),
                    Fault(at: at, length: 30_000, kind: .crash(agent: 3)),
                ],
                agents: 5
            )
            try run(world)
            let gap = world.checks.gaps.max() ?? .max
            #expect(gap <= Self.interval + Self.timeout + 1_500, "killed at \(at): \(gap)ms")
        }
    }

    @Test func `a clean stop leaves no gap beyond an interval and a fifth of a second`() throws {
        for at in stride(from: Int64(20_000), to: 21_000, by: 130) {
            let world = world([Fault(at: at, length: 40_000, kind: .leave(agent: 1))])
            try run(world)
            let gap = world.checks.gaps.max() ?? .max
            #expect(gap <= Self.interval + 200, "stopped at \(at): \(gap)ms")
            #expect(told(world, "has stopped").count == 1)
        }
    }

    /// Killed at once and back after a while: a newcomer that takes its share.
    @Test func `who joins takes its share, and no slot is probed twice or left out`() throws {
        let world = world([Fault(at: 100, length: 40_000, kind: .crash(agent: 2))])
        try run(world)
        #expect((world.checks.gaps.max() ?? .max) <= Self.interval + 50)
        for target in 0..<20 {
            let probes = world.checks.probesFrom[target].values.reduce(0, +)
            // Two minutes, and what the killed one had begun.
            #expect((117...123).contains(probes), "p\(target): \(probes)")
        }
        #expect(told(world, "claims").contains { $0.contains("in 500ms") })
    }

    @Test
    func `an agent that is stopped for ten seconds changes no status and loses its pairs once`()
        throws
    {
        let world = world([
            Fault(at: 20_300, length: 10_000, kind: .pause(agent: 0))
        ])
        try run(world)
        #expect(world.checks.falls == 0)
        #expect(told(world, "stood still").count == 1)
        #expect(told(world, "down").isEmpty)
        let gap = world.checks.gaps.max() ?? .max
        #expect(gap <= Self.interval + Self.timeout + 1_000)
    }

    @Test
    func
        `an agent that is cut off from all targets takes nobody down, and its pairs are looked after`()
        throws
    {
        let world = world([Fault(at: 20_300, length: 30_000, kind: .cutFromTargets(agent: 0))])
        try run(world)
        #expect(world.checks.falls == 0)
        #expect(!told(world, "is given to").isEmpty)
        // A peer that dies meanwhile is found by those who took it.
        let other = self.world(
            [Fault(at: 20_300, length: 40_000, kind: .cutFromTargets(agent: 0))]
                + (0..<20).map { Fault(at: 40_000, length: 10_000, kind: .targetDown($0)) },
            action: .publish
        )
        try run(other)
        #expect(other.checks.falls == 20)
    }

    @Test func `all agents are cut off: held or published, as configured`() throws {
        let cuts = (0..<3).map {
            Fault(at: 20_300, length: 20_000, kind: .cutFromTargets(agent: $0))
        }
        let holding = world(cuts)
        try run(holding)
        // What all three have found before half of it was silent is no mass yet.
        #expect(holding.checks.falls <= 2)
        #expect(!told(holding, "held").isEmpty)
        let publishing = world(cuts, action: .publish)
        try run(publishing)
        #expect(publishing.checks.falls == 20)
    }

    /// Half of them with an interval of ten seconds: these have not been asked yet when the others have failed twice.
    private func mixed(
        _ faults: [Fault],
        agents: Int = 3,
        targets: Int = 60,
        confirm: ConfirmRule = ConfirmRule(agents: 2),
        fall: Int = 2
    ) -> World {
        var setting = WorldSetting(agents: agents, targets: targets, minutes: 2)
        setting.intervals = [1, 10, 1, 10, 10, 3].map { .seconds($0) }
        setting.timeout = .milliseconds(500)
        setting.thresholds = Thresholds(rise: 2, fall: fall)
        setting.confirm = confirm
        return World(setting, seed: 11, faults: faults, isTold: true)
    }

    @Test(arguments: [2, 3])
    func `all agents are cut off, and most is asked every ten seconds: held`(
        agents: Int
    ) throws {
        for at in stride(from: Int64(30_000), to: 40_000, by: 2_630) {
            let cuts = (0..<agents).map {
                Fault(at: at, length: 20_000, kind: .cutFromTargets(agent: $0))
            }
            let world = mixed(cuts, agents: agents)
            try run(world)
            #expect(world.checks.falls == 0, "\(at)")
            #expect(!told(world, "held").isEmpty)
        }
    }

    @Test(arguments: [(2, ConfirmRule(agents: 2)), (2, ConfirmRule()), (3, ConfirmRule())])
    func `one agent is cut off, and most is asked every ten seconds: none is down`(
        agents: Int,
        confirm: ConfirmRule
    ) throws {
        for at in stride(from: Int64(30_000), to: 40_000, by: 2_630) {
            for agent in 0..<agents {
                let cut = Fault(at: at, length: 25_000, kind: .cutFromTargets(agent: agent))
                let world = mixed([cut], agents: agents, confirm: confirm)
                try run(world)
                #expect(world.checks.falls == 0, "a\(agent) at \(at)")
            }
        }
    }

    /// It is them: all others answer as soon as they are asked.
    @Test func `what is asked every second dies among much that is asked every ten: down in time`()
        throws
    {
        for confirm in [ConfirmRule(), ConfirmRule(agents: 2)] {
            // Those with an interval of a second, on as many hosts.
            let dead = (0..<30).filter { [0, 2].contains($0 % 6) }
            for at in stride(from: Int64(30_000), to: 31_000, by: 490) {
                let world = mixed(
                    dead.map { Fault(at: at, length: 20_000, kind: .targetSilent($0)) },
                    confirm: confirm
                )
                try run(world)
                #expect(world.checks.falls == dead.count)
                #expect(told(world, "doubt").isEmpty, "\(told(world, "doubt"))")
            }
        }
    }

    @Test func `one agent sees a peer down that two see up: published up, and said`() throws {
        let world = world(
            (0..<20).map {
                Fault(at: 20_000, length: 30_000, kind: .cutFromTarget(agent: 1, target: $0))
            }
            .prefix(3) + []
        )
        try run(world)
        #expect(world.checks.falls == 0)
        if world.checks.probesFrom.prefix(3).contains(where: { ($0[1] ?? 0) > 10 }) {
            #expect(!told(world, "see it pass").isEmpty)
        }
    }

    @Test func `the store is gone for a minute: everybody probes on, exactly what it had`() throws {
        let world = world([Fault(at: 20_000, length: 50_000, kind: .storeGone(keeps: true))])
        try run(world)
        #expect((world.checks.gaps.max() ?? .max) <= Self.interval + 50)
        #expect(world.checks.probesFrom.allSatisfy { $0.count <= 2 })
        #expect(world.checks.falls == 0)
    }

    /// It is cut off from targets and store together: nobody could be asked, and it must not say when it
    /// comes back what nobody else has seen.
    @Test func `what an agent found alone, without a store, is not published before others see it`()
        throws
    {
        var areFound = false
        for number in 0..<3 {
            // Too few to doubt its own network for.
            let cuts = (0..<4).map {
                Fault(at: 20_000, length: 14_000, kind: .cutFromTarget(agent: number, target: $0))
            }
            let world = world(
                cuts + [Fault(at: 20_500, length: 8_000, kind: .storeGone(keeps: true))]
            )
            try run(world)
            areFound = areFound || told(world, "finds p").contains { $0.hasSuffix("down") }
            #expect(world.checks.falls == 0)
        }
        #expect(areFound)
        // What is down for all is, as soon as they were asked.
        let world = world([
            Fault(at: 20_000, length: 20_000, kind: .targetDown(3)),
            Fault(at: 20_500, length: 8_000, kind: .storeGone(keeps: true)),
        ])
        try run(world)
        #expect(world.checks.falls == 1)
    }

    /// Store and targets go at once: that is its own network, and nobody is there to whom it could give anything.
    @Test(arguments: [Int64(0), 300, 1_500])
    func `one that loses store and targets at once finds nothing down, and tells of no hand-over`(
        later: Int64
    ) throws {
        for number in 0..<3 {
            // Each has more than the five that are a sample.
            let world = world(
                [
                    Fault(at: 20_000, length: 20_000, kind: .cutFromStore(agent: number)),
                    Fault(at: 20_000 + later, length: 20_000, kind: .cutFromTargets(agent: number)),
                ],
                targets: 40
            )
            try run(world)
            let down = told(world, "finds p").filter { $0.hasSuffix("down") }
            #expect(down.isEmpty, "\(down)")
            #expect(told(world, "is given to").isEmpty, "\(told(world, "is given to"))")
            #expect(world.checks.falls == 0)
        }
    }

    /// Its words were over when they came: readers kept what was said before, and the next holder went on from
    /// that.
    @Test func `an agent whose clock is six minutes behind is believed as all others are`() throws {
        let world = world(
            (0..<20).map { Fault(at: 20_000, length: 9_500, kind: .targetDown($0)) } + [
                Fault(at: 10_000, length: 80_000, kind: .agentClock(agent: 0, by: -366_000)),
                Fault(at: 29_000, length: 60_000, kind: .crash(agent: 1)),
                Fault(at: 35_000, length: 50_000, kind: .crash(agent: 0)),
            ]
        )
        try run(world)
        // Each once.
        #expect(world.checks.falls == 20)
    }

    @Test func `a second process with one id takes no part, and the first goes on`() throws {
        let world = world([Fault(at: 20_000, length: 12_000, kind: .twin(agent: 1))])
        try run(world)
        #expect((world.checks.gaps.max() ?? .max) <= Self.interval + 50)
        #expect(told(world, "another process with agent.id 'a1' is alive").count == 1)
        #expect(world.checks.falls == 0)
    }

    @Test func `an emptied store is told everything again, and nobody goes unprobed`() throws {
        let world = world([Fault(at: 20_000, length: 0, kind: .flush)])
        try run(world)
        #expect((world.checks.gaps.max() ?? .max) <= Self.interval + 50)
        #expect(world.checks.falls == 0)
        #expect(told(world, "is another than before").count == 3)
    }

    @Test func `a failover that loses a second of writes leaves one holder a pair`() throws {
        let world = world([
            Fault(at: 19_500, length: 30_000, kind: .crash(agent: 1)),
            Fault(at: 21_500, length: 300, kind: .failover(lost: 1_000)),
        ])
        try run(world)
        #expect(world.checks.falls == 0)
    }
}

/// Worlds that went wrong once, as they were told when they had been made as small as they get.
@Suite struct ReplayTests {
    struct Replay: Sendable, CustomTestStringConvertible {
        var what: String
        var seed: UInt64
        var agents: Int
        var targets: Int
        var confirm = ConfirmRule(agents: 2)
        /// Of the agents so many only read; where that is said the rest is as the seed has it.
        var readers: Int?
        var faults: [Fault]
        var testDescription: String { what }

        /// With time to come to rest.
        var setting: WorldSetting {
            guard let readers else {
                var setting = WorldSetting(agents: agents, targets: targets, minutes: 4)
                setting.confirm = confirm
                return setting
            }
            var setting = Simulation.setting(seed: seed)
            let rest = setting.length - setting.faultsUntil
            let end = faults.map { $0.at + $0.length }.max() ?? 0
            (setting.agents, setting.readers, setting.targets) = (agents, readers, targets)
            setting.faultsUntil = max((end + 999) / 1_000 * 1_000, 10_000)
            setting.length = setting.faultsUntil + rest
            return setting
        }
    }

    private static func fault(_ at: Int64, _ length: Int64, _ kind: Fault.Kind) -> Fault {
        Fault(at: at, length: length, kind: kind)
    }

    static let replays = [
        Replay(
            what: "a release that was lost",
            seed: 11,
            agents: 6,
            targets: 20,
            faults: [
                fault(4_378, 700, .badNetwork(share: 20)),
                fault(4_842, 15_000, .otherCatalogue(agent: 3, target: 18)),
            ]
        ),
        Replay(
            what: "a pair that was defined no more while there was no way to the store",
            seed: 119,
            agents: 1,
            targets: 12,
            faults: [
                fault(26_536, 300, .cutFromStore(agent: 0)),
                fault(26_865, 6_000, .otherCatalogue(agent: 0, target: 4)),
            ]
        ),
        Replay(
            what: "who was given a pair in doubt stands still before its first word",
            seed: 37,
            agents: 3,
            targets: 19,
            faults: [
                fault(7_447, 6_347, .pause(agent: 1)),
                fault(20_313, 300, .targetSilent(18)),
                fault(21_115, 3_800, .pause(agent: 2)),
            ]
        ),
        Replay(
            what: "who was given a pair in doubt is out of the roster before its first word",
            seed: 109,
            agents: 3,
            targets: 10,
            faults: [
                fault(47_898, 1_700, .pause(agent: 2)),
                fault(53_395, 1_400, .targetSilent(9)),
                fault(54_679, 4_400, .pause(agent: 1)),
            ]
        ),
        Replay(
            what: "who took it from one that leaves is killed before its first word",
            seed: 116,
            agents: 3,
            targets: 4,
            faults: [
                fault(7_840, 9_371, .leave(agent: 2)), fault(8_764, 6_197, .crash(agent: 1)),
            ]
        ),
        Replay(
            what: "its heir is dead, and who holds it leaves",
            seed: 111,
            agents: 3,
            targets: 11,
            faults: [
                fault(163_422, 300, .crash(agent: 0)), fault(169_223, 5_868, .crash(agent: 1)),
                fault(169_854, 5_868, .leave(agent: 0)),
            ]
        ),
        Replay(
            what: "standing still is no sign that the store is away",
            seed: 4,
            agents: 1,
            targets: 13,
            faults: [
                fault(7_618, 281, .otherCatalogue(agent: 0, target: 12)),
                fault(8_645, 4_456, .pause(agent: 0)),
            ]
        ),
        Replay(
            what: "a store that takes no writes makes nothing unknown",
            seed: 5,
            agents: 2,
            targets: 1,
            faults: [fault(55_139, 16_387, .storeRefuses)]
        ),
        Replay(
            what: "what was found by one that would have doubted with a store",
            seed: 234,
            agents: 2,
            targets: 7,
            confirm: .off,
            faults: [
                fault(12_812, 5_700, .cutFromTargets(agent: 1)), fault(13_026, 3_100, .storeStalls),
            ]
        ),
        Replay(
            what: "a replica that takes over has somebody in its roster who was out of it",
            seed: 114,
            agents: 4,
            targets: 1,
            readers: 0,
            faults: [
                fault(141_261, 300, .crash(agent: 2)), fault(145_071, 120, .failover(lost: 1_135)),
            ]
        ),
        Replay(
            what:
                "a word that was written at the end of a stall is read before the marks are heard",
            seed: 239,
            agents: 3,
            targets: 25,
            readers: 1,
            faults: [
                fault(1, 127_400, .targetFlaky(8, share: 15)),
                fault(1, 127_400, .targetFlaky(16, share: 48)),
                fault(3_570, 11_665, .storeRefuses),
                fault(64_419, 16_600, .targetDown(20)),
                fault(81_000, 13_428, .storeStalls),
            ]
        ),
        Replay(
            what:
                "a pair is defined no more before the answer to its claim, and its release is lost too",
            seed: 353,
            agents: 7,
            targets: 4,
            readers: 1,
            faults: [
                fault(30_375, 26_041, .otherCatalogue(agent: 1, target: 2)),
                fault(30_375, 26_041, .otherCatalogue(agent: 3, target: 2)),
                fault(36_264, 3_000, .badNetwork(share: 20)),
                fault(58_784, 300, .cutFromStore(agent: 3)),
                fault(64_510, 3_000, .badNetwork(share: 20)),
                fault(78_772, 3_000, .badNetwork(share: 20)),
                fault(98_516, 2_400, .cutFromStore(agent: 3)),
                fault(122_162, 6_200, .otherCatalogue(agent: 1, target: 2)),
                fault(122_162, 300, .otherCatalogue(agent: 3, target: 2)),
                fault(122_162, 300, .badNetwork(share: 20)),
                fault(122_532, 6_200, .otherCatalogue(agent: 2, target: 2)),
            ]
        ),
        Replay(
            what: "none of the three to whom it was offered defines it, and a fourth does",
            seed: 353,
            agents: 5,
            targets: 1,
            readers: 0,
            faults: [
                fault(7_336, 36_527, .otherCatalogue(agent: 4, target: 0)),
                fault(8_373, 36_527, .otherCatalogue(agent: 3, target: 0)),
                fault(9_475, 36_527, .otherCatalogue(agent: 0, target: 0)),
                fault(10_021, 18_200, .otherCatalogue(agent: 2, target: 0)),
            ]
        ),
        Replay(
            what: "the only one to whom it was offered is not back in the roster yet",
            seed: 587,
            agents: 2,
            targets: 7,
            readers: 0,
            faults: [
                fault(7_540, 3_552, .cutFromStore(agent: 0)),
                fault(8_065, 29_289, .otherCatalogue(agent: 1, target: 6)),
            ]
        ),
        Replay(
            what: "one that is blind does not hear what it is answered either",
            seed: 504,
            agents: 2,
            targets: 2,
            readers: 0,
            faults: [
                fault(8_575, 8_753, .cutFromTargets(agent: 1)),
                fault(9_763, 7_299, .slowReading(agent: 1)),
            ]
        ),
        Replay(
            what: "two of three die as the third enters the roster",
            seed: 5_097,
            agents: 3,
            targets: 11,
            readers: 0,
            faults: [
                fault(199_836, 300, .crash(agent: 0)), fault(202_336, 300, .crash(agent: 0)),
                fault(204_836, 300, .crash(agent: 0)), fault(210_796, 5_521, .crash(agent: 2)),
                fault(210_960, 5_521, .crash(agent: 1)),
            ]
        ),
        Replay(
            what:
                "one that was late gives away what fails, and is cut off from all when it has it back",
            seed: 5_358,
            agents: 4,
            targets: 23,
            readers: 0,
            faults: [
                fault(7_753, 7_461, .pause(agent: 3)),
                fault(24_486, 8_143, .cutFromTargets(agent: 3)),
            ]
        ),
        Replay(
            what: "a pair is taken over while the clock is slewed",
            seed: 5_560,
            agents: 2,
            targets: 3,
            readers: 0,
            faults: [
                fault(7_898, 0, .storeClock(by: 945)), fault(12_642, 5_334, .pause(agent: 1)),
            ]
        ),
        Replay(
            what:
                "who was handed a pair stands still before its first word, and only who ceded it knows",
            seed: 5_615,
            agents: 5,
            targets: 29,
            readers: 1,
            faults: [
                fault(88_935, 3_016, .pause(agent: 0)),
                fault(114_750, 1_900, .crash(agent: 1)),
                fault(114_801, 4_614, .leave(agent: 2)),
                fault(116_164, 3_362, .slowCalls(agent: 1)),
                fault(118_630, 1_300, .pause(agent: 3)),
                fault(123_086, 3_564, .pause(agent: 1)),
            ]
        ),
        Replay(
            what:
                "an agent that cannot send is given back, as its heir, what it gave away for that",
            seed: 45,
            agents: 4,
            targets: 23,
            readers: 0,
            faults: [fault(7_085, 11_882, .socketsFail(agent: 3))]
        ),
        Replay(
            what: "the store's clock is set while a life waits for the end of the one before",
            seed: 910,
            agents: 3,
            targets: 6,
            readers: 0,
            faults: [
                fault(31_157, 300, .cutFromStore(agent: 0)),
                fault(32_412, 16_667, .storeRefuses),
                fault(32_761, 0, .storeClock(by: -328_767)),
                fault(33_839, 3_600, .pause(agent: 2)),
            ]
        ),
        Replay(
            what: "one that is cut off offers a pair to somebody who does not define it",
            seed: 1_438,
            agents: 3,
            targets: 13,
            readers: 0,
            faults: [
                fault(7_485, 8_384, .otherCatalogue(agent: 2, target: 11)),
                fault(7_769, 8_182, .cutFromTargets(agent: 1)),
            ]
        ),
        Replay(
            what:
                "a word is read on a new connection to the store before a beat is answered there",
            seed: 2_831,
            agents: 6,
            targets: 6,
            readers: 1,
            faults: [
                fault(10_465, 1_400, .storeGone(keeps: false)),
                fault(15_721, 13_035, .storeGone(keeps: true)),
            ]
        ),
        Replay(
            what: "a word is written at the end of a stall and read before a beat is answered",
            seed: 5_999,
            agents: 5,
            targets: 18,
            readers: 1,
            faults: [
                fault(1, 31_800, .targetFlaky(14, share: 38)),
                fault(1, 31_800, .targetFlaky(17, share: 43)),
                fault(14_372, 13_333, .storeStalls),
            ]
        ),
        Replay(
            what: "a change is told while the store stands still for a moment",
            seed: 1_384,
            agents: 4,
            targets: 4,
            readers: 0,
            faults: [
                fault(7_057, 9_364, .storeStalls), fault(24_381, 4_116, .leave(agent: 1)),
                fault(32_384, 300, .storeStalls),
            ]
        ),
        Replay(
            what: "whoever was told of a later claim begins anew, and nobody tells it again",
            seed: 4_165,
            agents: 4,
            targets: 8,
            readers: 0,
            faults: [
                fault(83_708, 300, .storeGone(keeps: false)), fault(93_045, 0, .flush),
                fault(102_311, 3_000, .crash(agent: 3)),
                fault(102_326, 0, .storeClock(by: -403_406)),
                fault(104_891, 3_962, .storeGone(keeps: false)),
            ]
        ),
        Replay(
            what: "who is asked has not heard from the store for a lease, and abstains for that",
            seed: 9_347,
            agents: 3,
            targets: 8,
            readers: 0,
            faults: [
                fault(70_146, 2_795, .storeRefuses),
                fault(70_146, 3_600, .cutFromTargets(agent: 2)),
            ]
        ),
        Replay(
            what: "whoever knew the last era is gone, and the next one is earlier",
            seed: 7_963,
            agents: 2,
            targets: 9,
            readers: 0,
            faults: [
                fault(1, 3_900, .targetFlaky(8, share: 57)),
                fault(4_009, 294, .failover(lost: 165)),
                fault(4_485, 1_700, .storeGone(keeps: false)),
                fault(4_639, 300, .crash(agent: 0)),
                fault(5_735, 0, .storeClock(by: -4_341)),
            ]
        ),
        Replay(
            what:
                "what lies in the store as down was found down alone since, and nobody says so again",
            seed: 2_669,
            agents: 3,
            targets: 27,
            readers: 0,
            faults: [
                fault(1, 254_999, .targetFlaky(0, share: 53)),
                fault(1, 254_999, .targetFlaky(26, share: 21)),
                fault(9_079, 15_000, .storeStalls),
                fault(54_914, 13_707, .storeGone(keeps: true)),
                fault(58_021, 13_707, .targetDown(8)),
                fault(77_699, 24_390, .storeRefuses),
                fault(100_838, 24_390, .targetDown(6)),
                fault(110_367, 27_776, .storeRefuses),
                fault(128_143, 13_811, .cutFromTargets(agent: 2)),
                fault(151_646, 35_801, .storeGone(keeps: true)),
                fault(195_993, 14_900, .storeRefuses),
            ]
        ),
    ]

    @Test(arguments: replays)
    func `what went wrong once does not again`(replay: Replay) throws {
        let scenario = Scenario(seed: replay.seed, setting: replay.setting, faults: replay.faults)
        let violation = try scenario.run()
        #expect(violation == nil, "\(violation?.text ?? "")")
    }

    /// One does not reach three peers, and falls short of doubting itself; the other, all there is beside it, reaches these
    /// and hardly anything else.
    @Test func `where the only other agent doubts itself, what it reaches stays up`() throws {
        let few = (0..<3).map {
            Fault(at: 22_000, length: 20_000, kind: .cutFromTarget(agent: 0, target: $0))
        }
        let most = (3..<20).map {
            Fault(at: 20_000, length: 22_000, kind: .cutFromTarget(agent: 1, target: $0))
        }
        let setting = WorldSetting(agents: 2, targets: 20, minutes: 2)
        let world = World(setting, seed: 11, faults: most + few)
        let violation = try world.run()
        world.close()
        #expect(violation == nil, "\(violation?.text ?? "")")
        #expect(world.checks.falls == 0)
    }
}
