// What does a scheduler need around it? A loop, a board, a store and a door; and a test that runs on
// the loop's own thread, where all of them live.

import Checks
import DNS
import EventLoop
import Health
import Monitor
import Store
import Synchronization
import Testing
import Vocabulary

extension Nanoseconds {
    /// An interval of which no second beat falls into a test. The beat is of the wall clock, so one
    /// of every hour does, once an hour.
    static let decades = Nanoseconds.seconds(1_000_000_000)
}

/// Confined to its loop's thread.
final class Rig {
    let loop: EventLoop
    let board: Board
    let store: RecordingStore
    let door: Door
    let scheduler: Scheduler
    let lines: Lines
    let services: Services
    let heartbeats: Heartbeats
    var catalogue = Catalogue()
    private let resolver: Resolver

    private init(
        on loop: EventLoop,
        limits: ProbeLimits,
        epoch: UInt64,
        names: ResolverConfiguration
    ) throws {
        self.loop = loop
        lines = Lines()
        let journal = lines.journal
        board = Board(loop: loop, journal: journal)
        store = RecordingStore()
        resolver = try Resolver(on: loop, configuration: names)
        door = Door(agent: "a1", board: board, store: store, epoch: epoch, journal: journal)
        services = Services(loop: loop, journal: journal)
        heartbeats = Heartbeats(began: loop.instant)
        scheduler = Scheduler(
            loop: loop,
            resolver: LoopBound(resolver, on: loop),
            door: door,
            limits: limits,
            heartbeats: heartbeats,
            services: LoopBound(services, on: loop),
            journal: journal
        )
        store.start(board)
    }

    /// Runs `body` on a loop of its own and takes everything down after it.
    static func run(
        limits: ProbeLimits = ProbeLimits(),
        epoch: UInt64 = 1_000,
        names: ResolverConfiguration = ResolverConfiguration(),
        _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        let loop = try EventLoop.spawn(name: "rig")
        defer { loop.stop() }
        try await run(on: loop, limits: limits, epoch: epoch, names: names, body)
    }

    private static func run(
        on loop: EventLoop,
        limits: ProbeLimits,
        epoch: UInt64,
        names: ResolverConfiguration,
        _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(loop) {
            let rig = try Rig(on: loop, limits: limits, epoch: epoch, names: names)
            do {
                try await body(rig)
            } catch {
                await rig.end()
                throw error
            }
            await rig.end()
        }
    }

    /// The same in virtual time: what is waited for takes as long as it takes there, and no moment
    /// here. For checks that wait for nothing but the loop.
    static func inVirtualTime(
        limits: ProbeLimits = ProbeLimits(),
        epoch: UInt64 = 1_000,
        _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        let loop = try EventLoop.spawn(virtual: "rig")
        defer { loop.stop() }
        try await run(on: loop, limits: limits, epoch: epoch, names: ResolverConfiguration(), body)
    }

    /// Lets time pass until it is so, an hour at most.
    func comes(_ isSo: @escaping () -> Bool) async -> Bool {
        await loop.advance(by: .seconds(3_600), until: isSo)
    }

    private func end() async {
        await scheduler.stop()
        await services.stop()
        board.close()
        resolver.close()
        #expect(loop.timerCount == 0, "every timer is cancelled")
    }

    func define(_ upstreams: [MonitoredUpstream]) {
        let changes = catalogue.set(.file, upstreams)
        board.apply(changes.map(\.summarised))
        scheduler.apply(changes)
    }
}

/// Keeps what was published.
final class RecordingStore: Store {
    private(set) var published: [(verdict: Verdict, isTransition: Bool)] = []
    private(set) var forgotten: [VerdictKey] = []
    /// As a store that others share: they hear of it.
    var onPublish: ((Verdict) -> Void)?
    let status = StoreStatus(
        kind: "recording",
        isConnected: true,
        since: WallTime(milliseconds: 0)
    )

    func start(_ observer: any StoreObserver) { observer.storeStatusChanged(status) }
    func publish<R: FencedRecord>(_ record: R, isTransition: Bool) {
        guard let verdict = record as? Verdict else { return }
        published.append((verdict, isTransition))
        onPublish?(verdict)
    }
    func forget<R: FencedRecord>(_ type: R.Type, _ key: R.Key) {
        if let key = key as? VerdictKey { forgotten.append(key) }
    }
    func change<W: Wish>(
        _ wish: W.Type,
        _ change: W.Change,
        of key: W.Key,
        expecting expected: UInt64?
    ) async throws(StoreError) -> Acknowledgement {
        Acknowledgement(.everywhere, stampSum: 0)
    }
    func stampSum(of upstream: String) -> UInt64 { 0 }
    func refresh(_ upstream: String) async throws(StoreError) {}
    func stop() async {}
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

extension MonitoredUpstream {
    /// An upstream whose peers are all probed by one scripted check.
    static func scripted(
        _ name: String = "web",
        peers: [String],
        script: Script,
        monitor: String = "http",
        interval: Nanoseconds = .milliseconds(20),
        fastInterval: Nanoseconds? = nil,
        downInterval: Nanoseconds? = nil,
        rise: Int = 2,
        fall: Int = 2
    ) -> MonitoredUpstream {
        MonitoredUpstream(
            definition: UpstreamDefinition(
                name: name,
                peers: peers.compactMap { Address(text: $0).map { PeerDefinition(address: $0) } }
            ),
            monitors: [
                MonitorDefinition(
                    id: monitor,
                    kind: ScriptedCheck.kind,
                    check: ScriptedCheck(script),
                    schedule: Schedule(
                        interval: interval,
                        fastInterval: fastInterval,
                        downInterval: downInterval,
                        timeout: .seconds(1)
                    ),
                    thresholds: Thresholds(rise: rise, fall: fall)
                )
            ]
        )
    }
}
