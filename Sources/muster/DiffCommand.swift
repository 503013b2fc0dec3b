// What runs beside what the configuration file says? Whatever the API defined, line by line, so that somebody
// can write it into the file, or take it away.

import ArgumentParser
import Vocabulary

struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Shows what the API defines beside the configuration file.",
        discussion: "Ends with 0 where there is nothing, and with 1 where there is something."
    )

    @OptionGroup var admin: AdminOptions

    @Flag(help: "As JSON.")
    var json = false

    func run() async throws {
        let answer = try await DefinitionAnswer.of("GET", "/v1/definitions", nil, admin)
        let definitions = answer.body["definitions"]?.items ?? []
        if json {
            Console.line(answer.body.text)
        } else {
            for line in Self.lines(definitions) { Console.line(line) }
        }
        if !definitions.isEmpty { throw ExitStatus.warning.code }
    }

    /// `+` for what the file does not have, `~` for what it has otherwise, `!` for what is left out,
    /// or in force with something wrong.
    static func lines(_ definitions: [JSON]) -> [String] {
        if definitions.isEmpty { return ["nothing is defined beside the configuration file"] }
        return definitions.flatMap { definition -> [String] in
            let problem = definition["problem"]?.string
            let isInFile = definition["in_file"]?.bool ?? false
            let mark = problem != nil ? "!" : isInFile ? "~" : "+"
            var line =
                "\(mark) \(definition["kind"]?.string ?? "") \(definition["name"]?.string ?? ""): "
            line += definition["body"]?.text ?? ""
            if let by = definition["by"]?.string { line += " (by \(by)" } else { line += " (" }
            if let at = definition["since"]?.string {
                line += "\(line.hasSuffix("(") ? "" : ", ")\(at)"
            }
            line += ")"
            if line.hasSuffix(" ()") { line.removeLast(3) }
            let isLeftOut = definition["left_out"]?.bool ?? true
            let word = isLeftOut ? "left out: " : ""
            return [line.printable] + (problem.map { ["    \(word)\($0)".printable] } ?? [])
        }
    }
}
