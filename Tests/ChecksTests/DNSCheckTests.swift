// Does a DNS check read what a name server says, and hold it against what it should say?

import Checks
import DNS
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct DNSCheckTests {
    private static let zone: [String: NameServer.Answer] = [
        "web.test": .records([
            .a("192.0.2.1"), .a("192.0.2.2"), .aaaa("2001:db8::1"), .txt("v=spf1 -all"),
            .named(15, "Mail.test", prefix: [0, 10]), .named(2, "ns1.test"),
            .named(33, "sip.test", prefix: [0, 1, 0, 2, 0x13, 0xC4]),
        ]),
        "empty.test": .records([]),
        "broken.test": .failure(code: 2),
        "mute.test": .silence,
    ]

    private static let rows: [(TestSetting, Outcome.Verdict, String)] = [
        (["name": "web.test"], .pass, "192.0.2.1, 192.0.2.2"),
        (["name": "Web.Test.", "expect": ["192.0.2.2"]], .pass, "192.0.2.1, 192.0.2.2"),
        (
            ["name": "web.test", "expect": "192.0.2.9"], .fail,
            "web.test A: expected 192.0.2.9, saw 192.0.2.1, 192.0.2.2"
        ),
        (["name": "web.test", "record": "AAAA", "expect": "2001:db8::1"], .pass, "2001:db8::1"),
        (["name": "web.test", "record": "TXT", "expect": "v=spf1 -all"], .pass, "v=spf1 -all"),
        (["name": "web.test", "record": "MX", "expect": "10 mail.test"], .pass, "10 mail.test"),
        (["name": "web.test", "record": "NS"], .pass, "ns1.test"),
        (["name": "web.test", "record": "SRV"], .pass, "1 2 5060 sip.test"),
        (["name": "empty.test"], .fail, "empty.test A: expected an answer, saw no such record"),
        (["name": "gone.test"], .fail, "gone.test A: expected NOERROR, saw NXDOMAIN"),
        (["name": "gone.test", "rcode": "NXDOMAIN"], .pass, "NXDOMAIN"),
        (["name": "broken.test"], .fail, "broken.test A: expected NOERROR, saw SERVFAIL"),
    ]

    @Test(arguments: rows.indices)
    func `an answer passes when it holds what is expected`(row: Int) async throws {
        let (settings, verdict, message) = Self.rows[row]
        let server = try NameServer(Self.zone)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "dns",
            settings,
            at: .host("127.0.0.1", port: server.port)
        )
        #expect(outcome.verdict == verdict)
        #expect(outcome.reason == (verdict == .pass ? .layer7OK : .layer7Status))
        #expect(outcome.message == message)
    }

    @Test func `a lost question is asked again`() async throws {
        let server = try NameServer(Self.zone)
        defer { server.stop() }
        let prober = try await Prober()
        let place = Address.host("127.0.0.1", port: server.port)
        let outcome = try await prober.probe(
            "dns",
            ["name": "mute.test"],
            at: place,
            timeout: .milliseconds(150)
        )
        #expect(outcome.reason == .layer7Timeout)
        #expect(outcome.message == "expected an answer about mute.test A within 150ms, saw nothing")
        // The last may be still on its way.
        let isAsked = await eventually { server.count("mute.test") == 3 }
        #expect(isAsked, "\(server.count("mute.test"))")
        let left = await prober.leftovers()
        #expect(left.descriptors == 0 && left.timers == 0)
    }

    @Test func `a port without a name server refuses`() async throws {
        let outcome = try await Prober().probe(
            "dns",
            ["name": "web.test"],
            at: .host("127.0.0.1", port: try freePort())
        )
        #expect(outcome.reason == .layer4Connect, "\(outcome)")
    }

    @Test func `a message that is none is an answer of the wrong kind`() async throws {
        let server = try ScriptedServer(.expect("web"), .sendBytes([0, 3, 1, 2, 3]), .stall)
        defer { server.stop() }
        let outcome = try await Prober().probe(
            "dns",
            ["name": "web.test", "transport": "tcp"],
            at: server.address
        )
        #expect(outcome.reason == .layer7Response)
        #expect(outcome.message == "expected an answer about web.test A, saw ends after 3 bytes")
    }

    @Test func `no message of any bytes breaks the reader`() throws {
        let question = DNSQuestion(id: 7, name: "web.test", type: .a)
        var good = try #require(question.bytes)
        good[2] = 0x81
        good[7] = 1
        good.removeLast(11)
        good += [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]
        let reply = try DNSReply(parsing: good)
        #expect(reply.answers(question))
        #expect(reply.answers.map { $0.text } == ["192.0.2.1"])
        var random = Dice(seed: 7)
        for _ in 0..<10_000 {
            var bytes = good
            for _ in 0...Int(random.next() % 4) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                    truncatingIfNeeded: random.next()
                )
            }
            bytes.removeLast(Int(random.next() % UInt64(bytes.count)))
            _ = try? DNSReply(parsing: bytes)
        }
        // A name that points at itself.
        var loop = good
        loop[12] = 0xC0
        loop[13] = 12
        #expect(throws: DNSReply.Malformed.self) { try DNSReply(parsing: loop) }
    }

    @Test func `a wrong setting is refused with what was expected`() {
        #expect(complaint("dns", [:]) == "test.yaml:1:1: dns: expected 'name', saw no such key")
        #expect(complaint("dns", ["name": "a..b"])?.contains("expected a domain name") == true)
        #expect(
            complaint("dns", ["name": "a", "record": "AAA"])?.contains("did you mean 'A'?") == true
                || complaint("dns", ["name": "a", "record": "AAA"])?.contains(
                    "did you mean 'AAAA'?"
                ) == true
        )
    }
}
