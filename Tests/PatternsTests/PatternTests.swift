// Does a pattern match what POSIX says it matches, and in a time that no reply can stretch? The C
// library's matcher is asked about the same patterns and texts.

import Glibc
import Testing
import Vocabulary

@testable import Patterns

@Suite struct PatternTests {
    private static func match(_ pattern: String, _ text: String) throws -> String? {
        let pattern = try Pattern(pattern)
        return Array(text.utf8).withUnsafeBytes { bytes in
            #expect(pattern.matches(bytes) == (pattern.firstMatch(in: bytes) != nil))
            return pattern.firstMatch(in: bytes).map { String(decoding: bytes[$0], as: UTF8.self) }
        }
    }

    private static let rows: [(String, String, String?)] = [
        ("ready", "we are ready", "ready"), ("ready", "not yet", nil), ("", "a", ""),
        ("^queue: \\d+$", "ok\nqueue: 17\nend", "queue: 17"), ("^queue", "my queue", nil),
        ("[0-9]+", "a 250 b", "250"), ("a|bcd|cd", "abcd", "a"), ("bc|bcd", "abcd", "bcd"),
        (".*", "one\ntwo", "one"), ("[^x]*", "ab\ncd", "ab"), ("a.c", "a\nc", nil),
        ("(ab)*c", "ababc", "ababc"), ("x{2,3}", "xxxx", "xxx"), ("x{2}", "x", nil),
        ("x{2,}", "axxxx", "xxxx"), ("x{,2}y", "xxxy", "xxy"), ("(a*)*b", "aaab", "aaab"),
        ("[]a]+", "]a]", "]a]"), ("[^]]+", "a]", "a"), ("[a-]+", "-a-", "-a-"),
        ("[[:digit:].]+", "v1.2.3", "1.2.3"), ("[\\d.]+", "v1.2.3", "1.2.3"),
        ("a\\.b", "axb a.b", "a.b"), ("\\{\"a\"", "x{\"a\"", "{\"a\""),
        ("a\\r\\nb", "a\r\nb", "a\r\nb"),
        ("\\bup\\b", "upward up", "up"), ("\\<b", "ab b", "b"), ("\\w+", "- a_1 -", "a_1"),
        ("é{2}", "éé", "éé"), ("()", "a", ""), ("a||b", "b", "b"), ("$^", "", ""),
    ]

    @Test(arguments: rows.indices)
    func `a pattern finds the match that begins first and is longest`(row: Int) throws {
        let (pattern, text, expected) = Self.rows[row]
        #expect(try Self.match(pattern, text) == expected)
    }

    private static let wrong: [(String, String)] = [
        ("(", "a ( without its )"), ("a)", "a ) without its ("), ("[a", "a [ without its ]"),
        ("*a", "nothing to repeat"), ("a|+", "nothing to repeat"), ("^*", "nothing to repeat"),
        ("a{", "expected {n}, {n,} or {n,m}"), ("a{2,1}", "expected {n}"), ("a{256}", "up to 255"),
        ("a\\", "a backslash at the end"), ("(a)\\1", "no back-reference such as \\1"),
        ("\\q", "no such escape as \\q"), ("[b-a]", "runs backwards"),
        ("[[:alhpa:]]", "no such class as [:alhpa:]"), ("a\0b", "a NUL"), ("[[.a.]]", "no [. .]"),
        ("((a{1,255}){1,255}){1,255}", "more than 512 steps"),
        ("((((){255}){255}){255}){255}", "more than 512 steps"),
        (String(repeating: "(", count: 100), "groups in each other"),
    ]

    @Test(arguments: wrong.indices)
    func `what is no pattern is refused by what is wrong with it`(row: Int) {
        let (text, words) = Self.wrong[row]
        do throws(Pattern.Problem) {
            _ = try Pattern(text)
            Issue.record("/\(text)/ is taken")
        } catch {
            #expect(error.reason.contains(words), "\(error)")
        }
    }

    /// A matcher that begins anew at every byte takes minutes for what takes this one a moment.
    @Test(arguments: ["[a-z]+ready", "(a|aa)+$x", "(a*)*b", ".*.*.*=", "a{1,20}b"])
    func `no reply makes a pattern slow`(pattern: String) throws {
        let pattern = try Pattern(pattern)
        let hostile = [UInt8](repeating: UInt8(ascii: "a"), count: 16_384)
        let began = Self.threadTime()
        hostile.withUnsafeBytes { bytes in
            #expect(!pattern.matches(bytes) && pattern.firstMatch(in: bytes) == nil)
        }
        #expect(Self.threadTime() - began < .seconds(10))
    }

    /// What this thread has used of the processor, whatever else the machine does meanwhile.
    private static func threadTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// Ten thousand patterns from a seed, each on a text of the same few letters.
    @Test func `the C library agrees`() throws {
        var random = Dice(seed: 9_4)
        var compared = 0
        for _ in 0..<10_000 {
            let source = Self.pattern(&random, depth: Self.depthMax)
            let text = (0..<Int(random.next() % 12)).map { _ in
                [UInt8(ascii: "a"), UInt8(ascii: "b"), UInt8(ascii: "c"), 0x0A][
                    Int(random.next() % 4)
                ]
            }
            guard let pattern = try? Pattern(source) else { continue }
            let found = text.withUnsafeBytes { pattern.firstMatch(in: $0) }
            guard let expected = Self.ask(source, text) else { continue }
            compared += 1
            #expect(
                found == expected.match,
                "/\(source)/ on \(String(decoding: text, as: UTF8.self).debugDescription)"
            )
        }
        #expect(compared > 9_000)
    }

    private static let depthMax = 3

    private static func pattern(_ random: inout Dice, depth: Int) -> String {
        var atoms = ["a", "b", "c", ".", "[ab]", "[^a]", "[[:alpha:]]", "\\."]
        // Of an anchor in a group that is repeated the C library forgets that it is one: it finds
        // `(^a){2}` in "aa".
        if depth == depthMax { atoms += ["^", "$"] }
        var text = ""
        for _ in 0...Int(random.next() % 3) {
            var atom = atoms[Int(random.next() % UInt64(atoms.count))]
            if depth > 0, random.next() % 3 == 0 {
                atom = "(\(pattern(&random, depth: depth - 1)))"
            }
            if !atom.hasPrefix("^"), !atom.hasPrefix("$") {
                atom += ["", "", "", "*", "+", "?", "{2}", "{1,2}"][Int(random.next() % 8)]
            }
            text += atom
            if random.next() % 5 == 0 { text += "|" + (random.next() % 2 == 0 ? "ab" : "c") }
        }
        return text
    }

    /// Nil where the C library refuses the pattern.
    private static func ask(_ pattern: String, _ text: [UInt8]) -> (match: Range<Int>?, Void)? {
        var compiled = regex_t()
        guard regcomp(&compiled, pattern, REG_EXTENDED | REG_NEWLINE) == 0 else { return nil }
        defer { regfree(&compiled) }
        var range = regmatch_t(rm_so: 0, rm_eo: 0)
        let code = (text + [0]).withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                regexec(&compiled, $0.baseAddress, 1, &range, 0)
            }
        }
        return (code == 0 ? Int(range.rm_so)..<Int(range.rm_eo) : nil, ())
    }
}
