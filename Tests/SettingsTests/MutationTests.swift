// Does reading end well whatever the bytes are? Every damaged copy of the largest example is either
// read or refused with places; nothing crashes and nothing hangs.

import Foundation
import Settings
import Testing

@Suite struct MutationTests {
    /// Knuth's linear congruence: the same damage in every run.
    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 33)
        }
    }

    private static let pieces = [
        "", " ", "\n", "\t", ":", ": ", "- ", "{", "}", "[", "]", "\"", "'", "#", "&a ", "*a",
        "<<: ",
        "$", "${", "${A}", "|", ">", "!", "---\n", "\u{0}", "é", "99999", "-1", "null", "? ",
    ]

    @Test(arguments: 0..<8) func `reads or refuses every damaged file`(seed: Int) throws {
        let file = project.appendingPathComponent("examples/everything.yaml")
        let whole = Array(try String(contentsOf: file, encoding: .utf8).unicodeScalars)
        var dice = Dice(state: UInt64(seed))
        for _ in 0..<60 {
            var text = whole
            for _ in 0..<Int.random(in: 1...4, using: &dice) {
                let start = Int.random(in: 0..<text.count, using: &dice)
                let end = min(text.count, start + Int.random(in: 0...6, using: &dice))
                let piece = Self.pieces[Int.random(in: 0..<Self.pieces.count, using: &dice)]
                text.replaceSubrange(start..<end, with: Array(piece.unicodeScalars))
            }
            var damaged = String.UnicodeScalarView()
            damaged.append(contentsOf: text)
            for complaint in try complaints(String(damaged)) {
                #expect(complaint.hasPrefix("muster.yaml:") || complaint.hasPrefix("default:"))
            }
        }
    }
}
