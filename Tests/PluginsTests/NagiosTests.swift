// Is what a plugin prints taken apart as its author meant it, and does a range alert where the
// guidelines say?

import Testing
import Vocabulary

@testable import Plugins

@Suite struct NagiosTests {
    private static let ranges: [(String, alerts: [Double], fine: [Double])] = [
        ("10", [-1, 10.5], [0, 5, 10]), ("10:", [9.9], [10, 1e9]), ("~:10", [10.1], [-1e9, 10]),
        ("10:20", [9, 21], [10, 15, 20]), ("@10:20", [10, 15, 20], [9, 21]),
        ("@5", [0, 5], [6, -1]),
        ("-5:5", [-6, 6], [-5, 0, 5]), ("1:12%", [0, 13], [1, 12]), (":4", [-1, 5], [0, 4]),
    ]

    @Test(arguments: ranges.indices)
    func `a range alerts where the guidelines say`(row: Int) throws {
        let (text, alerts, fine) = Self.ranges[row]
        let range = try #require(NagiosRange(text))
        #expect(alerts.allSatisfy { range.alerts(on: $0) })
        #expect(fine.allSatisfy { !range.alerts(on: $0) })
    }

    @Test(arguments: ["2:1", "", "@", "x", "1:x", "~", "nan", "inf"])
    func `what is no range is refused`(text: String) { #expect(NagiosRange(text) == nil) }

    private static let outputs: [(String, String, [(String, Double?, String)])] = [
        ("OK", "OK", []),
        (
            "OK - all | time=0.1s;1;2;0 size=12B", "OK - all",
            [("time", 0.1, "s"), ("size", 12, "B")]
        ),
        ("A|'a b'=1 'it''s'=2%;;", "A", [("a b", 1, ""), ("it's", 2, "%")]),
        ("A | x=U y=-3.5c", "A", [("x", nil, ""), ("y", -3.5, "c")]),
        ("A | a=1\nlong text\nmore | b=2\nc=3", "A", [("a", 1, ""), ("b", 2, ""), ("c", 3, "")]),
        ("A | rubbish a=1 =2 b= c=x d=4", "A", [("a", 1, ""), ("d", 4, "")]),
        ("A | 'open=1", "A", []),
        ("", "", []),
        // As plugins in the field write it.
        (
            "A | users=20, last=3, v=1,5s", "A",
            [("users", 20, ""), ("last", 3, ""), ("v", 1.5, "s")]
        ),
        ("A | 'CPU load' = 11.1%;10;20 next=2", "A", [("CPU load", 11.1, "%"), ("next", 2, "")]),
        ("A | 'a=b'=4 'c'=1", "A", [("a=b", 4, ""), ("c", 1, "")]),
        ("A | a=4x5 b=1,234,567 c=1.234,5 d=0x10 e=1'2 f=1", "A", [("f", 1, "")]),
        ("A | load=1 load=7 other=2", "A", [("load", 1, ""), ("other", 2, "")]),
        ("\n\n B late | a=1", "B late", [("a", 1, "")]), ("|a=1\nB", "B", [("a", 1, "")]),
        ("(&(a=1)(|(b=2)(c=3))) | t=5", "(&(a=1)(", [("t", 5, "")]),
    ]

    @Test(arguments: outputs.indices)
    func `performance data is found wherever a plugin puts it`(row: Int) {
        let (output, text, expected) = Self.outputs[row]
        let parsed = NagiosOutput(parsing: Array(output.utf8))
        #expect(parsed.text == text)
        #expect(parsed.items.map { $0.label } == expected.map { $0.0 })
        #expect(parsed.items.map { $0.value } == expected.map { $0.1 })
        #expect(parsed.items.map { $0.unit } == expected.map { $0.2 })
    }

    @Test func `thresholds and bounds of a plugin are kept as it wrote them`() {
        let line = "A | a=1s;@10:20;~:30;0;100 b=2;;;; c=3;x;5;y;U d=4;1:2%"
        let scales = NagiosOutput(parsing: Array(line.utf8)).measurements.map(\.scale)
        let words = scales.map { $0.map { [$0.warn, $0.fail, $0.min, $0.max] } }
        #expect(
            words == [
                ["@10:20", "~:30", "0", "100"], nil, ["", "5", "", ""], ["1:2%", "", "", ""],
            ]
        )
    }

    @Test func `a value that was cut off is none`() {
        let output = Array("A | a=1 b=2 c=123".utf8)
        #expect(NagiosOutput(parsing: output, isCut: true).items.map(\.label) == ["a", "b"])
        #expect(NagiosOutput(parsing: output).items.map(\.label) == ["a", "b", "c"])
    }

    @Test func `a plugin may end its lines as Windows does`() {
        let parsed = NagiosOutput(parsing: Array("OK - fine\r\nmore|a=1\r\nb=2\r\n".utf8))
        #expect(parsed.text == "OK - fine")
        #expect(parsed.items.map(\.label) == ["a", "b"])
    }

    @Test func `no output of any bytes breaks the reader`() {
        var random = Dice(seed: 3)
        let words = [
            "|", "'", "=", ";", " ", "\n", "1", "U", "%", "a", "@", ":", "~", "-", ".", "é", "\r\n",
        ]
        for _ in 0..<10_000 {
            var output: [UInt8] = []
            for _ in 0..<Int(random.next() % 24) {
                output += Array(words[Int(random.next() % UInt64(words.count))].utf8)
                if random.next() % 8 == 0 {
                    output.append(UInt8(truncatingIfNeeded: random.next()))
                }
            }
            let parsed = NagiosOutput(parsing: output)
            #expect(parsed.items.count <= NagiosOutput.itemsMax)
            for measurement in parsed.measurements { #expect(measurement.value.isFinite) }
        }
    }
}
