// What does a source stand on in these tests? A real Redis that holds nothing at first, and hands that note down
// what they are told and think of peers what the test says.

import EventLoop
import Foundation
import Health
import Proxy
import Redis
import Synchronization
import TestSupport
import Testing
import Vocabulary

import struct Checks.MonitoredUpstream

@testable import Foreign

/// Thinks well of everybody, until it is told otherwise. Confined to the loop.
final class Hands: ForeignHands {
    private let loop: EventLoop
    var upstreams: [String: MonitoredUpstream] = [:]
    var watched: [PeerKey: PeerDefinition] = [:]
    var groups: [String: RouteGroup] = [:]
    var dead: Set<String> = []
    var unknown: Set<String> = []
    var others: Set<String> = []
    var looked: [PeerKey] = []
    var ejected: Set<String> = []
    var rechecked: [PeerKey] = []
    var pardoned: [PeerKey] = []
    var onRecheck: ((PeerKey) -> Void)?
    var stale: [StaleHosts] = []
    private var checkedAt: [PeerKey: WallTime] = [:]

    init(_ loop: EventLoop) { self.loop = loop }

    func define(_ upstream: MonitoredUpstream, for source: String) {
        upstreams[upstream.definition.name] = upstream
    }
    func watch(_ peers: [(key: PeerKey, definition: PeerDefinition)], for source: String) {
        for (key, definition) in peers {
            #expect(upstreams[key.upstream] != nil)
            watched[key] = definition
            checkedAt[key] = loop.wall
        }
    }
    func leave(_ peers: [PeerKey], for source: String) { for key in peers { watched[key] = nil } }
    func standing(of peer: PeerKey) -> ForeignStanding {
        var standing = ForeignStanding()
        guard watched[peer] != nil else { return standing }
        standing.isStranger = unknown.contains(peer.peer)
        standing.isDead = dead.contains(peer.peer)
        standing.isOut = standing.isDead || ejected.contains(peer.peer)
        standing.checkedAt = standing.isStranger ? nil : checkedAt[peer]
        standing.isOurs = !others.contains(peer.peer)
        return standing
    }
    func look(at peer: PeerKey) {
        looked.append(peer)
        checkedAt[peer] = loop.wall + .milliseconds(1)
    }
    func recheck(_ peer: PeerKey) {
        rechecked.append(peer)
        onRecheck?(peer)
    }
    func pardon(_ peer: PeerKey) {
        pardoned.append(peer)
        ejected.remove(peer.peer)
    }
    /// It has been looked at, and is as it is thought of.
    func checked(_ peer: PeerKey) { checkedAt[peer] = loop.wall + .milliseconds(1) }
    func bring(_ group: RouteGroup) { groups[group.name] = group }
    func removeGroup(_ name: String) { groups[name] = nil }
    func forget(_ hosts: [StaleHosts]) { stale += hosts }
}

/// A Redis, hands, and a source of hipache's between them.
final class SourceRig: @unchecked Sendable {
    let folder: TemporaryDirectory
    let loop: EventLoop
    let port: UInt16
    private let arguments: [String]
    private let server: Mutex<ChildProcess>
    private(set) var hands: LoopBound<Hands>!
    private(set) var source: LoopBound<HipacheSource>!
    private(set) var keys: LoopBound<RedisKeysSource>!
    let lines = Mutex<[String]>([])

    static let isThere = ChildProcess.find("redis-server") != nil

    init(extra: [String] = []) throws {
        folder = try TemporaryDirectory()
        loop = try EventLoop.spawn(name: "foreign")
        port = try freePort()
        arguments =
            [
                "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", folder.path,
            ] + extra
        server = Mutex(try ChildProcess("redis-server", arguments, in: folder))
    }

    deinit { loop.stop() }

    func killRedis() { server.withLock { $0.end() } }
    func restartRedis() throws {
        try server.withLock { $0 = try ChildProcess("redis-server", arguments, in: folder) }
    }

    static let upstream = UpstreamDefinition(name: "hipache", peers: [])

    /// Returns when all has been read once.
    func start(
        prefix: String = "",
        _ change: @escaping @Sendable (inout HipacheSetting) -> Void = { _ in }
    ) async throws {
        try await start(prefix: prefix, by: nil, change)
    }

