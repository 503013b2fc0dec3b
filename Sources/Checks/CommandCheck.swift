// What does a program say? Monitoring plugins run unchanged: their exit code is the verdict, their
// first line the message, their performance data the measurements. No shell is involved.

import EventLoop
import Glibc
public import Health
import Plugins
public import Vocabulary

/// Passes when a program exits as it should.
public struct CommandCheck: Check {
    public static let kind = "command"
    public static let summary = "run a program: a monitoring plugin, or any with exit codes"
    public static let probesEachAddress = false

    private let words: [String]
    private let environment: [String]
    private let exits: ExitCodes
    private let limits: [CommandLimit]
    private let position: Position
    private let path: String

    public static let wordsMax = 128
    /// What a word may say in braces; the target of each probe fills it in.
    static let placeholders = ["host", "port", "address", "upstream", "peer", "timeout"]
    /// Searched for a program named without a slash, and the PATH that it gets.
    static let folders = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/lib/nagios/plugins"]

    public init(options: inout Options) throws(SettingError) {
        let setting = options.take("command")
        environment = try Self.environment(&options)
        exits = try ExitCodes(options: &options)
        limits = try CommandLimit.take(from: &options)
        guard let setting else { throw options.missing("command") }
        position = setting.position
        path = "\(options.path).command"
        words = try Self.words(setting, at: "\(options.path).command")
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        let arguments = words.map { Self.fill($0, for: target, within: context.span) }
        let program = Self.find(arguments.first ?? "")
        context.trace?.note("send", ([program] + arguments.dropFirst()).joined(separator: " "))
        let run: CommandRun?
        do throws(SystemError) {
            run = try CommandRun.start(
                [program] + arguments.dropFirst(),
                environment: environment + Self.variables(for: target),
                on: context.loop
            )
        } catch {
            // Whatever keeps a program of ours from starting says nothing of the peer.
            return Outcome(.neutral, .processError, message: Program.complaint(program, error))
        }
        guard let run else {
            return Outcome(
                .neutral,
                .socketError,
                message: "expected at most \(CommandRun.runsMax) programs at a time"
            )
        }
        let end = await run.finish(by: context.deadline)
        context.trace?.note("receive", Excerpt.of(run.output))
        if !run.errors.isEmpty {
            context.trace?.note("receive", "stderr \(Excerpt.of(run.errors))")
        }
        let output = NagiosOutput(
            parsing: run.output,
            isCut: run.output.count >= CommandRun.outputBytesMax
        )
        return judge(end, output, run.errors, within: context.span)
    }

    // MARK: Judging

    private func judge(
        _ end: CommandRun.End,
        _ output: NagiosOutput,
        _ errors: [UInt8],
        within span: Nanoseconds
    ) -> Outcome {
        var outcome: Outcome
        let complaint = Excerpt.text(errors.prefix { $0 != 0x0A })
        let text = output.text.isEmpty ? complaint : output.text
        switch end {
        case .timedOut:
            let message = "expected an end within \(span.rounded), saw \(Excerpt.of(text.utf8))"
            return Outcome(.fail, .processTimeout, message: message)
        case .killed(let signal):
            let message = "killed by signal \(signal)\(text.isEmpty ? "" : ": \(text)")"
            return Outcome(.fail, .processError, message: message)
        case .exited(let code):
            let verdict = exits.verdict(of: code)
            let isFine = verdict == .pass || verdict == .warn
            outcome = Outcome(
                verdict,
                isFine ? .processOK : .processError,
                code: code,
                message: text.isEmpty ? "exit code \(code)" : text
            )
        }
        outcome.measurements = output.measurements
        return CommandLimit.weigh(outcome, output, limits)
    }

    // MARK: The call

    /// The full path of a program that is named without a slash, where there is one.
    static func find(_ program: String) -> String {
        guard !program.contains("/") else { return program }
        return folders.map { "\($0)/\(program)" }.first { Program.problem(with: $0) == nil }
            ?? program
    }

