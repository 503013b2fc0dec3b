// Which settings does a thing take? Each reader takes its own keys out of a map; whatever nobody
// took is a misspelling, and the error names the nearest word that would have been taken.

/// The settings of one thing, taken key by key.
public struct Options: Sendable {
    /// Where the map stands, for errors about keys that are missing.
    public let position: Position
    /// What the settings belong to, as a path a user recognises: `upstreams.web.monitors[0].http`.
    public let path: String

    private var entries: [Setting.Entry]
    private var known: [String] = []

    public init(_ entries: [Setting.Entry], at position: Position, path: String) {
        self.entries = entries
        self.position = position
        self.path = path
    }

    /// A map's entries, or none for `key:` with nothing after it. Anything else is an error.
    public init(_ setting: Setting, path: String) throws(SettingError) {
        switch setting.value {
        case .map(let entries): self.init(entries, at: setting.position, path: path)
        case .scalar where setting.isNull: self.init([], at: setting.position, path: path)
        default: throw setting.expected("a map", at: path)
        }
    }

    public var keys: [String] { entries.map(\.key) }

    /// Takes `key` out, or returns nil when the user did not write it.
    public mutating func take(_ key: String) -> Setting? {
        known.append(key)
        guard let index = entries.firstIndex(where: { $0.key == key }) else { return nil }
        return entries.remove(at: index).value
    }

    /// Every key still untaken, for maps whose keys are names the user chose.
    public mutating func takeAll() -> [Setting.Entry] {
        defer { entries = [] }
        return entries
    }

    /// What is left untaken, as a value that says nothing of places.
    public func hashContent(into hasher: inout Hasher) {
        Setting(.map(entries), at: position).hashContent(into: &hasher)
    }

    /// The same, in every process.
    public var content: String { Setting(.map(entries), at: position).content }

    public func missing(_ key: String) -> SettingError {
        SettingError(position, "\(path): expected '\(key)', saw no such key")
    }

    /// Throws for the first key that nothing took.
    public func finish() throws(SettingError) {
        if let stray = strays.first { throw stray }
    }

    /// A complaint for every key that nothing took, in the order they were written.
    public var strays: [SettingError] {
        entries.map { stray in
            // Taken once, and here again.
            if known.contains(stray.key) {
                return SettingError(stray.position, "\(path): '\(stray.key)' is written twice")
            }
            var message = "\(path) has no setting '\(stray.key)'"
            if let near = nearest(to: stray.key, among: known) {
                message += "; did you mean '\(near)'?"
            } else if !known.isEmpty {
                message += "; expected one of \(known.sorted().joined(separator: ", "))"
            }
            return SettingError(stray.position, message)
        }
    }
}

// MARK: Typed takes. A nil default means the key may be left out.

extension Options {
    public mutating func string(_ key: String) throws(SettingError) -> String? {
        guard let setting = take(key) else { return nil }
        return try setting.string(at: "\(path).\(key)")
    }

    public mutating func bool(_ key: String) throws(SettingError) -> Bool? {
        guard let setting = take(key) else { return nil }
        return try setting.bool(at: "\(path).\(key)")
    }

    public mutating func int(
        _ key: String,
        in range: ClosedRange<Int>
    ) throws(SettingError) -> Int? {
        guard let setting = take(key) else { return nil }
        return try setting.int(in: range, at: "\(path).\(key)")
    }

    public mutating func duration(
        _ key: String,
        in range: ClosedRange<Nanoseconds>
    ) throws(SettingError) -> Nanoseconds? {
        guard let setting = take(key) else { return nil }
        return try setting.duration(in: range, at: "\(path).\(key)")
    }

    /// A share such as `50%`, as a fraction.
    public mutating func share(_ key: String) throws(SettingError) -> Double? {
        guard let setting = take(key) else { return nil }
        return try setting.share(at: "\(path).\(key)")
    }

    /// A size such as `64k`, in bytes.
    public mutating func size(
        _ key: String,
        in range: ClosedRange<Int>
    ) throws(SettingError) -> Int? {
        guard let setting = take(key) else { return nil }
        return try setting.size(in: range, at: "\(path).\(key)")
    }

    /// A list of texts; a single text stands for a list of one.
    public mutating func strings(_ key: String) throws(SettingError) -> [String]? {
        guard let setting = take(key) else { return nil }
        return try setting.strings(at: "\(path).\(key)")
    }

    /// One of the given words.
    public mutating func word(
        _ key: String,
        among words: [String]
    ) throws(SettingError) -> String? {
        guard let setting = take(key) else { return nil }
        let text = try setting.string(at: "\(path).\(key)")
        if words.contains(text) { return text }
        throw setting.unknownWord(text, among: words, at: "\(path).\(key)")
    }
}

