// Who shares the probing, and why is a peer as it is? What somebody types who has been woken.

import ArgumentParser
import Vocabulary

struct AgentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agents",
        abstract: "Shows the agents that share the probing.",
        discussion: """
            PAIRS are the (monitor, peer) pairs that an agent probes, LATE is how late its probes began within \
            the last minute (p99), SEEN its last beat by the clock of the store. Ends with 0; with 1 where an agent doubts itself, has \
            fallen silent, is of an older version or holds peers as they were (store.mass-change), where the store does not answer or takes \
            no writes, store.lease or store.settle is not the same at all, or the process that was asked is the second one with its id; with 3 \
            where muster is not reached.
            """
    )

    @Flag(help: "Print the answer as it came, in JSON.")
    var json = false

    @OptionGroup var admin: AdminOptions

    func run() async throws {
        let body = try await admin.answer("/v1/agents")
        let report = AgentsReport(body)
        Console.line(json ? body.text : report.text)
        throw report.exitStatus.code
    }
}

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract:
            "Says why a peer is as it is: who probes it, each layer of its status, what would change it.",
        discussion: "Ends with 0, or with 3 where there is no such peer or muster is not reached."
    )

    @Argument(help: PeerName.help)
    var names: [String] = []

    @Flag(help: "Print the answer as it came, in JSON.")
    var json = false

    @OptionGroup var admin: AdminOptions

    func validate() throws { _ = try PeerName(names) }

    func run() async throws {
        let name = try PeerName(names)
        let upstream = name.upstream.percentEncoded
        let peer = name.peer.percentEncoded
        let body = try await admin.answer("/v1/upstreams/\(upstream)/peers/\(peer)/explain")
        Console.line(json ? body.text : ExplainReport(body).text)
    }
}

extension AdminOptions {
    /// What a running muster answers; ends the command where it does not, or says no.
    func answer(_ path: String) async throws -> JSON {
        let answer: AdminClient.Answer
        do throws(AdminError) {
            answer = try await client().get(path)
        } catch {
            Console.error("muster: \(error)")
            throw ExitStatus.unknown.code
        }
        guard answer.status == 200, let body = try? JSON(parsing: answer.body) else {
            Console.error("muster: \(AdminClient.problem(in: answer))")
            throw ExitStatus.unknown.code
        }
        return body
    }
}

/// `/v1/agents` as a table.
struct AgentsReport {
    private let agents: [JSON]
    private let isComplete: Bool
    /// Nobody's beat has been written since then.
    private let heardUntil: String?
    private let writeError: String?
    /// The process that answered is not the one that its line tells of.
    private let twin: String?
    /// It waits for the lease of a life before.
    private let waits: String?
    /// Why it takes no part, though the store takes writes.
    private let fleetError: String?

    init(_ body: JSON) {
        agents = body["agents"]?.items ?? []
        isComplete = body["complete"]?.bool ?? true
        heardUntil = body["heard_until"]?.string
        writeError = body["write_error"]?.string
        twin = body["twin"]?.string
        waits = body["waits"]?.string
        fleetError = body["fleet_error"]?.string
    }

    /// The settings that are to be the same at all agents, where they are not: who has which.
    private var differences: [String] {
        [("lease_ms", "store.lease"), ("settle_ms", "store.settle")].compactMap { name, setting in
            var ids: [Int: [String]] = [:]
            for agent in agents where ["member", "joining"].contains(agent["state"]?.string ?? "") {
                guard let span = agent[name]?.int else { continue }
                ids[span, default: []].append((agent["id"]?.string ?? "").printable)
            }
            guard ids.count > 1 else { return nil }
            let words = ids.sorted { $0.key < $1.key }.map { span, ids in
                "\(Nanoseconds.milliseconds(Int64(clamping: span))) at \(ids.joined(separator: ", "))"
            }
            return
                "\(setting) differs: \(words.joined(separator: "; ")). It is to be the same at all: each call to "
                + "the store goes by that of its caller"
        }
    }

    var exitStatus: ExitStatus {
        let isWarned = agents.contains {
            ($0["doubt"]?.double ?? 0) >= 0.5 || $0["state"] == "silent" || $0["state"] == "older"
                || $0["held"]?["pairs"] != nil
        }
        let isOdd =
            heardUntil != nil || writeError != nil || twin != nil || fleetError != nil
            || !differences.isEmpty
        return isWarned || isOdd || !isComplete ? .warning : .fine
    }

