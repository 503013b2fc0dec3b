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
        for advice in configuration.advice { Console.error("warning: \(advice)") }
        // As `run` would, so that the numbers are those that it would have.
        Sufficiency.raiseLimit()
        let foresight =
            Sufficiency.foresight(of: configuration, within: DescriptorBudget.ofThisProcess())
            + CertificateWatch.foresight(of: configuration, at: EndTime.now)
        for line in foresight { Console.error("warning: \(line)") }
        let warnings =
            configuration.warnings.count + configuration.advice.count + foresight.count
        let word = warnings == 0 ? "fine" : "runs, with \(Self.count(warnings, "warning"))"
        Console.line("\(file.path): \(word): \(Self.counts(of: configuration))")
    }

    /// Where sources say who is there, what the file does not define is not missing.
    static func counts(of configuration: MusterConfiguration) -> String {
        let upstreams = configuration.upstreams
        let hasSources = !configuration.sources.isEmpty
        let counts = [
            (upstreams.count, "upstream"),
            (upstreams.reduce(0) { $0 + $1.definition.peers.count }, "peer"),
            (upstreams.reduce(0) { $0 + $1.monitors.count }, "monitor"),
            (configuration.proxy.listeners.count, "listener"),
            (configuration.sources.count, "source"),
        ]
        return counts.filter { $0.0 > 0 || !hasSources && $0.1 != "source" }.map {
            count($0.0, $0.1)
        }
        .joined(separator: ", ")
    }

    private static func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)\(number == 1 ? "" : "s")"
    }
}
