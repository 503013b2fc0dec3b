// What time is it, and for whom? Three sorts of time, never mixed: an `Instant` for timers and
// durations, a `WallTime` for people and for other machines, and text such as `500ms` in settings.
//
// Nothing here reads a clock. Clocks live in the event loop and in tests' hands.
//
// Nothing here can overflow either: times come from other machines, from files and from clocks set by
// hand, and a wrong one must not end the process. Sums saturate at the ends of their range.

/// A point on the monotonic clock, in nanoseconds. Means nothing on another machine.
public struct Instant: BitwiseCopyable, Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Later than every instant a clock will show: a deadline that never comes.
    @inlinable public static var distantFuture: Instant { Instant(nanoseconds: .max) }

    @inlinable
    public static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// Saturates instead of overflowing, so `.distantFuture + x` stays where it is.
    @inlinable
    public static func + (instant: Instant, span: Nanoseconds) -> Instant {
        Instant(nanoseconds: instant.nanoseconds.addingSaturating(span.count))
    }

    @inlinable
    public static func - (left: Instant, right: Instant) -> Nanoseconds {
        Nanoseconds(left.nanoseconds.subtractingSaturating(right.nanoseconds))
    }
}

/// A length of time. Eight bytes where `Swift.Duration` takes sixteen: it sits in every timer.
public struct Nanoseconds: Comparable, Hashable, Sendable {
    public var count: Int64

    @inlinable
    public init(_ count: Int64) { self.count = count }

    @inlinable public static var zero: Nanoseconds { Nanoseconds(0) }

    @inlinable
    public static func microseconds(_ count: Int64) -> Nanoseconds {
        Nanoseconds(count.multipliedSaturating(by: 1_000))
    }
    @inlinable
    public static func milliseconds(_ count: Int64) -> Nanoseconds {
        Nanoseconds(count.multipliedSaturating(by: 1_000_000))
    }
    @inlinable
    public static func seconds(_ count: Int64) -> Nanoseconds {
        Nanoseconds(count.multipliedSaturating(by: 1_000_000_000))
    }

    /// Whole milliseconds, rounded down.
    @inlinable
    public var milliseconds: Int64 { count / 1_000_000 }
    @inlinable
    public var seconds: Double { Double(count) / 1e9 }

    @inlinable
    public static func < (left: Nanoseconds, right: Nanoseconds) -> Bool {
        left.count < right.count
    }
    @inlinable
    public static func + (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds {
        Nanoseconds(left.count.addingSaturating(right.count))
    }
    @inlinable
    public static func - (left: Nanoseconds, right: Nanoseconds) -> Nanoseconds {
        Nanoseconds(left.count.subtractingSaturating(right.count))
    }
    @inlinable
    public static func * (span: Nanoseconds, factor: Int64) -> Nanoseconds {
        Nanoseconds(span.count.multipliedSaturating(by: factor))
    }
    @inlinable
    public static prefix func - (span: Nanoseconds) -> Nanoseconds { .zero - span }
}

/// Milliseconds since 1970: what a person reads and what agents exchange.
public struct WallTime: Comparable, Hashable, Sendable {
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// The years 1970 to 9999: what a time that somebody else wrote is brought into, so that every
    /// time shown has four digits for its year, and an absurd one still orders as it was meant.
    public static let range =
        WallTime(milliseconds: 0)...WallTime(milliseconds: 253_402_300_799_999)

    /// A time from outside, brought into `range`.
    public init(clamping milliseconds: Int64) {
        let (first, last) = (Self.range.lowerBound, Self.range.upperBound)
        self.init(milliseconds: min(max(milliseconds, first.milliseconds), last.milliseconds))
    }