extension Setting {
    public func string(at path: String) throws(SettingError) -> String {
        if case .scalar(let text, let isQuoted) = value, !isNull, isQuoted || !isTyped {
            return text
        }
        throw expected("a text", at: path)
    }

    public func bool(at path: String) throws(SettingError) -> Bool {
        if plain == "true" { return true }
        if plain == "false" { return false }
        throw expected("true or false", at: path)
    }

    public func int(in range: ClosedRange<Int>, at path: String) throws(SettingError) -> Int {
        let what = "a whole number from \(range.lowerBound) to \(range.upperBound)"
        guard let text = plain, let number = Int(text), range.contains(number)
        else { throw expected(what, at: path) }
        // 010 is ten to some and eight to others.
        guard "\(number)" == text else {
            throw expected("\(what), without a '+' and zeros in front", at: path)
        }
        return number
    }

    public func duration(
        in range: ClosedRange<Nanoseconds>,
        at path: String
    ) throws(SettingError) -> Nanoseconds {
        guard case .scalar(let text, _) = value, let span = Nanoseconds(text: text) else {
            throw expected("a duration such as 500ms, 2s or 5m", at: path)
        }
        guard range.contains(span) else {
            throw expected("a duration from \(range.lowerBound) to \(range.upperBound)", at: path)
        }
        return span
    }

    public func share(at path: String) throws(SettingError) -> Double {
        guard case .scalar(let text, _) = value, text.hasSuffix("%"),
            let number = Double(plain: text.dropLast()), (0...100).contains(number)
        else { throw expected("a share from 0% to 100%", at: path) }
        return number / 100
    }

    public func size(in range: ClosedRange<Int>, at path: String) throws(SettingError) -> Int {
        guard case .scalar(let text, _) = value, let bytes = Self.bytes(of: text) else {
            throw expected("a size such as 512, 64k or 1m", at: path)
        }
        guard range.contains(bytes) else {
            throw expected("a size from \(range.lowerBound) to \(range.upperBound) bytes", at: path)
        }
        return bytes
    }

    private static func bytes(of text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let shift: Int? =
            switch text.dropFirst(digits.count).lowercased() {
            case "", "b": 0
            case "k": 10
            case "m": 20
            case "g": 30
            default: nil
            }
        guard let shift, let number = Int(digits), "\(number)" == digits,
            number <= Int.max >> shift
        else { return nil }
        return number << shift
    }

    public func strings(at path: String) throws(SettingError) -> [String] {
        switch value {
        case .scalar: return [try string(at: path)]
        case .list(let items):
            var texts: [String] = []
            for (index, item) in items.enumerated() {
                texts.append(try item.string(at: "\(path)[\(index)]"))
            }
            return texts
        case .map: throw expected("a text or a list of texts", at: path)
        }
    }

    public func unknownWord(_ text: String, among words: [String], at path: String) -> SettingError
    {
        var message = "\(path): expected one of \(words.joined(separator: ", ")), saw '\(text)'"
        if let near = nearest(to: text, among: words) { message += "; did you mean '\(near)'?" }
        return SettingError(position, message)
    }
}

extension Double {
    /// Reads `12` and `12.5`, as people write numbers: no sign, no exponent, no `0x10`, no zeros in front,
    /// and digits on both sides of a point.
    init?(plain text: some StringProtocol) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count <= 2,
            parts.allSatisfy({ part in
                !part.isEmpty && part.allSatisfy { (0x30...0x39).contains($0) }
            }),
            let whole = parts.first, whole.count == 1 || whole.first != 0x30
        else { return nil }
        self.init(String(text))
    }
}

/// The word that a user most likely meant: at most a third of its letters differ.
public func nearest(to text: String, among words: [String]) -> String? {
    // The beginning of one word and of no other: `warn`, `crit`.
    let longer = words.filter { $0.hasPrefix(text) }
    if text.utf8.count >= 3, longer.count == 1 { return longer[0] }
    let letters = Array(text.utf8)
    let ranked = words.map { (word: $0, distance: distance(letters, Array($0.utf8))) }
    guard let best = ranked.min(by: { $0.distance < $1.distance }),
        best.distance <= max(1, max(letters.count, best.word.utf8.count) / 3)
    else { return nil }
    return best.word
}

/// Edit distance with a swap of neighbours as one step (`itnerval` is one slip, not two).
private func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for row in left.indices {
        var current = [row + 1]
        for column in right.indices {
            var cost = min(
                last[column + 1] + 1,
                current[column] + 1,
                last[column] + (left[row] == right[column] ? 0 : 1)
            )
            if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                cost = min(cost, beforeLast[column - 1] + 1)
            }
            current.append(cost)
        }
        (beforeLast, last) = (last, current)
    }
    return last[right.count]
}
