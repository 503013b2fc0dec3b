// Which target may import which? The picture of docs/ARCHITECTURE.md as a table: an import that is
// not in it is either a mistake or a change of the architecture, and then the picture comes first.

import Foundation
import Testing

/// What each target may import. System libraries and packages stand beside our own targets: an arrow
/// to Foundation or to the kernel is an arrow too.
private let arrows: [String: Set<String>] = [
    // Pure: no I/O, no clock.
    "Vocabulary": [],
    // Of Glibc the logarithm only.
    "Health": ["Vocabulary", "Glibc"],
    "Fleet": ["Health", "Vocabulary"],
    "HTTP1": ["CScan"],
    "HTTP2": ["Vocabulary"],
    "Patterns": ["Vocabulary"],
    "Plugins": ["Health", "Vocabulary"],
    "Import": ["Patterns", "Vocabulary"],
    "Spans": ["Vocabulary"],

    "EventLoop": ["Vocabulary", "CLinux", "Glibc", "Synchronization"],
    "DNS": ["EventLoop", "Vocabulary", "CAres", "Glibc"],
    "TLS": ["EventLoop", "Vocabulary", "COpenSSL", "Glibc", "Synchronization"],
    "Front": ["EventLoop", "TLS", "HTTP1", "Vocabulary", "Glibc", "Synchronization"],
    "Ledger": ["EventLoop", "Vocabulary", "Glibc"],
    "Redis": ["EventLoop", "TLS", "Vocabulary", "CHiredis", "Glibc", "Synchronization"],
    "Curl": ["EventLoop", "Vocabulary", "CCurl", "Glibc"],

    // What is simulated is what ships.
    "Simulation": ["EventLoop", "Fleet", "Health", "Store", "Vocabulary"],

    "AgentCheck": ["Store", "EventLoop", "HTTP1", "Health", "Vocabulary", "Glibc"],
    "Checks": [
        "Curl", "EventLoop", "DNS", "TLS", "Health", "HTTP1", "HTTP2", "Patterns", "Plugins",
        "Vocabulary", "CLinux", "Glibc", "Synchronization",
    ],
    "Store": ["EventLoop", "Fleet", "Ledger", "Redis", "Health", "Vocabulary", "Glibc"],
    "Monitor": [
        "Checks", "DNS", "Fleet", "Store", "EventLoop", "Health", "Vocabulary", "Tracing",
    ],
    "Proxy": [
        "Store", "EventLoop", "HTTP1", "Health", "Spans", "Vocabulary", "Glibc", "Synchronization",
    ],
    "Foreign": ["Checks", "Proxy", "Redis", "EventLoop", "Health", "Vocabulary"],
    "Notify": ["Checks", "DNS", "Ledger", "Store", "EventLoop", "Health", "Vocabulary"],
    "Telemetry": [
        "Checks", "DNS", "EventLoop", "Spans", "Vocabulary", "Synchronization", "Tracing",
    ],
    "Settings": [
        "Foreign",
        "AgentCheck", "Checks", "Notify", "Redis", "Store", "EventLoop", "Health", "Proxy", "Spans",
        "TLS",
        "Telemetry", "Vocabulary",
        "Yams",
        "Foundation", "Glibc",
    ],
    "Admin": [
        "AgentCheck", "Monitor", "Notify", "Proxy", "Checks", "Ledger", "Store", "EventLoop",
        "Health", "Vocabulary", "Front", "HTTP1", "Spans", "TLS", "Tracing",
    ],
    "muster": [
        "Admin", "Settings", "AgentCheck", "Monitor", "Notify", "Proxy", "Checks", "DNS", "Fleet",
        "Foreign", "Import",
        "TLS",
        "Ledger", "Redis", "Spans", "Store", "Telemetry", "EventLoop", "Health", "HTTP1",
        "Vocabulary",
        "ArgumentParser", "Tracing",
        "Logging", "UnixSignals", "CLinux", "Foundation", "Glibc", "Synchronization",
    ],
]

/// What comes with the toolchain, or inside a product that is declared.
private let brought: Set<String> = [
    "Foundation", "Glibc", "Synchronization",
]

/// One `import`, whatever stands before it and however narrow it is.
private func imports(of file: SourceFile) -> [String] {
    file.lines.compactMap { line in
        var words = line.split(separator: " ")
        guard let index = words.firstIndex(of: "import"),
            words[..<index].allSatisfy({
                ["public", "package", "internal", "private", "fileprivate"].contains($0)
                    || $0.hasPrefix("@")
            })
        else { return nil }
        words.removeFirst(index + 1)
        let sorts: Set<Substring> = [
            "class", "enum", "func", "protocol", "struct", "typealias", "var",
        ]
        if let first = words.first, sorts.contains(first) { words.removeFirst() }
        return words.first.map { String($0.prefix { $0 != "." && $0 != ";" }) }
    }
}

@Suite struct ArrowTests {
    @Test func `no import that is not in the picture`() {
        for file in SourceTree.sources {
            guard let allowed = arrows[file.target] else {
                Issue.record("\(file.path): expected a target of the table, saw \(file.target)")
                continue
            }
            for name in imports(of: file) where !allowed.contains(name) {
                Issue.record("\(file.path): \(file.target) must not import \(name)")
            }
        }
    }

