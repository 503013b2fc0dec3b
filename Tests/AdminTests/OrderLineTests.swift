// Does the log say who asked for what?

import Front
import Health
import Testing
import Vocabulary

@testable import Admin

@Suite struct OrderLineTests {
    private let peer = PeerKey(upstream: "web", peer: "a")
    private let end = WallTime(milliseconds: 0)

    private func asker(_ from: String?, _ agent: String?) -> Asker {
        let fields = [("From", from), ("User-Agent", agent)].compactMap { name, value in
            value.map { FrontRequest.Field(name, $0) }
        }
        return Asker(Request(FrontRequest("PATCH", "/", fields: fields)))
    }

    @Test(
        arguments: [
            ("root", "muster/0.1.0", "root (muster/0.1.0)"), (nil, "curl/8.0", "curl/8.0"),
            ("dashboard", "Mozilla/5.0 (X11; Linux x86_64) Chrome/1.0", "dashboard"),
            (nil, "Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)"),
            ("root", nil, "root"), (nil, nil, "somebody who gave no name"),
        ] as [(String?, String?, String)]
    )
    func `who it is stands in the request`(from: String?, agent: String?, text: String) {
        #expect(asker(from, agent).text == text)
    }

    @Test func `one line tells everything that was asked for`() {
        let line = OrderLine.line(
            IntentChange(mode: .init(.drain, reason: "deploy", until: end), weight: .init(3)),
            of: peer,
            by: asker("root", nil)
        )
        #expect(
            line.text
                == "web/a: root asked for drain: deploy (until 1970-01-01T00:00:00.000Z), and for "
                + "weight 3"
        )
        #expect(line.level == .notice)
        #expect(
            line.fields == [
                .event("order"), .upstream("web"), .peer("a"), .intent("drain"),
                .reason("deploy"), .until(end), .weight(3), .by("root"),
            ]
        )
    }

    @Test(arguments: [
        (IntentChange(mode: .init(nil)), "ready"),
        (IntentChange(weight: .init(nil)), "the configured weight"),
        (IntentChange(weight: .init(0, reason: "warm up")), "weight 0: warm up"),
    ])
    func `what is lifted is told as well`(change: IntentChange, words: String) {
        let line = OrderLine.line(change, of: peer, by: asker("root", nil))
        #expect(line.text == "web/a: root asked for \(words)")
    }
}
