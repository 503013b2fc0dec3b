// What does a DNS message say? Questions written and answers read, as bytes (RFC 1035, section 4).
// Pure: nothing here asks anybody.

import Glibc

/// The types of record that a check may ask for.
public enum RecordType: UInt16, Sendable, CaseIterable {
    case a = 1
    case ns = 2
    case cname = 5
    case soa = 6
    case ptr = 12
    case mx = 15
    case txt = 16
    case aaaa = 28
    case srv = 33

    /// As it is written in zone files.
    public var word: String { "\(self)".uppercased() }
}

/// One question, with the number that its answer has to repeat.
public struct DNSQuestion: Hashable, Sendable {
    public var id: UInt16
    public var name: String
    public var type: RecordType

    public init(id: UInt16, name: String, type: RecordType) {
        self.id = id
        self.name = name
        self.type = type
    }

    /// Longest name and label (RFC 1035, section 2.3.4).
    public static let nameBytesMax = 253
    public static let labelBytesMax = 63

    /// Nil when `name` cannot stand in a question.
    public var bytes: [UInt8]? { bytes(withEDNS: true) }

    /// The same for a server that knows no EDNS, where `isExtended` is false.
    public func bytes(withEDNS isExtended: Bool) -> [UInt8]? {
        // Recursion desired, one question, perhaps one additional record.
        let header = Self.pair(id) + [0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, isExtended ? 1 : 0]
        var body: [UInt8] = []
        let trimmed = name.hasSuffix(".") ? name.dropLast() : name[...]
        guard trimmed.utf8.count <= Self.nameBytesMax else { return nil }
        if !trimmed.isEmpty {
            for label in trimmed.split(separator: ".", omittingEmptySubsequences: false) {
                let count = label.utf8.count
                guard (1...Self.labelBytesMax).contains(count) else { return nil }
                body += [UInt8(count)] + Array(label.utf8)
            }
        }
        body.append(0)
        // EDNS(0): answers of up to 1,232 bytes, what the DNS flag day of 2020 settled on.
        let edns: [UInt8] = [0, 0, 41] + Self.pair(1_232) + [0, 0, 0, 0, 0, 0]
        return header + body + Self.pair(type.rawValue) + [0, 1] + (isExtended ? edns : [])
    }

    /// The name as answers are read: in lower case, without the last dot.
    public var canonicalName: String { DNSName.canonical(name) }

    private static func pair(_ number: UInt16) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 0xFF)]
    }
}

/// How names are written here: labels with dots between, letters of ASCII in lower case, since servers
/// tell no case apart, and without the last dot. The root is empty.
public enum DNSName {
    /// Whether `text` can be one, as a user writes it.
    public static func isName(_ text: String) -> Bool {
        !text.isEmpty && !text.utf8.contains { $0 <= 0x20 || $0 == 0x7F }
            && DNSQuestion(id: 0, name: text, type: .a).bytes != nil
    }

    public static func canonical(_ text: String) -> String {
        let name = text.hasSuffix(".") ? text.dropLast() : text[...]
        return name.split(separator: ".", omittingEmptySubsequences: false)
            .map { label(Array($0.utf8)) }.joined(separator: ".")
    }

    /// One label. A dot inside it, a backslash and what cannot be printed are escaped as in a zone
    /// file: two names that differ are never written alike.
    static func label(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"):
                text.unicodeScalars.append(Unicode.Scalar(byte | 0x20))
            case UInt8(ascii: "."), UInt8(ascii: "\\"):
                text += "\\"
                text.unicodeScalars.append(Unicode.Scalar(byte))
            case 0x21..<0x7F: text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += decimal(byte)
            }
        }
        return text
    }

    /// `\007`, as a zone file has it.
    static func decimal(_ byte: UInt8) -> String {
        let digits = String(byte)
        return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
    }
}

/// One answer.
public struct DNSReply: Hashable, Sendable {
    public struct Record: Hashable, Sendable {
        /// Whom it is about, as `DNSName` writes it.
        public var name: String
        public var type: UInt16
        public var ttl: UInt32
        /// As a zone file has it, names as `DNSName` writes them, the root as a dot. Texts come
        /// joined and as they are; nothing in them is escaped unless it is no UTF-8.
        public var text: String
        /// What two answers are compared by: the bytes of a text, else `text`.
        public var content: [UInt8]
    }

