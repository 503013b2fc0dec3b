// What does a line on HAProxy's socket ask for, and what is answered to what is no command?

import Testing

@testable import Admin

@Suite struct RuntimeCommandTests {
    private static let place = RuntimeCommand.Place(upstream: "web", peer: "a")

    private static func stat(
        types: Int = 7,
        server: Int? = nil,
        hides: Bool = false
    ) -> RuntimeStat.Scope {
        var scope = RuntimeStat.Scope()
        scope.types = types
        scope.server = server
        scope.leavesOutMaint = hides
        scope.leavesOutDown = hides
        return scope
    }

    @Test(arguments: [
        ("show stat", [RuntimeCommand.showStat(.init(), upstream: nil)]),
        ("show stat up no-maint", [.showStat(stat(hides: true), upstream: nil)]),
        ("show stat -1 4 -1", [.showStat(stat(types: 4), upstream: nil)]),
        ("show stat 7 4 -1", [.showStat(stat(types: 4), upstream: "#7")]),
        ("show stat x y z", [.showStat(stat(types: 0, server: 0), upstream: "x")]),
        ("disable server web/", [.answer(RuntimeCommand.Words.requireServer)]),
        ("disable server /a", [.answer(RuntimeCommand.Words.requireServer)]),
        ("  show   backend  \r", [.showBackend]),
        ("show stat;show backend", [.showStat(.init(), upstream: nil), .showBackend]),
        ("show backend;", [.showBackend]),
        ("show backend;;quit", [.showBackend, .unknown([]), .quit]),
        ("", [.unknown([])]),
        ("bogus", [.unknown(["bogus"])]),
        ("show servers state web", [.showServersState("web")]),
        ("show servers conn", [.unknown(["show", "servers", "conn"])]),
        ("set server web/a state drain", [.setState(place, .drain)]),
        ("disable server web/a", [.setState(place, .maint)]),
        ("enable server web/a", [.setState(place, .ready)]),
        ("set weight web/a 50%", [.setWeight(place, "50%")]),
        ("set server web/a weight 7", [.setWeight(place, "7")]),
        ("get weight web/a", [.getWeight(place)]),
        ("set server web/a health down", [.decidedElsewhere(place, .health)]),
        ("set server web/a addr 1.2.3.4", [.decidedElsewhere(place, .definition)]),
        (
            #"set server web/a\;b state ready"#,
            [.setState(.init(upstream: "web", peer: "a;b"), .ready)]
        ),
        (
            "set server web/10.0.0.1:80/x state maint",
            [.setState(.init(upstream: "web", peer: "10.0.0.1:80/x"), .maint)]
        ),
    ])
    func `words ask for something`(_ line: String, _ commands: [RuntimeCommand]) {
        #expect(RuntimeCommand.parse(line) == commands)
    }

    @Test(arguments: [
        ("a", "a"), ("#3", "a"), ("#4", "b"), ("#2", "#2"), ("#6", "#6"), ("#5", "#3x"),
        ("#", "#"), ("#x", "#x"), ("#-9223372036854775808", "#-9223372036854775808"),
        ("#9223372036854775807", "#9223372036854775807"),
    ])
    func `a number is the name that has it`(_ text: String, _ name: String) {
        #expect(RuntimePicture.name(text, of: ["a", "b", "#3x"], from: 3) == name)
        #expect(RuntimePicture.name("#3", of: ["a", "#3"], from: 3) == "#3")
    }

    /// As HAProxy 2.6.12 answered.
    @Test func `what is beyond as many commands as are done is told`() {
        let most = RuntimeCommand.commandsMax
        let line = Array(repeating: "show info", count: most + 3).joined(separator: ";")
        let commands = RuntimeCommand.parse(line)
        #expect(commands.count == most + 1)
        #expect(commands.last == .answer(RuntimeCommand.Words.tooMany(3)))
        #expect(RuntimeCommand.parse("show info; show info").count == 2)
    }

    @Test(arguments: [
        ("set server web", "Require 'backend/server'.\n"),
        (
            "set server web/a state bogus",
            "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"
        ),
        (
            "set server web/a health bogus",
            "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n"
        ),
        ("set server web/a agent", "'set server <srv> agent' expects 'up' or 'down'.\n"),
        ("set weight web/a", "Require <weight> or <weight%>.\n"),
        (
            "set server web/a",
            "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | "
                + "check-port | fqdn | health | ssl | state | weight\n"
        ),
    ])
    func `what is missing is said in HAProxy's words`(_ line: String, _ answer: String) {
        #expect(RuntimeCommand.parse(line) == [.answer(answer)])
    }

    @Test(arguments: [
        ("3", 5, 3), ("0", 5, 0), ("256", 5, 256), ("100%", 5, 5), ("50%", 5, 2), ("10%", 1, 0),
        ("300%", 5, 15),
        ("9999999%", 200, 256), ("-0", 5, 0),
    ])
    func `a weight is a number or a share of the first`(
        _ text: String,
        _ initial: Int,
        _ weight: Int
    ) {
        #expect(RuntimeWeight.read(text, initial: initial) == .success(weight))
    }

    @Test(arguments: [
        ("300", "Absolute weight can only be between 0 and 256 inclusive.\n"),
        ("-1", "Absolute weight can only be between 0 and 256 inclusive.\n"),
        ("x", "Empty weight string empty or preceded by garbage"),
        ("", "Empty weight string empty or preceded by garbage"),
        ("%", "Empty weight string empty or preceded by garbage"),
        ("50.5%", "Trailing garbage in weight string"), ("5x", "Trailing garbage in weight string"),
        ("-5%", "Relative weight must be positive.\n"),
    ])
    func `what is no weight is said in HAProxy's words`(_ text: String, _ words: String) {
        #expect(RuntimeWeight.read(text, initial: 5) == .failure(.words(words)))
    }

    @Test func `help lists what there is, and what begins so`() {
        let all = RuntimeCommand.listing([])
        #expect(all.hasPrefix("The following commands are valid at this level:\n"))
        #expect(
            all.contains(
                "  get weight <bk>/<srv>                   : report a server's current weight\n"
            )
        )
        #expect(all.hasSuffix("  quit                                    : disconnect\n"))
        #expect(!RuntimeCommand.listing(["show"]).contains("get weight"))
        #expect(
            RuntimeCommand.refusal(of: []).hasPrefix(
                "Unknown command. Please enter one of the following"
            )
        )
        let near = RuntimeCommand.refusal(of: ["show", "x"])
        #expect(
            near.hasPrefix(
                "Unknown command, but maybe one of the following ones is a better match:\n"
            )
        )
        #expect(near.contains("show stat") && !near.contains("set weight"))
    }
}
