// Which HTTP statuses are meant? Lists such as `2xx 3xx 101 500-503`.

import Vocabulary

/// A set of HTTP statuses as a user writes it.
struct StatusSet: Sendable, Hashable {
    private let ranges: [ClosedRange<Int>]
    /// Each range as it was written, for messages.
    let words: [String]

    /// Statuses that HTTP has room for (RFC 9110, section 15).
    static let valid = 100...599

    static let success = StatusSet(ranges: [200...299, 300...399], words: ["2xx", "3xx"])

    private init(ranges: [ClosedRange<Int>], words: [String]) {
        self.ranges = ranges
        self.words = words
    }

    var text: String { words.joined(separator: " ") }

    /// A text with blanks or commas between, or a list of such texts.
    init(_ setting: Setting, at path: String) throws(SettingError) {
        let words = try setting.strings(at: path).flatMap { text in
            text.split { $0 == " " || $0 == "," }.map(String.init)
        }
        var ranges: [ClosedRange<Int>] = []
        for word in words {
            guard let range = Self.range(word) else {
                throw SettingError(
                    setting.position,
                    "\(path): expected statuses such as '2xx 3xx 101 500-503', saw '\(word)'"
                )
            }
            // 1xx only announce an answer, but for 101 (RFC 9110, section 15.2).
            guard range.upperBound >= 200 || range.contains(101) else {
                throw SettingError(
                    setting.position,
                    "\(path): expected statuses of final answers, saw '\(word)': an answer of 1xx is "
                        + "followed by another, which is judged"
                )
            }
            ranges.append(range)
        }
        guard !ranges.isEmpty else { throw setting.expected("at least one status", at: path) }
        self.init(ranges: ranges, words: words)
    }

    private static func range(_ word: String) -> ClosedRange<Int>? {
        if word.utf8.count == 3, word.lowercased().hasSuffix("xx"),
            let hundreds = word.first?.wholeNumberValue, (1...5).contains(hundreds)
        {
            return hundreds * 100...hundreds * 100 + 99
        }
        let ends = word.split(separator: "-", omittingEmptySubsequences: false).map { end in
            end.utf8.count == 3 ? Int(end) : nil
        }
        guard ends.count <= 2, let low = ends.first ?? nil, let high = ends.last ?? nil,
            low <= high, valid.contains(low), valid.contains(high)
        else { return nil }
        return low...high
    }

    /// Whether every status of it is one of `others`.
    func isWithin(_ others: Set<Int>) -> Bool {
        ranges.allSatisfy { $0.allSatisfy(others.contains) }
    }

    func contains(_ status: Int) -> Bool { ranges.contains { $0.contains(status) } }

    /// The words whose every status `other` has too.
    func words(within other: StatusSet) -> [String] {
        zip(words, ranges).filter { $0.1.allSatisfy(other.contains) }.map(\.0)
    }
}
