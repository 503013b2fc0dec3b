// What does an operator ask of a peer? Take it out of rotation, put it back, change its weight.

import ArgumentParser
import Vocabulary

struct PeerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peer",
        abstract: "Drains a peer, takes it into maintenance, puts it back, or sets its weight.",
        discussion: """
            What is asked for lives in the store: it reaches every agent and proxy, and survives \
            restarts. With --until it ends by itself. MUSTER_TOKEN in the environment is the token \
            that the configuration asks for under admin.
            """,
        subcommands: [
            PeerReadyCommand.self, PeerDrainCommand.self, PeerMaintCommand.self,
            PeerWeightCommand.self,
        ]
    )
}

/// Which peer is meant, and who is asked.
struct PeerOptions: ParsableArguments {
    @Argument(help: "The upstream.")
    var upstream: String

    @Argument(help: "The peer's id: its address unless the configuration names it otherwise.")
    var peer: String

    @OptionGroup var admin: AdminOptions

    /// Sends the change, and shows the peer as it is then.
    func patch(_ members: [JSON.Member]) async throws {
        let path =
            "/v1/upstreams/\(AdminClient.encoded(upstream))/peers/\(AdminClient.encoded(peer))"
        let answer: AdminClient.Answer
        do throws(AdminError) {
            answer = try await admin.client().send("PATCH", path, body: .object(members))
        } catch {
            Console.error("muster: \(error)")
            throw ExitStatus.unknown.code
        }
        guard answer.status == 200, let body = try? JSON(parsing: answer.body) else {
            Console.error("muster: \(AdminClient.problem(in: answer))")
            throw ExitStatus.warning.code
        }
        let weight = body["effective_weight"].map { $0.text } ?? "?"
        var line = "\(upstream)/\(peer) is \(body["status"]?.string ?? "unknown"), weight \(weight)"
        if let reason = body["reason"]?.string, !reason.isEmpty { line += ": \(reason)" }
        Console.line(line)
    }
}

/// Why, and for how long.
struct IntentOptions: ParsableArguments {
    @Option(help: "Why; everyone who looks at the peer reads it.")
    var reason: String?

    @Option(help: ArgumentHelp("Ends by itself after this time.", valueName: "10m"))
    var until: String?

    func members(_ intent: String) -> [JSON.Member] {
        var members: [JSON.Member] = [.init("intent", .string(intent))]
        if let reason { members.append(.init("reason", .string(reason))) }
        if let until { members.append(.init("until", .string(until))) }
        return members
    }
}

struct PeerReadyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ready",
        abstract: "Puts a peer back: checks alone decide again."
    )

    @OptionGroup var peer: PeerOptions
    @OptionGroup var intent: IntentOptions

    func run() async throws { try await peer.patch(intent.members("ready")) }
}

struct PeerDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "No new requests; those under way end."
    )

    @OptionGroup var peer: PeerOptions
    @OptionGroup var intent: IntentOptions

    func run() async throws { try await peer.patch(intent.members("drain")) }
}

struct PeerMaintCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "maint",
        abstract: "Out of service, whatever its checks say."
    )

    @OptionGroup var peer: PeerOptions
    @OptionGroup var intent: IntentOptions

    func run() async throws { try await peer.patch(intent.members("maint")) }
}

struct PeerWeightCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weight",
        abstract: "Replaces the configured weight, or goes back to it."
    )

    @OptionGroup var peer: PeerOptions

    @Argument(help: "0 to 256, or 'default' for the configured weight.")
    var weight: String

    @Option(help: ArgumentHelp("Ends by itself after this time.", valueName: "10m"))
    var until: String?

    func run() async throws {
        var members: [JSON.Member] = []
        if weight == "default" {
            members.append(.init("weight", .null))
        } else if let number = Int64(weight) {
            members.append(.init("weight", .integer(number)))
        } else {
            Console.error("weight: expected 0 to 256 or 'default', saw '\(weight)'")
            throw ExitStatus.warning.code
        }
        if let until { members.append(.init("until", .string(until))) }
        try await peer.patch(members)
    }
}