    var text: String {
        let head = [
            "AGENT", "STATE", "PAIRS", "SHARE", "LATE", "DOUBT", "SEEN", "VERSION", "ZONE",
        ]
        var lines = Table.lines([head] + agents.map(row))
        if !isComplete {
            lines.append("the store does not answer: others may be there, each with what it had")
        }
        if let heardUntil {
            let takesNone = writeError.map { "the store takes no writes: \($0.printable); " }
            let why = takesNone ?? (fleetError == nil ? "the store takes no writes; " : "")
            lines.append(
                "\(why)no beat has been written since \(heardUntil.printable), so nobody "
                    + "can be heard: what is said of others is as of then, and each goes on with what it had"
            )
        }
        if heardUntil == nil, let writeError {
            lines.append("the store does not take all writes: \(writeError.printable)")
        }
        if let twin { lines.append("the process that was asked takes no part: \(twin.printable)") }
        if let fleetError {
            lines.append("the process that was asked takes no part: \(fleetError.printable)")
        }
        if let waits {
            lines.append("the process that was asked takes no part yet: \(waits.printable)")
        }
        lines += differences
        for agent in agents {
            let (id, seen) = (
                (agent["id"]?.string ?? "").printable, (agent["seen"]?.string ?? "?").printable
            )
            switch agent["state"]?.string {
            case "silent":
                lines.append(
                    "\(id) is silent since \(seen) without having said that it would stop: others probe what it had"
                )
            case "older":
                lines.append(
                    "\(id) writes verdicts and takes no part, the last at \(seen): an older muster, or another "
                        + "program; upgrade it, or stop it"
                )
            case "left":
                lines.append("\(id) left at \(seen): it was stopped, and handed over what it had")
            default: break
            }
            if let held = agent["held"], let pairs = held["pairs"]?.int {
                lines.append(
                    "\(id) holds \(pairs) "
                        + "pair\(pairs == 1 ? "" : "s") as \(pairs == 1 ? "it was" : "they were") since "
                        + "\((held["since"]?.string ?? "?").printable): too many fell silent at once "
                        + "(store.mass-change)"
                )
            }
            let reasons = (agent["reasons"]?.items ?? []).compactMap { $0.string }
            if reasons.isEmpty { continue }
            let since = agent["doubt_since"]?.string.map { " since \($0.printable)" } ?? ""
            lines.append(
                "\(id) doubts itself\(since): \(reasons.joined(separator: ", ").printable)"
            )
        }
        return lines.joined(separator: "\n")
    }

    private func row(_ agent: JSON) -> [String] {
        func text(_ name: String) -> String { (agent[name]?.string ?? "-").printable }
        let share = (agent["share"]?.double ?? 0) * 100
        let doubt = agent["doubt"]?.double ?? 0
        return [
            text("id"), text("state"), "\(agent["pairs"]?.int ?? 0)",
            "\((share * 10).rounded() / 10)%", "\(agent["lateness_ms"]?.int ?? 0)ms",
            doubt == 0 ? "-" : "\(doubt)", text("seen"), text("version"), text("zone"),
        ]
    }
}

/// `…/explain` for people.
struct ExplainReport {
    private let body: JSON

    init(_ body: JSON) { self.body = body }

    private func word(_ name: String, in json: JSON) -> String {
        (json[name]?.string ?? "").printable
    }

    var text: String {
        let name = "\(word("upstream", in: body))/\(word("peer", in: body))"
        var lines = [
            "\(name) is \(word("status", in: body).uppercased()) since \(word("since", in: body))"
        ]
        let reason = word("reason", in: body)
        if !reason.isEmpty { lines.append("  \(reason)") }
        if let source = body["source"]?.string, source != "file" {
            lines.append(
                "  it is defined by \(source == "api" ? "the API" : source.printable), not by the file"
            )
        }
        if let since = body["as_of"]?.string {
            lines.append(
                "  the store is away, or takes no writes: what other agents found, and who holds what, is known up to "
                    + since.printable
            )
        }
        lines +=
            probing
            + section("layers", "What each layer says") { layer in
                "\(word("layer", in: layer)): \(word("says", in: layer)) (\(word("reason", in: layer)))"
            }
        lines += section("votes", "What agents say that were asked, or that see it otherwise") {
            vote in
            let status = vote["status"]?.string ?? "no answer yet"
            let reason = vote["reason"]?.string.map { " (\($0.printable))" } ?? ""
            let at = vote["at"]?.string.map { ", at \($0.printable)" } ?? ""
            return "\(word("agent", in: vote)): \(status.printable)\(reason)\(at)"
        }
        lines += section("would_change", "What would change it") { ($0.string ?? "").printable }
        lines += section("transitions", "What happened, the latest first") { event in
            let reason = word("reason", in: event)
            return
                "\(word("time", in: event)) \(word("from", in: event)) -> \(word("to", in: event))"
                + (reason.isEmpty ? "" : ": \(reason)")
        }
        return lines.joined(separator: "\n")
    }

    private var probing: [String] {
        var lines = ["", "Who probes it"]
        for check in body["checks"]?.items ?? [] {
            var line = "  \(word("monitor", in: check)): \(word("why", in: check))"
            if let next = check["next_probe_at"]?.string {
                line += "; next probe at \(next.printable)"
            }
            lines.append(line)
            let rank = (check["rank"]?.items ?? []).compactMap { $0.string?.printable }
            if rank.count > 1 { lines.append("    in rank: " + rank.joined(separator: ", ")) }
            let observers = (check["observers"]?.items ?? []).compactMap { $0.string?.printable }
            if !observers.isEmpty {
                lines.append("    probed beside it by: " + observers.joined(separator: ", "))
            }
        }
        return lines
    }

    private func section(
        _ name: String,
        _ title: String,
        _ line: (JSON) -> String
    ) -> [String] {
        let items = body[name]?.items ?? []
        return items.isEmpty ? [] : ["", title] + items.map { "  " + line($0) }
    }
}
