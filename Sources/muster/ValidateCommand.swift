// Is a configuration fine? Everything but starting it.

import ArgumentParser
import EventLoop
import Settings

struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Reads a configuration and names every mistake in it."
    )

    @Argument(help: "The configuration, as with -c.")
    var named: String?

    @OptionGroup var file: ConfigurationFile

    func validate() throws {
        if let named, let chosen = file.chosen {
            throw ValidationError("expected one configuration, saw '\(named)' and -c '\(chosen)'")
        }
    }

    func run() throws {
        var file = file
        file.chosen = file.chosen ?? named
        let configuration = try file.load()
        let upstreams = configuration.upstreams
        let counts = [
            count(upstreams.count, "upstream"),
            count(upstreams.reduce(0) { $0 + $1.definition.peers.count }, "peer"),
            count(upstreams.reduce(0) { $0 + $1.monitors.count }, "monitor"),
            count(configuration.proxy.listeners.count, "listener"),
        ]
        for advice in configuration.advice { Console.error("warning: \(advice)") }
        // As `run` would, so that the numbers are those that it would have.
        Sufficiency.raiseLimit()
        let foresight =
            Sufficiency.foresight(of: configuration, within: DescriptorBudget.ofThisProcess())
            + CertificateWatch.foresight(of: configuration, at: EndTime.now)
        for line in foresight { Console.error("warning: \(line)") }
        let warnings =
            configuration.warnings.count + configuration.advice.count + foresight.count
        let word = warnings == 0 ? "fine" : "runs, with \(count(warnings, "warning"))"
        Console.line("\(file.path): \(word): \(counts.joined(separator: ", "))")
    }

    private func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
}
