// What does a test of the whole product stand on? Three demo servers and a muster that runs
// examples/quickstart.yaml, all on ports that nobody uses.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Vocabulary

/// Servers and a muster, ended with the value.
final class Installation: @unchecked Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    let folder: TemporaryDirectory
    /// The two that share the load, and the spare.
    let servers: [UInt16]
    let proxyPort: UInt16
    let agentPort: UInt16
    let adminPort: UInt16
    private var processes: [UInt16: ChildProcess] = [:]
    private(set) var muster: ChildProcess?

    init() throws {
        folder = try TemporaryDirectory()
        var ports: [UInt16] = []
        while ports.count < 6 {
            let port = try freePort()
            if !ports.contains(port) { ports.append(port) }
        }
        servers = Array(ports[..<3])
        (proxyPort, agentPort, adminPort) = (ports[3], ports[4], ports[5])
    }

    // MARK: The configuration

    /// A file of examples/ as it is.
    static func example(_ name: String) throws -> String {
        let project = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(
            contentsOf: project.appendingPathComponent("examples/\(name)"),
            encoding: .utf8
        )
    }

    /// With our ports instead of its own.
    func withPorts(_ text: String) -> String {
        let ports: [(String, UInt16)] = [
            (":9001", servers[0]), (":9002", servers[1]), (":9003", servers[2]),
            (":8080", proxyPort), (":7070", agentPort), (":7000", adminPort),
        ]
        return ports.reduce(text) { $0.replacing($1.0, with: ":\($1.1)") }
    }

    /// examples/quickstart.yaml with other ports, some words replaced and some sections added.
    func quickstart(
        replacing words: [(String, String)] = [],
        adding sections: String = ""
    ) throws -> String {
        var text = withPorts(try Self.example("quickstart.yaml"))
        for (word, replacement) in words {
            guard text.contains(word) else {
                throw Failure(description: "quickstart.yaml says nothing of '\(word)'")
            }
            text = text.replacing(word, with: replacement)
        }
        return text + sections
    }

    // MARK: Processes

    func startServer(_ index: Int) throws {
        let port = servers[index]
        processes[port] = try Muster.start(["demo-server", "--port", "\(port)"], in: folder)
    }

    /// Kill -9.
    func killServer(_ index: Int) { processes[servers[index]]?.end() }

    /// Starts muster, and waits until it has probed everything.
    func startMuster(_ configuration: String, descriptors: Int? = nil) async throws {
        let file = try folder.write(configuration, to: "muster.yaml")
        let words = ["run", "-c", file]
        let muster =
            if let descriptors {
                try Muster.start(words, descriptors: descriptors, in: folder)
            } else {
                try Muster.start(words, in: folder)
            }
        self.muster = muster
        let isReady = await eventually(within: .seconds(30)) {
            guard muster.isRunning else { return true }
            return (try? await HTTPConnection.get("/ready", port: adminPort))?.status == 200
        }
        guard isReady, muster.isRunning else {
            throw Failure(description: "muster is not ready: \(muster.output)")
        }
    }

    func killMuster() { muster?.end() }

    /// Puts quickstart.yaml with other words in place of what muster runs.
    func reload(replacing words: [(String, String)]) async throws {
        try folder.write(try quickstart(replacing: words), to: "muster.yaml")
        let result = try await command("reload")
        guard result.exitCode == 0 else { throw Failure(description: result.output) }
    }

    /// Three servers and muster in front of them.
    static func start(
        replacing words: [(String, String)] = [],
        adding sections: String = ""
    ) async throws -> Installation {
        let installation = try Installation()
        for index in installation.servers.indices { try installation.startServer(index) }
        let areUp = await eventually(within: .seconds(30)) {
            installation.servers.allSatisfy { HTTPConnection.isAccepted(port: $0) }
        }
        guard areUp else {
            let outputs = installation.processes.map { port, process in
                "\(port) \(process.exitCode.map { "ended with \($0)" } ?? "runs"): \(process.output)"
            }
            throw Failure(description: "the servers do not start: \(outputs)")
        }
        let text = try installation.quickstart(replacing: words, adding: sections)
        try await installation.startMuster(text)
        return installation
    }

    // MARK: Asking

    /// What the admin API says.
    func json(_ path: String = "/v1/upstreams/web") async throws -> JSON {
        let answer = try await HTTPConnection.get(path, port: adminPort)
        return try JSON(parsing: answer.body)
    }

    /// One peer by its place in the configuration.
    func peer(_ index: Int) async throws -> JSON {
        let answer = try await json()
        guard let peer = answer["peers"]?[index] else {
            throw Failure(description: "no peer \(index): \(answer)")
        }
        return peer
    }

    func status(_ index: Int) async throws -> String {
        try await peer(index)["status"]?.string ?? ""
    }

    /// Waits for a status. Every other one seen on the way there is told in order.
    func waits(
        for status: String,
        of index: Int,
        within limit: Duration = .seconds(30)
    ) async throws -> [String] {
        var seen: [String] = []
        let isThere = try await eventually(within: limit) {
            let now = try await self.status(index)
            if seen.last != now { seen.append(now) }
            return now == status
        }
        guard isThere else {
            throw Failure(description: "expected \(status), saw \(seen): \(try await peer(index))")
        }
        return seen
    }

    /// What somebody types, with the address of this muster in the environment.
    func command(_ arguments: String...) async throws -> Muster.Result {
        try await command(arguments: arguments)
    }

    func command(arguments: [String]) async throws -> Muster.Result {
        let process = try Muster.start(
            arguments,
            environment: ["MUSTER_ADMIN": "http://127.0.0.1:\(adminPort)"],
            in: folder
        )
        return try await Muster.finish(process, "muster \(arguments.joined(separator: " "))")
    }

    /// So many requests on one connection to the proxy, counted by server.
    func serve(_ count: Int) async throws -> [String: Int] {
        let port = proxyPort
        return try await blocking {
            let connection = try HTTPConnection(port: port)
            var served: [String: Int] = [:]
            for _ in 0..<count {
                let answer = try connection.get()
                guard answer.status == 200 else {
                    throw Failure(description: "\(answer.head)\(answer.text)")
                }
                served[answer.server, default: 0] += 1
            }
            return served
        }
    }
}
