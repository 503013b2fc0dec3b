// When is whom in maintenance by the calendar? Hours that come back, and the upstreams whose peers are put
// into `maint` at their beginning. Pure.

import Vocabulary

/// One entry of `maintenance` in the configuration.
public struct MaintenanceWindow: Sendable {
    public var name: String
    /// As in `HeraldRules`.
    public var upstreams: [String]
    public var window: CalendarWindow
    public var reason: String

    public static let windowsMax = 100

    public init(name: String, upstreams: [String], window: CalendarWindow, reason: String) {
        self.name = name
        self.upstreams = upstreams
        self.window = window
        self.reason = reason
    }
}
