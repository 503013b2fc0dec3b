// Which configurations are tried? Some thirty of each sort, in the manner of those that people publish, and whatever
// becomes of them when they are cut or broken.

import Foundation
import Import
import Settings
import TestSupport

/// A configuration of another system.
struct Foreign: Sendable, CustomStringConvertible {
    enum System: String, Sendable { case haproxy, nginx }

    let system: System
    let name: String
    let text: String

    var description: String { "\(system)/\(name)" }

    static let all: [Foreign] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Configurations")
        return [System.haproxy, .nginx].flatMap { system in
            let place = folder.appendingPathComponent(system.rawValue)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: place.path)) ?? []
            return names.sorted().compactMap { name in
                (try? String(contentsOf: place.appendingPathComponent(name), encoding: .utf8)).map {
                    Foreign(system: system, name: name, text: $0)
                }
            }
        }
    }()

    func imported(
        environment: [String: String] = [:],
        load: @escaping SourceLoader = { _, _ in [] }
    ) -> Imported {
        switch system {
        case .haproxy: HAProxyImport.read(text, file: name, environment: environment)
        case .nginx: NginxImport.read(SourceFile(path: name, text: text), load: load)
        }
    }
}

extension Imported {
    /// What `muster validate` would say is wrong; nothing where it takes it.
    func mistakes() throws -> [String] {
        let folder = try TemporaryDirectory()
        let file = try folder.write(text, to: "muster.yaml")
        do throws(ConfigurationError) {
            _ = try MusterConfiguration.load(file, environment: [:])
            return []
        } catch {
            return error.mistakes.map(\.description)
        }
    }

    func configuration() throws -> MusterConfiguration {
        let folder = try TemporaryDirectory()
        return try MusterConfiguration.load(
            try folder.write(text, to: "muster.yaml"),
            environment: [:]
        )
    }
}
