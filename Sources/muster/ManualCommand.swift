// Where does `man muster` come from? From here, when muster is installed.

import ArgumentParser
import Vocabulary

struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Prints the manual page, for man.",
        shouldDisplay: false
    )

    func run() throws {
        let help = try JSON(parsing: Array(Muster._dumpHelp().utf8))
        let page = ManualPage(help: help, version: Muster.version).text
        if let problem = Console.whole(String(page.dropLast())) {
            Console.error("muster: \(problem)")
            throw ExitStatus.warning.code
        }
    }
}
