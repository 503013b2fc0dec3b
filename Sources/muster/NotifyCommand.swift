// Is somebody told when a peer goes down, and does it arrive? The receivers of a running muster as a table,
// and a message to try one.

import ArgumentParser
import Vocabulary

struct NotifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "notify",
        abstract: "Shows who is told of transitions, and tries whether it arrives.",
        subcommands: [NotifyStatusCommand.self, NotifyTestCommand.self],
        defaultSubcommand: NotifyStatusCommand.self
    )
}

struct NotifyStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows the receivers of notify.",
        discussion: """
            Ends with 0; with 1 where messages to a receiver do not arrive; with 3 where muster is not reached.
            """
    )

    @Flag(help: "Print the answer as it came, in JSON.")
    var json = false

    @OptionGroup var admin: AdminOptions

    func run() async throws {
        let body = try await admin.answer("/v1/notify")
        for line in json ? [body.text] : Self.lines(body) { Console.line(line) }
        let isFailing = (body["receivers"]?.items ?? []).contains {
            $0["state"]?.string == "failing"
        }
        throw (isFailing ? ExitStatus.warning : .fine).code
    }

    static func lines(_ body: JSON) -> [String] {
        let receivers = body["receivers"]?.items ?? []
        if receivers.isEmpty {
            return ["nobody is told of anything: the configuration has no 'notify'"]
        }
        var rows = [
            [
                "RECEIVER", "KIND", "STATE", "BY", "WAITING", "SENT", "FAILED", "LEFT OUT",
                "LAST SENT",
            ]
        ]
        for one in receivers {
            var state = one["state"]?.string ?? ""
            if let until = one["quiet_until"]?.string { state += " until \(until)" }
            if let since = one["failing_since"]?.string { state += " since \(since)" }
            if let next = one["next_attempt"]?.string { state += ", next attempt \(next)" }
            rows.append([
                one["name"]?.string ?? "", one["kind"]?.string ?? "", state,
                one["agent"]?.string ?? "",
                "\(one["waiting"]?.int ?? 0)", "\(one["sent"]?.int ?? 0)",
                "\(one["failed"]?.int ?? 0)", "\(one["left_out"]?.int ?? 0)",
                one["last_sent"]?.string ?? "-",
            ])
        }
        var lines = Table.lines(rows)
        for one in receivers {
            guard let error = one["error"]?.string else { continue }
            lines.append("\(one["name"]?.string ?? ""): \(error)")
        }
        return lines.map(\.printable)
    }
}

struct NotifyTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Sends a test message to a receiver, or to each, and says whether it arrived.",
        discussion: """
            Ends with 0 where all arrived, with 2 where one did not, with 3 where muster is not reached.
            """
    )

    @Argument(help: "The receiver's name; all without one.")
    var name: String?

    @OptionGroup var admin: AdminOptions

    func run() async throws {
        var names = name.map { [$0] } ?? []
        if names.isEmpty {
            let body = try await admin.answer("/v1/notify")
            names = (body["receivers"]?.items ?? []).compactMap { $0["name"]?.string }
        }
        if names.isEmpty {
            Console.error(
                "muster: nobody to tell: expected 'notify' in the configuration, saw none"
            )
            throw ExitStatus.warning.code
        }
        var end = ExitStatus.fine
        for name in names where try await !Self.test(name, admin) { end = .failing }
        throw end.code
    }

    private static func test(_ name: String, _ admin: AdminOptions) async throws -> Bool {
        let answer: AdminClient.Answer
        do throws(AdminError) {
            answer = try await admin.client()
                .send("POST", "/v1/notify/\(name.percentEncoded)/test", within: .seconds(90))
        } catch {
            Console.error("muster: \(error)")
            throw ExitStatus.unknown.code
        }
        guard answer.status == 200, let body = try? JSON(parsing: answer.body) else {
            Console.error("muster: \(AdminClient.problem(in: answer))")
            throw ExitStatus.warning.code
        }
        if body["arrived"]?.bool == true {
            Console.line("\(name): arrived")
            return true
        }
        Console.line("\(name): did not arrive: \((body["error"]?.string ?? "").printable)")
        return false
    }
}
