// Who is asked before a peer goes down, where agents come and go, and nothing is said of `confirm`? In virtual time.

import Fleet
import Health
import Testing
import Vocabulary

@testable import Simulation

@Suite struct CompanyTests {
    private let target = 3
    private var setting: WorldSetting {
        var setting = WorldSetting(agents: 3, targets: 8, minutes: 4)
        setting.confirm = .byDefault
        return setting
    }

    /// Whoever holds the target where nothing is wrong, and another one.
    private func agents() throws -> (holder: Int, other: Int) {
        let world = World(setting, seed: 5, faults: [])
        #expect(try world.run() == nil)
        defer { world.close() }
        let holder = try #require(world.agents.first { $0.heldEpoch(of: target) != nil })
        return (holder.number, holder.number == 0 ? 1 : 0)
    }

    private func world(_ faults: [Fault]) throws -> World {
        let world = World(setting, seed: 5, faults: faults, isTold: true)
        let violation = try world.run()
        world.close()
        #expect(violation == nil, "\(violation?.text ?? "") \(world.story.suffix(30).map(\.text))")
        return world
    }

    private func times(_ words: String, in world: World) -> [Double] {
        world.story.filter { $0.text.contains(words) }
            .compactMap { Double($0.text.prefix { $0 != " " }) }
    }

    @Test func `while one of three is started again the word of one takes nothing down`() throws {
        let (holder, other) = try agents()
        let world = try world([
            Fault(at: 60_000, length: 8_000, kind: .crash(agent: other)),
            Fault(
                at: 58_000,
                length: 60_000,
                kind: .cutFromTarget(agent: holder, target: target)
            ),
        ])
        #expect(times("writes that p3 is down", in: world).isEmpty)
        #expect(times("finds p3 down", in: world).isEmpty)
    }

    @Test func `what two took down is asked about when they are three again`() throws {
        let (holder, other) = try agents()
        let world = try world([
            Fault(at: 30_000, length: 90_000, kind: .crash(agent: other)),
            Fault(
                at: 105_000,
                length: 80_000,
                kind: .cutFromTarget(agent: holder, target: target)
            ),
        ])
        // A minute after the third has gone the two are two.
        let down = times("writes that p3 is down", in: world)
        #expect(down.count == 1 && down.allSatisfy { $0 > 105 && $0 < 112 }, "\(down)")
        // Settled, asked three times in as many intervals, and offered; up again while the holder before still fails.
        let up = times("finds p3 up", in: world)
        #expect(up.contains { $0 > 122 && $0 < 140 }, "\(up) \(world.story.suffix(60).map(\.text))")
    }
}
