// When is whom in maintenance by the calendar? Hours that come back, and the upstreams whose peers are put
// into `maint` at their beginning. Pure.

import Health
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

    // MARK: Its peers

    func wants(_ upstream: String) -> Bool { Self.lists(upstreams, upstream) }

    /// Unlike with a receiver an empty list is of none.
    static func lists(_ upstreams: [String], _ upstream: String) -> Bool {
        var rules = HeraldRules()
        rules.upstreams = upstreams
        return !upstreams.isEmpty && rules.wants(upstream)
    }

    /// What it asks for at its beginning.
    func order(until end: WallTime) -> IntentChange.Mode {
        IntentChange.Mode(.maint, reason: reason, until: end, by: "calendar")
    }

    // MARK: Written otherwise

    /// Nothing of it has changed.
    func isSame(as other: MaintenanceWindow) -> Bool { name == other.name && isAlike(other) }

    private func isAlike(_ other: MaintenanceWindow) -> Bool {
        upstreams == other.upstreams && window.words == other.window.words
            && reason == other.reason
    }

    /// Which of another calendar is this one, under another name or with other hours. Names that nobody gave
    /// move when one before them is taken out.
    func heir(among windows: [MaintenanceWindow]) -> MaintenanceWindow? {
        windows.first(where: isAlike) ?? windows.first { $0.name == name }
    }

    /// What is asked for, in place of what this window asked for, by another calendar: by its heir, or else by any
    /// window that is open; lifted where there is none.
    func order(
        insteadFor upstream: String,
        among windows: [MaintenanceWindow],
        at now: WallTime
    ) -> IntentChange.Mode {
        for window in [heir(among: windows)].compactMap({ $0 }) + windows
        where window.wants(upstream) {
            if let opening = window.window.opening(at: now) {
                return window.order(until: opening.end)
            }
        }
        return IntentChange.Mode(nil)
    }
}

extension IntentChange.Mode {
    /// Clocks of agents and of the store differ a little, and what is asked for goes by the store's.
    static let endsWithin = Nanoseconds.seconds(30)

    /// Whether what is asked of a peer came from this.
    func made(_ intent: Intent) -> Bool {
        guard intent.mode == mode, intent.by == by, intent.reason == reason else { return false }
        guard let end = intent.until, let until else { return intent.until == until }
        return max(end, until) - min(end, until) <= Self.endsWithin
    }
}
