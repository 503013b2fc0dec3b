// What does an agent say? One line of words, in any order:
//
//     up 75% maxconn:30 # a description
//
// Read as HAProxy 2.6 reads it (tcpcheck_agent_expect_reply), word for word: what HAProxy ignores
// is ignored here, and of several words of a kind the last one counts even if it is wrong.

import Health
import Vocabulary

/// The words of one agent line.
struct AgentReply: Hashable, Sendable {
    enum Health: String, Sendable, CaseIterable { case up, down, stopped, fail }

    var health: Health?
    var hints = Hints()
    /// Only said together with a health word.
    var description = ""
    /// The first word that means nothing.
    var unknownWord: String?
    /// What is wrong with a weight or connection limit; such a word changes nothing.
    var warning: String?

    /// A line longer than this is no line.
    static let bytesMax = 4_096
    static func tooLong(_ line: [UInt8]) -> String {
        "expected a line of at most \(bytesMax) bytes, saw \(Excerpt.of(line))"
    }

    /// HAProxy takes zero for "as many as you like".
    static let noLimit = Int(Int32.max)

    /// How many bytes the first line has, or nil while its end has not come. A NUL ends the text
    /// before any line end, as it does in C.
    static func length(in bytes: some Collection<UInt8>) -> Int? {
        var count = 0
        for byte in bytes {
            if byte == 0x0A || byte == 0x0D { return count }
            if byte == 0 { return nil }
            count += 1
        }
        return nil
    }

    /// Reads a line without its end.
    init(parsing line: some Sequence<UInt8>) {
        var rest = Array(line.prefix { $0 != 0 && $0 != 0x0A && $0 != 0x0D })[...]
        var weight: String?
        var maxConnections: String?
        while let first = rest.first {
            if Self.isSeparator(first) {
                rest.removeFirst()
                continue
            }
            if first == UInt8(ascii: "#") {
                rest = rest.dropFirst().drop { $0 == 0x20 || $0 == 0x09 }
                break
            }
            let bytes = rest.prefix { !Self.isSeparator($0) }
            rest = rest.dropFirst(bytes.count)
            let word = String(decoding: bytes, as: UTF8.self)
            let lower = word.lowercased()
            if let health = Health(rawValue: lower) {
                self.health = health
            } else if let admin = Hints.Admin(rawValue: lower) {
                hints.admin = admin
            } else if Self.isDigit(first), bytes.contains(UInt8(ascii: "%")) {
                weight = word
            } else if lower.hasPrefix("maxconn:") {
                maxConnections = String(word.dropFirst(8))
            } else if unknownWord == nil {
                unknownWord = word
            }
        }
        if health != nil { description = String(decoding: rest, as: UTF8.self) }
        if let weight { take(weight: weight) }
        if let maxConnections { take(maxConnections: maxConnections) }
    }

    /// Nothing but words that an agent has: a page of an error is none.
    var isPlain: Bool {
        unknownWord == nil && warning == nil && (health != nil || hints != Hints())
    }

    private mutating func take(weight word: String) {
        let digits = word.utf8.prefix { Self.isDigit($0) }
        guard word.utf8.dropFirst(digits.count).elementsEqual("%".utf8) else {
            warning = warning ?? "trailing garbage in weight '\(word)'"
            return
        }
        // Too many digits for a number are far above the cap.
        let percent = Int(String(digits) ?? "") ?? Int.max
        hints.weightPercent = min(percent, PeerHealth.weightPercentMax)
    }

    private mutating func take(maxConnections word: String) {
        // HAProxy takes a negative limit for a huge one; here it is refused.
        guard let limit = Int(word), limit >= 0 else {
            warning = warning ?? "expected a number after maxconn:, saw '\(word)'"
            return
        }
        hints.maxConnections = limit == 0 ? Self.noLimit : min(limit, Self.noLimit)
    }

    private static func isSeparator(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == UInt8(ascii: ",")
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}

extension AgentReply {
    /// What the line means as the outcome of a check.
    var outcome: Outcome {
        var text = health?.rawValue ?? ""
        // A reason for being down is never covered by a complaint about another word.
        let complaint = unknownWord.map { "unknown word '\($0)'" } ?? warning
        let note = health == .up || description.isEmpty ? complaint ?? description : description
        if !note.isEmpty { text += text.isEmpty ? note : " (\(note))" }
        switch health {
        case .up: return Outcome(.pass, .layer7OK, message: text, hints: hints)
        case .down, .stopped, .fail:
            return Outcome(.fail, .layer7Status, message: text, hints: hints, isImmediate: true)
        case nil: return Outcome(.neutral, .checked, message: text, hints: hints)
        }
    }
}
