// What can be done from a shell? The commands, and the exit codes they share: 0 fine, 1 warning or
// wrong usage, 2 failing, 3 unknown. They are Nagios', so that `muster check` is a plugin; of a plugin
// wrong usage is 3.

import ArgumentParser
import Glibc
import Vocabulary

@main
struct Muster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "muster",
        abstract: "Probes servers, agrees on which are well, and routes by it.",
        version: version,
        subcommands: [
            RunCommand.self, ValidateCommand.self, CheckCommand.self, StatusCommand.self,
            TopCommand.self,
            AgentsCommand.self, ExplainCommand.self, EventsCommand.self, PeerCommand.self,
            RouteCommand.self, HistoryCommand.self, NotifyCommand.self, ImportCommand.self,
            DiffCommand.self, ReloadCommand.self,
            DemoCommand.self, DemoServerCommand.self, ManualCommand.self,
        ]
    )

    static let version = "0.1.0"

    static func main() async {
        if arguments.first == "run" { RunSignals.hold() }
        Console.fillGaps()
        // A reader that is gone must not turn a plugin's verdict into a death.
        if arguments.first == "check" { signal(SIGPIPE, SIG_IGN) }
        if let help = CheckHelp.answer(to: arguments) {
            Console.line(help)
            Glibc.exit(ExitStatus.fine.rawValue)
        }
        if let mistake = Self.unknownCommand(in: arguments) {
            Console.error(mistake)
            Glibc.exit(ExitStatus.warning.rawValue)
        }
        if let mistake = Self.doubled(in: arguments) {
            leave(because: ValidationError(mistake))
        }
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            leave(because: error)
        }
    }

    /// A command that is none, with the nearest that is one: the parser would only count the words it
    /// does not know. Nil where there is one, or nothing.
    static func unknownCommand(in arguments: [String]) -> String? {
        var path = "muster"
        var commands = configuration.subcommands
        for (index, word) in arguments.enumerated() {
            if commands.isEmpty || word.hasPrefix("-") || index == 0 && word == "help" {
                return nil
            }
            if index == 0,
                let next = commands.first(where: { $0.configuration.commandName == word })
            {
                path += " \(word)"
                commands = next.configuration.subcommands
                continue
            }
            let known = commands.map { $0.configuration }
            if known.contains(where: { $0.commandName == word }) { return nil }
            let names = known.filter { $0.shouldDisplay }.compactMap { $0.commandName }
            let hint = nearest(to: word, among: names).map { "; did you mean '\($0)'?" } ?? ""
            return "Error: \(path): expected one of \(names.joined(separator: ", ")), saw "
                + "'\(word.printable)'\(hint)\nSee '\(path) --help' for more information."
        }
        return nil
    }

    /// Options of which there is one: of two the parser would take the last, in silence.
    private static let single = [
        "--config", "--admin", "--admin-ca", "--reason", "--until", "--if-match", "--timeout",
        "--checks-dir", "--limit",
    ]

    /// Nil where no option is given twice.
    static func doubled(in arguments: [String]) -> String? {
        var seen: Set<String> = []
        var isValue = false
        for word in arguments.prefix(while: { $0 != "--" }) {
            if isValue {
                isValue = false
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            let name = parts.first == "-c" ? "--config" : parts.first ?? ""
            guard single.contains(name) else { continue }
            isValue = parts.count == 1
            guard seen.insert(name).inserted else {
                let spelled = name == "--config" ? "-c, --config" : name
                return "expected '\(spelled)' once, saw it twice; write the one that is meant"
            }
        }
        return nil
    }

    private static var arguments: [String] { Array(CommandLine.arguments.dropFirst()) }

    /// As `exit(withError:)`, but for wrong usage, which the parser would answer with 64, and for a
    /// plugin, whose every mistake is one line and 3.
    private static func leave(because error: any Error) -> Never {
        if arguments.first == "check", !(error is ExitCode),
            exitCode(for: error) != .success
        {
            let kind = CheckArguments.kind(in: arguments)
            Plugin.leave(kind, "\(message(for: error)); see 'muster check --help'")
        }
        guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
        Console.error(fullMessage(for: error))
        Glibc.exit(ExitStatus.warning.rawValue)
    }
}

/// How a command ends.
enum ExitStatus: Int32 {
    case fine = 0
    /// Also wrong usage.
    case warning = 1
    case failing = 2
    case unknown = 3

    var code: ExitCode { ExitCode(rawValue) }
}

/// One `write` a line: nothing waits in a buffer when the process is killed. For commands that end; what
/// runs on writes to its log.
enum Console {
    static func line(_ text: String) { put(text, on: STDOUT_FILENO) }

    static func error(_ text: String) { put(text, on: STDERR_FILENO) }

    /// Writes all of it, however long it is and however slow the reader. What is wrong when it could
    /// not be written; else nil.
    static func whole(_ text: String) -> String? {
        var rest = Array((text + "\n").utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var place = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
                poll(&place, 1, -1)
            } else if errno != EINTR {
                return String(cString: strerror(errno))
            }
        }
        return nil
    }

    /// Gives the three standard descriptors a place where the caller closed one: a socket of ours
    /// would get its number, and be sent what is meant for people.
    static func fillGaps() {
        for descriptor in 0...2 where fcntl(Int32(descriptor), F_GETFD) < 0 {
            // The lowest that is free, which is this one.
            _ = open("/dev/null", O_RDWR)
        }
    }

    private static func put(_ text: String, on descriptor: Int32) {
        let bytes = Array((text + "\n").utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                write(descriptor, $0.baseAddress, $0.count)
            }
            if count >= 0 {
                offset += count
            } else if errno == EAGAIN {
                // Somebody who shares the descriptor made it non-blocking.
                var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wanted, 1, -1)
            } else if errno != EINTR {
                // Nobody reads on, `| head` say: there is nobody to tell either.
                return
            }
        }
    }
}
