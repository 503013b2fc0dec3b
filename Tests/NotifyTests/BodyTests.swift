// Does each service get what it documents, whatever stands in a reason? Bodies, templates and mail.

import Checks
import Health
import Testing
import Vocabulary

@testable import Notify

private let nasty = "said \"no\"\n<b>&\\ \u{1B}[31m ü"

private func notice(
    _ kind: Notice.Kind = .trouble,
    _ peer: String = "10.0.0.1:80",
    reason: String = nasty
) -> Notice {
    let isTrouble = kind == .trouble
    var notice = Notice(
        id: 1,
        kind: kind,
        peer: PeerKey(upstream: "web", peer: peer),
        from: isTrouble ? .up : .down,
        to: isTrouble ? .down : .up,
        at: WallTime(milliseconds: 1_795_934_318_000),
        reason: reason,
        isTrouble: isTrouble
    )
    notice.supply = .init(available: 1, wanted: 2)
    if kind == .resolved { notice.lasted = .seconds(723) }
    return notice
}

private func batch(_ notices: [Notice], leftOut: Int = 0) -> Batch {
    Batch(
        receiver: "ops",
        agent: "a1",
        notices: notices,
        leftOut: leftOut,
        troubled: 1,
        holds: .seconds(180),
        sentAt: WallTime(milliseconds: 1_795_934_320_000)
    )
}

private func parsed(_ body: NoticeBody, _ batch: Batch) throws -> JSON {
    try JSON(parsing: Array(body.text(of: batch).utf8))
}

@Suite struct BodyTests {
    @Test(arguments: [
        NoticeBody.muster, .slack, .teams, .pagerduty(key: "k"), .alertmanager,
    ])
    func `every body is JSON whatever a peer says`(body: NoticeBody) throws {
        for notices in [[notice()], [notice(), notice(.resolved)], [notice(.test)]] {
            _ = try parsed(body, batch(notices))
        }
    }

