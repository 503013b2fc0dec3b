// How does a plugin end that could not probe? With one line that says UNKNOWN, and with 3: 1 and 2 are
// findings about the server, and whoever watches would be paged for a misspelling of ours.

import Checks
import EventLoop
import Foundation
import Synchronization
import Vocabulary

/// The one line that a plugin prints, and its end.
enum Plugin {
    /// Set by whoever tells the result: the probe, or the guard that waited for it in vain.
    private static let isTold = Atomic<Bool>(false)

    /// Whether it is the caller's to tell the result. Nobody else is told the same afterwards.
    static func mayTell() -> Bool { !isTold.exchange(true, ordering: .relaxed) }

    /// More than this no console shows.
    private static let lineBytesMax = 1_024

    /// `HTTP UNKNOWN - what is wrong`, on one line whatever was said.
    static func line(_ kind: String?, _ message: String) -> String {
        let name = (kind ?? "check").uppercased()
        var line = ""
        for scalar in "\(name) UNKNOWN - \(message)".unicodeScalars {
            if line.utf8.count >= lineBytesMax { break }
            switch scalar {
            // A bar begins performance data wherever it stands.
            case "|": line.append("/")
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: line.append(" ")
            default: line.unicodeScalars.append(scalar)
            }
        }
        return line
    }

    /// Prints the line and nothing else anywhere, then the process ends: whoever runs plugins puts both
    /// outputs into one, and knows of one line.
    static func leave(_ kind: String?, _ message: String) -> Never {
        if mayTell() { Console.line(line(kind, message)) }
        exit(ExitStatus.unknown.rawValue)
    }

    /// Sees to it that the plugin ends as one: asked to by a signal, or when nothing has come of it
    /// long after the probe should have ended (a folder that does not answer, say). Programs that
    /// run for the probe end with it.
    static func guardEnd(of kind: String?, after span: Nanoseconds) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        let (hears, tells) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        listener.store(tells, ordering: .relaxed)
        // A handler and no mask: threads of the runtime are there already, and would not have it.
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            var byte = UInt8(truncatingIfNeeded: number)
            _ = write(Plugin.listener.load(ordering: .relaxed), &byte, 1)
        }
        action.sa_flags = SA_RESTART
        for number in [SIGTERM, SIGINT, SIGHUP] { sigaction(number, &action, nil) }
        Thread.detachNewThread {
            let number = awaitByte(from: hears, within: span)
            // Told first: that a program was killed would be told as what the probe found.
            if mayTell() {
                let message =
                    number.map { "ended by signal \($0) before the probe was over" }
                    ?? "expected an end within \(span), saw none"
                Console.line(line(kind, message))
            }
            endPrograms()
            exit(ExitStatus.unknown.rawValue)
        }
    }

    /// Where a signal is told of.
    private static let listener = Atomic<Int32>(-1)

    /// Nil when none has come within `span`. The thread takes no signals but those told of here, so
    /// that an interrupted wait has a byte to read.
    private static func awaitByte(from descriptor: Int32, within span: Nanoseconds) -> UInt8? {
        while true {
            var place = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let count = poll(&place, 1, Int32(clamping: span.milliseconds + 1))
            if count == 0 { return nil }
            var byte: UInt8 = 0
            if count > 0, read(descriptor, &byte, 1) == 1 { return byte }
        }
    }
}
