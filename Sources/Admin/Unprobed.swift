// Of which peers does nobody know how they are now? Of those that were never probed, and of those that are not
// probed when it is time, here or by another agent.

import Health
import Monitor
import Store
import Vocabulary

struct Unprobed {
    /// Some required monitor has not spoken since the start.
    private(set) var never: [String] = []
    /// These, and those whose last verdict is over or whose probe is due for long.
    private(set) var names: [String] = []

    init(_ upstreams: [UpstreamView], _ overdue: Overdue, at now: WallTime) {
        let late = Set(overdue.first.map(\.peerKey))
        for view in upstreams {
            let required = view.monitors.filter(\.isRequired).map(\.id)
            for report in view.peers {
                let key = PeerKey(upstream: view.name, peer: report.definition.id)
                let verdicts = required.map { id in
                    report.verdicts.first { $0.key.monitor == id }
                }
                let isNew = verdicts.contains { $0 == nil }
                if isNew { never.append("\(key)") }
                let isOver = verdicts.contains { $0.map { $0.expiresAt < now } ?? false }
                if isNew || isOver || late.contains(key) { names.append("\(key)") }
            }
        }
    }
}
