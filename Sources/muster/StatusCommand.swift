// How are the servers? What a running muster says of its upstreams and their peers.

import ArgumentParser
import Vocabulary

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows the status of every peer, of one upstream or of one peer.",
        discussion: """
            WEIGHT is what holds now of what is configured: 0/5 takes no new requests. CHECKS is how many of \
            the checks are well; with the name of an upstream each is named, with that of a peer each \
            is explained, and what operators asked for. Ends with the worst of what it shows: 0 up, \
            1 degraded, draining, in maintenance or held as it was (store.mass-change), or an upstream whose settings cost \
            requests in the last minute (a full queue, retry-budget), 2 down, or an upstream has nobody to answer its \
            requests, 3 unknown or muster not reached. Asked for one peer, it ends with what that peer is, \
            whoever answers the requests of its upstream. What else it says, of the store say, does not change that: \
            muster agents ends with 1 then.
            """
    )

    @Argument(help: ArgumentHelp("What to show.", valueName: "upstream[/peer]"))
    var subject: String?

    @Flag(help: "Print the answer as it came, in JSON.")
    var json = false

    @OptionGroup var admin: AdminOptions

    func run() async throws {
        // Only the first slash parts the names: a peer may be called after a socket path.
        let parts = (subject ?? "").split(separator: "/", maxSplits: 1).map(String.init)
        let upstream = parts.first
        let peer = parts.count > 1 ? parts[1] : nil
        let answer: AdminClient.Answer
        do throws(AdminError) {
            let path =
                upstream.map { "/v1/upstreams/\($0.percentEncoded)" } ?? "/v1/upstreams"
            answer = try await admin.client().get(path)
        } catch {
            Console.error("muster: \(error)")
            throw ExitStatus.unknown.code
        }
        guard answer.status == 200, let body = try? JSON(parsing: answer.body) else {
            Console.error("muster: \(AdminClient.problem(in: answer))")
            throw ExitStatus.unknown.code
        }
        // Only a remark: without it the peers are told all the same.
        let readiness = json ? nil : try? await admin.client().get("/ready")
        let report = StatusReport(
            body,
            peer: peer,
            readiness: readiness.flatMap { try? JSON(parsing: $0.body) }
        )
        if report.rows.isEmpty, let peer, let upstream {
            let known = (body["peers"]?.items ?? []).compactMap { $0["id"]?.string }
            Console.error("muster: \(Self.unknown(peer, of: upstream, among: known).printable)")
            throw ExitStatus.unknown.code
        }
        Console.line(json ? report.json(of: body).text : report.text)
        throw report.exitStatus.code
    }

    static func unknown(_ peer: String, of upstream: String, among known: [String]) -> String {
        let text = "upstream '\(upstream)' has no peer '\(peer)'"
        if let near = nearest(to: peer, among: known) { return text + "; did you mean '\(near)'?" }
        if known.isEmpty { return text }
        let names = known.prefix(namesMax).joined(separator: ", ")
        return text + "; expected \(names)"
            + (known.count > namesMax ? " or another of \(known.count)" : "")
    }

    /// So many names are told to whoever named something else.
    private static let namesMax = 8
}