    @Test func `a line says who, what, why and how many are left, or there again`() {
        #expect(
            notice(reason: "L4CON refused").line
                == "web/10.0.0.1:80 is DOWN: L4CON refused, 1 of 2 peers left"
        )
        #expect(
            notice(.resolved).line
                == "web/10.0.0.1:80 is UP again, after 12m3s down, 1 of 2 peers available"
        )
    }

    @Test func `several changes are told by number first`() {
        let whole = batch(
            [notice(), notice(.trouble, "b:1"), notice(.resolved, "c:1")],
            leftOut: 4
        )
        #expect(
            whole.summary
                == "3 changes: 2 in trouble, 1 well again; 4 earlier changes are left out; "
                + "1 peer is in trouble now"
        )
    }

    @Test func `only who is up is well again`() {
        func end(_ status: PeerStatus, _ peer: String) -> Notice {
            var end = notice(.resolved, peer)
            end.to = status
            return end
        }
        let both = batch([end(.maint, "a:1"), end(.maint, "b:1")])
        #expect(both.summary == "2 changes: 2 in maint; 1 peer is in trouble now")
        let all = PeerStatus.allCases.map { end($0, "\($0):1") } + [notice(), end(.up, "z:1")]
        #expect(
            batch(all).summary
                == "10 changes: 1 in trouble, 2 well again, 1 in maint, 1 in drain, 1 ejected, "
                + "1 degraded, 1 starting, 1 down, 1 not defined any more; 1 peer is in trouble now"
        )
    }

    @Test(arguments: [
        (1, "; 1 earlier change is left out"), (2, "; 2 earlier changes are left out"),
    ])
    func `one change is named though others before it are left out`(
        leftOut: Int,
        missed: String
    ) throws {
        let one = notice(reason: "L4CON refused")
        let whole = batch([one], leftOut: leftOut)
        #expect(whole.summary == one.line + missed)
        #expect(try parsed(.slack, whole)["text"]?.string == whole.summary)
        let card = try parsed(.teams, whole)["attachments"]?[0]?["content"]
        #expect(card?["body"]?[0]?["text"]?.string == whole.summary)
    }

    @Test func `slack is sent no markup of others`() throws {
        let text = try #require(try parsed(.slack, batch([notice()]))["text"]?.string)
        #expect(text.contains("&lt;b&gt;&amp;"))
        #expect(!text.contains("<") && !text.contains("\n"))
        let several = try parsed(.slack, batch([notice(), notice(.resolved)]))
        #expect(several["attachments"]?[0]?["color"] == "danger")
    }

    @Test func `pagerduty's incident begins and ends under one key`() throws {
        let begin = try parsed(.pagerduty(key: "k"), batch([notice()]))
        let end = try parsed(.pagerduty(key: "k"), batch([notice(.resolved)]))
        #expect(begin["event_action"] == "trigger")
        #expect(end["event_action"] == "resolve")
        #expect(begin["dedup_key"] == end["dedup_key"])
        #expect(begin["routing_key"] == "k")
        #expect(begin["payload"]?["severity"] == "critical")
        #expect(NoticeBody.pagerduty(key: "k").batchMax == 1)
    }

    @Test func `an incident's key is no longer than pagerduty takes, and still of one peer`() throws
    {
        func key(_ kind: Notice.Kind, _ peer: String) throws -> String {
            let body = try parsed(.pagerduty(key: "k"), batch([notice(kind, peer)]))
            return try #require(body["dedup_key"]?.string)
        }
        let fits = String(repeating: "a", count: 255 - "muster/web/".count)
        #expect(try key(.trouble, fits) == "muster/web/" + fits)
        for long in [fits + "b", String(repeating: "ü", count: 200)] {
            let begin = try key(.trouble, long)
            #expect((250...255).contains(begin.utf8.count) && begin.hasPrefix("muster/web/"))
            #expect(try key(.resolved, long) == begin)
            #expect(try key(.trouble, long + "c") != begin)
        }
    }

    @Test func `alertmanager's alert keeps its labels, and ends`() throws {
        let both = try parsed(.alertmanager, batch([notice(), notice(.resolved)]))
        #expect(both[0]?["labels"] == both[1]?["labels"])
        #expect(both[0]?["startsAt"] == "2026-11-29T06:38:38.000Z")
        #expect(
            both[0]?["endsAt"] == "2026-11-29T06:41:40.000Z",
            "three minutes from when it is sent"
        )
        #expect(both[1]?["endsAt"] == "2026-11-29T06:38:38.000Z")
    }
}

@Suite struct TemplateTests {
    @Test func `words are filled in, escaped within JSON only`() throws {
        let template = try Template(
            "{\"a\": \"{{ peer }} {{to}}\", \"why\": \"{{reason}}\", \"x\": {{json}}}"
        )
        let text = template.fill(with: batch([notice()]), asJSON: true)
        let json = try JSON(parsing: Array(text.utf8))
        #expect(json["a"] == "10.0.0.1:80 down")
        #expect(json["why"]?.string == nasty.printable)
        #expect(json["x"]?["receiver"] == "ops")
        #expect(
            try Template("{{reason}}!").fill(with: batch([notice(reason: "\"")]), asJSON: false)
                == "\"!"
        )
    }

    @Test(arguments: [
        ("{{summary}} {{text}}", false), ("{{peer}}", true), ("plain", false),
        ("{{to}}{{count}}", true),
    ])
    func `a body about one peer is sent for each`(text: String, isOfOne: Bool) throws {
        #expect(try Template(text).isOfOneNotice == isOfOne)
    }

    @Test(arguments: ["{{nobody}}", "{{peer}", "a {{", "{{}}"])
    func `what is no word is refused`(text: String) {
        #expect(throws: Template.Problem.self) { try Template(text) }
    }
}

@Suite struct MailTests {
    private let mail = Mail(
        from: "m@example.org",
        to: ["a@example.org", "b@example.org"],
        batch: batch([notice(), notice(.resolved)]),
        now: WallTime(milliseconds: 1_795_934_320_000),
        nonce: 7
    )