    public static func < (left: WallTime, right: WallTime) -> Bool {
        left.milliseconds < right.milliseconds
    }
    public static func + (time: WallTime, span: Nanoseconds) -> WallTime {
        WallTime(milliseconds: time.milliseconds.addingSaturating(span.milliseconds))
    }
    public static func - (left: WallTime, right: WallTime) -> Nanoseconds {
        .milliseconds(left.milliseconds.subtractingSaturating(right.milliseconds))
    }
}

extension Int64 {
    @inlinable
    func addingSaturating(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    @inlinable
    func subtractingSaturating(_ other: Int64) -> Int64 {
        let (rest, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : rest
    }

    @inlinable
    func multipliedSaturating(by factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? ((self < 0) == (factor < 0) ? .max : .min) : product
    }
}

/// The two clocks read at the same moment, passed into everything that decides.
public struct Moment: Sendable {
    public var instant: Instant
    public var wall: WallTime

    public init(instant: Instant, wall: WallTime) {
        self.instant = instant
        self.wall = wall
    }
}

extension WallTime: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds, for example `2026-11-21T03:37:25.042Z`.
    public var description: String {
        let day: Int64 = 86_400_000
        var days = milliseconds / day
        var rest = milliseconds % day
        if rest < 0 {
            rest += day
            days -= 1
        }
        let (year, month, dayOfMonth) = Self.civil(fromDays: days)
        let seconds = rest / 1_000
        return pad(year, 4) + "-" + pad(month, 2) + "-" + pad(dayOfMonth, 2) + "T"
            + pad(seconds / 3_600, 2) + ":" + pad(seconds / 60 % 60, 2) + ":" + pad(seconds % 60, 2)
            + "." + pad(rest % 1_000, 3) + "Z"
    }

    /// Proleptic Gregorian date of a day counted from 1970-01-01. Years begin in March here, so
    /// that the leap day is the last of its year and needs no case of its own.
    private static func civil(fromDays days: Int64) -> (Int64, Int64, Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

private func pad(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

extension Nanoseconds: CustomStringConvertible {
    /// The shortest exact setting text: `500ms`, `2s`, `5m`; microseconds below a millisecond.
    public var description: String {
        if count == 0 { return "0s" }
        let units: [(Int64, String)] = [
            (86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "m"),
            (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"),
        ]
        for (size, name) in units where count % size == 0 { return "\(count / size)\(name)" }
        return "\(count)ns"
    }

    /// Reads `500ms`, `2s`, `1.5s`, `5m`, `1h`, `1d`. A bare number is refused: of what unit?
    public init?(text: String) {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let factor: Int64? =
            switch text.dropFirst(digits.count) {
            case "ns": 1
            case "us": 1_000
            case "ms": 1_000_000
            case "s": 1_000_000_000
            case "m": 60_000_000_000
            case "h": 3_600_000_000_000
            case "d": 86_400_000_000_000
            default: nil
            }
        guard let factor else { return nil }
        if !digits.contains(".") {
            // Exact, where a fraction below is as exact as a `Double`.
            guard let number = Int64(digits), "\(number)" == digits else { return nil }
            let (count, overflow) = number.multipliedReportingOverflow(by: factor)
            if overflow { return nil }
            self.init(count)
            return
        }
        guard let number = Double(plain: digits) else { return nil }
        let count = number * Double(factor)
        guard count < 9.2e18 else { return nil }
        self.init(Int64(count.rounded()))
    }
}

extension Nanoseconds {
    /// Seconds as a decimal number without an exponent, exact: `10`, `0.3`, `0.000000001`.
    public var inSeconds: String {
        let (whole, rest) = count.quotientAndRemainder(dividingBy: 1_000_000_000)
        if rest == 0 { return "\(whole)" }
        var digits = String(rest.magnitude)
        digits = String(repeating: "0", count: 9 - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(count < 0 && whole == 0 ? "-" : "")\(whole).\(digits)"
    }

    /// To three digits, for people: the exact text of 1,503,271 ns helps nobody.
    public var rounded: String {
        let units: [(Double, String)] = [(1e9, "s"), (1e6, "ms"), (1e3, "us")]
        for (size, name) in units where Double(count) >= size {
            let value = Double(count) / size
            let scale = value >= 100 ? 1.0 : value >= 10 ? 10.0 : 100.0
            let digits = (value * scale).rounded() / scale
            return digits == digits.rounded() ? "\(Int64(digits))\(name)" : "\(digits)\(name)"
        }
        return "\(count)ns"
    }

    /// In the two largest units, for people: `3d4h`, `12m3s`, `4s`, `250ms`.
    public var rough: String {
        let total = max(milliseconds, 0)
        if total < 1_000 { return "\(total)ms" }
        let seconds = total / 1_000
        let units: [(Int64, String)] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")]
        for (index, (size, name)) in units.enumerated() where seconds >= size {
            let text = "\(seconds / size)\(name)"
            guard index + 1 < units.count else { return text }
            let (nextSize, nextName) = units[index + 1]
            let rest = seconds % size / nextSize
            return rest == 0 ? text : text + "\(rest)\(nextName)"
        }
        return "0s"
    }
}