    public struct Malformed: Error, Hashable, Sendable {
        public var reason: String
    }

    public var id: UInt16
    /// 0 is NOERROR, 3 NXDOMAIN.
    public var code: UInt8
    /// The answer did not fit: it has to be asked for again over TCP.
    public var isTruncated: Bool
    public var questionName: String
    public var questionType: UInt16
    public var answers: [Record]
    /// There is no question in it.
    public var isBare: Bool

    /// More records than fit into 64 KiB cannot be announced honestly.
    public static let recordsMax = 4_096
    /// A chain of compression pointers longer than this is a loop.
    public static let pointersMax = 64

    /// A server that could not even read the question may send it back as a bare header.
    public func answers(_ question: DNSQuestion) -> Bool {
        guard id == question.id else { return false }
        if isBare { return true }
        return questionType == question.type.rawValue && questionName == question.canonicalName
    }

    /// What the answers say of the name that was asked for.
    public struct Findings: Hashable, Sendable {
        /// The records of the type that was asked for, of the name or of what it is an alias of.
        public var records: [Record] = []
        /// The names that it is an alias of, one after the other.
        public var aliases: [String] = []
        /// The aliases lead back to where they began.
        public var isLoop = false
        /// Names that records of the type are about, and nobody asked for.
        public var strangers: [String] = []
    }

    /// Follows the chain of CNAMEs from `question` on, in whatever order its records came: what is
    /// not on that way answers another question (RFC 1034, section 3.6.2).
    public func findings(for question: DNSQuestion) -> Findings {
        var findings = Findings()
        var names: Set<String> = [question.canonicalName]
        var next = question.canonicalName
        // Whoever asks for the alias itself is not sent on.
        while question.type != .cname {
            let alias = answers.first {
                $0.type == RecordType.cname.rawValue && $0.name == next
            }
            guard let alias else { break }
            guard names.insert(alias.text).inserted else {
                findings.isLoop = true
                break
            }
            next = alias.text
            findings.aliases.append(next)
        }
        for record in answers where record.type == question.type.rawValue {
            if names.contains(record.name) {
                findings.records.append(record)
            } else if !findings.strangers.contains(record.name) {
                findings.strangers.append(record.name)
            }
        }
        return findings
    }

    /// `NOERROR`, `NXDOMAIN` and so on.
    public static let codes = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    ]

    public var codeWord: String {
        Int(code) < Self.codes.count ? Self.codes[Int(code)] : "RCODE\(code)"
    }
}

// MARK: Reading

extension DNSReply {
    public init(parsing bytes: [UInt8]) throws(Malformed) {
        var reader = Reader(bytes: bytes)
        id = try reader.pair()
        let flags = try reader.pair()
        guard flags & 0x8000 != 0 else { throw Malformed(reason: "expected an answer") }
        code = UInt8(flags & 0x0F)
        isTruncated = flags & 0x0200 != 0
        let questions = try reader.pair()
        let count = Int(try reader.pair())
        _ = try reader.take(4)
        answers = []
        questionName = ""
        questionType = 0
        isBare = questions == 0 && code != 0 && count == 0
        if isBare { return }
        guard questions == 1 else { throw Malformed(reason: "expected one question") }
        questionName = try reader.name()
        questionType = try reader.pair()
        guard try reader.pair() == Self.internet else {
            throw Malformed(reason: "a question of another class")
        }
        guard count <= Self.recordsMax else { throw Malformed(reason: "too many records") }
        for _ in 0..<count {
            do throws(Malformed) {
                let record = try reader.record()
                if let record { answers.append(record) }
            } catch {
                // What does not fit is missing from a truncated answer.
                guard isTruncated else { throw error }
                break
            }
        }
    }

    /// The class of all that is asked here.
    private static let internet: UInt16 = 1

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func take(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
            guard position + count <= bytes.count else {
                throw Malformed(reason: "ends after \(bytes.count) bytes")
            }
            defer { position += count }
            return bytes[position..<position + count]
        }

        mutating func pair() throws(Malformed) -> UInt16 {
            try take(2).reduce(0) { $0 << 8 | UInt16($1) }
        }

