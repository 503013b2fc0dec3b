// What does an operator look at during a change? Every peer, each second anew, on the whole screen; `q` ends it.

import ArgumentParser
import Glibc
import Vocabulary

struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Shows every peer live: problems first, then the busiest.",
        discussion: """
            REQ/S and FAIL/S are what the proxy of this muster sent there in the last interval, CHECK how long the \
            slowest check took. Below stands what concerns whole upstreams, or all of them: panic, nobody available, a store \
            that is away, a configuration that was refused. `q` or Ctrl-C ends it. Without a terminal it prints one picture and ends.
            """
    )

    @Option(name: [.customShort("d"), .long], help: "Seconds between two pictures, 0.2 to 60.")
    var delay = 1.0

    @OptionGroup var admin: AdminOptions

    func validate() throws {
        guard (0.2...60).contains(delay) else {
            throw ValidationError("--delay: expected 0.2 to 60 seconds, saw \(delay)")
        }
    }

    func run() async throws {
        let client: AdminClient
        do throws(AdminError) {
            client = try admin.client()
        } catch {
            Console.error("muster: \(error)")
            throw ExitStatus.unknown.code
        }
        let terminal = isatty(STDOUT_FILENO) == 1 ? Terminal() : nil
        defer { terminal?.restore() }
        var before: (body: JSON, at: ContinuousClock.Instant)?
        repeat {
            let (body, problem) = await Self.ask(client)
            // Only remarks: without it the peers are told all the same.
            let ready = body == nil ? nil : try? await client.get("/ready")
            let now = ContinuousClock.now
            if terminal == nil, let problem {
                Console.error("muster: \(problem)")
                throw ExitStatus.unknown.code
            }
            let span = before.map { now - $0.at } ?? .zero
            let seconds =
                Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18
            let screen = TopScreen(
                body ?? before?.body ?? .object([]),
                before: before?.body,
                seconds: seconds,
                title: "muster top, \(client.address)"
                    + (problem.map { ": \($0.printable)" } ?? ""),
                readiness: ready.flatMap { try? JSON(parsing: $0.body) }
            )
            let size = terminal?.size ?? .init(columns: 200, rows: 10_000)
            let lines = screen.lines(
                in: size,
                isColoured: terminal != nil && AdminOptions.environment("NO_COLOR") == nil
            )
            guard let terminal else {
                for line in lines { Console.line(line) }
                return
            }
            terminal.show(lines)
            if let body { before = (body, now) }
        } while terminal?.wait(seconds: delay) == true
    }

    private static func ask(_ client: AdminClient) async -> (body: JSON?, problem: String?) {
        do throws(AdminError) {
            let answer = try await client.get("/v1/upstreams")
            if answer.status == 200, let body = try? JSON(parsing: answer.body) {
                return (body, nil)
            }
            return (nil, AdminClient.problem(in: answer))
        } catch {
            return (nil, error.description)
        }
    }
}

/// The screen and the keys of a terminal, given back as they were.
private final class Terminal {
    private var before = termios()
    private let hasKeys: Bool

    init() {
        hasKeys = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before) == 0
        if hasKeys {
            var raw = before
            // Keys come one by one and are not shown. Ctrl-C is one of them, so that the screen is given back.
            raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
            tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        }
        // The other screen, without a cursor.
        put("\u{1B}[?1049h\u{1B}[?25l")
    }

    func restore() {
        put("\u{1B}[?25h\u{1B}[?1049l")
        if hasKeys { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
    }

    var size: TopScreen.Size {
        var window = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0 else {
            return TopScreen.Size(columns: 80, rows: 24)
        }
        return TopScreen.Size(columns: Int(window.ws_col), rows: Int(window.ws_row))
    }

    func show(_ lines: [String]) {
        // Each line ends where what stood there before is wiped; then everything below.
        put("\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J")
    }

    /// False when somebody wants to leave.
    func wait(seconds: Double) -> Bool {
        var place = pollfd(fd: hasKeys ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0)
        guard poll(&place, 1, Int32(seconds * 1_000)) > 0 else { return true }
        var key: UInt8 = 0
        guard read(STDIN_FILENO, &key, 1) == 1 else { return false }
        return key != UInt8(ascii: "q") && key != 3
    }

    private func put(_ text: String) {
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                write(STDOUT_FILENO, $0.baseAddress, $0.count)
            }
            if count < 0 && errno != EINTR && errno != EAGAIN { return }
            offset += max(count, 0)
        }
    }
}
