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

    /// Digits, a sign and a point: what `Double` takes besides (`inf`, `0x1p3`) is none here. A
    /// unit behind the number is tolerated, as the plugins do.
    static func number(_ text: some StringProtocol) -> Double? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "-") }
        // Four hundred digits are no value either.
        return Double(String(digits)).flatMap { $0.isFinite ? $0 : nil }
    }
}
