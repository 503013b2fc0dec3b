// What does a fleet believe of an agent that sees nothing, when nobody else is there to say otherwise? Stories in virtual
// time: what is published is counted, and what those see that come back.

import Fleet
import Health
import Testing
import Vocabulary

@testable import Simulation

@Suite struct BlindnessTests {
    private func world(
        _ faults: [Fault],
        agents: Int,
        targets: Int = 24,
        action: MassChange.Action = .hold,
        confirm: ConfirmRule = ConfirmRule(agents: 2),
        fall: Int = 3,
        minutes: Int = 2,
        neutralInSilence: Set<Int> = [],
        keepsFiles: Bool = false,
        seed: UInt64 = 11
    ) -> World {
        var setting = WorldSetting(agents: agents, targets: targets, minutes: minutes)
        setting.thresholds = Thresholds(rise: 2, fall: fall)
        setting.massAction = action
        setting.confirm = confirm
        setting.abstention = .seconds(60)
        setting.neutralInSilence = neutralInSilence
        setting.keepsFiles = keepsFiles
        return World(setting, seed: seed, faults: faults, isTold: true)
    }

    private func run(_ world: World) throws {
        let violation = try world.run()
        world.close()
        #expect(violation == nil, "\(violation?.text ?? "") \(world.story.suffix(30).map(\.text))")
    }

    /// One switch: it reaches Redis and no target, the others the reverse.
    @Test(arguments: [2, 3])
    func `who alone reaches the store, and no target, publishes none of them down`(
        agents: Int
    ) throws {
        for length in [Int64(3_000), 8_000, 20_000] {
            let world = world(
                [Fault(at: 30_000, length: length, kind: .cutFromTargets(agent: 0))]
                    + (1..<agents).map {
                        Fault(at: 30_000, length: length, kind: .cutFromStore(agent: $0))
                    },
                agents: agents
            )
            try run(world)
            #expect(world.checks.falls == 0, "\(length)")
        }
    }

    @Test func `who is blind and first where the store comes back empty publishes none down`()
        throws
    {
        for confirm in [ConfirmRule(), ConfirmRule(agents: 2)] {
            for late in [Int64(100), 1_000, 6_000] {
                let world = world(
                    [
                        Fault(at: 30_000, length: 20_000, kind: .cutFromTargets(agent: 0)),
                        Fault(at: 32_000, length: 3_000, kind: .storeGone(keeps: false)),
                        Fault(at: 32_000, length: 3_000 + late, kind: .cutFromStore(agent: 1)),
                        Fault(at: 32_000, length: 3_000 + late, kind: .cutFromStore(agent: 2)),
                    ],
                    agents: 3,
                    confirm: confirm
                )
                try run(world)
                #expect(world.checks.falls == 0, "\(late)")
            }
        }
    }

    /// It knows nobody when it starts, and finds down what it cannot see: that is its own until others were asked, or it
    /// has seen again.
    @Test(arguments: [2, 3])
    func `who starts blind and without a store publishes nothing of that when it comes back`(
        agents: Int
    ) throws {
        for (blind, away) in [(Int64(9_000), Int64(9_400)), (9_000, 11_000), (14_000, 9_000)] {
            let world = world(
                [
                    Fault(at: 30_000, length: blind, kind: .cutFromTargets(agent: 0)),
                    // Nobody takes what it had meanwhile.
                    Fault(at: 30_000, length: away, kind: .storeGone(keeps: true)),
                    Fault(at: 30_100, length: 1_000, kind: .crash(agent: 0)),
                ],
                agents: agents,
                confirm: ConfirmRule()
            )
            try run(world)
            #expect(!world.story.filter { $0.text.contains("a0 finds") }.isEmpty)
            #expect(world.checks.falls == 0, "\(blind), \(away)")
        }
    }

    /// Over before most of what is probed could fall silent, and long enough for a few to be asked twice; and what was
    /// asked last ends when others have answered again.
    @Test(arguments: [800, 1_300, 2_300])
    func `a short cut takes nothing down`(length: Int64) throws {
        for (agents, cut) in [(2, 1), (3, 1), (3, 3)] {
            for at in stride(from: Int64(30_000), to: 31_000, by: 500) {
                let world = world(
                    (0..<cut).map {
                        Fault(at: at, length: length, kind: .cutFromTargets(agent: $0))
                    },
                    agents: agents,
                    targets: 40,
                    confirm: .off,
                    fall: 2
                )
                try run(world)
                let found = world.story.filter { $0.text.hasSuffix(" down") }.map(\.text)
                #expect(found.isEmpty, "\(agents), \(cut), at \(at): \(found)")
                #expect(world.checks.falls == 0, "\(agents), \(cut), at \(at)")
            }
        }
    }

