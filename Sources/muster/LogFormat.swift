// How does a line of the log look? Text for people: time, level, sentence, and those fields that the
// sentence leaves out. JSON for machines: time, level, message, and every field as a member.

import Settings
import Vocabulary

enum LogFormat {
    /// `own` is the agent that writes: people are told of others only.
    static func text(
        of entry: LogBacklog.Entry,
        as format: LogConfiguration.Format,
        own: String? = nil
    ) -> String {
        switch format {
        case .text: text(of: entry, own: own)
        case .json: json(of: entry).text
        }
    }

    private static func text(of entry: LogBacklog.Entry, own: String?) -> String {
        var text = "\(entry.time) \(entry.line.level.rawValue) \(entry.line.text.printable)"
        for field in entry.line.fields where field.isForPeople {
            if let own, field == .agent(own) { continue }
            let value: String
            switch field.value {
            case .number(let number): value = "\(number)"
            case .text(let words): value = words.printable
            }
            if value.isEmpty || entry.line.text.says(value) { continue }
            text += " \(field.key)=\(value.contains(" ") ? "\"\(value)\"" : value)"
        }
        return text
    }

    private static func json(of entry: LogBacklog.Entry) -> JSON {
        var members: [JSON.Member] = [
            .init("time", .string(entry.time.description)),
            .init("level", .string(entry.line.level.rawValue)),
            .init("message", .string(entry.line.text)),
        ]
        for field in entry.line.fields where !members.contains(where: { $0.key == field.key }) {
            switch field.value {
            case .number(let number): members.append(.init(field.key, .integer(number)))
            case .text(""): continue
            case .text(let text): members.append(.init(field.key, .string(text)))
            }
        }
        return .object(members)
    }
}

extension String {
    /// Whether these words stand in the sentence, in capitals or not, and not inside of longer words.
    fileprivate func says(_ words: String) -> Bool {
        let sentence = Array(lowercased().utf8)
        let wanted = Array(words.lowercased().utf8)
        guard wanted.count <= sentence.count else { return false }
        return (0...(sentence.count - wanted.count)).contains { start in
            let end = start + wanted.count
            return sentence[start] == wanted[0] && sentence[start..<end].elementsEqual(wanted)
                && (start == 0 || !sentence[start - 1].isPartOfWord)
                && (end == sentence.count || !sentence[end].isPartOfWord)
        }
    }
}

extension UInt8 {
    fileprivate var isPartOfWord: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }
}
