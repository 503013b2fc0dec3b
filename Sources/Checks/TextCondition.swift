// What must a text say? One condition on a header or on a part of a body, in words for people.

import Patterns
import Vocabulary

/// A condition on a text of a reply.
enum TextCondition: Sendable {
    case equals(String)
    case contains(String)
    case matches(Pattern)
    case present(Bool)

    /// A text stands for equality; a map says how to compare.
    init(_ setting: Setting, at path: String) throws(SettingError) {
        guard case .map = setting.value else {
            self = .equals(try setting.string(at: path))
            return
        }
        var options = Options(try setting.entries(at: path), at: setting.position, path: path)
        if let text = try options.string("is") {
            self = .equals(text)
        } else if let text = try options.string("contains") {
            self = .contains(text)
        } else if let pattern = options.take("matches") {
            self = .matches(try pattern.pattern(at: "\(path).matches"))
        } else if let isPresent = try options.bool("present") {
            self = .present(isPresent)
        } else {
            try options.finish()
            throw setting.expected("one of is, contains, matches, present", at: path)
        }
        try options.finish()
    }

    /// What it compares with, letter by letter.
    var text: String? {
        switch self {
        case .equals(let text), .contains(let text): text
        case .matches, .present: nil
        }
    }

    /// Whether nothing may stand before or after it.
    var isWhole: Bool {
        if case .equals = self { true } else { false }
    }

    /// `values` are all that the reply has under the name; one that holds is enough.
    func holds(for values: [UnsafeRawBufferPointer]) -> Bool {
        switch self {
        case .equals(let text): values.contains { $0.elementsEqual(text.utf8) }
        case .contains(let text): values.contains { $0.firstRange(ofText: text) != nil }
        case .matches(let pattern): values.contains { pattern.matches($0) }
        case .present(let isPresent): values.isEmpty != isPresent
        }
    }
}

extension TextCondition: CustomStringConvertible {
    var description: String {
        switch self {
        case .equals(let text): "'\(text)'"
        case .contains(let text): "a text with '\(text)'"
        case .matches(let pattern): "a text like /\(pattern.text)/"
        case .present(true): "to be there"
        case .present(false): "not to be there"
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Where `text` first occurs, at or after `start`.
    func firstRange(ofText text: String, from start: Int = 0) -> Range<Int>? {
        firstRange(ofBytes: Array(text.utf8), from: start)
    }

    func firstRange(ofBytes needle: [UInt8], from start: Int = 0) -> Range<Int>? {
        guard let head = needle.first else { return start..<start }
        guard needle.count <= count else { return nil }
        var index = start
        while index <= count - needle.count {
            if self[index] == head, self[index..<index + needle.count].elementsEqual(needle) {
                return index..<index + needle.count
            }
            index += 1
        }
        return nil
    }
}

extension Setting {
    func entries(at path: String) throws(SettingError) -> [Entry] {
        guard case .map(let entries) = value else { throw expected("a map", at: path) }
        return entries
    }
}
