// What happened, and what happens next? The transitions that a running muster holds, a line each, and with
// --follow each as it comes, over restarts of muster too.

import ArgumentParser
import Store
import Synchronization
import Vocabulary

struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Shows when peers changed their status, and why.",
        discussion: """
            The last twenty, or as many as --limit says. With --follow it goes on with each as it comes, and \
            comes back by itself when muster was away: what happened meanwhile is shown, or a line that says \
            that some may be missing.
            """
    )

    @Flag(name: [.customShort("f"), .long], help: "Go on with each as it comes.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "How many of those that are held: 0 to 8000.")
    var limit = 20

    @Flag(help: "One line of JSON each, as muster sends it.")
    var json = false

    @OptionGroup var admin: AdminOptions

    /// All that a muster holds.
    private static let limitMax = EventLog.capacityDefault

    func validate() throws {
        guard (0...Self.limitMax).contains(limit) else {
            throw ValidationError(
                "--limit: expected a whole number from 0 to \(Self.limitMax), saw \(limit)"
            )
        }
    }

    func run() async throws {
        let reader = EventReader(asJSON: json)
        while true {
            let last = reader.last
            do throws(AdminError) {
                let count = last == nil ? limit : Self.limitMax
                let path = "/v1/events?limit=\(count)&follow=\(follow)"
                let answer = try await admin.client().follow(path, after: last) { bytes in
                    for line in reader.take(bytes) { Console.line(line) }
                    return true
                }
                if let answer {
                    Console.error("muster: \(AdminClient.problem(in: answer))")
                    throw AdminError(description: "")
                }
                if !follow { return }
                reader.lost("the connection ended")
            } catch {
                if error.description.isEmpty { throw ExitStatus.warning.code }
                // Whoever was never reached is not there to follow.
                guard follow, reader.hasBegun else {
                    Console.error("muster: \(error)")
                    throw ExitStatus.unknown.code
                }
                reader.lost("\(error)")
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }
}

/// Makes lines of a stream of server-sent events.
final class EventReader: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var last: String?
        var hasBegun = false
        var isLost = false
    }

    private let asJSON: Bool
    private let state = Mutex(State())

    init(asJSON: Bool) { self.asJSON = asJSON }

    /// The id of the last event.
    var last: String? { state.withLock { $0.last } }
    var hasBegun: Bool { state.withLock { $0.hasBegun } }

    /// The lines of all events that are whole with these bytes.
    func take(_ bytes: [UInt8]) -> [String] {
        state.withLock { state in
            if state.isLost { Console.error("muster: back") }
            (state.hasBegun, state.isLost) = (true, false)
            state.bytes += bytes
            var lines: [String] = []
            // An event ends with an empty line (HTML, section 9.2.5).
            while let end = Self.end(of: state.bytes) {
                let text = String(decoding: state.bytes[..<end], as: UTF8.self)
                state.bytes.removeFirst(end + 2)
                lines += line(of: text, &state)
            }
            return lines
        }
    }

    /// Said once a time.
    func lost(_ why: String) {
        state.withLock { state in
            if !state.isLost { Console.error("muster: \(why.printable); trying again each second") }
            (state.isLost, state.bytes) = (true, [])
        }
    }

    private static func end(of bytes: [UInt8]) -> Int? {
        let feed = UInt8(ascii: "\n")
        return bytes.indices.dropLast().first { bytes[$0] == feed && bytes[$0 + 1] == feed }
    }

    private func line(of text: String, _ state: inout State) -> [String] {
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let sides = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty else { continue }
            fields[String(sides[0])] = String(sides[1].drop { $0 == " " })
        }
        if let id = fields["id"] { state.last = id }
        switch fields["event"] {
        case "gap":
            return asJSON ? [#"{"gap":true}"#] : ["(events before this may be missing)"]
        case "transition":
            guard let data = fields["data"] else { return [] }
            return [asJSON ? data : Self.line(of: data)]
        default: return []
        }
    }

    /// `2026-11-29T02:00:00.123Z web/a up → down, L4CON Connection refused (agent a1)`.
    static func line(of data: String) -> String {
        guard let json = try? JSON(parsing: Array(data.utf8)) else { return data.printable }
        func text(_ key: String) -> String { json[key]?.string ?? "" }
        var line = "\(text("time")) \(text("upstream"))/\(text("peer")) "
        line += "\(text("from")) → \(text("to"))"
        if !text("reason").isEmpty { line += ", \(text("reason"))" }
        return "\(line) (agent \(text("agent")))".printable
    }
}
