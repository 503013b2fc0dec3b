// What does a broken definition do to whoever reads it? Ten thousand damaged copies of those that
// are shipped: each is a kind of check that can be made, or a mistake with a place.

import Foundation
import Testing
import Vocabulary

@testable import Checks
@testable import Settings

@Suite struct DropInMutationTests {
    private static let pieces = [
        "", " ", "\n", "  ", ":", ": ", "- ", "{", "}", "{{", "{word}", "[", "]", "\"", "'", "#",
        "&a ", "*a", "<<: ", "${", "${A}", "\u{0}", "é", "99999999999999999999", "-1", "null",
        "parameters: ", "dialogue: ", "command: ", "preset: ", "tcp: ", "expect-pattern: ",
    ]

    private static let small = [
        "parameters: { word: V, port: null }\ndialogue:\n  steps:\n    - send: v\n"
            + "    - expect-pattern: \"^{word} [0-9]{{2}\"\n  port: \"{port}\"\n",
        "summary: a plugin\ncommand: check_dummy 0 \"{host} {word}\"\nparameters: { word: 1 }\n",
        "preset: { http: { path: /health, expect: { status: 2xx, json: { /a: \"{b}\" } } } }\n"
            + "parameters: { b: 1 }\n",
    ]

    /// Settings that name a file: damage must not choose which are read.
    private static let forbidden: Set = ["file", "ca", "certificate", "key"]

    @Test(arguments: 0..<4)
    func `reads or refuses every damaged definition`(seed: Int) throws {
        let folder = project.appendingPathComponent("checks.d")
        let shipped = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
            .filter { $0.hasSuffix(".yaml") }
            .map { try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8) }
        let good = (shipped + Self.small).map { Array($0.unicodeScalars) }
        var dice = Dice(seed: UInt64(seed))
        var kinds = 0
        for round in 0..<2_500 {
            // The small ones twice as often: more of the damage hits what matters.
            let index = round.isMultiple(of: 3) ? round % good.count : shipped.count + round % 3
            var text = good[index]
            for _ in 0..<Int.random(in: 1...3, using: &dice) {
                let start = Int.random(in: 0...text.count, using: &dice)
                let end = min(text.count, start + Int.random(in: 0...8, using: &dice))
                let piece = Self.pieces[Int.random(in: 0..<Self.pieces.count, using: &dice)]
                text.replaceSubrange(start..<end, with: Array(piece.unicodeScalars))
            }
            var damaged = String.UnicodeScalarView()
            damaged.append(contentsOf: text)
            if try read(String(damaged)) { kinds += 1 }
        }
        #expect(kinds > 100, "some damage does no harm")
    }

    /// True when the text is a kind.
    private func read(_ text: String) throws -> Bool {
        let reading = Reading()
        let file = SettingsFile(path: "own.yaml", environment: [:], reading: reading)
        let definition = CheckDefinitionFile(
            name: "own",
            path: "own.yaml",
            registry: .builtin,
            environment: [:]
        )
        let kind = reading.attempt { () throws(SettingError) -> DropIn? in
            guard let root = try file.tree(of: text), !Self.namesFiles(root) else { return nil }
            let kind = try definition.dropIn(from: root)
            try CheckRegistry.builtin.validate(kind)
            return kind
        }
        for mistake in reading.failure(files: ["own.yaml"])?.mistakes ?? [] {
            #expect(mistake.position.file == "own.yaml", "\(mistake)")
            #expect(!mistake.message.isEmpty)
        }
        guard let kind = kind.flatMap({ $0 }), reading.mistakes.isEmpty else { return false }
        #expect(CheckRegistry.builtin.builtinKinds.contains(kind.base))
        #expect(kind.parameters.count <= DropIn.parametersMax)
        return true
    }

    private static func namesFiles(_ setting: Setting) -> Bool {
        switch setting.value {
        case .scalar: false
        case .list(let items): items.contains(where: namesFiles)
        case .map(let entries):
            entries.contains { forbidden.contains($0.key) || namesFiles($0.value) }
        }
    }
}
