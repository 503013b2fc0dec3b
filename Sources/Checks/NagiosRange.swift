// When does a measured value call for attention? A range as monitoring plugins write it:
//
//     [@][start:][end]      alert outside start…end, or with @ inside
//
// `10` is 0…10, `10:` is 10 and more, `~:10` is 10 and less.

/// A threshold of the monitoring-plugins guidelines.
struct NagiosRange: Hashable, Sendable {
    var start: Double
    var end: Double
    /// Alerts inside instead of outside.
    var isInverted: Bool

    /// Nil where the text is no range, such as `2:1`.
    init?(_ text: some StringProtocol) {
        var rest = Substring(text)
        isInverted = rest.hasPrefix("@")
        if isInverted { rest = rest.dropFirst() }
        start = 0
        if let colon = rest.firstIndex(of: ":") {
            let low = rest[..<colon]
            if low == "~" {
                start = -.infinity
            } else if !low.isEmpty {
                guard let number = Self.number(low) else { return nil }
                start = number
            }
            rest = rest[rest.index(after: colon)...]
            end = .infinity
            if rest.isEmpty { return }
        }
        guard let number = Self.number(rest), start <= number else { return nil }
        end = number
    }

    func alerts(on value: Double) -> Bool {
        let isInside = start <= value && value <= end
        return isInside == isInverted
    }

    /// A unit behind the number is tolerated, as the plugins do.
    static func number(_ text: some StringProtocol) -> Double? { quantity(text)?.value }

    /// A number of digits, a sign, a point and an exponent, and the unit behind it: what `Double`
    /// takes besides (`inf`, `0x1p3`) is none here.
    static func quantity(_ text: some StringProtocol) -> (value: Double, unit: String)? {
        let text = Substring(text)
        let digits = text.prefix(while: isOfNumber)
        let exponent = exponent(text[digits.endIndex...])
        let unit = text[exponent.endIndex...]
        // `1e5.5` and `1e5e5` are neither a number nor a number with a unit.
        if !exponent.isEmpty, unit.first.map(isOfNumber) == true || !self.exponent(unit).isEmpty {
            return nil
        }
        // Four hundred digits are no value either.
        guard let value = Double(digits + exponent), value.isFinite else { return nil }
        return (value, String(unit))
    }

    private static func isOfNumber(_ letter: Character) -> Bool {
        isDigit(letter) || letter == "." || letter == "-"
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
