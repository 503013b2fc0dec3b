// What does an operator ask of a peer? Take it out of rotation, put it back, change its weight.

import ArgumentParser
import Vocabulary

struct PeerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peer",
        abstract:
            "Drains a peer, takes it into maintenance, puts it back, sets its weight, adds or removes it.",
        discussion: """
            What is asked for reaches every agent and proxy of the store. It survives restarts in \
            Redis, or with store.state-file; without either it is in memory only, and the answer \
            says so. With --until it ends by itself. MUSTER_TOKEN in the environment is the token \
            that the configuration asks for under admin. With --if-match the order is taken only \
            if nobody changed the upstream meanwhile, through whichever agent.
            """,
        subcommands: [
            PeerReadyCommand.self, PeerDrainCommand.self, PeerMaintCommand.self,
            PeerWeightCommand.self, PeerAddCommand.self, PeerRemoveCommand.self,
        ]
    )
}

/// Which peer is meant, and who is asked.
struct PeerOptions: ParsableArguments {
    @OptionGroup var admin: AdminOptions

    @Option(
        help: ArgumentHelp(
            "Only if nobody changed the upstream since: its revision, as `muster status --json` has it.",
            valueName: "revision"
        )
    )
    var ifMatch: String?

    func validate() throws {
        guard let ifMatch else { return }
        // An ETag is the same in quotes, which a shell may have left.
        guard UInt64(Self.bare(ifMatch)) != nil else {
            throw ValidationError(
                "--if-match: expected a revision such as 4503599627370496, saw '\(ifMatch.printable)'"
            )
        }
    }

    var revision: String? { ifMatch.map(Self.bare) }

    private static func bare(_ tag: String) -> String {
        tag.count > 2 && tag.hasPrefix("\"") && tag.hasSuffix("\"")
            ? String(tag.dropFirst().dropLast()) : tag
    }

    /// Sends the change, and shows the peer as it is then.
    func patch(_ name: PeerName, _ members: [JSON.Member]) async throws {
        let (upstream, peer) = (name.upstream, name.peer)
        let path =
            "/v1/upstreams/\(upstream.percentEncoded)/peers/\(peer.percentEncoded)"
        let answer: AdminClient.Answer
        do throws(AdminError) {
            answer = try await admin.client().send(
                "PATCH",
                path,
                body: .object(members),
                ifMatch: revision
            )
        } catch {
            Console.error("muster: \(error)")
            throw ExitStatus.unknown.code
        }
        guard answer.status == 200 || answer.status == 202,
            let body = try? JSON(parsing: answer.body)
        else {
            Console.error("muster: \(AdminClient.problem(in: answer))")
            throw ExitStatus.warning.code
        }
        for line in Self.lines(of: body, "\(upstream)/\(peer)") { Console.line(line) }
        if ifMatch != nil, let revision = body["revision"] {
            Console.line("revision of \(upstream) now: \(revision.text)".printable)
        }
        if let note = body["acknowledged_note"]?.string {
            Console.error("muster: \(note.printable)")
        }
    }
}

extension PeerOptions {
    /// The peer as it is after the order, and what the order did to its upstream.
    static func lines(of body: JSON, _ name: String) -> [String] {
        var line = "\(name) is \(body["status"]?.string ?? "unknown"), "
        line += "weight \(StatusReport.weight(of: body))"
        if let reason = body["reason"]?.string, !reason.isEmpty { line += ": \(reason)" }
        var lines = [line]
        if let order = StatusReport.weightOrder(on: body) {
            lines.append("\(order); back with: muster peer weight \(name) default")
        }
        if let warning = body["warning"]?.string { lines.append("warning: \(warning)") }
        return lines.map(\.printable)
    }
}

/// `web 127.0.0.1:9001`, or as log and status print it, `web/127.0.0.1:9001`.
struct PeerName: Equatable {
    var upstream: String
    var peer: String

    static let help: ArgumentHelp = ArgumentHelp(
        "The upstream and the peer's id, which is its address unless the configuration names it "
            + "otherwise: two words, or one with a slash between.",
        valueName: "upstream> <peer"
    )

    init(_ words: [String]) throws {
        // Only the first slash parts the names: a peer may be called after a socket path.
        let parts =
            words.count == 1
            ? words[0].split(separator: "/", maxSplits: 1).map(String.init) : words
        guard parts.count == 2 else {
            let saw = words.isEmpty ? "nothing" : "'\(words.joined(separator: " "))'"
            throw ValidationError("expected UPSTREAM PEER or UPSTREAM/PEER, saw \(saw)")
        }
        (upstream, peer) = (parts[0], parts[1])
    }
}

/// Why, and for how long.
struct IntentOptions: ParsableArguments {
    @Option(help: "Why; everyone who looks at the peer reads it.")
    var reason: String?

    @Option(help: EndTime.help)
    var until: String?

    func members(_ intent: String) throws -> [JSON.Member] {
        var members: [JSON.Member] = [.init("intent", .string(intent))]
        if let reason { members.append(.init("reason", .string(reason))) }
        if let until { members.append(.init("until", .string(try EndTime.text(of: until)))) }
        return members
    }
}

