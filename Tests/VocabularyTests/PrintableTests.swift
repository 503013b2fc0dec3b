// Does what others wrote stay within its line, and a password out of sight?

import Testing
import Vocabulary

@Suite struct PrintableTests {
    @Test(arguments: [
        ("plain: ä ✓", "plain: ä ✓"), ("a\nb\r\tc", #"a\nb\r\tc"#), ("\u{1b}[2J", #"\u001b[2J"#),
        ("\u{7f}\u{9b}\u{0}", #"\u007f\u009b\u0000"#),
        ("\u{202e}\u{2066}\u{feff}", #"\u202e\u2066\ufeff"#),
        ("\u{2028}", #"\u2028"#), ("", ""),
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
        ("unix:/run/x", "unix:/run/x"), ("a@b", "a@b"),
    ])
    func `a password is not shown`(text: String, shown: String) {
        #expect(text.withoutPassword == shown)
    }
}
