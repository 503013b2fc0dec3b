// Is nothing believed that cannot be true, and does whatever is believed stay within what the rest counts on?

import Health
import Testing
import Vocabulary

@testable import Store

@Suite struct BelievableTests {
    private let key = VerdictKey(upstream: "web", peer: "a", monitor: "http")

    private func verdict(_ changes: [String: JSON]) -> Verdict? {
        guard case .object(let members) = Verdict.sample(.up).json else { return nil }
        var all = Dictionary(uniqueKeysWithValues: members.map { ($0.key, $0.value) })
        all.merge(changes) { $1 }
        return Verdict(key: key, json: .object(all.map { JSON.Member($0.key, $0.value) }))
    }

    @Test(
        arguments: [
            ["health": -1], ["health": 4], ["health": 1], ["rise": 0], ["rise": -3],
            ["fall": 0], ["fall": 86_401], ["rise": .integer(.max), "fall": .integer(.max)],
            ["status": "down"], ["status": "maybe"], ["status": "down", "health": 2],
            ["agent": ""], ["agent": .string(String(repeating: "x", count: 1_000_000))],
            ["agent": "a\u{1b}[31m"], ["kind": "two\nlines"], ["epoch": .integer(.max)],
            ["epoch": -1], ["sequence": .integer(1 << 60)], ["sequence": 1.5], ["health": "3"],
            ["reason": "WHY"],
        ] as [[String: JSON]]
    )
    func `what no agent can have counted is no verdict`(changes: [String: JSON]) {
        #expect(verdict(changes) == nil)
    }

    @Test(arguments: [Int64.min, -253_402_300_800_000, 253_402_300_799_000, 1 << 53, .max])
    func `times, latencies and hints are brought into their range`(number: Int64) throws {
        let wild = JSON.integer(number)
        let found = try #require(
            verdict([
                "since": wild, "checked_at": wild, "expires_at": wild, "latency_us": wild,
                "weight_percent": wild, "max_connections": wild, "code": wild,
            ])
        )
        for time in [found.since, found.checkedAt, found.expiresAt] {
            #expect(WallTime.range.contains(time))
        }
        #expect((Nanoseconds.zero...Believable.latencyMax).contains(found.latency))
        #expect((0...PeerHealth.weightPercentMax).contains(found.hints.weightPercent ?? -1))
        #expect((found.hints.maxConnections ?? -1) >= 0)
        #expect(Verdict(key: key, json: found.json) == found)
    }

    @Test func `a message is one printable line of bounded length`() throws {
        for text in [
            "two\nlines", "\u{1b}]0;owned\u{7}", String(repeating: "\u{1}", count: 1_000_000),
            String(repeating: "é", count: 5_000),
        ] {
            let found = try #require(verdict(["message": .string(text)]))
            #expect(found.message.utf8.count <= Believable.messageBytesMax)
            #expect(found.message == found.message.printable)
            #expect(Verdict(key: key, json: found.json) == found)
        }
    }

    @Test func `a pair with a name that cannot be printed is none`() {
        let json = Verdict.sample(.up).json
        for name in ["", "a\nb", "a\u{202e}b", String(repeating: "x", count: 600)] {
            let key = VerdictKey(upstream: "web", peer: name, monitor: "http")
            #expect(Verdict(key: key, json: json) == nil)
        }
    }

    @Test(arguments: [
        ("192.0.2.2:80 [fe80::1%eth0]:80", ["192.0.2.2:80", "[fe80::1%eth0]:80"]),
        ("  b:1 a:1  b:1 ", ["a:1", "b:1"]),
        ("a:1 unix:/run/\u{1b}[31m a\u{1b}:1 a a:99999 é:1", ["a:1"]),
        (String(repeating: "x", count: 63) + ":1 a:1", ["a:1"]),
        ("", []),
    ])
    func `of addresses only those are believed`(text: String, addresses: [String]) throws {
        let found = try #require(verdict(["down_addresses": .string(text)]))
        #expect(found.downAddresses == addresses)
        #expect(Verdict(key: key, json: found.json) == found)
    }

    @Test func `there are not more addresses than anybody has`() throws {
        let text = (1...10_000).map { "a:\($0)" }.joined(separator: " ")
        let found = try #require(verdict(["down_addresses": .string(text)]))
        #expect(found.downAddresses.count == Believable.addressesMax)
        #expect(verdict(["down_addresses": 7])?.downAddresses == [])
    }
}