    func start(
        prefix: String = "",
        by lookup: HostLookup?,
        _ change: @escaping @Sendable (inout HipacheSetting) -> Void
    ) async throws {
        let url = RedisURL(address: .host("127.0.0.1", port: port))
        let journal = Journal(from: .debug) { [weak self] (line: Journal.Line) in
            self?.lines.withLock { $0.append(line.text) }
        }
        let loop = loop
        (hands, source) = await withCheckedContinuation { continuation in
            loop.execute {
                var setting = HipacheSetting(
                    base: ForeignBase(
                        name: "hipache",
                        read: url,
                        prefix: prefix,
                        upstream: Self.upstream,
                        monitors: [],
                        refresh: .milliseconds(100)
                    )
                )
                change(&setting)
                let hands = Hands(loop)
                let source = HipacheSource(
                    setting,
                    agent: "a1",
                    on: loop,
                    hands: hands,
                    journal: journal,
                    lookup: lookup
                )
                source.start()
                continuation.resume(
                    returning: (LoopBound(hands, on: loop), LoopBound(source, on: loop))
                )
            }
        }
        let isLoaded = await eventually(within: .seconds(30)) {
            await self.find("none") != .unavailable
        }
        #expect(isLoaded)
    }

    func startKeys(prefix: String = "") async throws {
        let url = RedisURL(address: .host("127.0.0.1", port: port))
        let journal = Journal(from: .debug) { [weak self] (line: Journal.Line) in
            self?.lines.withLock { $0.append(line.text) }
        }
        let loop = loop
        (hands, keys) = await withCheckedContinuation { continuation in
            loop.execute {
                let setting = RedisKeysSetting(
                    base: ForeignBase(
                        name: "keys",
                        read: url,
                        prefix: prefix,
                        upstream: UpstreamDefinition(name: "keys", peers: []),
                        monitors: [],
                        refresh: .seconds(5)
                    )
                )
                let hands = Hands(loop)
                let source = RedisKeysSource(setting, on: loop, hands: hands, journal: journal)
                source.start()
                continuation.resume(
                    returning: (LoopBound(hands, on: loop), LoopBound(source, on: loop))
                )
            }
        }
        let isUp = await eventually(within: .seconds(30)) {
            await self.keys.call { $0.isConnected }
        }
        #expect(isUp)
    }

    func stop() async {
        if let source {
            await Task(executorPreference: loop) { await source.value.stop() }.value
        }
        if let keys { await Task(executorPreference: loop) { await keys.value.stop() }.value }
    }

    func find(_ host: String) async -> RouteFinding {
        let (source, keys) = (source, keys)
        return await Task(executorPreference: loop) {
            if let source { return await source.value.find(host) }
            return await keys?.value.find(host) ?? .unavailable
        }.value
    }

    /// The members of the group that serves a host, `peer` or `peer*weight`; nil where none does.
    func members(_ host: String) async -> [String]? {
        guard case .upstream(let name, _) = await find(host) else { return nil }
        return await hands.call { hands in
            hands.groups[name]?.members.map {
                $0.weight == 1 ? $0.peer : "\($0.peer)*\($0.weight)"
            }
        }
    }

    func think(dead: Set<String>) async {
        let (hands, source) = (hands, source)
        await Task(executorPreference: loop) {
            guard let hands = hands?.value else { return }
            let before = hands.dead
            hands.dead = dead
            for key in hands.watched.keys
            where before.contains(key.peer) != dead.contains(key.peer) {
                source?.value.standingChanged(key, wentDown: dead.contains(key.peer))
            }
        }.value
    }

    /// One command on a connection of its own.
    @discardableResult
    func ask(_ words: String..., at ip: String = "127.0.0.1") async throws -> RedisReply {
        try await ask(all: [words], at: ip)[0]
    }

    func ask(all commands: [[String]], at ip: String = "127.0.0.1") async throws -> [RedisReply] {
        let (loop, url) = (loop, RedisURL(address: .host(ip, port: port)))
        return try await Task(executorPreference: loop) {
            let connection = try await RedisConnection.connect(
                to: url,
                on: loop,
                timeout: .seconds(30)
            )
            defer { connection.close() }
            return try await connection.pipeline(commands, timeout: .seconds(30))
        }.value
    }

    func set(_ host: String, _ backends: [String], prefix: String = "") async throws {
        let key = "\(prefix)frontend:\(host)"
        _ = try await ask(all: [["DEL", key], ["RPUSH", key, "name"] + backends])
    }

    func dead(_ host: String, prefix: String = "") async throws -> [String] {
        try await ask("SMEMBERS", "\(prefix)dead:\(host)").array?.compactMap(\.text).sorted() ?? []
    }

    func isReady() async -> Bool {
        await eventually(within: .seconds(30)) { (try? await self.ask("PING")) == .status("PONG") }
    }
}
