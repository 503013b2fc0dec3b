// How does a test open a store, close it and open it again on what it left behind? The same way for
// every store, so that one suite holds for all.

import EventLoop
import Foundation
import Health
import Ledger
import Redis
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Store

/// A kind of store under test.
enum Backend: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case embedded
    case redisUnix
    case redisTCP

    var testDescription: String { rawValue }
    var isRedis: Bool { self != .embedded }
}

/// How long a Redis that works may take for a command: a busy machine stalls for seconds, and that
/// is no fault of a store.
let patience = Nanoseconds.seconds(30)

/// A real Redis that holds nothing and forgets everything when it ends.
final class RedisServer: Sendable {
    let url: RedisURL
    let tls: RedisTLS?
    private let folder: TemporaryDirectory
    private let arguments: [String]
    private let process: Mutex<ChildProcess>

    init(tcp: Bool = false, in folder: TemporaryDirectory, extra: [String] = []) throws {
        self.folder = folder
        tls = nil
        let common = ["--save", "", "--appendonly", "no", "--dir", folder.path] + extra
        if tcp {
            let port = try freePort()
            url = RedisURL(address: .host("127.0.0.1", port: port))
            arguments = ["--port", "\(port)", "--bind", "127.0.0.1"] + common
        } else {
            url = RedisURL(address: .unix(path: folder.path("r.sock")))
            arguments = ["--port", "0", "--unixsocket", folder.path("r.sock")] + common
        }
        process = Mutex(try ChildProcess("redis-server", arguments, in: folder))
    }

    /// Over TLS only, with a certificate of `authority`. With `asksClients` whoever comes has to show one too.
    init(
        _ authority: Authority,
        leaf: Authority.Leaf,
        asksClients: Bool = false,
        in folder: TemporaryDirectory,
        tls: RedisTLS? = nil
    ) throws {
        self.folder = folder
        let port = try freePort()
        var url = RedisURL(address: .host("localhost", port: port))
        url.isSecure = true
        self.url = url
        self.tls = tls
        arguments = [
            "--port", "0", "--tls-port", "\(port)", "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", folder.path, "--tls-cert-file", leaf.certificate,
            "--tls-key-file", leaf.key, "--tls-ca-cert-file", authority.file, "--tls-auth-clients",
            asksClients ? "yes" : "no",
        ]
        process = Mutex(try ChildProcess("redis-server", arguments, in: folder))
    }

    /// Kill -9: whatever it held is gone.
    func kill() { process.withLock { $0.end() } }

    func restart() throws {
        try process.withLock { $0 = try ChildProcess("redis-server", arguments, in: folder) }
    }

    func signal(_ number: Int32) { process.withLock { $0.signal(number) } }

    /// Waits until it answers.
    func isReady(on loop: EventLoop) async -> Bool {
        await eventually(within: .seconds(30)) {
            guard let connection = try? await connect(on: loop) else { return false }
            connection.close()
            return true
        }
    }

    func connect(on loop: EventLoop) async throws(RedisError) -> RedisConnection {
        try await RedisConnection.connect(to: url, tls: tls, on: loop, timeout: patience)
    }

    /// One command on a connection of its own.
    func ask(_ words: String..., on loop: EventLoop) async throws -> RedisReply {
        let connection = try await connect(on: loop)
        defer { connection.close() }
        return try await connection.command(words, timeout: patience)
    }
}

/// Keeps what a store told.
final class Listener: StoreObserver {
    private(set) var verdicts: [VerdictKey: Verdict] = [:]
    private(set) var intents: [PeerKey: Intent] = [:]
    /// Of intents, in the order in which they were told.
    private(set) var askings: [Asking<Intent>] = []
    /// Of sorts that are none of the above.
    private(set) var others: [any StoreChange] = []
    private(set) var statuses: [StoreStatus] = []

    func storeChanged(_ change: any StoreChange) {
        switch change {
        case let verdict as Verdict: verdicts[verdict.key] = verdict
        case let asking as Asking<Intent>:
            askings.append(asking)
            intents[asking.key] = asking.wish
        default: others.append(change)
        }
    }

    func storeRenewed(_ verdict: Verdict, isSaidHere: Bool) { verdicts[verdict.key] = verdict }
    func storeStatusChanged(_ status: StoreStatus) { statuses.append(status) }
}

/// One backend and any number of stores on it. Confined to its loop's thread.
final class StoreRig {
    let loop: EventLoop
    let backend: Backend
    let server: RedisServer?
    let folder: TemporaryDirectory
    let lines: Lines
    private let isVirtual: Bool
    private var open: [(store: any Store, ledger: Ledger?)] = []

    private init(_ backend: Backend, on loop: EventLoop, _ inRealTime: Bool) throws {
        isVirtual = !backend.isRedis && !inRealTime
        self.backend = backend
        self.loop = loop
        folder = try TemporaryDirectory()
        lines = Lines()
        server = backend.isRedis ? try RedisServer(tcp: backend == .redisTCP, in: folder) : nil
    }

