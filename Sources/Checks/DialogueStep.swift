// What is said and what is expected in answer? The steps of a dialogue, from settings.

import Patterns
import Vocabulary

/// One step of a conversation with a server.
enum DialogueStep: Sendable {
    case send([UInt8])
    /// The bytes occur somewhere in what comes.
    case expect([UInt8])
    case expectPattern(Pattern)
    /// From here on these bytes mean no, to whatever is expected: nobody waits for a better answer.
    /// Holds until the next of its sort.
    case reject([UInt8])
    case rejectPattern(Pattern)

    static let stepsMax = 32
    /// A step's own bytes.
    static let bytesMax = 16_384

    static let words = [
        "send", "send-hex", "expect", "expect-hex", "expect-pattern", "reject", "reject-hex",
        "reject-pattern",
    ]

    /// Takes `steps`, or `send` and `expect` where one of each is enough.
    static func take(from options: inout Options) throws(SettingError) -> [DialogueStep] {
        var steps: [DialogueStep] = []
        // One of each sort: of two expectations the second would wait for what comes after the first.
        for sort in ["send", "reject", "expect"] {
            if let step = try single(words.filter { $0.hasPrefix(sort) }, from: &options) {
                steps.append(step)
            }
        }
        if let last = steps.last, last.isRejection {
            throw SettingError(
                options.position,
                "\(options.path): expected one of expect, expect-hex, expect-pattern beside a "
                    + "rejection, saw none: nothing would be read"
            )
        }
        guard let setting = options.take("steps") else { return steps }
        let path = "\(options.path).steps"
        guard steps.isEmpty else {
            throw setting.expected("either steps, or send and expect beside them", at: path)
        }
        guard case .list(let items) = setting.value, items.count <= stepsMax else {
            throw setting.expected("a list of at most \(stepsMax) steps", at: path)
        }
        for (index, item) in items.enumerated() {
            let place = "\(path)[\(index)]"
            var inner = try Options(item, path: place)
            let found = try single(words, from: &inner)
            try inner.finish()
            guard let found else {
                throw item.expected("one of \(words.joined(separator: ", "))", at: place)
            }
            steps.append(found)
        }
        if let last = steps.last, last.isRejection, let item = items.last {
            throw item.expected(
                "a rejection before what is expected",
                at: "\(path)[\(items.count - 1)]"
            )
        }
        return steps
    }

    /// The one of `words` that is there.
    private static func single(
        _ words: [String],
        from options: inout Options
    ) throws(SettingError) -> DialogueStep? {
        var found: (word: String, step: DialogueStep)?
        for word in words {
            guard let setting = options.take(word) else { continue }
            let path = "\(options.path).\(word)"
            if let found {
                throw SettingError(
                    setting.position,
                    "\(path): expected one step, saw '\(found.word)' beside it; 'steps' takes a "
                        + "list of them, in order"
                )
            }
            found = (word, try step(word, setting, at: path))
        }
        return found?.step
    }

    var isRejection: Bool {
        switch self {
        case .reject, .rejectPattern: true
        case .send, .expect, .expectPattern: false
        }
    }

    static func step(
        _ word: String,
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> DialogueStep {
        if word == "expect-pattern" { return .expectPattern(try setting.pattern(at: path)) }
        if word == "reject-pattern" { return .rejectPattern(try setting.pattern(at: path)) }
        let bytes =
            word.hasSuffix("-hex")
            ? try setting.hexBytes(at: path) : try setting.escapedBytes(at: path)
        guard (1...bytesMax).contains(bytes.count) else {
            throw setting.expected("1 to \(bytesMax) bytes", at: path)
        }
        if word.hasPrefix("send") { return .send(bytes) }
        return word.hasPrefix("reject") ? .reject(bytes) : .expect(bytes)
    }
}
