// What does `expect` of a check ask for? The same words for HTTP and for bytes: options first, then perhaps a
// negation, then what is compared with what. Pure.

struct HAProxyCondition {
    /// `status`, `string`, `rstring` and their like.
    let sort: String
    let isNot: Bool
    /// What it is compared with.
    let words: ArraySlice<String>
    /// Options and their values, of which muster has no counterpart.
    let skipped: [String]

    private static let options: Set = [
        "min-recv", "comment", "ok-status", "error-status", "tout-status", "on-success", "on-error",
        "status-code",
    ]

    init(of line: HAProxyLine) {
        var words = line.rest.dropFirst()
        var skipped: [String] = []
        while let word = words.first, Self.options.contains(word) {
            skipped += words.prefix(2)
            words = words.dropFirst(2)
        }
        var isNot = words.first == "!"
        if isNot { words.removeFirst() }
        var sort = words.popFirst() ?? ""
        if sort.hasPrefix("!") {
            isNot = true
            sort.removeFirst()
        }
        (self.sort, self.isNot, self.words, self.skipped) = (sort, isNot, words, skipped)
    }
}
