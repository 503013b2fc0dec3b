// Does the peer still report in? A dead man's switch: nothing is sent to the peer; it posts a sign
// of life itself, and the check fails when the last one is too old.

import EventLoop
public import Health
public import Vocabulary

/// Passes while somebody else reports in.
public struct HeartbeatCheck: Check {
    public static let kind = "heartbeat"
    public static let summary = "pass while the peer itself reports in over the admin endpoint"
    public static let defaultThresholds = Thresholds(rise: 1, fall: 1)
    public static let probesEachAddress = false
    public static let waitsForAnswer = false

    /// How long a sign of life is good for.
    private let within: Nanoseconds
    private let position: Position
    private let path: String

    public static let withinDefault = Nanoseconds.seconds(60)

    public init(options: inout Options) throws(SettingError) {
        position = options.position
        path = "\(options.path).within"
        within =
            try options.duration("within", in: .milliseconds(100)...MonitorDefinition.intervalMax)
            ?? Self.withinDefault
    }

    public func warnings(on schedule: Schedule) -> [SettingError] {
        guard within < schedule.interval else { return [] }
        return [
            SettingError(
                position,
                "\(path): expected at least the interval of \(schedule.interval), saw \(within): "
                    + "nobody looks so often, and a silence that ends in between is not seen"
            )
        ]
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        context.trace?.note("expect", "a sign of life within \(within)")
        guard let heartbeats = context.heartbeats else {
            return Outcome(.neutral, .checked, message: "no heartbeat can be received here")
        }
        let now = context.loop.instant
        guard let beat = heartbeats.last(upstream: target.upstream, peer: target.peer) else {
            let silence = now - max(context.listensFrom ?? heartbeats.began, heartbeats.began)
            let message = "expected a sign of life within \(within), saw none"
            // Since the start, or since the monitor is there, there has not been time for one.
            return silence <= within
                ? Outcome(.neutral, .checked, message: message)
                : Outcome(.fail, .layer7Timeout, message: message)
        }
        let age = max(now - beat.at, .zero)
        guard age <= within else {
            return Outcome(
                .fail,
                .layer7Timeout,
                message: "expected a sign of life within \(within), saw the last "
                    + "\(age.rounded) ago"
            )
        }
        let message = beat.message.isEmpty ? beat.status.rawValue : beat.message
        context.trace?.note("receive", "\(beat.status.rawValue) \(age.rounded) ago: \(message)")
        switch beat.status {
        case .pass: return Outcome(.pass, .layer7OK, message: message)
        case .warn: return Outcome(.warn, .layer7OK, message: message)
        case .fail: return Outcome(.fail, .layer7Status, message: message, isImmediate: true)
        }
    }
}