    @Test func `a mail has a head of plain lines, and no line that ends it early`() throws {
        let lines = mail.text.split(separator: "\r\n", omittingEmptySubsequences: false)
        #expect(lines.allSatisfy { $0.utf8.count <= 998 && $0.utf8.allSatisfy { $0 < 0x7F } })
        #expect(lines.dropLast().allSatisfy { $0 != "." && !$0.contains("\n") })
        #expect(lines.contains("Date: Sun, 29 Nov 2026 06:38:40 +0000"))
        #expect(lines.contains { $0.hasPrefix("Subject: [muster] 2 changes") })
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func `letters for bytes, as RFC 4648 has them`(text: String, letters: String) {
        #expect(Base64.text(of: text.utf8) == letters)
    }

    /// What a server says, and what is said to it, line by line.
    private func play(
        _ replies: [(Int, [String])],
        startsTLS: Bool = false,
        login: (user: String, password: String)? = nil
    ) -> [MailTalk.Step] {
        var talk = MailTalk(
            hello: "a1",
            login: login,
            from: "m@example.org",
            to: ["a@example.org"],
            content: "text\r\n",
            startsTLS: startsTLS
        )
        var steps: [MailTalk.Step] = []
        for (code, lines) in replies {
            var step = talk.heard(code, lines)
            steps.append(step)
            if step == .secure {
                step = talk.secured()
                steps.append(step)
            }
        }
        return steps
    }

    @Test func `the whole way, with TLS and a login`() {
        let steps = play(
            [
                (220, ["hi"]), (250, ["me", "STARTTLS"]), (220, ["go"]),
                (250, ["me", "AUTH LOGIN PLAIN"]),
                (235, ["ok"]), (250, ["ok"]), (250, ["ok"]), (354, ["go"]), (250, ["queued"]),
            ],
            startsTLS: true,
            login: ("u", "p")
        )
        #expect(
            steps == [
                .say("EHLO a1\r\n"), .say("STARTTLS\r\n"), .secure, .say("EHLO a1\r\n"),
                .say("AUTH PLAIN AHUAcA==\r\n"), .say("MAIL FROM:<m@example.org>\r\n"),
                .say("RCPT TO:<a@example.org>\r\n"), .say("DATA\r\n"), .say("text\r\n.\r\n"), .done,
            ]
        )
    }

    @Test func `no login and no letter goes out where TLS is wanted and not offered`() {
        let steps = play(
            [(220, []), (250, ["me", "AUTH PLAIN"])],
            startsTLS: true,
            login: ("u", "p")
        )
        guard case .failed(_, isRefusal: true) = steps.last else {
            Issue.record("expected an end, saw \(steps)")
            return
        }
    }

    @Test(arguments: [(451, false), (550, true)])
    func `a five is a refusal, and a four is not`(code: Int, isRefusal: Bool) {
        let steps = play([(220, []), (250, ["me"]), (250, []), (code, ["no such user"])])
        #expect(
            steps.last
                == .failed(
                    "mail: expected 250 to RCPT TO <a@example.org>, saw \(code) no such user",
                    isRefusal: isRefusal
                )
        )
    }

    @Test func `replies mean the same however they are cut`() throws {
        let bytes = Array("220 hi\r\n250-me\r\n250-AUTH PLAIN\r\n250 ok\n".utf8)
        for cut in 0...bytes.count {
            var replies = MailReplies()
            var seen: [(Int, [String])] = []
            for piece in [bytes[..<cut], bytes[cut...]] {
                replies.feed(piece)
                while let reply = try replies.next() { seen.append((reply.code, reply.lines)) }
            }
            #expect(seen.map(\.0) == [220, 250])
            #expect(seen.last?.1 == ["me", "AUTH PLAIN", "ok"])
        }
        for text in ["no number\r\n", "22\r\n", String(repeating: "2", count: 2_000)] {
            var replies = MailReplies()
            replies.feed(text.utf8)
            #expect(throws: MailReplies.Problem.self) { _ = try replies.next() }
        }
    }
}
