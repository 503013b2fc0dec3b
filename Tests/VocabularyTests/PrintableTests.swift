// Does what others wrote stay within its line, and a password out of sight?

import Testing
import Vocabulary

@Suite struct PrintableTests {
    @Test(arguments: [
        ("plain: ä ✓", "plain: ä ✓"), ("a\nb\r\tc", #"a\nb\r\tc"#), ("\u{1b}[2J", #"\u001b[2J"#),
        ("\u{7f}\u{9b}\u{0}", #"\u007f\u009b\u0000"#),
        ("\u{202e}\u{2066}\u{feff}", #"\u202e\u2066\ufeff"#),
        ("\u{2028}", #"\u2028"#), ("", ""), ("\u{AD}\u{61C}\u{200B}", #"\u00ad\u061c\u200b"#),
        ("\u{2060}\u{E0041}", #"\u2060\ue0041"#),
    ])
    func `what steers is written out`(text: String, shown: String) {
        #expect(text.printable == shown)
        #expect(shown.printable == shown)
    }

    @Test(arguments: [
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("redis://ann:p@ss/w:rd@h", "redis://ann:***@h"),
        (
            "see http://u:secret@h/ and https://v:secret@h",
            "see http://u:***@h/ and https://v:***@h"
        ),
        ("ann:secret@h:1", "ann:***@h:1"), ("http://ann@h/", "http://ann@h/"),
        ("http://h:80/x", "http://h:80/x"), ("127.0.0.1:80", "127.0.0.1:80"),
        ("unix:/run/x", "unix:/run/x"), ("a@b", "a@b"), ("unix:@x", "unix:@x"),
        ("unix:/run/a:b@c", "unix:/run/a:b@c"),
    ])
    func `a password is not shown`(text: String, shown: String) {
        #expect(text.withoutPassword == shown)
    }

    @Test(arguments: [
        ("cannot reach pg://ann:secret@h/db: no", "cannot reach pg://ann:***@h/db: no"),
        ("write to: ann@example.com", "write to: ann@example.com"), ("a:b@c", "a:b@c"),
    ])
    func `in a sentence only a URL has a password`(text: String, shown: String) {
        #expect(text.withoutPasswordInURLs == shown)
    }

    @Test(
        arguments: [
            (Array("gr\u{fc}n \u{202e}\n".utf8), #"grün \u202e\n"#), ([0x61, 0xFF, 0x62], "a?b"),
            (
                Array(String(repeating: "\u{e9}", count: 40).utf8),
                String(repeating: "\u{e9}", count: 32)
            ),
            (
                Array("x".utf8) + Array(String(repeating: "\u{20ac}", count: 40).utf8),
                "x" + String(repeating: "\u{20ac}", count: 21)
            ),
        ] as [([UInt8], String)]
    )
    func `letters of any language, whole and in one line`(bytes: [UInt8], shown: String) {
        #expect(Excerpt.utf8(bytes) == shown)
    }
}
