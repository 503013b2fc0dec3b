// Which host and path lead where, and how is that changed while muster runs? Routes of the file are shown,
// and those of the API made and taken away.

import ArgumentParser
import Vocabulary

struct RouteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route",
        abstract: "Lists routes, makes one or takes one away.",
        subcommands: [RouteListCommand.self, RouteSetCommand.self, RouteRemoveCommand.self]
    )
}

struct RouteListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Every route, in the order in which two that fit are tried."
    )

    @OptionGroup var admin: AdminOptions

    @Flag(help: "As JSON.")
    var json = false

    func run() async throws {
        let answer = try await DefinitionAnswer.of("GET", "/v1/routes", nil, admin)
        if json {
            Console.line(answer.body.text)
            return
        }
        for line in Self.lines(answer.body) { Console.line(line) }
    }

    static func lines(_ body: JSON) -> [String] {
        let sources = (body["sources"]?.items ?? []).map(line(ofSource:))
        let routes = body["routes"]?.items ?? []
        if routes.isEmpty { return sources.isEmpty ? ["no routes"] : sources }
        var rows = [["ROUTE", "LISTENER", "HOST", "PATH", "FROM", "UPSTREAM"]]
        for route in routes {
            var upstream = route["upstream"]?.string ?? ""
            if let problem = route["problem"]?.string { upstream += " (\(problem))" }
            rows.append([
                route["id"]?.string ?? "-", route["listener"]?.string ?? "every",
                route["host"]?.string ?? "", route["path"]?.string ?? "",
                route["source"]?.string ?? "", upstream,
            ])
        }
        return Table.lines(rows).map(\.printable) + sources
    }

    /// What another system routes is not listed: it may be a hundred thousand hosts.
    private static func line(ofSource source: JSON) -> String {
        let count = source["hosts"]?.int ?? 0
        let url = source["url"]?.string ?? ""
        let name = source["name"]?.string ?? "a source"
        var text = "after these, \(count) host\(count == 1 ? "" : "s") of \(name) at \(url)"
        // How the other system's own tools ask for one.
        switch source["kind"]?.string {
        case "hipache": text += ": LRANGE frontend:HOST 0 -1 there tells of one"
        case "redis-keys":
            text += ", of those that were asked for lately: GET PREFIX+HOST there tells of one"
        default: break
        }
        if source["connected"]?.bool == false { text += " (it is away; what was read last holds)" }
        return text.printable
    }
}

struct RouteSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Makes a route, or changes the one of this name.",
        discussion: """
            It goes before a route of the configuration file for the same host and path, reaches every agent \
            of the store, and is there after a restart.
            """
    )

    @Argument(help: "The route's name.")
    var id: String

    @Argument(help: "The upstream it leads to.")
    var upstream: String

    @Option(help: "www.example.com, *.example.com or * (the default).")
    var host: String?

    @Option(help: "A path prefix; / is the default.")
    var path: String?

    @Flag(help: "Takes the prefix off before forwarding.")
    var stripPrefix = false

    @Option(help: "The address of one listener; every HTTP listener has it otherwise.")
    var listener: String?

    @OptionGroup var admin: AdminOptions

    func run() async throws {
        var members: [JSON.Member] = [.init("upstream", .string(upstream))]
        if let host { members.append(.init("host", .string(host))) }
        if let path { members.append(.init("path", .string(path))) }
        if stripPrefix { members.append(.init("strip-prefix", .bool(true))) }
        if let listener { members.append(.init("listener", .string(listener))) }
        let answer = try await DefinitionAnswer.of(
            "PUT",
            "/v1/routes/\(id.percentEncoded)",
            .object(members),
            admin
        )
        let words = ["made": "is made", "changed": "is changed"]
        let outcome = answer.body["outcome"]?.string ?? ""
        Console.line("route \(id) \(words[outcome] ?? "was there already, and as asked for")")
    }
}

struct RouteRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Takes away a route that was made here."
    )

    @Argument(help: "The route's name.")
    var id: String

    @OptionGroup var admin: AdminOptions

    func run() async throws {
        _ = try await DefinitionAnswer.of("DELETE", "/v1/routes/\(id.percentEncoded)", nil, admin)
        Console.line("route \(id) is removed")
    }
}

/// What muster says to something that it was asked to define.
struct DefinitionAnswer {
    var status: Int
    var body: JSON

    /// Ends the command where the answer is no, with muster's words.
    static func of(
        _ method: String,
        _ path: String,
        _ body: JSON?,
        _ admin: AdminOptions,
        revision: String? = nil
    ) async throws -> DefinitionAnswer {
        let answer: AdminClient.Answer
        do throws(AdminError) {
            answer = try await admin.client().send(method, path, body: body, ifMatch: revision)
        } catch {
            Console.error("muster: \(error)")
            throw ExitStatus.unknown.code
        }
        guard (200..<300).contains(answer.status), let said = try? JSON(parsing: answer.body) else {
            Console.error("muster: \(AdminClient.problem(in: answer))")
            throw ExitStatus.warning.code
        }
        if let note = said["acknowledged_note"]?.string {
            Console.error("muster: \(note.printable)")
        }
        return DefinitionAnswer(status: answer.status, body: said)
    }
}
