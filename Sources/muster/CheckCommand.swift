// How is a server, right now? One probe by hand, explained if asked; also a Nagios plugin.

import ArgumentParser
import Checks
import DNS
import EventLoop
import Glibc
import Settings
import Vocabulary

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Probes a server once and prints what it found, as a Nagios plugin does.",
        discussion: """
            Kinds of check ('muster check KIND --help' shows the settings of one):
            \(kinds)
              and those of the drop-in folder, one NAME.yaml each ('--list' shows all)

            Ends with 0 when the server passes, 1 with a warning, 2 when it fails and 3 when the \
            probe can say nothing about it; any mistake ends with 3 too, told in one line.
            """
    )

    @Argument(help: "The kind of check, for example http.")
    var kind: String?

    @Argument(help: "host:port, [v6]:port, unix:/path, or a URL such as http://… or redis://….")
    var target: String?

    @Option(
        name: [.customShort("o"), .customLong("option")],
        help: ArgumentHelp(
            "A setting of the check, in YAML; a dot leads into a map.",
            valueName: "key=value"
        )
    )
    var options: [String] = []

    @Option(
        help: ArgumentHelp("The folder of drop-in kinds (default: checks.d).", valueName: "folder")
    )
    var checksDir: String?

    @Option(help: ArgumentHelp("How long the probe may take.", valueName: "duration"))
    var timeout = "2s"

    @Flag(help: "Print where the time went, and every step with what was expected and seen.")
    var explain = false

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "Print every kind of check, and probe nothing.")
    var list = false

    private static let timeoutMax = Nanoseconds.seconds(3_600)
    /// What starting, reading and ending may take beside the probe, on a machine with much to do.
    private static let grace = Nanoseconds.seconds(10)

    /// What a service says on its standard error belongs on ours.
    private static let journal = Journal(from: .notice) { _, line in Console.error(line) }

    private static var kinds: String {
        CheckRegistry.builtin.kinds.map { "  \($0.kind): \($0.summary)" }.joined(separator: "\n")
    }

    func validate() throws {
        if list { return }
        guard kind == nil || target == nil else { return }
        throw ValidationError(
            "expected a kind and a target, as in 'muster check http https://example.com/health', saw "
                + (kind.map { "only '\($0.printable)'" } ?? "neither")
        )
    }

    func run() async throws {
        guard let limit = Nanoseconds(text: timeout), limit > .zero, limit <= Self.timeoutMax
        else {
            Plugin.leave(
                kind,
                "--timeout: expected a duration from 1us to \(Self.timeoutMax), saw '\(timeout)'"
            )
        }
        Plugin.guardEnd(of: kind, after: limit + Self.grace)
        let folder = ChecksFolder.read(
            [checksDir ?? CheckArguments.folderDefault] + ChecksFolder.shipped
        )
        // One that nobody named need not be there.
        if let checksDir, let problem = ChecksFolder.problem(with: checksDir) {
            Plugin.leave(kind, "--checks-dir: \(problem)")
        }
        guard !list, let kind, let target else {
            for mistake in folder.mistakes { Console.error("warning: \(mistake)") }
            return try tell(CheckHelp.list(folder.registry), .fine)
        }
        let subject: CheckTarget
        let check: any Check
        do throws(SettingError) {
            if !folder.registry.knows(kind) {
                let place = Position(file: "command line", line: 0, column: 0)
                // Throws: what it is not is said better there than by its target.
                _ = try folder.registry.make(kind, from: Options([], at: place, path: "check"))
            }
            subject = try CheckTarget(
                target,
                options: options,
                kind: kind,
                base: folder.registry.base(of: kind),
                parameters: folder.registry.parameters(of: kind)?.map(\.name)
            )
            check = try folder.registry.make(kind, from: subject.options(for: kind))
            if let problem = check.problem(probing: subject.address) { throw problem }
        } catch {
            Plugin.leave(kind, "\(error)")
        }
        let report = try await probe(kind, check, subject.address, limit)
        try tell(json ? report.json.text : report.text, report.exitStatus)
    }

    /// The code is the verdict's whether or not anybody reads the words.
    private func tell(_ text: String, _ status: ExitStatus) throws {
        guard Plugin.mayTell() else {
            // Somebody else tells, and ends this process.
            sleep(5)
            throw ExitStatus.unknown.code
        }
        if let problem = Console.whole(text) {
            Console.error("muster: standard output: \(problem)")
        }
        throw status.code
    }

    private func probe(
        _ kind: String,
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
            isExplained: explain,
            slowness: check.slowness,
            timeout: timeout
        )
    }
}
