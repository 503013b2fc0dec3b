// Which configuration does a command read? The one named with `-c`, or the first that exists where
// one is expected.

import ArgumentParser
import EventLoop
import Glibc
import Settings

struct ConfigurationFile: ParsableArguments {
    @Option(
        name: [.customShort("c"), .customLong("config")],
        help: ArgumentHelp(
            "The configuration (default: ./muster.yaml, else /etc/muster/muster.yaml).",
            valueName: "file"
        )
    )
    var chosen: String?

    private static let places = ["muster.yaml", "/etc/muster/muster.yaml"]

    var path: String {
        if let chosen { return chosen }
        return Self.places.first { access($0, F_OK) == 0 } ?? Self.places[0]
    }

    /// Nothing is named, and nothing is where one is expected.
    private var missing: String? {
        if chosen != nil || Self.places.contains(where: { access($0, F_OK) == 0 }) { return nil }
        return
            "no configuration: expected \(Self.places.map { "'\($0)'" }.joined(separator: " or ")), "
            + "saw neither; name one with -c FILE"
    }

    /// Paths that are written to and lead to a device, a FIFO or a folder.
    private func problems(with configuration: MusterConfiguration) -> [String] {
        let places = [
            ("store.state-file", configuration.store.stateFile),
            ("agent-check.memory-file", configuration.agentCheck?.memoryFile),
        ]
        return places.compactMap { name, place in
            place.flatMap { place in
                WholeFile.problem(at: place).map { "\(name) \(place): \($0)" }
            }
        }
    }

    /// Reads it. Every mistake goes to standard error, and the command ends with 1; a warning goes
    /// there as well and ends nothing, unless the caller has a log to tell it in.
    func load(tellsWarnings: Bool = true) throws -> MusterConfiguration {
        if let missing {
            Console.error("muster: \(missing)")
            throw ExitStatus.warning.code
        }
        let configuration: MusterConfiguration
        do throws(ConfigurationError) {
            configuration = try MusterConfiguration.load(path)
        } catch {
            Console.error("\(error)")
            throw ExitStatus.warning.code
        }
        if tellsWarnings {
            for warning in configuration.warnings { Console.error("warning: \(warning)") }
        }
        let problems = problems(with: configuration)
        for problem in problems { Console.error("\(path): \(problem)") }
        if !problems.isEmpty { throw ExitStatus.warning.code }
        return configuration
    }
}