    /// Puts the target in place of `{host}`, `{port}`, `{address}`, `{upstream}`, `{peer}` and
    /// `{timeout}`, the last in whole seconds for plugins that limit themselves.
    private static func fill(_ word: String, for target: Target, within span: Nanoseconds) -> String
    {
        guard word.contains("{") else { return word }
        var result = ""
        var rest = word[...]
        let values = values(for: target) + [("timeout", "\(max(Int(span.seconds), 1))")]
        scanning: while !rest.isEmpty {
            for (name, value) in values where rest.hasPrefix("{\(name)}") {
                result += value
                rest = rest.dropFirst(name.count + 2)
                continue scanning
            }
            result.append(rest.removeFirst())
        }
        return result
    }

    private static func values(for target: Target) -> [(String, String)] {
        var host = target.address.hostName
        var port = ""
        switch target.address {
        case .host(_, let number): port = "\(number)"
        case .unix(let path): host = path
        }
        return [
            ("host", host), ("port", port), ("address", "\(target.address)"),
            ("upstream", target.upstream), ("peer", target.peer),
        ]
    }

    private static func variables(for target: Target) -> [String] {
        values(for: target).map { "MUSTER_\($0.0.uppercased())=\($0.1)" }
    }

    // MARK: Settings

    /// A list of words, or a text that is cut into words at blanks outside quotes.
    static func words(_ setting: Setting, at path: String) throws(SettingError) -> [String] {
        var words: [String]
        if case .list = setting.value {
            words = try setting.strings(at: path)
        } else {
            words = try split(setting, at: path)
        }
        guard (1...wordsMax).contains(words.count), words.first?.isEmpty == false else {
            throw setting.expected("a program and at most \(wordsMax - 1) arguments", at: path)
        }
        guard !words.contains(where: { $0.utf8.contains(0) }) else {
            throw setting.expected("words without NUL", at: path)
        }
        return words
    }

    private static func split(_ setting: Setting, at path: String) throws(SettingError) -> [String]
    {
        var words: [String] = []
        var word: String?
        var quote: Character?
        for character in try setting.string(at: path) {
            if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + [character] }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character == " " || character == "\t" || character == "\n" {
                if let word { words.append(word) }
                word = nil
            } else {
                word = (word ?? "") + [character]
            }
        }
        guard quote == nil else { throw setting.expected("a closing quote", at: path) }
        return words + (word.map { [$0] } ?? [])
    }

    /// Takes `environment`: `NAME=value` each, with what every program gets.
    static func environment(_ options: inout Options) throws(SettingError) -> [String] {
        // The C locale: a decimal comma would make performance data unreadable.
        var variables = ["PATH=\(folders.joined(separator: ":"))", "LC_ALL=C"]
        guard let setting = options.take("environment") else { return variables }
        let path = "\(options.path).environment"
        for entry in try setting.entries(at: path) {
            guard !entry.key.isEmpty, !entry.key.contains("="), !entry.key.utf8.contains(0) else {
                throw SettingError(entry.position, "\(path).\(entry.key): expected a name")
            }
            let value = try entry.value.string(at: "\(path).\(entry.key)")
            // The last one of a name would not win in every program.
            variables.removeAll { $0.hasPrefix("\(entry.key)=") }
            variables.append("\(entry.key)=\(value)")
        }
        return variables
    }
}

extension CommandCheck {
    public func warnings(on schedule: Schedule) -> [SettingError] {
        let problem = Self.problem(with: words, at: path)
        return exits.warnings + (problem.map { [SettingError(position, $0)] } ?? [])
    }

    /// What is wrong with the program of `words`; nil where nothing is, or where only the target
    /// tells which program it is.
    static func problem(with words: [String], at path: String) -> String? {
        guard let program = words.first, !program.contains("{"),
            let problem = Program.problem(with: find(program))
        else { return nil }
        return "\(path): \(problem); until it can be run, this check says nothing of a peer"
    }
}