    static func run(
        _ backend: Backend,
        inRealTime: Bool = false,
        _ body: @escaping @Sendable (StoreRig) async throws -> Void
    ) async throws {
        if backend.isRedis, ChildProcess.find("redis-server") == nil {
            Issue.record("redis-server is not installed")
            return
        }
        // What one process does alone takes no time but the loop's.
        let now = Moment(instant: Clock.instant(), wall: Clock.wall())
        let loop =
            backend.isRedis || inRealTime
            ? try EventLoop.spawn(name: "store")
            : try EventLoop.spawn(virtual: "store", from: now)
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) {
            let rig = try StoreRig(backend, on: loop, inRealTime)
            if let server = rig.server { #expect(await server.isReady(on: loop)) }
            do {
                try await body(rig)
            } catch {
                await rig.end()
                throw error
            }
            await rig.end()
        }
    }

    /// Waits until it is so: where only the loop's time has to pass for it, that passes.
    func comes(_ isSo: @escaping () -> Bool) async -> Bool {
        if !isVirtual { return await eventually(within: .seconds(60)) { isSo() } }
        return await loop.advance(by: .seconds(3_600), until: isSo)
    }

    private func end() async {
        for (store, ledger) in open {
            await store.stop()
            await ledger?.stop()
        }
        #expect(loop.timerCount == 0, "every timer is cancelled")
        // What a connection leaves behind is let go of in the next turn of the loop.
        let isClosed = await comes { [loop] in loop.watchedCount == 0 }
        #expect(isClosed, "every descriptor is closed")
        server?.kill()
    }

    /// A store that runs, with everything it told so far; of Redis, one that is connected.
    func start(
        agent: String = "a1",
        state: String? = nil,
        commandTimeout: Nanoseconds = patience,
        reconcileEvery: Nanoseconds = RedisStore.reconcileEveryDefault,
        sorts: [any Record.Type] = Records.all
    ) async -> (any Store, Listener) {
        let store = make(
            agent: agent,
            state: state,
            commandTimeout: commandTimeout,
            reconcileEvery: reconcileEvery,
            sorts: sorts
        )
        let listener = Listener()
        do throws(LedgerError) {
            try await open.last?.ledger?.open()
        } catch {
            Issue.record("\(error)")
        }
        store.start(listener)
        #expect(await comes { store.status.isConnected })
        return (store, listener)
    }

    /// Starts a store that `make` made, for another observer than a `Listener`.
    func begin(_ store: any Store, with observer: any StoreObserver) async throws {
        for (held, ledger) in open where held === store { try await ledger?.open() }
        store.start(observer)
        #expect(await comes { store.status.isConnected })
    }

    func make(
        agent: String = "a1",
        url: RedisURL? = nil,
        state: String? = nil,
        ledger held: Ledger? = nil,
        fleet: FleetDesk? = nil,
        commandTimeout: Nanoseconds = patience,
        reconcileEvery: Nanoseconds = RedisStore.reconcileEveryDefault,
        sorts: [any Record.Type] = Records.all
    ) -> any Store {
        let store: any Store
        var ledger: Ledger?
        if let server {
            store = RedisStore(
                loop: loop,
                url: url ?? server.url,
                agent: agent,
                statePath: state,
                ledger: held,
                fleet: fleet,
                commandTimeout: commandTimeout,
                reconcileEvery: reconcileEvery,
                journal: lines.journal,
                sorts: sorts
            )
        } else {
            let path = state ?? folder.path("state.json")
            let made = Ledger(
                path: path + ".ledger",
                loop: loop,
                journal: lines.journal,
                writer: loop
            )
            ledger = made
            store = EmbeddedStore(
                loop: loop,
                statePath: path,
                ledger: made,
                journal: lines.journal,
                state: State(sorts),
                writer: loop
            )
        }
        open.append((store, ledger))
        return store
    }

    func stop(_ store: any Store) async {
        await store.stop()
        for (held, ledger) in open where held === store { await ledger?.stop() }
        open.removeAll { $0.store === store }
    }

    /// What somebody who opens the store now finds there.
    func reopened() async -> Listener {
        let (store, listener) = await start(agent: "reader")
        await stop(store)
        return listener
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

extension Verdict {
    /// A verdict that is valid for a minute from `at`.
    static func sample(
        _ status: HealthCounter.Status = .up,
        peer: String = "127.0.0.1:9001",
        upstream: String = "web",
        monitor: String = "http",
        agent: String = "a1",
        epoch: UInt64 = 1,
        sequence: UInt64 = 1,
        at now: WallTime = Clock.wall(),
        life: Nanoseconds = .seconds(60),
        message: String = ""
    ) -> Verdict {
        Verdict(
            key: VerdictKey(upstream: upstream, peer: peer, monitor: monitor),
            kind: "http",
            status: status,
            health: status == .up ? 3 : 0,
            rise: 2,
            fall: 2,
            reason: status == .up ? .layer7OK : .layer4Connect,
            code: status == .up ? 200 : nil,
            message: message,
            latency: .microseconds(1_234),
            since: now,
            checkedAt: now,
            expiresAt: now + life,
            agent: agent,
            epoch: epoch,
            sequence: sequence
        )
    }
}

extension Store {
    /// Asks for all of an intent, or lifts all of it.
    @discardableResult
    func set(intent: Intent?, for key: PeerKey) async throws(StoreError) -> IntentReach {
        try await change(IntentChange(whole: intent), of: key)
    }
}
