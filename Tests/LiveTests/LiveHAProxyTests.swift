// Does a real HAProxy with examples/haproxy.cfg do what muster says, and keep to it when muster is
// gone?

import EventLoop
import Foundation
import TestSupport
import Testing

/// examples/haproxy.cfg on other ports, asked over its stats socket.
private final class Balancer: @unchecked Sendable {
    /// One server's row of `show stat`, by HAProxy's own column names.
    typealias Row = [String: String]

    let port: UInt16
    private let folder: TemporaryDirectory
    private let process: ChildProcess

    init(asking installation: Installation) async throws {
        folder = try TemporaryDirectory()
        port = try freePort()
        let text = installation.withPorts(try Installation.example("haproxy.cfg"))
            .replacing("agent-port 7070", with: "agent-port \(installation.agentPort)")
            .replacing(":8090", with: ":\(port)")
            .replacing("\ndefaults\n", with: "\ndefaults\n  timeout check 20s\n")
            .replacing("/tmp/muster-haproxy.sock", with: folder.path("stats.sock"))
        let file = try folder.write(text, to: "haproxy.cfg")
        process = try ChildProcess("haproxy", ["-db", "-f", file], in: folder)
        let isUp = await eventually(within: .seconds(30)) {
            (try? await self.ask("show info")) != nil
        }
        guard isUp else { throw ChildProcess.Failure("haproxy: \(process.output)") }
    }

    func ask(_ command: String) async throws -> String {
        let socket = SocketAddress(.unix(path: folder.path("stats.sock")))
        return try await blocking {
            let connection = try HTTPConnection(socket)
            try connection.send(command + "\n")
            guard let answer = connection.rest() else {
                throw ChildProcess.Failure("haproxy: no answer to '\(command)'")
            }
            return answer
        }
    }

    func row(_ server: String) async throws -> Row {
        let row = StatisticsTable.rows(try await ask("show stat")).first {
            $0["pxname"] == "web" && $0["svname"] == server
        }
        guard let row else { throw ChildProcess.Failure("haproxy knows no server \(server)") }
        return row
    }

    /// `UP`, `DOWN (agent)`, `DRAIN (agent)`, …; where only an agent is asked, up is `no check`.
    func status(_ server: String) async throws -> String {
        let status = try await row(server)["status"] ?? ""
        return status == "no check" ? "UP" : status
    }

    /// What survives in `show servers state`: operational and admin state, and weight, by server.
    func states() async throws -> [String: [String]] {
        let lines = try await ask("show servers state web").split(separator: "\n").map {
            $0.split(separator: " ").map(String.init)
        }
        let names = lines.first { $0.first == "#" }?.dropFirst() ?? []
        let columns = ["srv_op_state", "srv_admin_state", "srv_uweight"].compactMap {
            names.firstIndex(of: $0).map { $0 - 1 }
        }
        let rows = lines.filter { $0.count > 6 && $0[1] == "web" }
        return Dictionary(rows.map { row in (row[3], columns.map { row[$0] }) }) { $1 }
    }

    /// Every question since then was in vain.
    func findsNobody() async throws -> Bool {
        for server in ["s1", "s2", "s3"] {
            let status = try await row(server)["agent_status"] ?? ""
            if !status.hasSuffix("L4CON") { return false }
        }
        return true
    }
}

extension Live {
    @Suite struct LiveHAProxyTests {
        private func pair(slowStart: String = "2s") async throws -> (Installation, Balancer) {
            let installation = try await Installation.start(
                replacing: [("slow-start: 5s", "slow-start: \(slowStart)")]
            )
            let balancer = try await Balancer(asking: installation)
            let isAsked = try await eventually(within: .seconds(30)) {
                for server in ["s1", "s2", "s3"] {
                    let row = try await balancer.row(server)
                    if row["agent_status"]?.hasSuffix("L7OK") != true { return false }
                }
                return true
            }
            #expect(isAsked)
            return (installation, balancer)
        }

