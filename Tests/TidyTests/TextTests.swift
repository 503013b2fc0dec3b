// Is the tree as tidy as it asks its contributors to be?

import Foundation
import Testing

@Suite struct TextTests {
    @Test func `every source file opens with the question it answers`() {
        for file in SourceTree.sources {
            let opening = file.lines.prefix { $0.hasPrefix("//") }
            let prose = opening.map { $0.drop { $0 == "/" } }.joined(separator: " ")
            #expect(prose.contains("?"), "\(file.path): the first comment asks no question")
        }
    }

    @Test func `no reminder is left over`() {
        // Written in halves: this file is read too.
        let reminders = ["TO" + "DO", "FIX" + "ME", "HA" + "CK", "X" + "XX", "for n" + "ow"]
        for file in SourceTree.texts {
            for (number, line) in file.lines.enumerated() {
                // "What is asked for now" reminds of nothing.
                let line = Substring(line.replacing("asked for", with: "asked"))
                for word in reminders where stands(word, in: line) {
                    Issue.record("\(file.path):\(number + 1): '\(word)' is a promise to nobody")
                }
            }
        }
    }

    /// Whoever asks the kernel for the time, or for chance, cannot be run in virtual time.
    @Test func `time and chance come from the loop`() {
        // What is written for people carries the time of day, whatever loop it comes from.
        let forPeople = ["Sources/muster/LogWriter.swift", "Sources/muster/EndTime.swift"]
        for file in SourceTree.sources
        where file.target != "EventLoop" && !forPeople.contains(file.path) {
            for (number, line) in file.lines.enumerated() {
                let code = line.drop { $0 == " " }
                if code.hasPrefix("//") { continue }
                let draws = code.contains(".random(in:") && !code.contains("using:")
                let reads = ["Clock.instant", "Clock.wall", "clock_gettime", "gettimeofday"]
                    .contains { code.contains($0) }
                if draws || reads {
                    Issue.record("\(file.path):\(number + 1): ask the loop instead")
                }
            }
        }
    }

    /// A path of the machine where something was built or tried tells readers nothing.
    @Test func `no path of somebody's machine`() {
        let folders = [
            "/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/", "/tmp/p" + "kg",
        ]
        for file in SourceTree.texts {
            for (number, line) in file.lines.enumerated() {
                for folder in folders where begins(folder, in: line) {
                    Issue.record("\(file.path):\(number + 1): \(folder) is on one machine only")
                }
            }
        }
    }

    @Test func `the two searches find what they look for, and nothing longer`() {
        let reminder = "TO" + "DO"
        #expect(stands(reminder, in: "// \(reminder): later"))
        #expect(!stands(reminder, in: "// A\(reminder)S"))
        let folder = "/ho" + "me/"
        #expect(begins(folder, in: "see \(folder)me/notes"))
        #expect(!begins(folder, in: "GET https://example.org\(folder)x"))
        #expect(SourceTree.texts.count > SourceTree.sources.count)
    }

    /// As a word of its own.
    private func stands(_ word: String, in line: Substring) -> Bool {
        line.ranges(of: word).contains { range in
            let before = line[..<range.lowerBound].last
            let after = line[range.upperBound...].first
            return ![before, after].contains { $0?.isLetter == true || $0 == "_" }
        }
    }

    /// At the beginning of a path, not within one.
    private func begins(_ folder: String, in line: Substring) -> Bool {
        line.ranges(of: folder).contains { range in
            guard let before = line[..<range.lowerBound].last else { return true }
            return !before.isLetter && !before.isNumber && !"/.-_*$}".contains(before)
        }
    }
}

