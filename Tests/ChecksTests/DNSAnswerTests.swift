// Which of the records that a server sends answer the question, and which are meant by what a user
// expects? Messages are built here byte by byte.

import DNS
import TestSupport
import Testing
import Vocabulary

@testable import Checks

@Suite struct DNSAnswerTests {
    private struct Record {
        var name: String
        var type: RecordType
        var data: [UInt8]
        var `class`: UInt8 = 1
    }

    private static func encoded(_ name: String) -> [UInt8] {
        name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    private func reply(
        to question: DNSQuestion,
        _ records: [Record],
        code: UInt8 = 0
    ) throws -> DNSReply {
        let type = UInt8(question.type.rawValue)
        var bytes: [UInt8] = [0, 7, 0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0]
        bytes += Self.encoded(question.name) + [0, type, 0, 1]
        for record in records {
            bytes += Self.encoded(record.name) + [0, UInt8(record.type.rawValue), 0, record.class]
            bytes += [0, 0, 0, 60, 0, UInt8(record.data.count)] + record.data
        }
        return try DNSReply(parsing: bytes)
    }

    private func cname(_ name: String, _ alias: String) -> Record {
        Record(name: name, type: .cname, data: Self.encoded(alias))
    }

    private func address(_ name: String, _ last: UInt8) -> Record {
        Record(name: name, type: .a, data: [192, 0, 2, last])
    }

    private let question = DNSQuestion(id: 7, name: "Web.test.", type: .a)

    @Test func `records of the name and of its aliases count, in any order and case`() throws {
        let records = [
            address("EDGE.test", 1), cname("cdn.test", "Edge.test"), address("other.test", 9),
            cname("WEB.test", "Cdn.test"), address("edge.test", 2),
            Record(name: "web.test", type: .a, data: [192, 0, 2, 8], class: 3),
        ]
        let reply = try reply(to: question, records)
        #expect(reply.answers(question))
        let findings = reply.findings(for: question)
        #expect(findings.records.map(\.text) == ["192.0.2.1", "192.0.2.2"])
        #expect(findings.aliases == ["cdn.test", "edge.test"])
        #expect(findings.strangers == ["other.test"])
    }

    @Test func `aliases in a circle end`() throws {
        let reply = try reply(
            to: question,
            [cname("web.test", "b.test"), cname("b.test", "web.test")]
        )
        let findings = reply.findings(for: question)
        #expect(findings.isLoop && findings.records.isEmpty)
    }

    @Test func `whoever asks for an alias gets that of the name and no other`() throws {
        let question = DNSQuestion(id: 7, name: "web.test", type: .cname)
        let reply = try reply(
            to: question,
            [cname("web.test", "b.test"), cname("b.test", "c.test")]
        )
        #expect(reply.findings(for: question).records.map(\.text) == ["b.test"])
    }

    @Test func `another number, name, type or class is no answer`() throws {
        let reply = try reply(to: question, [address("web.test", 1)])
        for other in [
            DNSQuestion(id: 8, name: "web.test", type: .a),
            DNSQuestion(id: 7, name: "web2.test", type: .a),
            DNSQuestion(id: 7, name: "web.test", type: .txt),
        ] {
            #expect(!reply.answers(other))
        }
        var chaos = try #require(question.bytes)
        chaos[2] = 0x81
        chaos[11] = 0
        // Behind the header, the name and the type.
        chaos[12 + 10 + 3] = 3
        #expect(throws: DNSReply.Malformed.self) { try DNSReply(parsing: chaos) }
    }

    @Test func `a bare header answers with its code`() throws {
        let reply = try DNSReply(parsing: [0, 7, 0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(reply.answers(question) && reply.codeWord == "FORMERR")
        #expect(throws: DNSReply.Malformed.self) {
            try DNSReply(parsing: [0, 7, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
    }

    @Test func `names that differ are never written alike`() throws {
        let dotted = Record(name: "web.test", type: .a, data: [])
        var bytes = Self.encoded("x")
        bytes[1] = UInt8(ascii: ".")
        let one = try reply(
            to: question,
            [Record(name: dotted.name, type: .cname, data: bytes)]
        )
        #expect(one.answers.map(\.text) == ["\\."])
        let two = try reply(
            to: question,
            [Record(name: "web.test", type: .cname, data: [2, 7, 0xFF, 0])]
        )
        #expect(two.answers.map(\.text) == ["\\007\\255"])
    }

    @Test func `a record ends where it says`() {
        for data: [UInt8] in [[0, 10, 1, 0x61, 0, 0], [0, 10, 1, 0x61], [0]] {
            #expect(throws: DNSReply.Malformed.self) {
                try reply(to: question, [Record(name: "web.test", type: .mx, data: data)])
            }
        }
    }

    // MARK: What is expected

    private func text(_ strings: [UInt8]...) -> [UInt8] {
        strings.flatMap { [UInt8($0.count)] + $0 }
    }

    private func isFound(
        _ expected: String,
        _ type: RecordType,
        _ data: [UInt8]
    ) throws -> Bool {
        var question = question
        question.type = type
        let reply = try reply(to: question, [Record(name: "web.test", type: type, data: data)])
        var options = TestSetting.map([("expect", .scalar(expected, isQuoted: true))])
            .options(path: "dns")
        let records = try ExpectedRecord.take(from: &options, type: type, code: "NOERROR")
        return records.allSatisfy { $0.isAmong(reply.findings(for: question).records) }
    }

    @Test func `a text is its bytes, whatever its strings`() throws {
        let data = text(Array("v=DKIM1; p=".utf8), Array("aB".utf8))
        #expect(try isFound("v=DKIM1; p=aB", .txt, data))
        #expect(try isFound("\"v=DKIM1; p=aB\"", .txt, data))
        #expect(try isFound("\"v=DKIM1; p=\" \"aB\"", .txt, data))
        for wrong in ["v=dkim1; p=aB", "v=DKIM1; p=ab", "v=DKIM1; p=", "v=DKIM1; p= aB", ""] {
            #expect(try !isFound(wrong, .txt, data), "\(wrong)")
        }
        #expect(try isFound("", .txt, text([])))
        #expect(try isFound("\"\"", .txt, text([])))
        #expect(try isFound("q\"uo\\te", .txt, text(Array("q\"uo\\te".utf8))))
        #expect(try isFound("\"q\\\"uo\\\\te\"", .txt, text(Array("q\"uo\\te".utf8))))
        #expect(try isFound("\"\\255\\007\"", .txt, text([255, 7])))
    }

    private static let spellings: [(RecordType, [UInt8], right: [String], wrong: [String])] = [
        (
            .mx, [0, 10] + encoded("Mail.test"),
            ["10 mail.test", "10  MAIL.test.", "010 mail.test"], ["20 mail.test", "10 mail.test.x"]
        ),
        (.mx, [0, 0, 0], ["0 ."], ["0 mail.test"]),
        (
            .srv, [0, 1, 0, 2, 0x13, 0xC4] + encoded("sip.test"),
            ["1 2 5060 sip.test", "1 2 5060 SIP.test."], ["1 2 5061 sip.test"]
        ),
        (.ns, encoded("NS1.test"), ["ns1.test", "ns1.TEST."], ["ns2.test"]),
        (
            .soa,
            encoded("ns.test") + encoded("root.test") + [0, 0, 0, 1, 0, 0, 0, 2] + [
                0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5,
            ],
            ["ns.test. root.test. 1 2 3 4 5"], ["ns.test. root.test. 1 2 3 4 6"]
        ),
        (
            .aaaa, [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1],
            ["2001:db8::1", "2001:DB8:0:0:0:0:0:1"], ["2001:db8::2"]
        ),
        (
            .aaaa, [UInt8](repeating: 0, count: 10) + [255, 255, 192, 0, 2, 1],
            ["::ffff:192.0.2.1", "::ffff:c000:201"], ["::192.0.2.1"]
        ),
    ]

    @Test(arguments: spellings.indices)
    func `a record may be spelt as in any zone file`(row: Int) throws {
        let (type, data, right, wrong) = Self.spellings[row]
        for text in right { #expect(try isFound(text, type, data), "\(text)") }
        for text in wrong { #expect(try !isFound(text, type, data), "\(text)") }
    }

    @Test func `an address has a name in the reverse zone`() {
        #expect(ReverseName.of("192.0.2.1") == "1.2.0.192.in-addr.arpa")
        #expect(ReverseName.of("2001:db8::1")?.hasPrefix("1.0.0.0.0.0.0.0.") == true)
        #expect(ReverseName.of("2001:db8::1")?.hasSuffix(".8.b.d.0.1.0.0.2.ip6.arpa") == true)
        #expect(ReverseName.of("www.example.com") == nil)
    }

    @Test func `a question leaves EDNS out for who does not know it`() throws {
        let with = try #require(question.bytes)
        let without = try #require(question.bytes(withEDNS: false))
        #expect(with.count == without.count + 11)
        #expect(without[11] == 0 && with[11] == 1)
    }
}
