// When does a measured value call for attention? A range as monitoring plugins write it:
//
//     [@][start:][end]      alert outside start…end, or with @ inside
//
// `10` is 0…10, `10:` is 10 and more, `~:10` is 10 and less.

/// A threshold of the monitoring-plugins guidelines.
public struct NagiosRange: Hashable, Sendable {
    public var start: Double
    public var end: Double
    /// Alerts inside instead of outside.
    public var isInverted: Bool

    /// Of its numbers, where they have one: `0.5s`.
    public private(set) var unit = ""

    /// Nil where the text is no range, such as `2:1`.
    public init?(_ text: some StringProtocol) {
        var rest = Substring(text)
        isInverted = rest.hasPrefix("@")
        if isInverted { rest = rest.dropFirst() }
        start = 0
        if let colon = rest.firstIndex(of: ":") {
            let low = rest[..<colon]
            if low == "~" {
                start = -.infinity
            } else if !low.isEmpty {
                guard let quantity = Self.quantity(low) else { return nil }
                start = quantity.value
                unit = quantity.unit
            }
            rest = rest[rest.index(after: colon)...]
            end = .infinity
            if rest.isEmpty { return }
        }
        guard let quantity = Self.quantity(rest), start <= quantity.value else { return nil }
        end = quantity.value
        if unit.isEmpty { unit = quantity.unit }
    }

    /// Whether there is no value at all that `other` does not alert on as well.
    public func isWithin(_ other: NagiosRange) -> Bool {
        switch (isInverted, other.isInverted) {
        case (false, false): start <= other.start && other.end <= end
        case (true, true): other.start <= start && end <= other.end
        case (true, false): end < other.start || other.end < start
        case (false, true): neverAlerts || other.alwaysAlerts
        }
    }

    private var isEverything: Bool { start == -.infinity && end == .infinity }
    public var neverAlerts: Bool { isEverything && !isInverted }
    public var alwaysAlerts: Bool { isEverything && isInverted }

    public func alerts(on value: Double) -> Bool {
        let isInside = start <= value && value <= end
        return isInside == isInverted
    }

    /// A number of digits, a sign, a point and an exponent, and the unit behind it: what `Double`
    /// takes besides (`inf`, `0x1p3`) is none here. A single comma is the point of a plugin that does
    /// not keep to the C locale. A unit has no digits (monitoring-plugins' guidelines).
    public static func quantity(_ text: some StringProtocol) -> (value: Double, unit: String)? {
        let text = Substring(text)
        let digits = text.prefix(while: isOfNumber)
        let exponent = exponent(text[digits.endIndex...])
        let unit = text[exponent.endIndex...]
        // `1e5.5`, `1e5e5`, `4x5` and `1,234,567` are neither numbers nor numbers with units.
        guard !unit.contains(where: isNoUnit), self.exponent(unit).isEmpty,
            digits.count(where: { $0 == "," || $0 == "." }) <= 1
        else { return nil }
        let number = digits.map { $0 == "," ? "." : $0 } + exponent
        // Four hundred digits are no value either.
        guard let value = Double(String(number)), value.isFinite else { return nil }
        return (value, String(unit))
    }

    private static func isOfNumber(_ letter: Character) -> Bool {
        isDigit(letter) || letter == "." || letter == "," || letter == "-"
    }

    /// Whether a letter keeps what it stands in from being a unit.
    private static func isNoUnit(_ letter: Character) -> Bool {
        letter.isNumber || ".;='\"".contains(letter)
    }

    private static func isDigit(_ letter: Character) -> Bool { letter.isASCII && letter.isNumber }

    /// The exponent that `text` begins with. An `E` without digits is a unit.
    private static func exponent(_ text: Substring) -> Substring {
        guard text.first == "e" || text.first == "E" else { return text.prefix(0) }
        var rest = text.dropFirst()
        if rest.first == "+" || rest.first == "-" { rest = rest.dropFirst() }
        let end = rest.prefix(while: isDigit).endIndex
        return end == rest.startIndex ? text.prefix(0) : text[..<end]
    }
}

/// How do values of different units compare? Times with times and sizes with sizes, by their factor.
public enum NagiosUnit {
    private static let families: [[String: Double]] = [
        ["ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3_600, "d": 86_400],
        [
            "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15, "KiB": 0x1p10,
            "MiB": 0x1p20, "GiB": 0x1p30, "TiB": 0x1p40,
        ],
    ]

    /// What a value of `unit` is multiplied with to be one of `other`. Without a unit on either side
    /// the numbers are taken as they are; nil where they cannot be compared.
    public static func factor(from unit: String, to other: String) -> Double? {
        if unit == other || unit.isEmpty || other.isEmpty { return 1 }
        for family in families {
            if let from = family[unit], let to = family[other] { return from / to }
        }
        return nil
    }
}
