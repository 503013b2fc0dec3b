// Where is the project that these tests belong to, and what is in it?

import Foundation

struct SourceFile: Sendable {
    /// From the project's folder, for example `Sources/Health/Outcome.swift`.
    var path: String
    var text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// `Health` of `Sources/Health/Outcome.swift`.
    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }
}

enum SourceTree {
    /// Found from this very file, through symbolic links.
    static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// What is not the project's own text: builds, and requests recorded from elsewhere.
    private static let skipped: Set = [".build", ".git", "Corpus", "corpus"]

    /// Every text file below these folders (or these files themselves) with one of the endings.
    static func files(in places: [String], endings: Set<String>) -> [SourceFile] {
        places.flatMap { place in
            walk(root.appendingPathComponent(place), path: place)
        }
        .filter { endings.contains(($0.path as NSString).pathExtension) }
        .sorted { $0.path < $1.path }
    }

    private static func walk(_ url: URL, path: String) -> [SourceFile] {
        if skipped.contains(url.lastPathComponent) { return [] }
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: url.path) else {
            guard let text = try? String(contentsOf: url, encoding: .utf8) else { return [] }
            return [SourceFile(path: path, text: text)]
        }
        return names.flatMap { walk(url.appendingPathComponent($0), path: "\(path)/\($0)") }
    }

    static let sources = files(in: ["Sources"], endings: ["swift"])

    /// Everything a person reads or edits.
    static let texts = files(
        in: [
            "Sources", "Tests", "Benchmarks", "Fuzz", "checks.d", "docs", "examples", "packaging",
            "scripts", "Makefile", "Package.swift", "CHANGELOG.md", "CONTRIBUTING.md", "README.md",
        ],
        endings: [
            "swift", "md", "yaml", "yml", "json", "cfg", "h", "sh", "service", "modulemap", "",
        ]
    )

    static let documentation = files(in: ["docs", "README.md"], endings: ["md"])
}
