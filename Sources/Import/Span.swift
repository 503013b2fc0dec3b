// How long is `2s` in another system's words? Each has units of its own, and one that counts where none is
// written. Microseconds hold them all.

struct Span: Comparable, Hashable, Sendable {
    var microseconds: Int64

    init(microseconds: Int64) { self.microseconds = microseconds }
    init(milliseconds: Int64) { microseconds = milliseconds * 1_000 }

    static func < (left: Span, right: Span) -> Bool { left.microseconds < right.microseconds }

    /// A century: more is no time but a mistake, and sums of it are exact.
    private static let most: Int64 = 100 * 366 * 86_400 * 1_000_000

    /// As muster writes it.
    var text: String {
        if microseconds % 1_000_000 == 0 { return "\(microseconds / 1_000_000)s" }
        if microseconds % 1_000 == 0 { return "\(microseconds / 1_000)ms" }
        return "\(microseconds)us"
    }

    private static let haproxyUnits: [String: Int64] = [
        "us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000,
        "d": 86_400_000_000,
    ]

    /// One number with one unit; milliseconds without.
    init?(haproxy text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count)
        guard let number = Int64(digits),
            let factor = unit.isEmpty ? 1_000 : Self.haproxyUnits[String(unit)]
        else { return nil }
        self.init(number, times: factor)
    }

    /// Longest first, as they are looked for.
    private static let nginxUnits: [(word: String, factor: Int64)] = [
        ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000),
        ("d", 86_400_000_000), ("w", 7 * 86_400_000_000), ("M", 30 * 86_400_000_000),
        ("y", 365 * 86_400_000_000),
    ]

    /// Numbers with units, one after the other (`1m30s`); seconds without.
    init?(nginx text: String) {
        var rest = text[...]
        var sum: Int64 = 0
        if rest.isEmpty { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard let number = Int64(digits) else { return nil }
            rest = rest.dropFirst(digits.count)
            let unit = Self.nginxUnits.first { rest.hasPrefix($0.word) }
            if unit == nil, !rest.isEmpty { return nil }
            rest = rest.dropFirst(unit?.word.count ?? 0).drop { $0 == " " }
            guard let part = Span(number, times: unit?.factor ?? 1_000_000) else { return nil }
            sum += part.microseconds
            if sum > Self.most { return nil }
        }
        microseconds = sum
    }

    private init?(_ number: Int64, times factor: Int64) {
        let (product, isTooLong) = number.multipliedReportingOverflow(by: factor)
        if isTooLong || product > Self.most { return nil }
        microseconds = product
    }

    func limited(to range: ClosedRange<Span>) -> Span {
        min(max(self, range.lowerBound), range.upperBound)
    }
}