    /// The letter was delivered, and whoever read it could not take the pair then: it heard of a new era afterwards, or abstained
    /// from it for a cut of its own. What a blind agent got back after one cut it abstains from in the next.
    @Test(arguments: ["alone", "with FLUSHALL", "after another's"])
    func `what nobody took of a blind agent is offered again`(story: String) throws {
        for seed in UInt64(1)...2 {
            let first = story == "after another's" ? 1 : 0
            var faults = [
                Fault(at: 25_000, length: 8_000, kind: .cutFromTargets(agent: first)),
                Fault(at: 45_000, length: 25_000, kind: .cutFromTargets(agent: 0)),
            ]
            switch story {
            case "with FLUSHALL":
                for at in [Int64(45_500), 46_600, 48_000] {
                    faults.append(Fault(at: at, length: 1, kind: .flush))
                }
            case "after another's": faults[1].at = 34_000
            default: break
            }
            let world = world(faults, agents: 3, targets: 36, seed: seed)
            try run(world)
            // In a new era nothing is claimed anew for a lease.
            let bound = Int64(story == "with FLUSHALL" ? 7_500 : 4_500)
            let gaps = world.checks.gaps.filter { $0 > bound }
            #expect(gaps.isEmpty, "seed \(seed): \(gaps)")
        }
    }

    /// Its timeouts say nothing of the peer, and nothing of this agent's network.
    @Test func `what says nothing to a blind agent is given away with the rest`() throws {
        let world = world(
            [Fault(at: 30_000, length: 30_000, kind: .cutFromTargets(agent: 0))],
            agents: 3,
            targets: 36,
            neutralInSilence: [1, 4, 7, 10, 13, 16]
        )
        try run(world)
        #expect((world.checks.gaps.max() ?? .max) <= 4_500, "\(world.checks.gaps)")
    }

    /// Too few targets to tell a network by them, and what is silent is no failure that could be voted on.
    @Test(arguments: [2, 3])
    func `what says nothing to one agent goes to one that hears it`(agents: Int) throws {
        let world = world(
            [Fault(at: 30_000, length: 40_000, kind: .cutFromTargets(agent: 0))],
            agents: agents,
            targets: 8,
            neutralInSilence: Set(0..<8)
        )
        try run(world)
        // Twice in vain, and three askings.
        #expect((world.checks.gaps.max() ?? .max) <= 6_500, "\(world.checks.gaps)")
    }

    /// All are killed and Redis has lost its state: whoever is back first, and sees nothing, knows from its own file that it was not
    /// alone.
    @Test(arguments: [true, false])
    func `who starts blind and first, and knew others, publishes nothing of that`(
        hasStore: Bool
    ) throws {
        let away = Int64(hasStore ? 1 : 12_000)
        let world = world(
            [
                Fault(at: 30_000, length: 500, kind: .crash(agent: 0)),
                Fault(at: 30_000, length: 9_000, kind: .crash(agent: 1)),
                Fault(at: 30_000, length: 9_000, kind: .crash(agent: 2)),
                Fault(at: 30_100, length: away, kind: .storeGone(keeps: false)),
                Fault(at: 30_000, length: 20_000, kind: .cutFromTargets(agent: 0)),
            ],
            agents: 3,
            keepsFiles: true
        )
        try run(world)
        #expect(world.checks.falls == 0)
        let found = world.story.map(\.text).filter {
            $0.contains(" a0 finds ") && $0.hasSuffix(" down")
        }
        #expect(found.isEmpty, "\(found)")
    }

    /// The others never come back.
    @Test func `who is left alone for good takes down what it cannot see after a minute`() throws {
        let world = world(
            [
                Fault(at: 30_000, length: 500, kind: .crash(agent: 0)),
                Fault(at: 30_000, length: 120_000, kind: .crash(agent: 1)),
                Fault(at: 30_100, length: 1, kind: .storeGone(keeps: false)),
                Fault(at: 30_000, length: 90_000, kind: .cutFromTargets(agent: 0)),
            ],
            agents: 2,
            minutes: 4,
            keepsFiles: true
        )
        try run(world)
        #expect(world.checks.falls == 24)
    }

    @Test func `an agent that has never known another finds all down, with a store as without`()
        throws
    {
        let alone = world(
            [Fault(at: 30_000, length: 20_000, kind: .cutFromTargets(agent: 0))],
            agents: 1
        )
        try run(alone)
        #expect(alone.checks.falls == 24)
    }
}
