// What is shown of a target of which nobody can say anything? By all agents alike that it is unknown, for as long as that
// lasts: its last word ends when whoever found it last said, however often it changes hands.

import Health
import Vocabulary

extension Checks {
    /// An interval since it was found, two and a timeout that it holds, a second, and what it takes to be read.
    private var muteMax: Int64 {
        3 * setting.interval.milliseconds + setting.timeout.milliseconds + 1_000
            + Promises.readMax
    }

    mutating func lookAtTheMute(_ world: World) {
        for fault in world.faults {
            guard case .targetMute(let target) = fault.kind, world.now > fault.at + muteMax,
                world.now < fault.at + fault.length
            else { continue }
            for agent in world.agents where agent.isAlive && !agent.isPaused {
                let status = agent.status(of: target)
                if status == .unknown { continue }
                fail(
                    "\(agent.id) shows p\(target) \(status.rawValue), of which nobody has heard anything for "
                        + "\(world.now - fault.at)ms",
                    of: target,
                    at: world.now
                )
            }
        }
    }
}