        private func waits(
            for status: String,
            of server: String,
            in balancer: Balancer
        ) async throws {
            var seen = ""
            let isThere = try await eventually(within: .seconds(30)) {
                seen = try await balancer.status(server)
                return seen.hasPrefix(status)
            }
            #expect(isThere, "\(server): expected \(status), saw \(seen)")
        }

        /// While a question is under way HAProxy shows nothing of the last answer.
        private func hears(
            _ words: String,
            of server: String,
            in balancer: Balancer
        ) async throws {
            var told: String?
            let isTold = try await eventually(within: .seconds(30)) {
                told = try await balancer.row(server)["last_agt"]
                return told?.contains(words) == true
            }
            #expect(isTold, "\(server): expected \(words), saw \(told ?? "nothing")")
        }

        @Test func `a peer that dies is DOWN with our reason, and UP again with a growing weight`()
            async throws
        {
            // Slow enough to be seen between two looks, and cut short when it has been.
            let (installation, balancer) = try await pair(slowStart: "20s")
            #expect(try await HTTPConnection.get(port: balancer.port).status == 200)
            installation.killServer(1)
            try await waits(for: "DOWN", of: "s2", in: balancer)
            try await hears("L4CON Connection refused (http)", of: "s2", in: balancer)
            #expect(try await balancer.states()["s2"]?.first == "0")
            for _ in 0..<20 {
                let answer = try await HTTPConnection.get(port: balancer.port)
                #expect(answer.server == "\(installation.servers[0])")
            }
            try installation.startServer(1)
            try await waits(for: "UP", of: "s2", in: balancer)
            var weights: [Int] = []
            func weight() async throws -> Int {
                let weight = try await balancer.row("s2")["weight"].flatMap { Int($0) } ?? -1
                if weights.last != weight { weights.append(weight) }
                return weight
            }
            let grows = try await eventually(within: .seconds(60)) {
                try await weight() == 100 || weights.count >= 2
            }
            #expect(grows && weights.count >= 2 && weights.first.map { $0 < 100 } == true)
            try await installation.reload(replacing: [("slow-start: 5s", "slow-start: 1s")])
            let isWhole = try await eventually(within: .seconds(60)) { try await weight() == 100 }
            #expect(isWhole, "\(weights)")
            #expect(weights == weights.sorted(), "\(weights)")
        }

        @Test(arguments: [("drain", "DRAIN"), ("maint", "MAINT")])
        func `what is asked of muster appears in HAProxy and is lifted`(
            mode: String,
            shown: String
        ) async throws {
            let (installation, balancer) = try await pair()
            let peer = "127.0.0.1:\(installation.servers[0])"
            let result = try await installation.command(
                "peer",
                mode,
                "web",
                peer,
                "--reason",
                "deploy"
            )
            #expect(result.exitCode == 0, "\(result.output)")
            try await waits(for: shown, of: "s1", in: balancer)
            try await hears("deploy", of: "s1", in: balancer)
            _ = try await installation.command("peer", "ready", "web", peer)
            try await waits(for: "UP", of: "s1", in: balancer)
        }

        @Test func `a muster that is killed changes nothing, and is believed again afterwards`()
            async throws
        {
            let (installation, balancer) = try await pair()
            let peer = "127.0.0.1:\(installation.servers[0])"
            _ = try await installation.command("peer", "drain", "web", peer)
            installation.killServer(1)
            try await waits(for: "DRAIN", of: "s1", in: balancer)
            try await waits(for: "DOWN", of: "s2", in: balancer)
            let before = try await balancer.states()
            #expect(before.count == 3)
            installation.killMuster()
            #expect(try await eventually(within: .seconds(30)) { try await balancer.findsNobody() })
            #expect(try await balancer.states() == before)
            #expect(
                try await HTTPConnection.get(port: balancer.port).server
                    == "\(installation.servers[2])"
            )
            // Back: what is known at once is said at once.
            try installation.startServer(1)
            let file = installation.folder.path("muster.yaml")
            try await installation.startMuster(try String(contentsOfFile: file, encoding: .utf8))
            try await waits(for: "UP", of: "s2", in: balancer)
        }
    }
}
