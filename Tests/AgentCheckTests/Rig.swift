// What do these tests stand on? A loop on a thread of its own with a board and an endpoint, a client
// that is allowed to block, and verdicts made by hand.

import AgentCheck
import EventLoop
import Foundation
import Glibc
import Health
import Store
import Synchronization
import TestSupport
import Vocabulary

let upstreamName = "web"

/// A board with its endpoint. Everything of them happens on their loop.
final class Rig: @unchecked Sendable {
    let loop: EventLoop
    private var board: Board
    private var endpoint: AgentEndpoint?
    private var sequence: UInt64 = 0
    private(set) var addresses: [SocketAddress] = []
    private var started: (bind: Address?, ports: [AgentEndpoint.PeerPort])?
    private var policy: AgentCheckPolicy
    private let memoryPath: String?
    private let connectionLimit: Int
    private let journal: Journal

    /// Time of a virtual rig stands still but for `pass`; clients come and go all the same.
    init(
        peers: [PeerDefinition],
        slowStart: Nanoseconds = .zero,
        policy: AgentCheckPolicy = AgentCheckPolicy(),
        memoryPath: String? = nil,
        connectionLimit: Int = AgentEndpoint.connectionsMax,
        journal: Journal = .silent,
        isVirtual: Bool = false
    ) async throws {
        self.connectionLimit = connectionLimit
        self.journal = journal
        loop =
            isVirtual
            ? try EventLoop.spawn(virtual: "agent-check")
            : try EventLoop.spawn(name: "agent-check")
        board = Board(loop: loop)
        self.policy = policy
        self.memoryPath = memoryPath
        await define(peers, slowStart: slowStart)
        await storeIs(connected: true)
    }

    deinit {
        let (loop, board, endpoint) = (
            loop, LoopBound(board, on: loop), LoopBound(endpoint, on: loop)
        )
        loop.execute {
            endpoint.value?.close()
            board.value.close()
            loop.stop()
        }
    }

    func on<Answer: Sendable>(
        _ body: @escaping @Sendable (Rig) -> Answer
    ) async -> Answer {
        await LoopBound(self, on: loop).call { body($0) }
    }

    // MARK: The board

    func define(_ peers: [PeerDefinition], slowStart: Nanoseconds = .zero) async {
        await on { rig in
            rig.board.define(
                [UpstreamDefinition(name: upstreamName, peers: peers, slowStart: slowStart)],
                monitors: [Self.monitor]
            )
        }
    }

    /// Lets time pass in a virtual rig: everything that is due in it happens.
    func pass(_ span: Nanoseconds) async {
        await Task(executorPreference: loop) { [loop] in await loop.advance(by: span) }.value
    }

    static let monitor = MonitorSummary(
        upstream: upstreamName,
        id: "http",
        kind: "http",
        isRequired: true,
        rise: 2,
        fall: 2,
        interval: .seconds(1)
    )

    func say(
        _ status: HealthCounter.Status,
        of peer: String,
        message: String = "",
        hints: Hints = Hints(),
        lasting: Nanoseconds = .seconds(600)
    ) async {
        await on { rig in
            rig.sequence += 1
            let now = rig.loop.wall
            rig.board.apply(
                verdict(
                    status,
                    of: peer,
                    message: message,
                    hints: hints,
                    at: now,
                    expiresAt: now + lasting,
                    sequence: rig.sequence
                )
            )
        }
    }

    func ask(_ mode: Intent.Mode?, of peer: String, reason: String = "", weight: Int? = nil) async {
        await on { rig in
            let intent = mode.map {
                Intent(mode: $0, reason: reason, weight: weight)
            }
            rig.board.set(intent: intent, for: PeerKey(upstream: upstreamName, peer: peer))
        }
    }

    func storeIs(connected: Bool) async {
        await on { rig in
            rig.board.storeStatusChanged(
                StoreStatus(kind: "test", isConnected: connected, since: rig.loop.wall)
            )
        }
    }

    // MARK: The endpoint

    /// A restart comes back to the same ports, as a process would. Hence none that the kernel gives
    /// to somebody else meanwhile.
    func start(shared: Bool = true, peerPorts: [String] = []) async throws {
        let bind = shared ? Address.host("127.0.0.1", port: try freePort()) : nil
        let ports = try peerPorts.map {
            AgentEndpoint.PeerPort(
                bind: .host("127.0.0.1", port: try freePort()),
                peer: PeerKey(upstream: upstreamName, peer: $0)
            )
        }
        try await start(bind: bind, ports: ports)
    }

    func start(bind: Address?, ports: [AgentEndpoint.PeerPort]) async throws {
        let result = await on { rig -> Result<[SocketAddress], SystemError> in
            let endpoint = AgentEndpoint(
                loop: rig.loop,
                board: rig.board,
                bind: bind,
                ports: ports,
                policy: rig.policy,
                memoryPath: rig.memoryPath,
                connectionLimit: rig.connectionLimit,
                remedy: "raise it",
                journal: rig.journal
            )
            do throws(SystemError) {
                try endpoint.start()
            } catch {
                return .failure(error)
            }
            rig.endpoint = endpoint
            return .success(endpoint.addresses)
        }
        addresses = try result.get()
        var left = addresses.compactMap(\.port)[...]
        let sharedPort = bind == nil ? nil : left.popFirst()
        let rebound = zip(ports, left).map {
            AgentEndpoint.PeerPort(bind: $0.bind.with(port: $1), peer: $0.peer)
        }
        started = (sharedPort.flatMap { bind?.with(port: $0) }, rebound)
    }