@Suite struct RegistryTests {
    /// The word that a type of a registry is selected by, read from its own file.
    private func words(of registry: String, property: String) -> [String] {
        guard let file = SourceTree.sources.first(where: { $0.path.hasSuffix(registry) }) else {
            return []
        }
        let types = file.text.matches(of: #/(\w+)\.self,/#).map { String($0.1) }
        return types.map { type in
            let declaration = try? Regex("(?:class|struct) \(type)\\b[^{]*\\{")
            let home = SourceTree.sources.first { file in
                declaration.map { file.text.firstMatch(of: $0) != nil } ?? false
            }
            let word = try? Regex("\(property)[^\"]*\"([^\"]+)\"")
            guard let home, let word,
                let start = declaration.flatMap({ home.text.firstMatch(of: $0) })?.range.upperBound,
                let match = home.text[start...].firstMatch(of: word),
                let name = match.output[1].substring
            else { return "(no word found for \(type))" }
            return String(name)
        }
    }

    @Test func `every kind of check is documented`() {
        let kinds = words(of: "Checks/CheckRegistry.swift", property: "static (?:let|var) kind")
        #expect(kinds.count >= 2)
        for kind in kinds { expectMention(of: kind) }
    }

    @Test func `every balancer is documented`() {
        let balancers = words(of: "Proxy/BalancerRegistry.swift", property: "class var name")
        #expect(balancers.count >= 3)
        for balancer in balancers { expectMention(of: balancer) }
    }

    private var operations: String {
        SourceTree.documentation.first { $0.path == "docs/OPERATIONS.md" }?.text ?? ""
    }

    @Test func `every family of metrics is documented, and no other`() {
        let words = SourceTree.sources.filter { $0.target == "Admin" }
            .flatMap { $0.text.matches(of: #/\bmuster_[a-z_]+[a-z]\b/#).map { String($0.0) } }
        #expect(words.count > 50)
        for word in Set(words).sorted() {
            #expect(
                operations.contains("`\(word)`"),
                "expected `\(word)` in docs/OPERATIONS.md, saw it nowhere"
            )
        }
        let told = operations.matches(of: #/`(muster_[a-z_]+)`/#).map { String($0.1) }
        #expect(Set(told).subtracting(words).isEmpty)
    }

    /// What is documented is what `/metrics` prints, by the test above.
    @Test(arguments: ["alerts.yml", "grafana.json"])
    func `every metric of an example exists`(name: String) throws {
        let file = SourceTree.root.appendingPathComponent("examples/\(name)")
        let text = try String(contentsOf: file, encoding: .utf8)
        let words = Set(text.matches(of: #/\bmuster_[a-z_]+[a-z]\b/#).map { String($0.0) })
        #expect(words.count > 15)
        for word in words.sorted() {
            let family =
                ["_bucket", "_sum", "_count"].first { word.hasSuffix($0) }
                .map { String(word.dropLast($0.count)) } ?? word
            #expect(
                operations.contains("`\(family)`"),
                "examples/\(name): expected a metric of docs/OPERATIONS.md, saw \(word)"
            )
        }
    }

    @Test func `every line of the log names its event, and every event is documented`() {
        let call = #/journal\??\.(?:debug|info|notice|warning|error|log)\(/#
        for file in SourceTree.sources where file.target != "Vocabulary" {
            for match in file.text.matches(of: call) {
                let words = arguments(of: file.text[match.range.upperBound...])
                // A line made elsewhere has its fields already.
                if !words.contains(",") || words.contains("Line(") || words.contains(".line(") {
                    continue
                }
                #expect(words.contains(".event("), "\(file.path): no event in: \(words)")
            }
        }
        let events = SourceTree.sources.filter { $0.target != "Vocabulary" }
            .flatMap { $0.text.matches(of: #/\.event\("([a-z-]+)"\)/#).map { String($0.1) } }
        #expect(events.count > 20)
        for event in Set(events).sorted() {
            #expect(
                operations.contains("`\(event)`"),
                "expected the event `\(event)` in docs/OPERATIONS.md, saw it nowhere"
            )
        }
    }

    /// What stands between a parenthesis and the one that closes it.
    private func arguments(of text: Substring) -> Substring {
        var depth = 1
        let end = text.firstIndex { letter in
            if letter == "(" { depth += 1 }
            if letter == ")" { depth -= 1 }
            return depth == 0
        }
        return text[..<(end ?? text.endIndex)]
    }

    /// As code, so that `first` or `load` in a sentence does not count.
    private func expectMention(of word: String) {
        #expect(
            SourceTree.documentation.contains { $0.text.contains("`\(word)`") },
            "expected `\(word)` in docs, saw it nowhere"
        )
    }
}
