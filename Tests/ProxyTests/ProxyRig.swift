// How do these tests run a proxy? With a real board on a loop of its own and one real worker, so
// that what is counted is counted in one place.

import Dispatch
import EventLoop
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

/// A proxy with one worker and one listener or more, on ports of its own.
final class ProxyRig: Sendable {
    let control: EventLoop
    let board: LoopBound<Board>
    let proxy: LoopBound<Proxy>
    let worker: LoopBound<Worker>
    let ports: [UInt16]
    let upstreams: [UpstreamDefinition]

    var port: UInt16 { ports[0] }

    private static let monitor = "test"

    /// What no test waits for is long, for busy machines.
    static var patient: ProxyTimeouts {
        var timeouts = ProxyTimeouts()
        timeouts.connect = .seconds(10)
        timeouts.drain = .seconds(10)
        timeouts.peerIdle = .seconds(60)
        timeouts.requestHead = .seconds(60)
        timeouts.route = .seconds(60)
        return timeouts
    }

    init(
        _ upstreams: [UpstreamDefinition],
        modes: [ListenerConfiguration.Mode]? = nil,
        timeouts: ProxyTimeouts = patient,
        limits: ProxyLimits = ProxyLimits(),
        manners: ProxyManners = ProxyManners(),
        trustedProxies: TrustedProxies = TrustedProxies(),
        strangerTime: Nanoseconds = .zero,
        onSuspicion: @escaping @Sendable (PeerKey, Bool, TrafficVote?) -> Void = { _, _, _ in },
        resolve: @escaping @Sendable (Address) async -> [Address] = { _ in [] },
        lookup: (@Sendable (String) async -> RouteFinding)? = nil,
        journal: Journal = .silent,
        tracing: RequestTracing? = nil
    ) async throws {
        self.upstreams = upstreams
        control = try EventLoop.spawn(name: "control")
        let modes = modes ?? [.http(routes: [RouteConfiguration(upstream: upstreams[0].name)])]
        // Binds differ so that they can be told apart: all of 127/8 is this machine. Ports that the
        // kernel gives nobody: one that closes refuses, whatever else runs here.
        let listeners = try modes.enumerated().map { index, mode in
            ListenerConfiguration(
                bind: .host("127.0.0.\(index + 1)", port: try freePort()),
                mode: mode
            )
        }
        var configuration = ProxyConfiguration(threads: 1, listeners: listeners)
        configuration.timeouts = timeouts
        configuration.limits = limits
        configuration.manners = manners
        configuration.trustedProxies = trustedProxies
        let loop = control
        (board, proxy) = await withCheckedContinuation { [configuration] continuation in
            loop.execute {
                let board = Board(loop: loop, strangerTime: strangerTime)
                board.define(upstreams, monitors: upstreams.map { Self.summary($0.name) })
                let proxy = Proxy(
                    loop: loop,
                    board: board,
                    configuration: configuration,
                    journal: journal,
                    onSuspicion: onSuspicion,
                    resolve: resolve,
                    lookup: lookup,
                    tracing: tracing
                )
                continuation.resume(
                    returning: (LoopBound(board, on: loop), LoopBound(proxy, on: loop))
                )
            }
        }
        let bound = proxy
        let problems = try await Task(executorPreference: loop) {
            try await bound.value.start()
        }.value
        #expect(problems.isEmpty)
        worker = await proxy.call { $0.workers[0].worker }
        ports = await worker.call { $0.boundAddresses().compactMap(\.port) }
    }

    convenience init(
        _ peers: [TestPeer],
        timeouts: ProxyTimeouts = patient,
        limits: ProxyLimits = ProxyLimits()
    ) async throws {
        // Whoever fails is asked again: these tests are about what becomes of requests.
        let peers = peers.map { PeerDefinition(id: $0.name, address: $0.address, maxFails: 0) }
        var web = UpstreamDefinition(name: "web", peers: peers)
        web.eject.isOff = true
        try await self.init(
            [web],
            timeouts: timeouts,
            limits: limits
        )
    }

    deinit {
        let worker = worker
        worker.loop.execute {
            worker.value.abandon()
            worker.loop.stop()
        }
        control.stop()
    }

    private static func summary(_ upstream: String) -> MonitorSummary {
        MonitorSummary(
            upstream: upstream,
            id: monitor,
            kind: "tcp",
            isRequired: true,
            rise: 1,
            fall: 1,
            interval: .seconds(2)
        )
    }

    /// What a monitor would say. Returns when the worker routes by it.
    func set(
        _ peer: String,
        _ status: HealthCounter.Status,
        in upstream: String = "web",
        reason: Reason = .layer4OK,
        downAddresses: [String] = []
    ) async {
        await set(all: [peer], status, in: upstream, reason: reason, downAddresses: downAddresses)
    }

