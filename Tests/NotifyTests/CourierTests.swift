// Does a batch reach a real receiver, and what is said where it does not? Servers that answer, stall, refuse
// and hang up, and programs.

import Checks
import EventLoop
import Foundation
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Notify

private func way(
    _ url: String,
    _ more: [(String, TestSetting)] = [],
    suffix: String = ""
) throws -> Receiver.Way {
    var options = TestSetting.map([("url", .text(url))] + more).options(path: "notify[0].webhook")
    let place = try WebPlace(options: &options, suffix: suffix)
    try options.finish()
    return .web(WebWay(place: place, body: .muster))
}

private func ok(_ status: String = "200 OK", _ fields: String = "") -> String {
    "HTTP/1.1 \(status)\r\n\(fields)Content-Length: 2\r\n\r\nok"
}

@Suite struct CourierTests {
    private static let batch = Batch(
        receiver: "ops",
        agent: "a1",
        notices: [
            Notice(
                id: 1,
                kind: .trouble,
                peer: PeerKey(upstream: "web", peer: "a:1"),
                from: .up,
                to: .down,
                at: WallTime(milliseconds: 1_795_934_318_000),
                reason: "L4CON",
                isTrouble: true
            )
        ],
        troubled: 1
    )

    private func deliver(
        _ way: Receiver.Way,
        within timeout: Nanoseconds = .seconds(20)
    ) async throws -> OutgoingEnd {
        let courier = try await Courier.start(agent: "a1")
        var receiver = Receiver(name: "ops", way: way, rules: HeraldRules())
        receiver.timeout = timeout
        let end = await courier.deliver(Self.batch, to: receiver)
        // Who stopped before would leave a zombie, over which the runner of tests that expect an exit never ends.
        let isIdle = await eventually { await courier.isIdle() }
        #expect(isIdle)
        await courier.stop()
        return end
    }

    @Test func `a web hook gets the whole of it, with its headers`() async throws {
        let server = try ScriptedServer([
            [
                .expect("POST /hook?a=b HTTP/1.1\r\n"), .expect("X-Key: secret\r\n"),
                .expect("\"kind\":\"trouble\""), .send(ok()), .close,
            ]
        ])
        defer { server.stop() }
        let way = try way("http://\(server.address)/hook?a=b", [("headers", ["X-Key": "secret"])])
        #expect(try await deliver(way) == .arrived)
    }

    @Test(arguments: ["", "/", "/alertmanager", "/alertmanager/", "/alertmanager//"])
    func `a path of the service goes on after one slash`(path: String) async throws {
        let prefix = path.contains("a") ? "/alertmanager" : ""
        let server = try ScriptedServer([
            [.expect("POST \(prefix)/api/v2/alerts HTTP/1.1\r\n"), .send(ok()), .close]
        ])
        defer { server.stop() }
        let way = try way("http://\(server.address)\(path)", suffix: "/api/v2/alerts")
        #expect(try await deliver(way) == .arrived)
    }

    @Test(arguments: [
        ("500 No", "", false), ("503 Later", "Retry-After: 7\r\n", false), ("429 Slow", "", false),
        ("503 Later", "Retry-After:  7 \r\n", false),
        ("404 None", "", true), ("401 Who", "", true),
        ("301 Moved", "Location: http://127.0.0.1:1/\r\n", true),
    ])
    func `what a status means`(status: String, fields: String, isRefusal: Bool) async throws {
        let server = try ScriptedServer([[.expect("\r\n\r\n"), .send(ok(status, fields)), .close]])
        defer { server.stop() }
        switch try await deliver(way("http://\(server.address)/secret")) {
        case .arrived: Issue.record("\(status) has not arrived")
        case .refused(let text):
            #expect(isRefusal)
            #expect(text.contains(String(status.prefix(3))) && !text.contains("secret"))
        case .failed(let text, let later):
            #expect(!isRefusal)
            #expect(text.contains(String(status.prefix(3))) && !text.contains("secret"))
            #expect(later == (fields.isEmpty ? nil : .seconds(7)))
        }
    }

    @Test func `silence, a hang-up and nobody there are told apart, and none is a refusal`()
        async throws
    {
        let server = try ScriptedServer([[.expect("\r\n\r\n"), .stall]])
        defer { server.stop() }
        let rude = try ScriptedServer([[.expect("\r\n\r\n"), .close]])
        defer { rude.stop() }
        let nowhere = try freePort()
        let places = ["\(server.address)", "\(rude.address)", "127.0.0.1:\(nowhere)"]
        for place in places {
            let end = try await deliver(way("http://\(place)/"), within: .milliseconds(300))
            guard case .failed(let text, nil) = end else {
                Issue.record("expected a failure, saw \(end)")
                continue
            }
            #expect(text.hasPrefix("http://\(place): "))
        }
    }

    @Test func `a program reads the message, and is killed when its time is up`() async throws {
        let folder = try TemporaryDirectory()
        let file = folder.path("out")
        let script = "cat > \(file); echo \"$MUSTER_UPSTREAM $MUSTER_TO\" >> \(file)"
        let told = CommandWay(words: ["/bin/sh", "-c", script], environment: [])
        #expect(try await deliver(.command(told)) == .arrived)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let lines = text.split(separator: "\n")
        #expect(try JSON(parsing: Array(lines[0].utf8))["notices"]?[0]?["peer"] == "a:1")
        #expect(lines[1] == "web down")

        let slow = CommandWay(words: ["/bin/sleep", "60"], environment: [])
        guard case .failed = try await deliver(.command(slow), within: .milliseconds(200)) else {
            Issue.record("expected a failure of a program that does not end")
            return
        }
        let failing = CommandWay(words: ["/bin/sh", "-c", "echo no >&2; exit 3"], environment: [])
        guard case .failed(let why, nil) = try await deliver(.command(failing)) else {
            Issue.record("expected a failure of a program that fails")
            return
        }
        #expect(why == "/bin/sh: expected exit code 0, saw 3: no")
    }

    @Test func `a mail server takes the letter`() async throws {
        let server = try ScriptedServer([
            [
                .send("220 hi\r\n"), .expect("EHLO a1\r\n"), .send("250-me\r\n250 AUTH PLAIN\r\n"),
                .expect("AUTH PLAIN AHUAcA==\r\n"), .send("235 ok\r\n"),
                .expect("MAIL FROM:<m@example.org>\r\n"), .send("250 ok\r\n"),
                .expect("RCPT TO:<a@example.org>\r\n"), .send("250 ok\r\n"), .expect("DATA\r\n"),
                .send("354 go\r\n"), .expect("Subject: [muster] web/a:1 is DOWN"),
                .expect("\r\n.\r\n"), .send("250 queued\r\n"), .expect("QUIT\r\n"),
                .send("221 bye\r\n"), .close,
            ]
        ])
        defer { server.stop() }
        let mail = MailWay(
            server: server.address,
            security: .none,
            tls: nil,
            user: "u",
            password: "p",
            from: "m@example.org",
            to: ["a@example.org"]
        )
        #expect(try await deliver(.mail(mail)) == .arrived)
    }
}
