// What do a file and its includes say together? Sections are joined key by key and lists inside them
// are appended; nothing may be said twice, so no file overrides another by accident.

import EventLoop
import Foundation
import Vocabulary

struct SettingsTree {
    /// Of the whole configuration; also what ends a circle.
    static let includesMax = 64

    let environment: [String: String]
    let reading: Reading
    private(set) var files: [String] = []
    private var sections: [Setting.Entry] = []

    init(environment: [String: String], reading: Reading) {
        self.environment = environment
        self.reading = reading
    }

    /// The joined tree, or nil and a report.
    static func read(
        _ path: String,
        environment: [String: String],
        reading: Reading
    ) -> (root: Setting?, files: [String]) {
        var tree = SettingsTree(environment: environment, reading: reading)
        let root = tree.add(path)
        guard let root, reading.mistakes.isEmpty else { return (nil, tree.files) }
        return (Setting(.map(tree.sections), at: root.position), tree.files)
    }

    @discardableResult
    private mutating func add(_ path: String) -> Setting? {
        files.append(path)
        let file = SettingsFile(path: path, environment: environment, reading: reading)
        guard let root = file.read() else { return nil }
        if root.isNull { return root }
        guard case .map(let entries) = root.value else {
            reading.report(root.expected("a map of sections such as upstreams", at: "the file"))
            return nil
        }
        for entry in entries where entry.key != "include" { join(entry) }
        if let include = entries.first(where: { $0.key == "include" }), !include.value.isNull {
            let isRead: Void? = reading.attempt { () throws(SettingError) in
                _ = try include.value.strings(at: "include")
            }
            var globs = isRead == nil ? [] : [include.value]
            if isRead != nil, case .list(let items) = include.value.value { globs = items }
            for glob in globs {
                guard case .scalar(let text, _) = glob.value else { continue }
                addAll(matching: text, from: path, at: glob.position)
            }
        }
        return root
    }

    // MARK: Includes

    private mutating func addAll(matching glob: String, from path: String, at position: Position) {
        let pattern = Self.resolve(glob, beside: path)
        let found = Self.matches(of: pattern)
        let isPattern = glob.contains { "*?[".contains($0) }
        if found.isEmpty, !isPattern {
            // A folder of drop-ins may be empty; a file named by name may not be missing.
            reading.report(SettingError(position, "include: \(pattern): No such file or directory"))
        }
        for file in found {
            if files.contains(file) {
                reading.report(SettingError(position, "include: '\(file)' is included twice"))
            } else if files.count > Self.includesMax {
                reading.report(
                    SettingError(
                        position,
                        "include: expected at most \(Self.includesMax) files, saw more"
                    )
                )
                return
            } else if let problem = Self.problem(with: file) {
                reading.report(SettingError(position, "include: \(file): \(problem)"))
            } else {
                add(file)
            }
        }
    }

    /// Why it cannot be read, in the kernel's words.
    private static func problem(with file: String) -> String? {
        if let problem = WholeFile.sourceProblem(at: file) { return "\(problem)" }
        return access(file, R_OK) == 0 ? nil : String(cString: strerror(errno))
    }

    /// Relative paths in a file mean: beside that file.
    static func resolve(_ path: String, beside file: String) -> String {
        guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
        return String(file[...slash]) + path
    }

    private static func matches(of pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, GLOB_NOSORT, nil, &found) == 0 else { return [] }
        let paths = (0..<Int(found.gl_pathc)).compactMap { index in
            found.gl_pathv[index].map { String(cString: $0) }
        }
        return paths.sorted()
    }

    // MARK: Joining

    private mutating func join(_ entry: Setting.Entry) {
        guard let index = sections.firstIndex(where: { $0.key == entry.key }) else {
            sections.append(entry)
            return
        }
        switch (sections[index].value.value, entry.value.value) {
        case (.map(let old), .map(let new)):
            sections[index].value.value = .map(joined(old, new, in: entry.key))
        case (.scalar, _) where sections[index].value.isNull: sections[index] = entry
        case (_, .scalar) where entry.value.isNull: break
        default: reportTwice(entry.key, at: entry.position, first: sections[index].position)
        }
    }

    private func joined(
        _ old: [Setting.Entry],
        _ new: [Setting.Entry],
        in section: String
    ) -> [Setting.Entry] {
        var entries = old
        for entry in new {
            guard let index = entries.firstIndex(where: { $0.key == entry.key }) else {
                entries.append(entry)
                continue
            }
            if case .list(let first) = entries[index].value.value,
                case .list(let second) = entry.value.value
            {
                entries[index].value.value = .list(first + second)
            } else {
                let key = "\(section).\(entry.key)"
                reportTwice(key, at: entry.position, first: entries[index].position)
            }
        }
        return entries
    }

    private func reportTwice(_ key: String, at position: Position, first: Position) {
        reading.report(SettingError(position, "'\(key)' is written twice: first at \(first)"))
    }
}
