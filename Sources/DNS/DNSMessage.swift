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
    public var bytes: [UInt8]? {
        // Recursion desired, one question, one additional record.
        let header = Self.pair(id) + [0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1]
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
        return header + body + Self.pair(type.rawValue) + [0, 1] + edns
    }

    private static func pair(_ number: UInt16) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 0xFF)]
    }
}

/// One answer.
public struct DNSReply: Hashable, Sendable {
    public struct Record: Hashable, Sendable {
        public var name: String
        public var type: UInt16
        public var ttl: UInt32
        /// As a zone file has it, names in lower case and without the last dot.
        public var text: String
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

    /// More records than fit into 64 KiB cannot be announced honestly.
    public static let recordsMax = 4_096
    /// A chain of compression pointers longer than this is a loop.
    public static let pointersMax = 64

    public func answers(_ question: DNSQuestion) -> Bool {
        let name = question.name.hasSuffix(".") ? String(question.name.dropLast()) : question.name
        return id == question.id && questionType == question.type.rawValue
            && questionName == name.lowercased()
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
        guard try reader.pair() == 1 else { throw Malformed(reason: "expected one question") }
        let count = Int(try reader.pair())
        _ = try reader.take(4)
        questionName = try reader.name()
        questionType = try reader.pair()
        _ = try reader.pair()
        answers = []
        guard count <= Self.recordsMax else { throw Malformed(reason: "too many records") }
        // What does not fit is missing from a truncated answer.
        for _ in 0..<count where !isTruncated { answers.append(try reader.record()) }
    }

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
                labels.append(String(decoding: try take(count), as: UTF8.self).lowercased())
            }
            if let resume { position = resume }
            return labels.joined(separator: ".")
        }

        mutating func record() throws(Malformed) -> Record {
            let name = try name()
            let type = try pair()
            _ = try pair()
            let ttl = try quad()
            let length = Int(try pair())
            let end = position + length
            guard end <= bytes.count else { throw Malformed(reason: "a record cut short") }
            let text = try text(of: type, length: length)
            // The data says how long it is; what its names were compressed to does not.
            position = end
            return Record(name: name, type: type, ttl: ttl, text: text)
        }

        private mutating func text(of type: UInt16, length: Int) throws(Malformed) -> String {
            let end = position + length
            switch RecordType(rawValue: type) {
            case .a where length == 4: return ip(AF_INET, try take(4))
            case .aaaa where length == 16: return ip(AF_INET6, try take(16))
            case .ns, .cname, .ptr: return try name()
            case .mx: return "\(try pair()) \(try name())"
            case .srv: return "\(try pair()) \(try pair()) \(try pair()) \(try name())"
            case .soa:
                return "\(try name()) \(try name()) \(try quad()) \(try quad()) \(try quad()) "
                    + "\(try quad()) \(try quad())"
            case .txt:
                var text: [UInt8] = []
                while position < end {
                    let count = Int(try take(1).first ?? 0)
                    guard position + count <= end else {
                        throw Malformed(reason: "a text cut short")
                    }
                    text += try take(count)
                }
                return String(decoding: text, as: UTF8.self)
            default: return "\(length) bytes"
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
