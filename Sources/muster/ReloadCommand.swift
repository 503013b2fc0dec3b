// What does an operator type after editing the configuration?

import ArgumentParser
import Vocabulary

struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Makes a running muster read its configuration and checks.d again.",
        discussion: """
            What is the same goes on untouched, and what only a start can change is named first. A mistake anywhere changes nothing, is shown here, \
            and the exit code is 1. SIGHUP does the same.
            """
    )

    @OptionGroup var admin: AdminOptions

    func run() async throws {
        let answer: AdminClient.Answer
        do throws(AdminError) {
            answer = try await admin.client().send("POST", "/v1/reload")
        } catch {
            Console.error("muster: \(error)")
            throw ExitStatus.unknown.code
        }
        guard answer.status == 200, let body = try? JSON(parsing: answer.body) else {
            Console.error("muster: not reloaded: \(AdminClient.problem(in: answer))")
            throw ExitStatus.warning.code
        }
        for line in Self.lines(of: body) { Console.line(line) }
    }

    /// What did not happen comes first: an edit that waits looks like one that was taken.
    static func lines(of answer: JSON) -> [String] {
        func texts(_ name: String) -> [String] {
            (answer[name]?.items ?? []).compactMap(\.string)
        }
        let (changes, later) = (texts("changes"), texts("later"))
        var lines: [String] = []
        if !later.isEmpty {
            let count = later.count == 1 ? "1 section waits" : "\(later.count) sections wait"
            lines.append("\(count) for the next start: \(later.joined(separator: "; "))")
        } else if changes.isEmpty {
            lines.append("nothing has changed")
        }
        return lines + changes + texts("warnings").map { "warning: \($0)" }
    }
}
