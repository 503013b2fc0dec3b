// What becomes of a peer that falls while no agent can tell another anything, though all of them beat? In virtual time.

import Health
import Testing
import Vocabulary

@testable import Simulation

@Suite struct SilenceTests {
    /// As where an ACL lacks `xadd`.
    private func world(falling target: Fault.Kind) throws -> World {
        let faults = [
            Fault(at: 30_000, length: 40_000, kind: .storeForbids),
            Fault(at: 40_000, length: 60_000, kind: target),
        ]
        let setting = WorldSetting(agents: 3, targets: 8, minutes: 3)
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

    @Test(arguments: [Fault.Kind.targetDown(3), .targetSilent(3)])
    func `who probes it decides alone after a lease, and asks as soon as that is possible`(
        target: Fault.Kind
    ) throws {
        let world = try world(falling: target)
        let found = times("finds p3 down", in: world)
        // The first failure, a lease, and the next.
        #expect(found.first.map { (43.0...46.5).contains($0) } == true, "\(found)")
        let written = times("writes that p3 is down", in: world)
        #expect(written.count == 1)
        #expect(written.first.map { (70.0...75).contains($0) } == true, "\(written)")
    }

    @Test func `what one agent alone fails to reach is down there, and is another's afterwards`()
        throws
    {
        let faults = [Fault(at: 30_000, length: 30_000, kind: .storeForbids)]
        let setting = WorldSetting(agents: 3, targets: 8, minutes: 3)
        let holder = World(setting, seed: 5, faults: faults)
        #expect(try holder.run() == nil)
        let agent = try #require(holder.agents.first { $0.heldEpoch(of: 3) != nil })
        holder.close()
        let cut = Fault(
            at: 40_000,
            length: 60_000,
            kind: .cutFromTarget(agent: agent.number, target: 3)
        )
        let world = World(setting, seed: 5, faults: faults + [cut], isTold: true)
        #expect(try world.run() == nil)
        world.close()
        #expect(times("\(agent.id) finds p3 down", in: world).first.map { $0 < 60 } == true)
        #expect(times("writes that p3 is down", in: world).isEmpty)
    }
}
