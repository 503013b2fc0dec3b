// What shall be probed? An upstream with the monitors that are attached to it.

public import Checks
public import Health
public import Store
import Vocabulary

public struct MonitoredUpstream: Sendable {
    public var definition: UpstreamDefinition
    public var monitors: [MonitorDefinition]

    /// Another agent may have been reloaded a moment earlier, and stores add some seconds.
    private static let patience = Nanoseconds.seconds(20)

    public init(definition: UpstreamDefinition, monitors: [MonitorDefinition]) {
        self.definition = definition
        self.monitors = monitors
    }

    /// The same monitors as the board wants them.
    public var summaries: [MonitorSummary] {
        monitors.map {
            MonitorSummary(
                upstream: definition.name,
                id: $0.id,
                kind: $0.kind,
                isRequired: $0.isRequired,
                rise: $0.thresholds.rise,
                fall: $0.thresholds.fall,
                interval: $0.schedule.interval,
                lifeMax: $0.schedule.validityMax * 2 + Self.patience
            )
        }
    }
}
