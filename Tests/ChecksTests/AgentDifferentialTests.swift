// Do we and a real HAProxy take the same line for the same thing?

import EventLoop
import Foundation
import Glibc
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks

@Suite(.enabled(if: ChildProcess.find("haproxy") != nil, "haproxy is not installed"))
struct AgentDifferentialTests {
    private static let measured = [
        "up", "UP", "MAXCONN:7 Up", "down # backup finished", "down#backup", "failed", "bogus",
        "50", "up;50%", "-5%", "fail", "stopped # x\r", "75%", "0%", "200%", "300%", "weight:50",
        "weight:50%", "drain", "maint", "maint,ready", "ready,maint", "up,down", "down,up",
        "up 50% maxconn:30", "drain,50%", "75%,maxconn:30,maint,down", "bogus up", "up\n50%", "",
        "7.5%", "50% 7.5%", "5%%", "up # down 50% maint", "# down", "99999999999999999999%",
        "maxconn:30 maxconn:x", "ready,drain,ready", "\tup ,, 12% ",
    ]

    private static func generated(_ count: Int) -> [String] {
        var random = Dice(seed: 2_026)
        let words = [
            "up", "down", "Stopped", "fail", "ready", "DRAIN", "maint", "10%", "250%", "0%", "3x%",
            "7", "%", "maxconn:9", "maxconn:12", "maxconn:", "#", "# why", "what", "upp",
            "weight:4",
        ]
        let separators = [" ", ",", "\t", ", ", "#"]
        return (0..<count).map { _ in
            (0..<Int(random.next() % 5) + 1).map { _ in
                words[Int(random.next() % UInt64(words.count))]
                    + separators[Int(random.next() % UInt64(separators.count))]
            }.joined()
        }
    }

    @Test func `every line has the same effect here and there`() async throws {
        let lines = Self.measured + Self.generated(120)
        let agents = try lines.map { try ScriptedServer(.send($0 + "\n"), .close) }
        defer {
            for agent in agents { agent.stop() }
        }
        let haproxy = try await Haproxy(agentPorts: agents.map { $0.port })
        // A row counts once its server has been answered and the line taken, for better or worse.
        var taken: [String: Haproxy.Server] = [:]
        let isThrough = await eventually(within: .seconds(90)) {
            for (name, row) in haproxy.servers() where taken[name] == nil && row.isTaken {
                taken[name] = row
            }
            return taken.count == lines.count
        }
        let left = lines.indices.filter { taken["s\($0)"] == nil }
        let states = haproxy.servers()
        try #require(
            isThrough,
            "\(left.map { "'\(lines[$0])' \(states["s\($0)"]?.agentStatus ?? "")" })"
        )
        let prober = try await Prober()
        for (index, line) in lines.enumerated() {
            let ours = try await prober.probe("haproxy-agent-check", at: agents[index].address)
            let theirs = try #require(taken["s\(index)"])
            let percent = ours.hints.weightPercent
            let words: String
            if ours.hints.admin == .maint {
                words = "MAINT"
            } else if ours.verdict == .fail {
                words = "DOWN"
            } else if ours.hints.admin == .drain {
                words = "DRAIN"
            } else {
                words = "up"
            }
            let status = theirs.status == "no check" || theirs.status == "UP" ? "up" : theirs.status
            #expect(status.hasPrefix(words), "'\(line)': we say \(words), HAProxy \(theirs)")
            // Of a weight of 100; HAProxy's own scale ends at 256. In maintenance it shows the
            // configured weight.
            let weight = words == "MAINT" ? 100 : min(percent ?? 100, 256)
            #expect(theirs.weight == weight, "'\(line)': \(theirs)")
            #expect(theirs.limit == ours.hints.maxConnections, "'\(line)': \(theirs)")
        }
    }
}

/// A real HAProxy that asks agents.
private final class Haproxy: Sendable {
    struct Server {
        var status: String
        var weight: Int
        var limit: Int?
        var agentStatus: String

        /// `CHECKED` where a line says nothing of the state, or nothing that HAProxy knows, and no
        /// word at all for a maxconn without its number. Before the first line it is `INI`, and
        /// after a question that failed something else again.
        var isTaken: Bool { ["L7OK", "L7STS", "CHECKED", ""].contains(agentStatus) }
    }

    private let folder: TemporaryDirectory
    private let process: ChildProcess

    init(agentPorts: [UInt16]) async throws {
        folder = try TemporaryDirectory()
        let servers = agentPorts.enumerated().map { index, port in
            "  server s\(index) 127.0.0.1:9 weight 100 agent-check agent-port \(port) "
                + "agent-inter 1s"
        }
        let file = try folder.write(
            """
            global
              stats socket \(folder.path("stats.sock")) level admin
            defaults
              mode http
              timeout connect 1s
              timeout client 1s
              timeout server 1s
              timeout check 20s
            backend web
              balance roundrobin
            \(servers.joined(separator: "\n"))

            """,
            to: "haproxy.cfg"
        )
        process = try ChildProcess("haproxy", ["-db", "-f", file], in: folder)
        let isUp = await eventually(within: .seconds(30)) { servers.count == self.servers().count }
        guard isUp else { throw ChildProcess.Failure(process.output) }
    }

    deinit { process.end() }

    /// `show stat`, by name.
    func servers() -> [String: Server] {
        var servers: [String: Server] = [:]
        for row in StatisticsTable.rows(ask("show stat\n")) {
            guard let name = row["svname"], name.hasPrefix("s") else { continue }
            servers[name] = Server(
                status: row["status"] ?? "",
                weight: Int(row["weight"] ?? "") ?? -1,
                limit: Int(row["slim"] ?? ""),
                agentStatus: row["agent_status"] ?? ""
            )
        }
        return servers
    }

    private func ask(_ command: String) -> String {
        guard let address = SocketAddress(.unix(path: folder.path("stats.sock"))) else { return "" }
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(raw) }
        guard address.withSockaddr({ connect(raw, $0, $1) }) == 0 else { return "" }
        let bytes = Array(command.utf8)
        guard send(raw, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return "" }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(raw, &buffer, buffer.count, 0)
            if count <= 0 { return String(decoding: answer, as: UTF8.self) }
            answer += buffer[..<count]
        }
    }
}
