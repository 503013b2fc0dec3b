// Is a configuration fine? Everything but starting it.

import ArgumentParser
import Settings

struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Reads a configuration and names every mistake in it."
    )

    @OptionGroup var file: ConfigurationFile

    func run() throws {
        let configuration = try file.load()
        let upstreams = configuration.upstreams
        let counts = [
            count(upstreams.count, "upstream"),
            count(upstreams.reduce(0) { $0 + $1.definition.peers.count }, "peer"),
            count(upstreams.reduce(0) { $0 + $1.monitors.count }, "monitor"),
            count(configuration.proxy.listeners.count, "listener"),
        ]
        print("\(file.path): fine: \(counts.joined(separator: ", "))")
    }

    private func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
}
