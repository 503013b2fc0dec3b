// Which answer of a name server is meant? Users write records as zone files have them, and each type
// has one way in which answers are read back.

import DNS
import Glibc
import Vocabulary

/// One answer that is expected.
struct ExpectedRecord: Sendable {
    /// As messages show it.
    let text: String
    /// What `DNSReply.Record.content` may be. A text in quotes may be meant with them or without.
    private let contents: [[UInt8]]

    func isAmong(_ records: [DNSReply.Record]) -> Bool {
        records.contains { contents.contains($0.content) }
    }

    /// Takes `expect`: texts as answers have them.
    static func take(
        from options: inout Options,
        type: RecordType,
        code: String
    ) throws(SettingError) -> [ExpectedRecord] {
        guard let setting = options.take("expect") else { return [] }
        let path = "\(options.path).expect"
        let texts = try setting.strings(at: path)
        guard !texts.isEmpty else { throw setting.expected("at least one record", at: path) }
        var places = [setting.position]
        if case .list(let items) = setting.value { places = items.map(\.position) }
        var expected: [ExpectedRecord] = []
        for (text, place) in zip(texts, places) {
            guard let record = ExpectedRecord(text, type: type) else {
                throw SettingError(
                    place,
                    "\(path): expected \(type.shape), saw '\(text)': no answer could be that"
                )
            }
            expected.append(record)
        }
        guard code == "NOERROR" || expected.isEmpty else {
            throw SettingError(
                setting.position,
                "\(path): expected nothing beside 'rcode: \(code)', saw '\(texts[0])': such an "
                    + "answer has no records"
            )
        }
        // A name has one of these (RFC 1034, section 3.6.2).
        if [.cname, .soa].contains(type), Set(expected.map(\.contents)).count > 1 {
            throw SettingError(
                setting.position,
                "\(path): expected one record \(type.word), saw \(expected.count): a name has no "
                    + "more of them"
            )
        }
        return expected
    }

    /// Nil where no answer of the type could be that.
    private init?(_ text: String, type: RecordType) {
        if type == .txt {
            self.text = text.isEmpty ? "\"\"" : text
            contents = [Array(text.utf8)] + (ZoneText.bytes(of: text).map { [$0] } ?? [])
            return
        }
        guard let canonical = type.canonical(text) else { return nil }
        self.text = canonical
        contents = [Array(canonical.utf8)]
    }
}

extension RecordType {
    /// What an answer looks like, for a message.
    fileprivate var shape: String {
        switch self {
        case .a: "addresses of record A, such as 192.0.2.1"
        case .aaaa: "addresses of record AAAA, such as 2001:db8::1"
        case .mx: "preference and name of record MX, such as '10 mail.example.com'"
        case .srv:
            "priority, weight, port and name of record SRV, such as '0 5 5060 sip.example.com'"
        case .soa: "two names and five numbers of record SOA"
        case .ns, .cname, .ptr: "names of record \(word), such as 'www.example.com'"
        case .txt: "texts of record TXT"
        }
    }

    /// How an answer of this type says `text`, or nil where none can. An address has many spellings,
    /// and so has a name; answers are read back in one.
    fileprivate func canonical(_ text: String) -> String? {
        switch self {
        case .a: Self.address(text, AF_INET)
        case .aaaa: Self.address(text, AF_INET6)
        case .ns, .cname, .ptr: Self.fields(text, "n")
        case .mx: Self.fields(text, "sn")
        case .srv: Self.fields(text, "sssn")
        case .soa: Self.fields(text, "nnlllll")
        case .txt: text
        }
    }

    /// `n` is a name, `s` a number of 16 bits, `l` one of 32.
    private static func fields(_ text: String, _ shape: String) -> String? {
        let words = text.split { $0 == " " || $0 == "\t" }
        guard words.count == shape.count else { return nil }
        var canonical: [String] = []
        for (word, kind) in zip(words, shape) {
            if kind == "n" {
                guard DNSName.isName(String(word)) else { return nil }
                let name = DNSName.canonical(String(word))
                canonical.append(name.isEmpty ? "." : name)
            } else {
                let most = kind == "s" ? UInt32(UInt16.max) : .max
                guard word.allSatisfy({ $0.isASCII && $0.isNumber }), let number = UInt32(word),
                    number <= most
                else { return nil }
                canonical.append("\(number)")
            }
        }
        return canonical.joined(separator: " ")
    }

    private static func address(_ text: String, _ family: Int32) -> String? {
        var address = in6_addr()
        var spelt = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_pton(family, text, &address) == 1,
            inet_ntop(family, &address, &spelt, socklen_t(spelt.count)) != nil
        else { return nil }
        return String(
            decoding: spelt.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}

/// A text as zone files write it: `"one string" "and the next"`, with `\"`, `\\` and `\007`.
enum ZoneText {
    /// The strings joined; nil where `text` is not written so.
    static func bytes(of text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        var isFirst = true
        while true {
            let blanks = rest.prefix { $0 == 0x20 || $0 == 0x09 }
            rest = rest.dropFirst(blanks.count)
            if rest.isEmpty { return isFirst ? nil : bytes }
            guard isFirst || !blanks.isEmpty, rest.popFirst() == UInt8(ascii: "\"") else {
                return nil
            }
            isFirst = false
            guard take(&rest, into: &bytes) else { return nil }
        }
    }

    /// One string up to its closing quote.
    private static func take(_ rest: inout Substring.UTF8View, into bytes: inout [UInt8]) -> Bool {
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { return true }
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            guard let next = rest.first else { return false }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) else {
                bytes.append(next)
                rest.removeFirst()
                continue
            }
            guard rest.count >= 3, let value = UInt8(String(Substring(rest.prefix(3)))) else {
                return false
            }
            bytes.append(value)
            rest = rest.dropFirst(3)
        }
        return false
    }
}

/// Under which name does an address stand in the DNS?
enum ReverseName {
    /// `1.2.0.192.in-addr.arpa`; nil where `text` is no address.
    static func of(_ text: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &bytes) == 1 {
            return bytes.prefix(4).reversed().map { "\($0)." }.joined() + "in-addr.arpa"
        }
        guard inet_pton(AF_INET6, text, &bytes) == 1 else { return nil }
        let digits = bytes.flatMap { [$0 >> 4, $0 & 0x0F] }
        return digits.reversed().map { String($0, radix: 16) + "." }.joined() + "ip6.arpa"
    }
}
