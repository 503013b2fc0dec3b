// How does a test see what a real HAProxy believes? It starts one, and asks it over its stats socket.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Vocabulary

/// A running haproxy, ended with the value.
final class HAProxy: @unchecked Sendable {
    static let isInstalled = ChildProcess.find("haproxy") != nil

    private let folder: TemporaryDirectory
    private let process: ChildProcess
    private let socketPath: String

    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// One server's row, by HAProxy's own column names.
    struct Server {
        var values: [String: String]

        subscript(name: String) -> String { values[name] ?? "" }

        /// `UP`, `DOWN (agent)`, `MAINT`, `DRAIN (agent)`, …
        var status: String { self["status"] }
        /// HAProxy shows `no check` where only an agent is asked and all is well.
        var isUp: Bool { status.hasPrefix("UP") || status == "no check" }
        /// How the last question ended; a star tells that another one is on its way.
        var agentStatus: String { String(self["agent_status"].trimmingPrefix("* ")) }
        var weight: String { self["weight"] }
        var lastAgent: String { self["last_agt"] }
    }

    /// `configuration` says `SOCKET` where its stats socket belongs.
    init(_ configuration: String) async throws {
        folder = try TemporaryDirectory()
        socketPath = folder.path("haproxy.sock")
        let text = configuration.replacing("SOCKET", with: socketPath)
        let file = try folder.write(text + "\n", to: "haproxy.cfg")
        process = try ChildProcess("haproxy", ["-db", "-f", file], in: folder)
        let isUp = await eventually(within: .seconds(30)) {
            (try? self.command("show info")) != nil || !self.isRunning
        }
        guard isUp, isRunning else {
            throw Failure(description: "haproxy did not start: \(process.output)\n\(text)")
        }
    }

    var isRunning: Bool { process.isRunning }
    var output: String { process.output }

    func command(_ text: String) throws -> String {
        guard let address = SocketAddress(.unix(path: socketPath)) else {
            throw Failure(description: "expected a short socket path, saw \(socketPath)")
        }
        let client = try Client(to: address)
        client.send(text + "\n")
        guard let answer = client.readAll() else {
            throw Failure(description: "no answer to '\(text)'")
        }
        return answer
    }

    /// `show stat` of one backend's servers, by name.
    func servers(of backend: String = "web") throws -> [String: Server] {
        var servers: [String: Server] = [:]
        for row in StatisticsTable.rows(try command("show stat")) {
            guard row["pxname"] == backend, let name = row["svname"], name != "BACKEND" else {
                continue
            }
            servers[name] = Server(values: row)
        }
        return servers
    }

    func server(_ name: String = "s1") throws -> Server {
        guard let server = try servers()[name] else {
            throw Failure(description: "no server \(name)")
        }
        return server
    }

    /// Of `show servers state`: what survives, and what the operator set.
    func state(_ name: String = "s1", _ column: String) throws -> String {
        let lines = try command("show servers state web").split(separator: "\n").map(String.init)
        let header = lines.first { $0.hasPrefix("# ") }.map {
            $0.dropFirst(2).split(separator: " ")
        }
        let row = lines.map { $0.split(separator: " ") }.first { $0.count > 4 && $0[3] == name }
        guard let index = header?.firstIndex(of: Substring(column)), let row, index < row.count
        else { throw Failure(description: "no \(column) of \(name) in \(lines)") }
        return String(row[index])
    }
}
