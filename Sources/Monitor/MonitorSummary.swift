// What does the board have to know of a monitor? Much less than the scheduler: its name, and how long its word holds.

public import Checks
public import Health
public import Store
import Vocabulary

extension DefinitionChange where Monitor == MonitorDefinition {
    /// The same as the board wants it.
    public var summarised: DefinitionChange<MonitorSummary> {
        map { upstream, monitor in MonitorSummary(monitor, of: upstream) }
    }
}

extension MonitorDefinition {
    /// Of its question: kind and settings, and not how often it is asked.
    var checkDigest: UInt32 {
        var hash = StableHash()
        hash.combine(kind)
        hash.combine(digest)
        return UInt32(truncatingIfNeeded: hash.value)
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
            lifeMax: monitor.schedule.validityMax * 2 + Self.patience,
            digest: Self.digest(of: monitor),
            check: monitor.checkDigest,
            observers: monitor.observers
        )
    }

    /// Of everything that the API tells of a monitor, and of what it probes with.
    private static func digest(of monitor: MonitorDefinition) -> UInt64 {
        var hash = StableHash()
        for text in [
            monitor.id, monitor.kind, "\(monitor.schedule)", "\(monitor.thresholds)",
            "\(monitor.isRequired)", "\(monitor.observers)", "\(monitor.confirm, default: "none")",
        ] {
            hash.combine(text)
        }
        hash.combine(monitor.digest)
        return hash.value
    }
}
