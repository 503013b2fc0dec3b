// What is shown of a peer of which nobody can say anything? Probed by one of several agents, in virtual time.

import Fleet
import Health
import Testing
import Vocabulary

@testable import Simulation

@Suite struct MuteTests {
    /// It accepts, and says nothing of its health: an agent that cannot be asked, say.
    @Test(arguments: [Int64(1_000), 3_000])
    func `what says nothing is unknown to all alike, and stays with who holds it`(
        interval: Int64
    ) throws {
        var setting = WorldSetting(agents: 3, targets: 8, minutes: 3)
        setting.interval = .milliseconds(interval)
        let mute = [1, 4, 6]
        let faults = mute.map { Fault(at: 40_000, length: 90_000, kind: .targetMute($0)) }
        let world = World(setting, seed: 11, faults: faults, isTold: true)
        let violation = try world.run()
        world.close()
        #expect(violation == nil, "\(violation?.text ?? "") \(world.story.suffix(30).map(\.text))")
        for target in mute {
            let claims = world.story.filter { line in
                let time = Double(line.text.prefix { $0 != " " }) ?? 0
                return line.target == target && time > 20 && line.text.contains(" claims ")
            }
            #expect(claims.isEmpty, "\(claims.map(\.text))")
        }
    }
}
