// What an upstream says of its cookie, and what is wrong with it.

import Health
import Settings
import Testing

@Suite struct StickySettingsTests {
    private static func text(_ sticky: String) -> String {
        "upstreams:\n  web:\n    sticky: \(sticky)\n    peers: [\"127.0.0.1:1\"]\n"
    }

    @Test(arguments: [
        ("{cookie: peer}", StickyDefinition(cookie: "peer")),
        (
            "{cookie: s, secure: always, same-site: none}",
            StickyDefinition(cookie: "s", secure: .always, sameSite: .none)
        ),
        (
            "{cookie: s, secure: never, same-site: strict}",
            StickyDefinition(cookie: "s", secure: .never, sameSite: .strict)
        ),
        ("{cookie: }", nil), ("", nil),
    ])
    func `is read`(text: String, sticky: StickyDefinition?) throws {
        #expect(try load(Self.text(text)).upstreams[0].definition.sticky == sticky)
    }

    @Test(arguments: [
        ("{cookie: \"a b\"}", "sticky.cookie: expected a cookie's name"),
        ("{cookie: \"a=b\"}", "sticky.cookie: expected a cookie's name"),
        ("{secure: always}", "sticky: expected 'cookie'"),
        ("{cookie: a, secure: yes}", "sticky.secure: expected one of auto, always, never"),
        ("{cookie: a, same-site: Lax}", "did you mean 'lax'"),
        ("{cookie: a, same-site: none}", "sticky.secure: expected always where same-site is none"),
        ("{cookei: a}", "did you mean 'cookie'"),
    ])
    func `a mistake is named where it is`(sticky: String, words: String) throws {
        let complaints = try complaints(Self.text(sticky))
        #expect(complaints.count == 1)
        #expect(complaints.first?.contains("muster.yaml:3:") == true)
        #expect(complaints.first?.contains(words) == true, "\(complaints)")
    }
}