    /// An arrow that nobody uses is one that somebody will use without a thought.
    @Test func `no target has a permission that it does not use`() {
        var used: [String: Set<String>] = [:]
        for file in SourceTree.sources {
            used[file.target, default: []].formUnion(imports(of: file))
        }
        for (target, allowed) in arrows {
            for name in allowed.subtracting(used[target] ?? []).sorted() {
                Issue.record("the table: expected \(target) to import \(name), saw no such import")
            }
        }
    }

    @Test func `monitors and proxies never meet`() {
        #expect(!reach(of: "Monitor").contains("Proxy"))
        #expect(!reach(of: "Proxy").contains("Monitor"))
        #expect(!reach(of: "Proxy").contains("Checks"))
        #expect(!reach(of: "AgentCheck").contains("Monitor"))
    }

    @Test func `Foundation stays at the top`() {
        let heavy = arrows.filter { $0.value.contains("Foundation") }.keys.sorted()
        #expect(heavy == ["Settings", "muster"])
    }

    @Test func `what is pure reaches nothing but what is pure`() {
        let pure: Set = [
            "Vocabulary", "Health", "Fleet", "HTTP1", "HTTP2", "Patterns", "Plugins", "Import",
            "Spans",
        ]
        for target in pure {
            #expect(
                reach(of: target).isSubset(of: [
                    "CScan", "Glibc", "Health", "Fleet", "Patterns", "Vocabulary",
                ]),
                "\(target)"
            )
        }
        for file in SourceTree.sources where pure.contains(file.target) {
            for line in file.lines where line.contains("import ") && line.contains("Glibc") {
                #expect(line == "public import func Glibc.log", "\(file.path)")
            }
        }
    }

    @Test func `there is no circle`() {
        for target in arrows.keys { #expect(!reach(of: target).contains(target), "\(target)") }
    }

    /// The package must not allow what the table forbids, or the table would only watch over habits,
    /// nor build for a target what it does not use.
    @Test func `the package declares the dependencies of the table, no more and no less`() throws {
        let declared = try declarations(in: "Package.swift")
        #expect(Set(declared.keys) == Set(arrows.keys))
    }

    /// Nobody builds it every day: a target that it lacks would be noticed when somebody wants to fuzz.
    @Test func `the package of the fuzz targets has the same arrows`() throws {
        let declared = try declarations(in: "Fuzz/Package.swift")
        for (target, names) in declared {
            for name in names where arrows[name] != nil && declared[name] == nil {
                Issue.record(
                    "Fuzz/Package.swift: \(target) depends on \(name), which is not declared"
                )
            }
        }
        #expect(declared.count > 15)
    }

    /// What each target of a manifest may import, by its name. What is not as the table has it is a mistake.
    private func declarations(in path: String) throws -> [String: Set<String>] {
        let manifest = SourceTree.root.appendingPathComponent(path)
        let text = try String(contentsOf: manifest, encoding: .utf8)
        // `library("Name", [dependencies])`, and the executable, which is written out.
        let declaration =
            #/(?:\blibrary\(\s*|\.executableTarget\(\s*name: )"(\w+)"(.*?)\n {8}(?=\S)/#
            .dotMatchesNewlines()
        // `let yams = Target.Dependency.product(name: "Yams", …)`.
        let product = #/let (\w+) = Target\.Dependency\.product\(\s*name: "(\w+)"/#
        let products = text.matches(of: product).map { (String($0.1), String($0.2)) }
        var all: [String: Set<String>] = [:]
        for match in text.matches(of: declaration) where match.1 != "fuzz" {
            let target = String(match.1)
            let words = match.2.replacing(#/package: "[^"]+"/#, with: "").matches(of: #/"(\w+)"/#)
            var declared = Set(words.map { String($0.1) })
            for (word, name) in products where match.2.contains(try Regex("\\b\(word)\\b")) {
                declared.insert(name)
            }
            all[target] = declared
            let allowed = arrows[target, default: []]
            for name in declared.subtracting(allowed).sorted() {
                Issue.record("\(path): \(target) must not depend on \(name)")
            }
            for name in allowed.subtracting(declared).subtracting(brought).sorted() {
                Issue.record("\(path): expected \(target) to depend on \(name)")
            }
        }
        return all
    }

    @Test func `the picture's page names every target`() throws {
        let page = try #require(
            SourceTree.documentation.first { $0.path == "docs/ARCHITECTURE.md" }
        )
        for target in arrows.keys { #expect(page.text.contains("`\(target)`"), "\(target)") }
    }

    @Test func `an import is recognised in all its forms`() {
        let file = SourceFile(
            path: "Sources/X/Y.swift",
            text: """
                import A
                public import B
                @preconcurrency internal import C
                private import struct D.Thing
                // import E
                let important = "import F"
                @_spi(G) import G
                """
        )
        #expect(imports(of: file) == ["A", "B", "C", "D", "G"])
        #expect(SourceTree.sources.count > 100)
    }

    /// Everything a target can reach by arrows of our own.
    private func reach(of target: String) -> Set<String> {
        var reached: Set<String> = []
        var open = [target]
        while let next = open.popLast() {
            for name in arrows[next] ?? [] where !reached.contains(name) {
                reached.insert(name)
                open.append(name)
            }
        }
        return reached
    }
}