struct PeerReadyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ready",
        abstract: "Puts a peer back: checks alone decide again.",
        discussion: """
            --reason and --until are for a peer that the configuration takes down: elsewhere this \
            lifts what was asked for, and nothing is left that could end. A weight that was set \
            stays: `muster peer weight UPSTREAM/PEER default` goes back.
            """
    )

    @Argument(help: PeerName.help)
    var names: [String] = []

    @OptionGroup var peer: PeerOptions
    @OptionGroup var intent: IntentOptions

    func validate() throws {
        _ = try PeerName(names)
        _ = try intent.members("ready")
    }

    func run() async throws {
        try await peer.patch(try PeerName(names), try intent.members("ready"))
    }
}

struct PeerDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "No new requests; those under way end."
    )

    @Argument(help: PeerName.help)
    var names: [String] = []

    @OptionGroup var peer: PeerOptions
    @OptionGroup var intent: IntentOptions

    func validate() throws {
        _ = try PeerName(names)
        _ = try intent.members("drain")
    }

    func run() async throws {
        try await peer.patch(try PeerName(names), try intent.members("drain"))
    }
}

struct PeerMaintCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "maint",
        abstract: "Out of service, whatever its checks say."
    )

    @Argument(help: PeerName.help)
    var names: [String] = []

    @OptionGroup var peer: PeerOptions
    @OptionGroup var intent: IntentOptions

    func validate() throws {
        _ = try PeerName(names)
        _ = try intent.members("maint")
    }

    func run() async throws {
        try await peer.patch(try PeerName(names), try intent.members("maint"))
    }
}

struct PeerWeightCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weight",
        abstract: "Replaces the configured weight, or goes back to it.",
        discussion: "The weight is 0 to 256, or 'default' for the configured one."
    )

    @Argument(
        help: ArgumentHelp(
            "The peer as one or two words, and its weight.",
            valueName: "upstream> <peer> <weight"
        )
    )
    var words: [String] = []

    @OptionGroup var peer: PeerOptions

    @Option(help: "Why; everyone who looks at the peer reads it.")
    var reason: String?

    @Option(help: EndTime.help)
    var until: String?

    func validate() throws { _ = try order() }

    func run() async throws {
        let (name, members) = try order()
        try await peer.patch(name, members)
    }

    private func order() throws -> (PeerName, [JSON.Member]) {
        let last = words.last ?? ""
        let weight: JSON? = last == "default" ? .null : Int64(last).map { .integer($0) }
        guard let weight, let name = try? PeerName(Array(words.dropLast())) else {
            let saw = words.isEmpty ? "nothing" : "'\(words.joined(separator: " ").printable)'"
            throw ValidationError(
                "expected UPSTREAM PEER WEIGHT or UPSTREAM/PEER WEIGHT, WEIGHT being 0 to 256 or "
                    + "'default', saw \(saw)"
            )
        }
        var members: [JSON.Member] = [.init("weight", weight)]
        if let reason { members.append(.init("reason", .string(reason))) }
        if let until { members.append(.init("until", .string(try EndTime.text(of: until)))) }
        return (name, members)
    }
}

struct PeerAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Adds a peer to an upstream, until it is removed again.",
        discussion: """
            It is probed and routed to at once, by every agent of the store, and is there after a restart. \
            What the configuration file defines stays in the file; `muster diff` shows what is beside it.
            """
    )

    @Argument(help: "The upstream.")
    var upstream: String

    @Argument(help: "host:port, [v6]:port or unix:/path.")
    var address: String

    @OptionGroup var peer: PeerOptions

    @Option(help: "Its name; its address where there is none.")
    var id: String?

    @Option(help: "1 to 256.")
    var weight: Int?

    @Option(help: "Where it stands.")
    var zone: String?

    @Flag(help: "Gets requests only when all others are down.")
    var backup = false

    func run() async throws {
        var members: [JSON.Member] = [.init("address", .string(address))]
        if let id { members.append(.init("id", .string(id))) }
        if let weight { members.append(.init("weight", .integer(Int64(weight)))) }
        if let zone { members.append(.init("zone", .string(zone))) }
        if backup { members.append(.init("backup", .bool(true))) }
        let answer = try await DefinitionAnswer.of(
            "POST",
            "/v1/upstreams/\(upstream.percentEncoded)/peers",
            .object(members),
            peer.admin,
            revision: peer.revision
        )
        let name = "\(upstream)/\(id ?? answer.body["peer"]?.string ?? address)"
        Console.line(
            answer.body["outcome"] == "same"
                ? "\(name) was there already, and as asked for" : "\(name) is added"
        )
    }
}

struct PeerRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Takes away a peer that was added.",
        discussion: """
            Requests under way end. A peer of the configuration file is taken away there; `muster peer maint` \
            takes it out of service until then.
            """
    )

    @Argument(help: PeerName.help)
    var names: [String] = []

    @OptionGroup var peer: PeerOptions

    func validate() throws { _ = try PeerName(names) }

    func run() async throws {
        let name = try PeerName(names)
        let answer = try await DefinitionAnswer.of(
            "DELETE",
            "/v1/upstreams/\(name.upstream.percentEncoded)/peers/\(name.peer.percentEncoded)",
            nil,
            peer.admin,
            revision: peer.revision
        )
        let peer = "\(name.upstream)/\(name.peer)"
        Console.line(
            answer.body["in_file"]?.bool == true
                ? "\(peer) is again as the configuration file has it, and goes on"
                : "\(peer) is removed"
        )
    }
}
