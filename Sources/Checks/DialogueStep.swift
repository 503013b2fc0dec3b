// What is said and what is expected in answer? The steps of a dialogue, from settings.

import Vocabulary

/// One step of a conversation with a server.
enum DialogueStep: Sendable {
    case send([UInt8])
    /// The bytes occur somewhere in what comes.
    case expect([UInt8])
    case expectPattern(Pattern)

    static let stepsMax = 32
    /// A step's own bytes.
    static let bytesMax = 16_384

    static let words = ["send", "send-hex", "expect", "expect-hex", "expect-pattern"]

    /// Takes `steps`, or `send` and `expect` where one of each is enough.
    static func take(from options: inout Options) throws(SettingError) -> [DialogueStep] {
        var steps: [DialogueStep] = []
        for word in words {
            guard let setting = options.take(word) else { continue }
            steps.append(try step(word, setting, at: "\(options.path).\(word)"))
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
            var found: DialogueStep?
            for word in words where found == nil {
                guard let setting = inner.take(word) else { continue }
                found = try step(word, setting, at: "\(place).\(word)")
            }
            try inner.finish()
            guard let found else {
                throw item.expected("one of \(words.joined(separator: ", "))", at: place)
            }
            steps.append(found)
        }
        return steps
    }

    static func step(
        _ word: String,
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> DialogueStep {
        if word == "expect-pattern" { return .expectPattern(try setting.pattern(at: path)) }
        let bytes =
            word.hasSuffix("-hex")
            ? try setting.hexBytes(at: path) : try setting.escapedBytes(at: path)
        guard (1...bytesMax).contains(bytes.count) else {
            throw setting.expected("1 to \(bytesMax) bytes", at: path)
        }
        return word.hasPrefix("send") ? .send(bytes) : .expect(bytes)
    }
}
