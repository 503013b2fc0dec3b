// What does a body of one's own look like? A text with words in double braces, each of which stands for a
// part of the message. Within a body that is JSON they are escaped, so that a reason with a quote in it
// breaks nothing.

import Vocabulary

/// A text with `{{words}}`.
public struct Template: Hashable, Sendable {
    /// What may stand in the braces.
    public enum Word: String, Sendable, CaseIterable {
        case summary, text, agent, receiver, count, troubled, json
        case leftOut = "left_out"
        case kind, upstream, peer, from, to, reason, time, trouble

        /// It is about one peer: a body with such a word is sent once for each.
        var isOfOneNotice: Bool {
            switch self {
            case .kind, .upstream, .peer, .from, .to, .reason, .time, .trouble: true
            case .summary, .text, .agent, .receiver, .count, .troubled, .json, .leftOut: false
            }
        }
    }

    private enum Part: Hashable, Sendable {
        case text(String)
        case word(Word)
    }

    private let parts: [Part]

    public static let bytesMax = 16_384

    /// What is wrong with a template.
    public enum Problem: Error, Hashable, Sendable, CustomStringConvertible {
        case unknown(String)
        case unclosed

        public var description: String {
            switch self {
            case .unknown(let word):
                "expected one of \(Word.allCases.map(\.rawValue).joined(separator: ", ")) in braces, "
                    + "saw '\(word.printable)'"
            case .unclosed: "expected '}}' after '{{', saw the end"
            }
        }
    }

    public init(_ text: String) throws(Problem) {
        var parts: [Part] = []
        var rest = text[...]
        while let open = rest.firstRange(of: "{{") {
            if open.lowerBound > rest.startIndex {
                parts.append(.text(String(rest[..<open.lowerBound])))
            }
            rest = rest[open.upperBound...]
            guard let close = rest.firstRange(of: "}}") else { throw .unclosed }
            let name = rest[..<close.lowerBound].filter { $0 != " " }
            guard let word = Word(rawValue: String(name)) else { throw .unknown(String(name)) }
            parts.append(.word(word))
            rest = rest[close.upperBound...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        self.parts = parts
    }

    /// It speaks of one peer, and so is sent once for each.
    public var isOfOneNotice: Bool {
        parts.contains { if case .word(let word) = $0 { word.isOfOneNotice } else { false } }
    }

    /// Of a batch of one notice where `isOfOneNotice`.
    public func fill(with batch: Batch, asJSON isJSON: Bool) -> String {
        parts.map { part in
            switch part {
            case .text(let text): return text
            // A value of its own, and no text within one.
            case .word(.json): return batch.json.text
            case .word(let word):
                let value = Self.value(of: word, in: batch)
                return isJSON ? Self.escaped(value) : value
            }
        }.joined()
    }

    private static func value(of word: Word, in batch: Batch) -> String {
        let notice = batch.notices.first
        switch word {
        case .summary: return batch.summary
        case .text: return batch.text
        case .agent: return batch.agent
        case .receiver: return batch.receiver
        case .count: return "\(batch.notices.count)"
        case .troubled: return "\(batch.troubled)"
        case .leftOut: return "\(batch.leftOut)"
        case .json: return batch.json.text
        case .kind: return notice?.kind.rawValue ?? ""
        case .upstream: return notice?.peer.upstream ?? ""
        case .peer: return notice?.peer.peer ?? ""
        case .from: return notice?.from.rawValue ?? ""
        case .to: return notice?.to.rawValue ?? ""
        case .reason: return notice?.reason.printable ?? ""
        case .time: return notice?.at.description ?? ""
        case .trouble: return notice?.isTrouble == true ? "true" : "false"
        }
    }

    /// As it stands between the quotes of a JSON text.
    private static func escaped(_ text: String) -> String {
        String(JSON.string(text).text.dropFirst().dropLast())
    }
}
