// Which kinds of check does the drop-in folder add? Every `NAME.yaml` in it one; a file with a mistake
// adds none and is no reason to refuse the others.

public import Checks
import Foundation
public import Vocabulary

/// The kinds of check that there are, the folder's among them.
public struct ChecksFolder: Sendable {
    public private(set) var registry: CheckRegistry
    /// What is wrong with its files. A monitor that uses such a kind is refused with the same words.
    public private(set) var mistakes: [SettingError] = []

    public static let filesMax = 256
    private static let suffix = ".yaml"

    /// Reads `folder`, which need not exist.
    public static func read(
        _ folder: String,
        environment: [String: String] = ProcessInfo.processInfo.environment,
        registry: CheckRegistry = .builtin
    ) -> ChecksFolder {
        var result = ChecksFolder(registry: registry)
        for file in result.files(of: folder) {
            result.add(file, in: folder, environment, builtin: registry)
        }
        result.registry.folders = [folder]
        return result
    }

    /// The kinds of several folders: of two that define the same kind, the first counts.
    public static func read(
        _ folders: [String],
        environment: [String: String] = ProcessInfo.processInfo.environment,
        registry: CheckRegistry = .builtin
    ) -> ChecksFolder {
        var result = ChecksFolder(registry: registry)
        var seen: Set<String> = []
        for folder in folders {
            for file in result.files(of: folder) where seen.insert(file).inserted {
                result.add(file, in: folder, environment, builtin: registry)
            }
        }
        result.registry.folders = folders
        return result
    }

    /// Where `make install` puts the kinds that come with muster: seen from PREFIX/bin/muster, in
    /// PREFIX/share/muster/checks.d.
    public static var shipped: [String] {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
        guard count > 0 else { return [] }
        let program = String(
            decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
        guard let folder = Self.folder(beside: program) else { return [] }
        return [folder]
    }

    /// Nil for a program that is not in a folder called `bin`: one that was built and not installed.
    static func folder(beside program: String) -> String? {
        let parts = program.split(separator: "/")
        guard parts.count >= 2, parts[parts.count - 2] == "bin" else { return nil }
        return (parts.dropLast(2).map { "/\($0)" } + ["/share/muster/checks.d"]).joined()
    }

    /// Why `folder` cannot be read; nil where it can.
    public static func problem(with folder: String) -> String? {
        guard let directory = opendir(folder) else {
            return "\(folder): \(String(cString: strerror(errno)))"
        }
        closedir(directory)
        return nil
    }

    private init(registry: CheckRegistry) { self.registry = registry }

    /// Sorted, so that the mistakes come in the same order every time.
    private mutating func files(of folder: String) -> [String] {
        guard let directory = opendir(folder) else {
            if errno != ENOENT { report(folder, String(cString: strerror(errno))) }
            return []
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) {
                    String(cString: $0)
                }
            }
            // Editors keep their own copies beside a file, with a dot before its name.
            if name.hasSuffix(Self.suffix), !name.hasPrefix(".") { names.append(name) }
        }
        if names.count > Self.filesMax {
            report(folder, "expected at most \(Self.filesMax) files, saw \(names.count)")
        }
        return Array(names.sorted().prefix(Self.filesMax))
    }

    private mutating func add(
        _ file: String,
        in folder: String,
        _ environment: [String: String],
        builtin: CheckRegistry
    ) {
        let definition = CheckDefinitionFile(
            name: String(file.dropLast(Self.suffix.count)),
            path: folder.hasSuffix("/") ? folder + file : "\(folder)/\(file)",
            registry: builtin,
            environment: environment
        )
        let dropIn = definition.read()
        mistakes += definition.reading.mistakes
        if let dropIn {
            registry = registry.adding([dropIn])
        } else if let mistake = definition.reading.mistakes.first, !registry.knows(definition.name)
        {
            registry = registry.adding(broken: definition.name, because: mistake)
        }
    }

    private mutating func report(_ folder: String, _ message: String) {
        mistakes.append(SettingError(Position(file: folder, line: 0, column: 0), message))
    }
}
