// What does an operator type after editing the configuration?

import ArgumentParser
import Vocabulary

struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Makes a running muster read its configuration and checks.d again.",
        discussion: """
            What is the same goes on untouched. A mistake anywhere changes nothing, is shown here, \
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
        let changes = (body["changes"]?.items ?? []).compactMap(\.string)
        for line in changes.isEmpty ? ["nothing has changed"] : changes { Console.line(line) }
        for line in (body["later"]?.items ?? []).compactMap(\.string) { Console.line(line) }
        for line in (body["warnings"]?.items ?? []).compactMap(\.string) {
            Console.line("warning: \(line)")
        }
    }
}
