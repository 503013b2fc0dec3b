// Is it now within the hours that somebody wrote down? Days of the week, from when to when, by the
// clock on the wall of some place. Quiet hours and maintenance are such windows. Pure: whoever made
// the window knows how far its place is from Greenwich.

public import Vocabulary

/// Hours that come back every week.
public struct CalendarWindow: Sendable {
    public enum Day: String, Sendable, CaseIterable {
        case monday = "mon"
        case tuesday = "tue"
        case wednesday = "wed"
        case thursday = "thu"
        case friday = "fri"
        case saturday = "sat"
        case sunday = "sun"
    }

    /// How far the clocks of a place are ahead of UTC, which may differ from summer to winter.
    public struct Zone: Sendable {
        public var name: String
        public var offset: @Sendable (WallTime) -> Nanoseconds

        public init(_ name: String, offset: @escaping @Sendable (WallTime) -> Nanoseconds) {
            self.name = name
            self.offset = offset
        }

        public static let utc = Zone("UTC") { _ in .zero }
    }

    /// One time that the window is open.
    public struct Opening: Hashable, Sendable {
        public var start: WallTime
        public var end: WallTime
    }

    /// The days on which it opens.
    public var days: Set<Day>
    /// Minutes since midnight; an end that is not later is on the next day.
    public var from: Int
    public var to: Int
    public var zone: Zone

    public static let minutesADay = 1_440
    private static let dayMilliseconds: Int64 = 86_400_000

    public init(days: Set<Day>, from: Int, to: Int, zone: Zone) {
        self.days = days
        self.from = from
        self.to = to
        self.zone = zone
    }

    /// As people say it: `mon tue 22:00 to 06:00 Europe/Berlin`.
    public var words: String {
        func time(_ minutes: Int) -> String {
            let (hour, minute) = (minutes / 60, minutes % 60)
            return "\(hour < 10 ? "0" : "")\(hour):\(minute < 10 ? "0" : "")\(minute)"
        }
        let names = Day.allCases.filter(days.contains).map(\.rawValue)
        return "\(names.joined(separator: " ")) \(time(from)) to \(time(to)) \(zone.name)"
    }

    private var length: Int64 {
        let minutes = to > from ? to - from : to + Self.minutesADay - from
        return Int64(minutes) * 60_000
    }

    /// The opening that `time` is within: from its first moment, up to and without its last.
    public func opening(at time: WallTime) -> Opening? {
        let today = day(of: time)
        return [today - 1, today].compactMap(opening(on:))
            .first { $0.start <= time && time < $0.end }
    }

    /// When it opens next; it opens at least once a week.
    public func nextStart(after time: WallTime) -> WallTime? {
        let today = day(of: time)
        return (today...today + 7).lazy.compactMap(opening(on:)).map(\.start)
            .first { $0 > time }
    }

    /// Days since 1970 by the calendar on the wall.
    private func day(of time: WallTime) -> Int64 {
        let local = time.milliseconds + zone.offset(time).milliseconds
        return local >= 0
            ? local / Self.dayMilliseconds
            : (local - Self.dayMilliseconds + 1) / Self.dayMilliseconds
    }

    private func opening(on day: Int64) -> Opening? {
        // The first of 1970 was a Thursday.
        let weekday = Int(((day + 3) % 7 + 7) % 7)
        guard days.contains(Day.allCases[weekday]) else { return nil }
        let start = day * Self.dayMilliseconds + Int64(from) * 60_000
        return Opening(start: moment(of: start), end: moment(of: start + length))
    }

    /// The moment at which the clock on the wall shows `local`. Where clocks are set at that very
    /// hour it is right to the hour.
    private func moment(of local: Int64) -> WallTime {
        let guess = WallTime(
            milliseconds: local - zone.offset(WallTime(milliseconds: local)).milliseconds
        )
        return WallTime(milliseconds: local - zone.offset(guess).milliseconds)
    }
}
