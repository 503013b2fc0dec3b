// Is a number of performance data read as it was meant, however a plugin writes it? Python's print
// small and large ones with an exponent.

import Testing
import Vocabulary

@testable import Plugins

@Suite struct PerfdataNumberTests {
    private static let words: [(String, Double, String)] = [
        ("1.5e-05s", 1.5e-05, "s"), ("1e308", 1e308, ""), ("-2.5E+3ms", -2_500, "ms"),
        ("1e5", 100_000, ""), ("1E5%", 100_000, "%"), ("3e-400s", 0, "s"),
        // A unit may begin with the letter.
        ("7E", 7, "E"), ("7eV", 7, "eV"), ("7e-", 7, "e-"), ("7e+x", 7, "e+x"), ("12B", 12, "B"),
        ("5e2e", 500, "e"),
    ]

    @Test(arguments: words)
    func `an exponent belongs to the number, what follows it is the unit`(
        word: String,
        value: Double,
        unit: String
    ) {
        let items = NagiosOutput(parsing: Array("ok|t=\(word);1;2".utf8)).items
        #expect(items.map(\.value) == [value])
        #expect(items.map(\.unit) == [unit])
        #expect(items.first?.fail == NagiosRange("2"))
    }

    @Test(arguments: ["1e999", "-1e999s", "e5", "1e5.5", "1e5-3", "1e5e5", "1-", "1e5e-3s", "--1"])
    func `what is no number is left out`(word: String) {
        let items = NagiosOutput(parsing: Array("ok|t=\(word) u=1".utf8)).items
        #expect(items.map(\.label) == ["u"])
    }

    private static let ranges: [(String, Double, Double)] = [
        ("1e3", 0, 1_000), ("1.5e-05:", 1.5e-05, .infinity), ("~:1E+2", -.infinity, 100),
        ("-1e1:1e1s", -10, 10), ("1e-3:2e-3", 0.001, 0.002), ("5E", 0, 5),
    ]

    @Test(arguments: ranges)
    func `a range has exponents too`(text: String, start: Double, end: Double) throws {
        let range = try #require(NagiosRange(text))
        #expect(range.start == start && range.end == end)
    }

    @Test(arguments: ["1e999", "2e1:1e1", "1e5.5", "e3", "1e1e1"])
    func `a range of what is no number is none`(text: String) {
        #expect(NagiosRange(text) == nil)
    }

    @Test func `a number is read back as it is printed, exponent or not`() {
        var random = Dice(seed: 5)
        for _ in 0..<10_000 {
            let value = Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            let items = NagiosOutput(parsing: Array("ok|t=\(value)s".utf8)).items
            #expect(items.map(\.value) == [value])
            #expect(items.map(\.unit) == ["s"])
        }
    }
}
