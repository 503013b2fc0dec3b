// Which configuration does a command read? The one named with `-c`, or the first that exists where
// one is expected.

import ArgumentParser
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

    /// Reads it. Every mistake goes to standard error, and the command ends with 1; a warning goes
    /// there as well and ends nothing, unless the caller has a log to tell it in.
    func load(tellsWarnings: Bool = true) throws -> MusterConfiguration {
        if let missing {
            Console.error("muster: \(missing)")
            throw ExitStatus.warning.code
        }
        do throws(ConfigurationError) {
            let configuration = try MusterConfiguration.load(path)
            if tellsWarnings {
                for warning in configuration.warnings { Console.error("warning: \(warning)") }
            }
            return configuration
        } catch {
            Console.error("\(error)")
            throw ExitStatus.warning.code
        }
    }
}
