// What does a line on HAProxy's socket ask for? Commands divided by semicolons, words by blanks; what is none is answered
// with HAProxy's own words and the list of what there is.

import Vocabulary

enum RuntimeCommand: Equatable, Sendable {
    case showStat(RuntimeStat.Scope, upstream: String?)
    case showInfo
    case showServersState(String?)
    case showBackend
    case showVersion
    case showLevel
    case getWeight(Place)
    case setWeight(Place, String)
    case setState(Place, State)
    /// A word of a server's that monitors, or the file, decide here.
    case decidedElsewhere(Place, What)
    case help([String])
    case prompt
    case quit
    /// The answer is known already.
    case answer(String)
    /// No command: the words that were there.
    case unknown([String])

    enum State: String, CaseIterable, Sendable { case ready, drain, maint }
    enum What: Equatable, Sendable { case health, agent, definition }

    struct Place: Equatable, Sendable {
        var upstream: String
        var peer: String
    }

    /// A longer line is no command.
    static let lineBytesMax = 16_384
    static let commandsMax = 1_024
    /// What the answers to one line may hold: each may be as long as all servers are many.
    static let answerBytesMax = 64 << 20

    // MARK: Reading

    static func parse(_ line: String) -> [RuntimeCommand] {
        let all = split(line)
        let commands = all.prefix(commandsMax).map { command(words(of: $0)) }
        if all.count <= commandsMax { return commands }
        return commands + [.answer(Words.tooMany(all.count - commandsMax))]
    }

    /// At semicolons that no backslash stands before.
    private static func split(_ line: String) -> [String] {
        var commands = [""]
        var isEscaped = false
        for letter in line {
            if letter == ";", !isEscaped {
                commands.append("")
            } else {
                commands[commands.count - 1].append(letter)
            }
            isEscaped = letter == "\\" && !isEscaped
        }
        // Nothing behind the last one asks for nothing.
        if commands.count > 1, words(of: commands[commands.count - 1]).isEmpty {
            commands.removeLast()
        }
        return commands
    }

    private static func words(of command: String) -> [String] {
        var words: [String] = []
        var word = ""
        var isEscaped = false
        for letter in command {
            if isEscaped {
                word.append(letter)
                isEscaped = false
            } else if letter == "\\" {
                isEscaped = true
            } else if letter == " " || letter == "\t" || letter == "\r" {
                if !word.isEmpty { words.append(word) }
                word = ""
            } else {
                word.append(letter)
            }
        }
        if !word.isEmpty { words.append(word) }
        return words
    }

    static func command(_ words: [String]) -> RuntimeCommand {
        switch (words.first ?? "", words.count > 1 ? words[1] : "") {
        case ("show", "stat"): stat(Array(words.dropFirst(2)))
        case ("show", "info"):
            words.count == 2
                ? .showInfo : .answer("Only 'show info' without a form is known here.\n")
        case ("show", "servers") where words.count > 2 && words[2] == "state":
            .showServersState(words.count > 3 ? words[3] : nil)
        case ("show", "backend"): .showBackend
        case ("show", "version"): .showVersion
        case ("show", "cli") where words.count > 2 && words[2] == "level": .showLevel
        case ("get", "weight"): at(words, 2) { .getWeight($0) }
        case ("set", "weight"):
            at(words, 2) { place in
                words.count > 3 ? .setWeight(place, words[3]) : .answer(Words.requireWeight)
            }
        case ("set", "server"): at(words, 2) { server($0, Array(words.dropFirst(3))) }
        case ("set", "maxconn") where words.count > 2 && words[2] == "server":
            at(words, 3) { .decidedElsewhere($0, .definition) }
        case ("enable", "server"): at(words, 2) { .setState($0, .ready) }
        case ("disable", "server"): at(words, 2) { .setState($0, .maint) }
        case ("enable", "health"), ("disable", "health"):
            at(words, 2) { .decidedElsewhere($0, .health) }
        case ("enable", "agent"), ("disable", "agent"):
            at(words, 2) { .decidedElsewhere($0, .agent) }
        case ("help", _): .help(Array(words.dropFirst()))
        case ("prompt", _): .prompt
        case ("quit", _): .quit
        default: .unknown(words)
        }
    }

    private static func at(
        _ words: [String],
        _ index: Int,
        _ make: (Place) -> RuntimeCommand
    ) -> RuntimeCommand {
        guard words.count > index, let slash = words[index].firstIndex(of: "/"),
            !words[index].hasPrefix("/"), !words[index].hasSuffix("/")
        else { return .answer(Words.requireServer) }
        let peer = String(words[index][words[index].index(after: slash)...])
        return make(Place(upstream: String(words[index][..<slash]), peer: peer))
    }

    private static func server(_ place: Place, _ words: [String]) -> RuntimeCommand {
        let value = words.count > 1 ? words[1] : ""
        switch words.first ?? "" {
        case "state":
            guard let state = State(rawValue: value) else { return .answer(Words.states) }
            return .setState(place, state)
        case "weight":
            return words.count > 1 ? .setWeight(place, value) : .answer(Words.requireWeight)
        case "health":
            return ["up", "stopping", "down"].contains(value)
                ? .decidedElsewhere(place, .health) : .answer(Words.healths)
        case "agent":
            return ["up", "down"].contains(value)
                ? .decidedElsewhere(place, .agent) : .answer(Words.agents)
        case "addr", "agent-addr", "agent-port", "agent-send", "check-addr", "check-port", "fqdn",
            "ssl":
            return .decidedElsewhere(place, .definition)
        default: return .answer(Words.usage)
        }
    }

