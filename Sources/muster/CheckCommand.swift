// How is a server, right now? One probe by hand, explained if asked; also a Nagios plugin.

import ArgumentParser
import Checks
import DNS
import EventLoop
import Settings
import Vocabulary

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Probes a server once and prints what it found, as a Nagios plugin does.",
        discussion: """
            Kinds of check:
            \(kinds)
              and those of the drop-in folder, one NAME.yaml each

            Ends with 0 when the server passes, 1 with a warning, 2 when it fails and 3 when the \
            probe can say nothing about it.
            """
    )

    @Argument(help: "The kind of check, for example http.")
    var kind: String

    @Argument(help: "host:port, [v6]:port, unix:/path, or a URL for http.")
    var target: String

    @Option(
        name: [.customShort("o"), .customLong("option")],
        help: ArgumentHelp("A setting of the check, in YAML.", valueName: "key=value")
    )
    var options: [String] = []

    @Option(help: ArgumentHelp("The folder of drop-in kinds.", valueName: "folder"))
    var checksDir = "checks.d"

    @Option(help: ArgumentHelp("How long the probe may take.", valueName: "duration"))
    var timeout = "2s"

    @Flag(help: "Print where the time went, and every step with what was expected and seen.")
    var explain = false

    @Flag(help: "Print JSON.")
    var json = false

    private static let timeoutMax = Nanoseconds.seconds(3_600)

    /// What a service says on its standard error belongs on ours.
    private static let journal = Journal(from: .notice) { _, line in Console.error(line) }

    private static var kinds: String {
        CheckRegistry.builtin.kinds.map { "  \($0.kind): \($0.summary)" }.joined(separator: "\n")
    }

    func run() async throws {
        guard let limit = Nanoseconds(text: timeout), limit > .zero, limit <= Self.timeoutMax
        else {
            Console.error(
                "--timeout: expected a duration from 1us to \(Self.timeoutMax), saw '\(timeout)'"
            )
            throw ExitStatus.warning.code
        }
        let subject: CheckTarget
        let check: any Check
        do throws(SettingError) {
            subject = try CheckTarget(target, options: options)
            check = try ChecksFolder.read([checksDir] + ChecksFolder.shipped).registry
                .make(kind, from: subject.options(for: kind))
        } catch {
            Console.error("\(error)")
            throw ExitStatus.warning.code
        }
        let report = try await probe(check, subject.address, limit)
        print(json ? report.json.text : report.text)
        throw report.exitStatus.code
    }

    private func probe(
        _ check: any Check,
        _ address: Address,
        _ timeout: Nanoseconds
    ) async throws -> CheckReport {
        let loop = try EventLoop.spawn(name: "probe")
        defer { loop.stop() }
        let resolver = try await withTaskExecutorPreference(loop) {
            LoopBound(try Resolver(on: loop), on: loop)
        }
        let services = await resolver.call { [loop] _ in
            LoopBound(Services(loop: loop, journal: Self.journal), on: loop)
        }
        let (outcome, trace) = await runProbe(
            check,
            Target(upstream: "command-line", peer: "\(address)", address: address),
            timeout: timeout,
            loop: loop,
            resolver: resolver,
            explain: explain || json,
            services: services
        )
        await Task(executorPreference: loop) { await services.value.stop() }.value
        await resolver.call { $0.close() }
        return CheckReport(
            kind: kind,
            target: "\(address)",
            outcome: outcome,
            steps: trace?.steps ?? [],
            isExplained: explain
        )
    }
}
