// What is wrong with a configuration? All of it: reading goes on after a mistake, so that one run
// names every one of them in the order of the file.

public import Vocabulary

/// Why a configuration is refused: at least one complaint, sorted by place.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    public let mistakes: [SettingError]

    init(_ mistakes: [SettingError]) {
        precondition(!mistakes.isEmpty)
        self.mistakes = mistakes
    }

    /// One complaint a line.
    public var description: String {
        mistakes.map(\.description).joined(separator: "\n")
    }
}

/// Collects while a configuration is read: mistakes, and which settings exist where.
final class Reading {
    private(set) var mistakes: [SettingError] = []
    /// The keys that readers asked for, by the shape of their place: `upstreams.*` takes `peers`.
    /// The schema is held against it.
    private(set) var keys: [String: Set<String>] = [:]

    /// What runs, and hardly as somebody meant it.
    private(set) var warnings: [SettingError] = []

    func report(_ mistake: SettingError) { mistakes.append(mistake) }

    /// Files that this process will write, or has just read, and what they are to it.
    private var taken: [String: String] = [:]

    /// Whoever writes there writes over the configuration.
    func protect(_ files: [String]) {
        for file in files { taken[OutputFile.real(file)] = "is part of the configuration" }
    }

    /// Two who write one file destroy each other's. `suffixes` are of files beside it.
    func claim(_ file: String, _ suffixes: [String], at path: String, _ position: Position) {
        for suffix in [""] + suffixes {
            let name = OutputFile.real(file + suffix)
            if let other = taken[name] {
                return report(
                    SettingError(
                        position,
                        "\(path): expected a file of its own, saw '\(file + suffix)', which \(other)"
                    )
                )
            }
            let by = suffix.isEmpty ? path : "\(path) with '\(suffix)' behind"
            taken[name] = "\(by) writes"
        }
    }

    /// What whoever asks `validate` shall know, and no run and no reload has to repeat.
    private(set) var advice: [SettingError] = []

    func advise(_ position: Position, _ message: String) {
        advice.append(SettingError(position, message))
    }

    func warn(_ position: Position, _ message: String) {
        warnings.append(SettingError(position, message))
    }

    /// Runs `body` and keeps its complaint instead of passing it on.
    func attempt<Value>(_ body: () throws(SettingError) -> Value) -> Value? {
        do throws(SettingError) {
            return try body()
        } catch {
            report(error)
            return nil
        }
    }

    func record(_ key: String, in shape: String) { keys[shape, default: []].insert(key) }

    /// Main file first, then includes in the order they were read; inside a file by line.
    func failure(files: [String]) -> ConfigurationError? {
        mistakes.isEmpty ? nil : ConfigurationError(Self.sorted(mistakes, files))
    }

    /// Warnings in the same order.
    func sortedWarnings(files: [String]) -> [SettingError] {
        Self.sorted(warnings, files)
    }

    private static func sorted(_ mistakes: [SettingError], _ files: [String]) -> [SettingError] {
        let order = Dictionary(
            files.enumerated().map { ($1, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        func rank(_ mistake: SettingError) -> (Int, Int, Int, String) {
            let position = mistake.position
            return (
                order[position.file] ?? files.count, position.line, position.column,
                mistake.message
            )
        }
        return mistakes.sorted { rank($0) < rank($1) }
    }
}

/// Where a setting stands, twice: as the user wrote it, and as the schema has it.
struct Place {
    /// `upstreams.web.peers[0]`. Empty at the top.
    var path: String
    /// `upstreams.*.peers[]`: chosen names and indexes taken out.
    var shape: String

    static let top = Place(path: "", shape: "")

    func key(_ key: String) -> Place { step("." + key, "." + key) }
    func named(_ name: String) -> Place { step("." + name, ".*") }
    func item(_ index: Int) -> Place { step("[\(index)]", "[]") }

    private func step(_ path: String, _ shape: String) -> Place {
        Place(path: Self.join(self.path, path), shape: Self.join(self.shape, shape))
    }

    private static func join(_ head: String, _ tail: String) -> String {
        head.isEmpty && tail.hasPrefix(".") ? String(tail.dropFirst()) : head + tail
    }
}