    private static func stat(_ words: [String]) -> RuntimeCommand {
        var scope = RuntimeStat.Scope()
        var rest = words[...]
        var upstream: String?
        if rest.count >= 3 {
            // As HAProxy reads numbers: what is none is 0.
            let types = Int(rest[rest.startIndex + 1]) ?? 0
            let server = Int(rest[rest.startIndex + 2]) ?? 0
            let name = rest.removeFirst()
            if let number = Int(name) {
                // A number is told as a name is, and may be of nobody.
                if number >= 0 { upstream = "#\(number)" }
            } else {
                upstream = name
            }
            scope.types = types < 0 ? 7 : types
            scope.server = server < 0 ? nil : server
            rest = rest.dropFirst(2)
        }
        for word in rest {
            switch word {
            case "no-maint": scope.leavesOutMaint = true
            case "up": scope.leavesOutDown = true
            case "desc", "json", "typed":
                return .answer("Only the form of 'show stat' with commas is known here.\n")
            default: break
            }
        }
        return .showStat(scope, upstream: upstream)
    }

    // MARK: Words

    /// HAProxy's own. Each is a line; the answer's end is another.
    enum Words {
        static let requireServer = "Require 'backend/server'.\n"
        static let requireWeight = "Require <weight> or <weight%>.\n"
        static let noProxy = "No such proxy.\n"
        static let noUpstream = "No such backend.\n"
        static let noPeer = "No such server.\n"
        static let noBackendHere = "Can't find backend.\n"
        static let states = "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"
        static let healths = "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n"
        static let agents = "'set server <srv> agent' expects 'up' or 'down'.\n"
        static let usage =
            "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | "
            + "check-port | fqdn | health | ssl | state | weight\n"
        static let noAgent = "agent checks are not enabled on this server.\n"
        static func tooMany(_ left: Int) -> String {
            "At most \(commandsMax) commands in one line are done, and 64 MiB of answers: the last \(left) "
                + "were not.\n"
        }
        static let weightRange = "Absolute weight can only be between 0 and 256 inclusive.\n"
        static let weightPositive = "Relative weight must be positive.\n"
        static let weightEmpty = "Empty weight string empty or preceded by garbage"
        static let weightGarbage = "Trailing garbage in weight string"

        static func elsewhere(_ what: What) -> String {
            switch what {
            case .health, .agent:
                "Monitors decide about health here: 'set server <b>/<s> state maint' takes a server out.\n"
            case .definition:
                "What a server is stands in the configuration, or is defined through the API.\n"
            }
        }
    }

    private static let list: [(command: String, about: String)] = [
        (
            "disable server (DEPRECATED)",
            "disable a server for maintenance (use 'set server' instead)"
        ),
        ("enable server  (DEPRECATED)", "enable a disabled server (use 'set server' instead)"),
        ("get weight <bk>/<srv>", "report a server's current weight"),
        ("set server <bk>/<srv> [opts]", "change a server's state, weight, address or ssl"),
        (
            "set weight <bk>/<srv>  (DEPRECATED)",
            "change a server's weight (use 'set server' instead)"
        ),
        ("show backend", "list backends in the current running config"),
        ("show cli level", "display the level of the current CLI session"),
        ("show info", "report information about the running process"),
        (
            "show servers state [<backend>]",
            "dump volatile server information (all or for a single backend)"
        ),
        ("show stat [no-maint|up]*", "report counters for each proxy and server"),
        ("show version", "show version of the current process"),
    ]
    private static let always: [(command: String, about: String)] = [
        ("help [<command>]", "list matching or all commands"),
        ("prompt", "toggle interactive mode with prompt"),
        ("quit", "disconnect"),
    ]

    private static func lines(_ commands: [(command: String, about: String)]) -> String {
        (commands + always).map { command, about in
            let space = String(repeating: " ", count: max(0, 40 - command.utf8.count))
            return "  \(command)\(space): \(about)\n"
        }.joined()
    }

    static func listing(_ words: [String]) -> String {
        "The following commands are valid at this level:\n" + lines(matching(words))
    }

    static func refusal(of words: [String]) -> String {
        let near = words.isEmpty ? [] : matching(Array(words.prefix(1)))
        if words.isEmpty {
            return "Unknown command. Please enter one of the following commands only:\n"
                + lines(list)
        }
        return "Unknown command, but maybe one of the following ones is a better match:\n"
            + lines(near)
    }

    private static func matching(_ words: [String]) -> [(command: String, about: String)] {
        list.filter { item in
            let own = item.command.split(separator: " ").map(String.init)
            return own.count >= words.count && zip(words, own).allSatisfy { $1.hasPrefix($0) }
        }
    }
}

/// A weight as HAProxy reads it.
enum RuntimeWeight {
    static let most = 256

    /// `7`, or `50%` of the initial weight.
    static func read(_ text: String, initial: Int) -> Result<Int, RuntimeWeightProblem> {
        let isNegative = text.hasPrefix("-")
        let digits = text.dropFirst(isNegative ? 1 : 0).prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else {
            return .failure(.words(RuntimeCommand.Words.weightEmpty))
        }
        let rest = text.dropFirst(digits.count + (isNegative ? 1 : 0))
        if rest == "%" {
            if isNegative, number > 0 {
                return .failure(.words(RuntimeCommand.Words.weightPositive))
            }
            // Of a large share more than the largest weight is that weight.
            let (product, isTooLarge) = initial.multipliedReportingOverflow(by: number)
            return .success(isTooLarge ? most : min(product / 100, most))
        }
        guard rest.isEmpty else { return .failure(.words(RuntimeCommand.Words.weightGarbage)) }
        if isNegative && number > 0 || number > most {
            return .failure(.words(RuntimeCommand.Words.weightRange))
        }
        return .success(number)
    }
}

enum RuntimeWeightProblem: Error, Equatable { case words(String) }
