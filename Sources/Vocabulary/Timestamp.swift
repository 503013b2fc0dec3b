// Which moment does a text name? RFC 3339, as people and programs write it: `2026-12-24T18:00:00Z`,
// `2026-12-24T18:00:00.250+01:00`.

extension WallTime {
    /// Nil when it is no such moment.
    public init?(rfc3339 text: String) {
        var rest = Array(text.utf8)[...]
        guard let year = Self.number(&rest, digits: 4), Self.skip(&rest, "-"),
            let month = Self.number(&rest, digits: 2), (1...12).contains(month),
            Self.skip(&rest, "-"),
            let day = Self.number(&rest, digits: 2),
            (1...Self.days(in: month, of: year)).contains(day),
            Self.skip(&rest, "T") || Self.skip(&rest, "t") || Self.skip(&rest, " "),
            let hour = Self.number(&rest, digits: 2), (0...23).contains(hour),
            Self.skip(&rest, ":"),
            let minute = Self.number(&rest, digits: 2), (0...59).contains(minute),
            Self.skip(&rest, ":"),
            // A leap second counts as the one before.
            let second = Self.number(&rest, digits: 2), (0...60).contains(second)
        else { return nil }
        var milliseconds: Int64 = 0
        if Self.skip(&rest, ".") {
            var scale: Int64 = 100
            var digits = 0
            while let digit = Self.number(&rest, digits: 1) {
                milliseconds += digit * scale
                scale /= 10
                digits += 1
            }
            guard (1...9).contains(digits) else { return nil }
        }
        guard let offset = Self.offset(&rest), rest.isEmpty else { return nil }
        let seconds =
            Self.days(fromCivil: year, month, day) * 86_400 + hour * 3_600 + minute * 60
            + min(second, 59) - offset
        self.init(milliseconds: seconds * 1_000 + milliseconds)
    }

    private static func skip(_ rest: inout ArraySlice<UInt8>, _ mark: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: mark) else { return false }
        rest.removeFirst()
        return true
    }

    private static func number(_ rest: inout ArraySlice<UInt8>, digits: Int) -> Int64? {
        let taken = rest.prefix(digits)
        guard taken.count == digits,
            taken.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        rest.removeFirst(digits)
        return taken.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
    }

    /// Seconds east of Greenwich.
    private static func offset(_ rest: inout ArraySlice<UInt8>) -> Int64? {
        if skip(&rest, "Z") || skip(&rest, "z") { return 0 }
        let sign: Int64
        if skip(&rest, "+") {
            sign = 1
        } else if skip(&rest, "-") {
            sign = -1
        } else {
            return nil
        }
        guard let hours = number(&rest, digits: 2), (0...23).contains(hours), skip(&rest, ":"),
            let minutes = number(&rest, digits: 2), (0...59).contains(minutes)
        else { return nil }
        return sign * (hours * 3_600 + minutes * 60)
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }

    /// Since 1970-01-01. Years begin in March here, as where a date is written.
    private static func days(fromCivil year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
            - 719_468
    }
}
