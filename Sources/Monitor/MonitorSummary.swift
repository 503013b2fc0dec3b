// What shall be probed? An upstream with the monitors that are attached to it.

public import Checks
public import Health
public import Store
import Vocabulary

public struct MonitoredUpstream: Sendable {
    public var definition: UpstreamDefinition
    public var monitors: [MonitorDefinition]

    public init(definition: UpstreamDefinition, monitors: [MonitorDefinition]) {
        self.definition = definition
        self.monitors = monitors
    }
}

extension DefinitionChange where Monitor == MonitorDefinition {
    /// The same as the board wants it.
    public var summarised: DefinitionChange<MonitorSummary> {
        map { upstream, monitor in MonitorSummary(monitor, of: upstream) }
    }
}

extension MonitorSummary {
    /// Another agent may have been reloaded a moment earlier, and stores add some seconds.
    static let patience = Nanoseconds.seconds(20)

    init(_ monitor: MonitorDefinition, of upstream: String) {
        self.init(
            upstream: upstream,
            id: monitor.id,
            kind: monitor.kind,
            isRequired: monitor.isRequired,
            rise: monitor.thresholds.rise,
            fall: monitor.thresholds.fall,
            interval: monitor.schedule.interval,
            lifeMax: monitor.schedule.validityMax * 2 + Self.patience
        )
    }
}
