// What does `Date` say? The same 29 bytes for a whole second, written once in it.

import Vocabulary

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
struct HTTPDate {
    private let bytes: UnsafeMutablePointer<UInt8>
    /// From then on they are old.
    private var until = Instant(nanoseconds: .min)

    static let count = 29

    init() {
        bytes = .allocate(capacity: Self.count)
        bytes.initialize(repeating: 0x20, count: Self.count)
    }

    func destroy() { bytes.deallocate() }

    /// The date, as `wall` has it when the one at hand is from another second.
    @inline(__always)
    mutating func at(_ now: Instant, wall: @autoclosure () -> WallTime) -> UnsafePointer<UInt8> {
        if now >= until { write(wall(), now) }
        return UnsafePointer(bytes)
    }

    private mutating func write(_ wall: WallTime, _ now: Instant) {
        let milliseconds = max(wall.milliseconds, 0)
        until = now + .milliseconds(1_000 - milliseconds % 1_000)
        let seconds = milliseconds / 1_000
        let days = seconds / 86_400
        let time = Int(seconds % 86_400)
        let (year, month, day) = Self.civil(fromDays: days)
        put(Self.weekdays, 3 * Int((days + 4) % 7), 3, at: 0)
        bytes[3] = UInt8(ascii: ",")
        put(day, at: 5)
        put(Self.months, 3 * (month - 1), 3, at: 8)
        put(year / 100 % 100, at: 12)
        put(year % 100, at: 14)
        put(time / 3_600, at: 17)
        bytes[19] = UInt8(ascii: ":")
        put(time / 60 % 60, at: 20)
        bytes[22] = UInt8(ascii: ":")
        put(time % 60, at: 23)
        put("GMT", 0, 3, at: 26)
    }

    private static var weekdays: StaticString { "SunMonTueWedThuFriSat" }
    private static var months: StaticString { "JanFebMarAprMayJunJulAugSepOctNovDec" }

    private func put(_ text: StaticString, _ from: Int, _ count: Int, at place: Int) {
        (bytes + place).update(from: text.utf8Start + from, count: count)
    }

    private func put(_ number: Int, at place: Int) {
        bytes[place] = UInt8(truncatingIfNeeded: 48 + number / 10 % 10)
        bytes[place + 1] = UInt8(truncatingIfNeeded: 48 + number % 10)
    }

    /// Year, month and day of a day since 1970, by counting from a 1 March.
    private static func civil(fromDays days: Int64) -> (year: Int, month: Int, day: Int) {
        let shifted = Int(days) + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (
            yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month,
            dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        )
    }
}
