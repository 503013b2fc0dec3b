// What does a test of a fleet stand on? Targets that note who probes them, and agents that share a Redis.

import EventLoop
import Foundation
import Glibc
import Synchronization
import TestSupport
import Vocabulary

/// Servers that answer each agent as the test says, and note who asks. Each on a host of its own.
final class WatchedTargets: @unchecked Sendable {
    struct Visit: Equatable {
        var target: Int
        var agent: String
    }

    let addresses: [String]
    private let sockets: [Int32]
    private let lock = NSLock()
    private var visits: [Visit] = []
    /// Which say to whom that they fail.
    private var failing: [String: Set<Int>] = [:]

    init(_ count: Int) throws {
        var (addresses, sockets): ([String], [Int32]) = ([], [])
        for number in 0..<count {
            let (address, raw) = try withFreshPort { port throws(SystemError) in
                let host = "127.0.0.\(2 + number % 8)"
                guard let place = SocketAddress(ip: host, port: port) else {
                    throw SystemError("bind \(host)", code: EINVAL)
                }
                return ("\(host):\(port)", try Socket.listen(place).take())
            }
            addresses.append(address)
            // Its thread waits for each.
            _ = fcntl(raw, F_SETFL, fcntl(raw, F_GETFL) & ~O_NONBLOCK)
            sockets.append(raw)
        }
        self.addresses = addresses
        self.sockets = sockets
        for (number, raw) in sockets.enumerated() {
            Thread.detachNewThread { [weak self] in
                while true {
                    let connection = accept(raw, nil, nil)
                    guard connection >= 0 else { return }
                    guard let self else {
                        close(connection)
                        return
                    }
                    // One that stands still before it has asked keeps nobody else waiting.
                    Thread.detachNewThread { self.serve(connection, number) }
                }
            }
        }
    }

    deinit {
        for raw in sockets {
            shutdown(raw, Int32(SHUT_RDWR))
            close(raw)
        }
    }

    private func serve(_ connection: Int32, _ target: Int) {
        var head = ""
        var bytes = [UInt8](repeating: 0, count: 2_048)
        while !head.contains("\r\n\r\n") {
            let count = read(connection, &bytes, bytes.count)
            if count <= 0 { break }
            head += String(decoding: bytes[..<count], as: UTF8.self)
        }
        let agent =
            head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("x-agent:") }
            .map { $0.dropFirst("x-agent:".count).trimmingCharacters(in: .whitespaces) } ?? ""
        let isFailing = lock.withLock {
            visits.append(Visit(target: target, agent: agent))
            return failing[agent]?.contains(target) == true
        }
        let status = isFailing ? "500 No" : "200 OK"
        let answer = "HTTP/1.1 \(status)\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        _ = answer.withCString { send(connection, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
        close(connection)
    }

    /// From now on these targets tell this agent that they fail.
    func fail(for agent: String, _ targets: Set<Int>) {
        lock.withLock { failing[agent] = targets }
    }

    func forgetVisits() { lock.withLock { visits = [] } }

    /// By each target's last so many visits: who probes it.
    func probers(last count: Int = 3) -> [Set<String>] {
        let visits = lock.withLock { self.visits }
        return addresses.indices.map { target in
            Set(visits.filter { $0.target == target }.suffix(count).map(\.agent))
        }
    }

    /// Each target has been visited so often, and by nobody else than these; nobody has two of them.
    func areShared(among agents: Set<String>, visits count: Int = 3) -> Bool {
        let visits = lock.withLock { self.visits }
        let each = addresses.indices.map { target in
            visits.filter { $0.target == target }.suffix(count).map(\.agent)
        }
        return each.allSatisfy { $0.count == count && Set($0).count == 1 }
            && Set(each.joined()) == agents
    }
}

/// Agents with one Redis. Everything ends with the value.
final class LiveFleet: @unchecked Sendable {
    let folder: TemporaryDirectory
    let redis: LiveRedis
    let targets: WatchedTargets
    private var ports: [String: UInt16] = [:]
    private(set) var agents: [String: ChildProcess] = [:]

    init(targets count: Int) throws {
        folder = try TemporaryDirectory()
        redis = try LiveRedis(in: folder)
        targets = try WatchedTargets(count)
    }

    /// Redis and three agents, who share the probing, each what it ranks first for.
    static func start(monitor: String = "") async throws -> LiveFleet {
        let fleet = try LiveFleet(targets: 12)
        try await fleet.redis.start()
        for id in ["a1", "a2", "a3"] { try fleet.start(id, monitor: monitor) }
        let isShared = await eventually(within: .seconds(60)) {
            guard fleet.targets.areShared(among: ["a1", "a2", "a3"]) else { return false }
            return await fleet.isSettled
        }
        guard isShared else {
            throw ChildProcess.Failure(
                "expected three to share, saw \(fleet.targets.probers()): \(fleet.output)"
            )
        }
        return fleet
    }

    func start(_ id: String, monitor: String = "") throws {
        let file = try write(id, monitor: monitor)
        agents[id] = try Muster.start(["run", "-c", file], in: folder)
    }

    /// The file of an agent, which has all targets but these.
    @discardableResult
    func write(
        _ id: String,
        monitor: String = "",
        without left: Set<Int> = []
    ) throws -> String {
        let port = try ports[id] ?? freePort()
        ports[id] = port
        // Who gets what follows from names, which ports are not.
        let peers = targets.addresses.enumerated().filter { !left.contains($0.offset) }
            .map { "      - { id: p\($0.offset), address: \"\($0.element)\" }\n" }.joined()
        return try folder.write(
            """
            agent: { id: \(id) }
            store:
              url: redis://127.0.0.1:\(redis.port)/0
              settle: 500ms
            admin: { bind: 127.0.0.1:\(port) }
            upstreams:
              web:
                peers:
            \(peers)
                monitors:
                  - http: { interval: 200ms, timeout: 200ms, headers: { X-Agent: \(id) }\(monitor) }

            """,
            to: "\(id).yaml"
        )
    }

    /// Nothing is about to change hands: whoever ranks first for a target has it, and has been seen there.
    /// Each has some sooner, while the last that came still waits to be handed the rest.
    private var isSettled: Bool {
        get async {
            for (number, probers) in targets.probers().enumerated() {
                for id in agents.keys {
                    let peer = try? await json("/v1/peers/web/p\(number)/explain", of: id)
                    guard let peer, let rank = peer["rank"]?.items, rank.count == agents.count,
                        let first = rank[0].string, peer["owner"]?.string == first,
                        probers == [first]
                    else { return false }
                }
            }
            return true
        }
    }

    var output: String { agents.values.map(\.output).joined(separator: "\n") }

    func json(_ path: String, of id: String) async throws -> JSON {
        try JSON(parsing: try await HTTPConnection.get(path, port: ports[id] ?? 0).body)
    }

    /// Of each peer, as this agent tells it.
    func statuses(of id: String) async throws -> [String] {
        try await json("/v1/upstreams/web", of: id)["peers"]?.items?
            .compactMap { $0["status"]?.string } ?? []
    }

    /// Lines of all agents that say that a peer went down.
    var falls: [String] {
        output.split(separator: "\n").map(String.init).filter { $0.contains(" is DOWN") }
    }

    /// Who is asked for what about Redis, as docs/FLEET.md shows it.
    func claims() async throws -> [String: String] {
        let lines = try await redis.ask("HGETALL", "muster:claims")
        var claims: [String: String] = [:]
        for place in stride(from: 0, to: lines.count - 1, by: 2) {
            claims[lines[place]] = lines[place + 1].split(separator: " ").last.map(String.init)
        }
        return claims
    }
}
