// Does a pointer lead where RFC 6901 says?

import Testing
import Vocabulary

@testable import Checks

@Suite struct JSONPointerTests {
    /// The document of RFC 6901, section 5, and a list.
    private static let document = """
        {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\\\j": 5, \
        "k\\"l": 6, " ": 7, "m~n": 8, "~\u{301}": 9, "/\u{301}": 10}
        """

    private static let rows: [(String, String?)] = [
        ("/foo", "[\"bar\",\"baz\"]"), ("/foo/0", "bar"), ("/", "0"), ("/a~1b", "1"),
        ("/c%d", "2"), ("/e^f", "3"), ("/g|h", "4"), ("/i\\j", "5"), ("/k\"l", "6"), ("/ ", "7"),
        ("/m~0n", "8"), ("/foo/2", nil), ("/foo/-", nil), ("/foo/01", nil), ("/foo/+1", nil),
        ("/foo/00", nil), ("/foo/0/0", nil), ("/nowhere", nil),
        // An accent belongs to the letter before it, whatever escape that is.
        ("/~0\u{301}", "9"), ("/~1\u{301}", "10"), ("/\u{301}", nil),
    ]

    @Test(arguments: rows.indices)
    func `a pointer leads to its value or nowhere`(row: Int) throws {
        let (text, expected) = Self.rows[row]
        let root = try JSON(parsing: Array(Self.document.utf8))
        let pointer = try #require(JSONPointer(text))
        #expect(pointer.value(in: root)?.plainText == expected)
    }

    @Test(arguments: ["foo", "/~", "/~2", "/a~", "~0"])
    func `what is no pointer is refused`(text: String) { #expect(JSONPointer(text) == nil) }
}