    var memoryFile: MemoryFileStatus? {
        get async { await on { $0.endpoint?.memoryFile } }
    }

    func stop() async {
        await on { rig in
            rig.endpoint?.close()
            rig.endpoint = nil
        }
    }

    func startAgain() async throws {
        guard let started else { return }
        try await start(bind: started.bind, ports: started.ports)
    }

    /// Another process of the same agent: nothing in memory is left.
    func forgetEverything(peers: [PeerDefinition]) async {
        await on { rig in
            rig.board.close()
            rig.board = Board(loop: rig.loop)
        }
        await define(peers)
        await storeIs(connected: true)
    }

    func set(policy: AgentCheckPolicy) async {
        self.policy = policy
        await on { $0.endpoint?.policy = policy }
    }

    func line(of peer: String) async -> AgentAnswer {
        await on {
            $0.endpoint?.line(for: PeerKey(upstream: upstreamName, peer: peer))
                ?? AgentAnswer(text: "no endpoint", httpStatus: 0)
        }
    }

    var counters: AgentCheckCounters {
        get async { await on { $0.endpoint?.counters ?? AgentCheckCounters() } }
    }

    /// Processor time of the loop's thread so far.
    var processorTime: Nanoseconds {
        get async {
            await on { _ in
                var time = timespec()
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
                return .seconds(Int64(time.tv_sec)) + Nanoseconds(Int64(time.tv_nsec))
            }
        }
    }
}

func verdict(
    _ status: HealthCounter.Status,
    of peer: String = "s1",
    by monitor: String = "http",
    isDegraded: Bool = false,
    reason: Reason? = nil,
    message: String = "",
    hints: Hints = Hints(),
    at time: WallTime,
    expiresAt: WallTime? = nil,
    sequence: UInt64 = 1
) -> Verdict {
    Verdict(
        key: VerdictKey(upstream: upstreamName, peer: peer, monitor: monitor),
        kind: "http",
        status: status,
        isDegraded: isDegraded,
        health: status == .up ? 3 : 0,
        rise: 2,
        fall: 2,
        reason: reason ?? (status == .up ? .layer7OK : .layer4Connect),
        message: message,
        latency: .milliseconds(1),
        hints: hints,
        since: time,
        checkedAt: time,
        expiresAt: expiresAt ?? time + .seconds(600),
        agent: "a1",
        epoch: 1,
        sequence: sequence
    )
}

func peer(_ id: String, weight: Int = 100, maxConnections: Int? = nil) -> PeerDefinition {
    PeerDefinition(
        id: id,
        address: .host("127.0.0.1", port: 9_001),
        weight: weight,
        maxConnections: maxConnections
    )
}

/// A blocking client: what a test sends, when it ends, and everything it is told.
final class Client {
    private let raw: Int32

    init(to address: SocketAddress, from source: String? = nil) throws {
        raw = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw SystemError("socket") }
        if let own = source.flatMap({ SocketAddress(ip: $0, port: 0) }) {
            _ = own.withSockaddr { bind(raw, $0, $1) }
        }
        let result = address.withSockaddr { Glibc.connect(raw, $0, $1) }
        // From here on `deinit` closes it, also when this throws.
        if result < 0 { throw SystemError("connect") }
        var one: Int32 = 1
        setsockopt(raw, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(4))
    }

    deinit { Glibc.close(raw) }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes {
            Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) == bytes.count
        }
    }

    func endSending() { shutdown(raw, Int32(SHUT_WR)) }

    /// Everything until the other side ends. Nil when it does not within `limit`, or resets.
    func readAll(within limit: Duration = .seconds(30)) -> String? {
        var bytes: [UInt8] = []
        let end = ContinuousClock.now + limit
        while true {
            let left = ContinuousClock.now.duration(to: end) / .milliseconds(1)
            var poll = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
            guard left > 0, Glibc.poll(&poll, 1, Int32(left)) > 0 else { return nil }
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = recv(raw, &buffer, buffer.count, 0)
            if count < 0 { return nil }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    /// Until the line feed, as HAProxy reads.
    func readLine(within limit: Duration = .seconds(30)) -> String? {
        var bytes: [UInt8] = []
        while bytes.last != 0x0A {
            var poll = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&poll, 1, Int32(limit / .milliseconds(1))) > 0 else { return nil }
            var byte: UInt8 = 0
            guard recv(raw, &byte, 1, 0) == 1 else { return nil }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func ask(_ text: String, at address: SocketAddress) throws -> String? {
        let client = try Client(to: address)
        if !text.isEmpty { client.send(text) }
        return client.readAll()
    }
}

/// Keeps what was told to people.
final class Lines: Sendable {
    private let kept = Mutex<[String]>([])

    var journal: Journal {
        Journal(from: .info) { [self] level, text in
            kept.withLock { $0.append("\(level.rawValue): \(text)") }
        }
    }

    var all: [String] { kept.withLock { $0 } }
}
