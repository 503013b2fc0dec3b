// What can be done from a shell? The commands, and the exit codes they share: 0 fine, 1 warning or
// wrong usage, 2 failing, 3 unknown. They are Nagios', so that `muster check` is a plugin.

import ArgumentParser
import Glibc

@main
struct Muster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "muster",
        abstract: "Probes servers, agrees on which are well, and routes by it.",
        version: "0.1.0",
        subcommands: [
            RunCommand.self, ValidateCommand.self, CheckCommand.self, StatusCommand.self,
            PeerCommand.self, ReloadCommand.self, DemoCommand.self, DemoServerCommand.self,
        ]
    )

    static func main() async {
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

    /// As `exit(withError:)`, but for wrong usage, which the parser would answer with 64.
    private static func leave(because error: any Error) -> Never {
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