        mutating func quad() throws(Malformed) -> UInt32 {
            try take(4).reduce(0) { $0 << 8 | UInt32($1) }
        }

        /// A name, with the pointers that compress it (RFC 1035, section 4.1.4).
        mutating func name() throws(Malformed) -> String {
            var labels: [String] = []
            var total = 0
            var pointers = 0
            var resume: Int?
            while true {
                let count = Int(try take(1).first ?? 0)
                if count == 0 { break }
                if count & 0xC0 == 0xC0 {
                    let low = Int(try take(1).first ?? 0)
                    resume = resume ?? position
                    pointers += 1
                    guard pointers <= DNSReply.pointersMax else {
                        throw Malformed(reason: "a name that points at itself")
                    }
                    position = (count & 0x3F) << 8 | low
                    continue
                }
                guard count <= DNSQuestion.labelBytesMax else {
                    throw Malformed(reason: "a label of \(count) bytes")
                }
                total += count + 1
                guard total <= DNSQuestion.nameBytesMax + 2 else {
                    throw Malformed(reason: "a name of more than \(DNSQuestion.nameBytesMax) bytes")
                }
                labels.append(DNSName.label(try take(count)))
            }
            if let resume { position = resume }
            return labels.joined(separator: ".")
        }

        /// Nil for a record of another class.
        mutating func record() throws(Malformed) -> Record? {
            let name = try name()
            let type = try pair()
            let isInternet = try pair() == DNSReply.internet
            let ttl = try quad()
            let length = Int(try pair())
            let end = position + length
            guard end <= bytes.count else { throw Malformed(reason: "a record cut short") }
            defer { position = end }
            guard isInternet else { return nil }
            if RecordType(rawValue: type) == .txt {
                let content = try joinedTexts(until: end)
                return Record(
                    name: name,
                    type: type,
                    ttl: ttl,
                    text: Self.shown(content),
                    content: content
                )
            }
            let text = try text(of: type, length: length)
            guard position == end else {
                throw Malformed(reason: "a record of \(length) bytes that does not end with them")
            }
            return Record(name: name, type: type, ttl: ttl, text: text, content: Array(text.utf8))
        }

        private mutating func text(of type: UInt16, length: Int) throws(Malformed) -> String {
            switch RecordType(rawValue: type) {
            case .a where length == 4: return ip(AF_INET, try take(4))
            case .aaaa where length == 16: return ip(AF_INET6, try take(16))
            case .ns, .cname, .ptr: return try host()
            case .mx: return "\(try pair()) \(try host())"
            case .srv: return "\(try pair()) \(try pair()) \(try pair()) \(try host())"
            case .soa:
                return "\(try host()) \(try host()) \(try quad()) \(try quad()) \(try quad()) "
                    + "\(try quad()) \(try quad())"
            default:
                _ = try take(length)
                return "\(length) bytes"
            }
        }

        /// A name inside a record, where the root is written too.
        private mutating func host() throws(Malformed) -> String {
            let name = try name()
            return name.isEmpty ? "." : name
        }

        /// A text of several strings is one (RFC 7208, section 3.3; RFC 6376, section 3.6.2.2).
        private mutating func joinedTexts(until end: Int) throws(Malformed) -> [UInt8] {
            var text: [UInt8] = []
            while position < end {
                let count = Int(try take(1).first ?? 0)
                guard position + count <= end else { throw Malformed(reason: "a text cut short") }
                text += try take(count)
            }
            return text
        }

        private static func shown(_ text: [UInt8]) -> String {
            if text.isEmpty { return "\"\"" }
            if let valid = String(validating: text, as: UTF8.self) { return valid }
            return text.reduce(into: "") { shown, byte in
                if (0x20..<0x7F).contains(byte) {
                    shown.unicodeScalars.append(Unicode.Scalar(byte))
                } else {
                    shown += DNSName.decimal(byte)
                }
            }
        }

        private func ip(_ family: Int32, _ bytes: ArraySlice<UInt8>) -> String {
            var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            _ = inet_ntop(family, Array(bytes), &text, socklen_t(text.count))
            let letters = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return String(decoding: letters, as: UTF8.self)
        }
    }
}
