// Where a name leads to a replica, or to what was the master a moment ago, is the master found? With two real servers.

import EventLoop
import Fleet
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct NamedMasterTests {
    @Test func `of a name the address that is a master is found, and found again`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let pair = try Pair(rig)
            defer { pair.end() }
            #expect(await pair.areReady())
            // The first address of the name is that of the replica.
            try await pair.follow(Pair.second, at: Pair.first)

            let desk = FleetDesk(FleetDesk.Setting(agent: "a1"), on: rig.loop)
            let store = RedisStore(
                loop: rig.loop,
                url: RedisURL(address: .host("redis.test", port: pair.port)),
                agent: "a1",
                fleet: desk,
                lookup: { _, _ in [Pair.first, Pair.second] },
                commandTimeout: patience,
                journal: rig.lines.journal
            )
            store.start(Listener())
            #expect(await rig.comes { desk.member.membership.hasLease })
            #expect(store.writer?.place == pair.address(Pair.second))
            #expect(await rig.comes { store.status.writeError == nil && store.status.isConnected })
            #expect(store.status.server == "\(pair.address(Pair.second))")

            // And now the other way round.
            try await pair.command(Pair.first, "REPLICAOF", "NO", "ONE")
            try await pair.follow(Pair.first, at: Pair.second)
            #expect(await rig.comes { store.writer?.place == pair.address(Pair.first) })
            #expect(await rig.comes { store.status.writeError == nil && store.status.isConnected })
            for (there, before) in [(Pair.second, Pair.first), (Pair.first, Pair.second)] {
                let words =
                    "\(pair.address(there)) takes writes, in place of \(pair.address(before)), which takes no writes; "
                    + "going there"
                #expect(rig.lines.all.contains { $0.contains(words) }, "\(rig.lines.all)")
            }
            await desk.leave()
            await store.stop()
        }
    }

    /// What is written there is gone with its next synchronisation, and others write elsewhere.
    @Test func `a replica that can be written is no master`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let pair = try Pair(rig)
            defer { pair.end() }
            #expect(await pair.areReady())
            try await pair.command(Pair.second, "CONFIG", "SET", "replica-read-only", "no")
            try await pair.follow(Pair.first, at: Pair.second)
            try await pair.command(Pair.first, "CONFIG", "SET", "min-replicas-to-write", "3")
            func find() async -> Address? {
                await RedisConnection.writable(
                    by: ["SET", "k", "", "XX"],
                    of: RedisURL(address: .host("redis.test", port: pair.port)),
                    besides: pair.address(Pair.first),
                    on: rig.loop,
                    timeout: patience,
                    lookup: { _, _ in [Pair.first, Pair.second] }
                )
            }
            #expect(await find() == nil)
            try await pair.command(Pair.second, "REPLICAOF", "NO", "ONE")
            #expect(await find() == pair.address(Pair.second))
        }
    }

    /// A balancer, or an address that moves: whoever stays connected stays with what is a replica by now.
    @Test func `behind one address whoever answers by now is tried`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let folder = try TemporaryDirectory()
            let other = try RedisServer(in: folder)
            defer { other.kill() }
            #expect(await other.isReady(on: rig.loop))
            guard case .unix(let first) = server.url.address,
                case .unix(let second) = other.url.address
            else { return }
            let relay = try AnswerRelay(to: first, at: rig.folder.path("relay.sock"))
            defer { relay.stop() }
            let store = RedisStore(
                loop: rig.loop,
                url: RedisURL(address: .unix(path: relay.path)),
                agent: "a1",
                commandTimeout: patience,
                journal: rig.lines.journal
            )
            store.start(Listener())
            #expect(await rig.comes { store.status.isConnected })
            _ = try await server.ask("REPLICAOF", "127.0.0.1", "1", on: rig.loop)
            store.publish(Verdict.sample(), isTransition: true)
            // It has dialled anew meanwhile, as the replica ended its reading, and has reached it again.
            #expect(await rig.comes { !store.status.isWritable && store.status.isConnected })
            relay.lead(to: second)
            let isWritten = await eventually(within: .seconds(60)) {
                let count = try? await other.ask("HLEN", "muster:verdicts", on: rig.loop)
                return count == .integer(1)
            }
            #expect(isWritten)
            #expect(await rig.comes { store.status.isWritable })
            #expect(
                rig.lines.contains(
                    "\(relay.path) takes writes on a new connection, where it took none on the one before"
                )
            )
            await store.stop()
        }
    }

    /// It may be all that there is: what others wrote is still there to be read.
    @Test func `a replica that is alone by its name is read, and nothing else is looked for`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            _ = try await server.ask("REPLICAOF", "127.0.0.1", "1", on: rig.loop)
            let store = RedisStore(
                loop: rig.loop,
                url: server.url,
                agent: "a1",
                commandTimeout: patience,
                journal: rig.lines.journal
            )
            store.start(Listener())
            store.publish(Verdict.sample(), isTransition: true)
            let isRead = await rig.comes {
                store.status.writeError?.hasPrefix("READONLY") == true && store.status.isConnected
            }
            #expect(isRead)
            let found = await RedisConnection.writable(
                by: ["SET", "k", "", "XX"],
                of: server.url,
                besides: server.url.address,
                on: rig.loop,
                timeout: patience
            )
            #expect(found == nil)
            await store.stop()
        }
    }
}

/// Two servers on one port of two addresses.
private struct Pair {
    static let (first, second) = ("127.0.0.1", "127.0.0.2")
    let port: UInt16
    private let other: ChildProcess
    private let loop: EventLoop

    init(_ rig: StoreRig) throws {
        let server = try #require(rig.server)
        guard case .host(_, let port) = server.url.address else {
            throw RedisError.disconnected("expected a host, saw \(server.url.address)")
        }
        self.port = port
        loop = rig.loop
        other = try ChildProcess(
            "redis-server",
            [
                "--port", "\(port)", "--bind", Self.second, "--save", "", "--appendonly", "no",
                "--dir", rig.folder.path, "--repl-diskless-sync-delay", "0",
            ],
            in: rig.folder
        )
    }

    func end() { other.end() }

    func address(_ ip: String) -> Address { .host(ip, port: port) }

    func areReady() async -> Bool {
        await eventually(within: .seconds(60)) {
            (try? await command(Self.second, "PING")) == .status("PONG")
        }
    }

    @discardableResult
    func command(_ ip: String, _ words: String...) async throws(RedisError) -> RedisReply {
        let connection = try await RedisConnection.connect(
            to: RedisURL(address: address(ip)),
            on: loop,
            timeout: patience
        )
        defer { connection.close() }
        return try await connection.command(words, timeout: patience)
    }

    /// `ip` is a replica of `master` from now on.
    func follow(_ master: String, at ip: String) async throws(RedisError) {
        try await command(ip, "REPLICAOF", master, "\(port)")
    }
}
