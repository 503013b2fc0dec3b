// Where do the tests' configuration files live? In a folder of their own that is gone afterwards.

import Checks
import Foundation
import Settings

/// A folder of configuration files.
final class Scratch {
    let folder: URL

    init(_ files: [String: String] = [:]) throws {
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("configuration-\(UUID().uuidString)")
        for (name, text) in files {
            let file = folder.appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(),
                withIntermediateDirectories: true
            )
            try Data(text.utf8).write(to: file)
        }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    func load(
        _ name: String = "muster.yaml",
        environment: [String: String] = [:],
        registry: CheckRegistry = .builtin
    ) throws(ConfigurationError) -> MusterConfiguration {
        try MusterConfiguration.load(path(name), environment: environment, registry: registry)
    }

    /// Every complaint about `name`, one a line, with the folder taken out.
    func complaints(
        _ name: String = "muster.yaml",
        environment: [String: String] = [:]
    ) -> [String] {
        do throws(ConfigurationError) {
            _ = try load(name, environment: environment)
            return []
        } catch {
            return error.mistakes.map {
                $0.description.replacingOccurrences(of: folder.path + "/", with: "")
            }
        }
    }
}

/// What is wrong with this text as `muster.yaml`.
func complaints(_ text: String, environment: [String: String] = [:]) throws -> [String] {
    try Scratch(["muster.yaml": text]).complaints(environment: environment)
}

func load(
    _ text: String,
    environment: [String: String] = [:]
) throws -> MusterConfiguration {
    try Scratch(["muster.yaml": text]).load(environment: environment)
}

/// The project's own folder.
let project = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
