// Does the manual have every command and option, and is it a page that man can show?

import ArgumentParser
import Testing
import Vocabulary

@testable import muster

@Suite struct ManualPageTests {
    @Test func `every command that help shows is in it, with its options`() throws {
        let help = try JSON(parsing: Array(Muster._dumpHelp().utf8))
        let text = ManualPage(help: help, version: "1.2.3").text
        #expect(
            text.hasPrefix(
                ".TH MUSTER 1 \"\" \"muster 1.2.3\"\n.SH NAME\nmuster \\- Probes servers"
            )
        )
        for command in Muster.configuration.subcommands where command.configuration.shouldDisplay {
            let name = command.configuration.commandName ?? ""
            let groups = command.configuration.subcommands.map {
                ".SS muster \(name) \($0.configuration.commandName ?? "")\n"
            }
            for head in groups.isEmpty ? [".SS muster \(name)\n"] : groups {
                #expect(text.contains(head), "\(head)")
            }
        }
        #expect(text.contains(".B \\-f, \\-\\-follow\n"))
        #expect(text.contains(".B \\-n, \\-\\-limit <limit>\nHow many"))
        #expect(!text.contains("demo\\-server") && !text.contains("muster manual"))
        // An empty line, or a request that is none, would show.
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            #expect(!line.isEmpty)
            if line.hasPrefix(".") {
                let word = line.dropFirst().prefix { $0 != " " }
                #expect(["TH", "SH", "SS", "B", "I", "TP", "PP", "br"].contains(word), "\(line)")
            }
        }
    }

    @Test func `what roff would take for its own is written otherwise`() {
        #expect(ManualPage.escaped("a-b\\c\n\n.d\n'e") == "a\\-b\\ec\n.PP\n\\&.d\n\\&'e")
    }
}