    /// The same of many, one after the other.
    func set(
        all peers: [String],
        _ status: HealthCounter.Status,
        in upstream: String = "web",
        reason: Reason = .layer4OK,
        downAddresses: [String] = []
    ) async {
        await board.call { board in
            let now = Clock.wall()
            for peer in peers {
                board.apply(
                    Verdict(
                        key: VerdictKey(upstream: upstream, peer: peer, monitor: Self.monitor),
                        kind: "tcp",
                        status: status,
                        health: status == .up ? 1 : 0,
                        rise: 1,
                        fall: 1,
                        reason: reason,
                        latency: .zero,
                        downAddresses: downAddresses,
                        since: now,
                        checkedAt: now,
                        expiresAt: now + .seconds(3_600),
                        agent: "test",
                        epoch: 1,
                        sequence: UInt64(max(Clock.instant().nanoseconds, 0))
                    )
                )
            }
        }
        await settled()
    }

    func set(_ peer: String, intent mode: Intent.Mode, in upstream: String = "web") async {
        _ = await board.call {
            $0.set(
                intent: Intent(mode: mode),
                for: PeerKey(upstream: upstream, peer: peer)
            )
        }
        await settled()
    }

    func define(_ upstreams: [UpstreamDefinition]) async {
        await board.call { board in
            board.define(upstreams, monitors: upstreams.map { Self.summary($0.name) })
        }
        await settled()
    }

    /// What would a reload of the listeners alone do? Returns what could not be opened.
    func reload(_ listeners: [ListenerConfiguration]) async -> [String] {
        let proxy = proxy
        return await Task(executorPreference: control) {
            do { return try await proxy.value.reload(listeners) {} } catch { return ["\(error)"] }
        }.value
    }

    /// The mailbox keeps its order: what was sent before has been done when this returns.
    func settled() async {
        let proxy = proxy
        await Task(executorPreference: control) { await proxy.value.settle() }.value
        await worker.call { _ in }
    }

    func report() async -> Proxy.Report {
        let proxy = proxy
        return await Task(executorPreference: control) { await proxy.value.report() }.value
    }

    func traffic(of peer: String) async -> Proxy.Traffic? {
        let proxy = proxy
        let key = PeerKey(upstream: "web", peer: peer)
        return await Task(executorPreference: control) { await proxy.value.traffic(of: key) }.value
    }

    func totals(_ peer: String, in upstream: String = "web") async -> Proxy.PeerTotals {
        await report().peers[PeerKey(upstream: upstream, peer: peer)] ?? Proxy.PeerTotals()
    }

    /// Stops the worker's thread between two waits until `release`, so that what happens meanwhile
    /// comes to it as one event. Whoever does not wait until it has stopped may send something that
    /// is served before.
    struct Hold {
        private let semaphore = DispatchSemaphore(value: 0)

        init(_ loop: EventLoop, isAwaited: Bool) {
            let semaphore = semaphore
            let stopped = DispatchSemaphore(value: 0)
            loop.execute {
                stopped.signal()
                semaphore.wait()
            }
            if isAwaited { stopped.wait() }
        }

        func release() { semaphore.signal() }
    }

    func hold() -> Hold { Hold(worker.loop, isAwaited: true) }

    /// One that begins once the hold before it is released and what came meanwhile is served.
    func holdAgain() -> Hold { Hold(worker.loop, isAwaited: false) }

    func holdings() async -> Holdings { await worker.call { $0.holdings } }

    /// Ends the proxy as SIGTERM does. Returns how many clients had to be cut off.
    @discardableResult
    func drain() async -> Int { await beginDrain().value }

    /// Begins at once, on the control loop: the threads of the tests may all be waiting.
    func beginDrain() -> Task<Int, Never> {
        let proxy = proxy
        return Task(executorPreference: control) { await proxy.value.drain() }
    }

    /// Checks that nobody is served any more and that nothing was kept but what is meant to be.
    func expectNothingHeld(_ location: SourceLocation = #_sourceLocation) async {
        let listeners = ports.count
        let isIdle = await eventually {
            let holdings = await self.holdings()
            return holdings
                == Holdings(
                    idleLinks: holdings.idleLinks,
                    descriptors: listeners + holdings.idleLinks
                )
        }
        let holdings = await holdings()
        #expect(isIdle, "\(holdings)", sourceLocation: location)
    }

    func client(_ listener: Int = 0, receiveBuffer: Int32? = nil) throws -> TestClient {
        try TestClient(
            ports[listener],
            host: "127.0.0.\(listener + 1)",
            receiveBuffer: receiveBuffer
        )
    }
}
