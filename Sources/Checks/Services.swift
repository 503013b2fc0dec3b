// Who keeps the services? One value a loop: it starts a process when the first probe wants it, gives
// every probe of the same command line the same one, and ends what no check names any more. See
// docs/decisions/0006-who-keeps-a-service.md.

public import EventLoop
import Health
import Plugins
public import Vocabulary

/// What is run as a service. Equal ones are one process.
struct ServiceCommand: Hashable, Sendable {
    var words: [String]
    var environment: [String]

    /// For people: `'python3 queues.py'`.
    var label: String { Excerpt.of(words.joined(separator: " ").utf8) }
}

/// The long-lived processes that `service` checks ask. Confined to its loop; stop it before the loop.
public final class Services {
    /// Processes at a time.
    public static let processesMax = 64

    private let loop: EventLoop
    private let journal: Journal
    private let limits: ServiceLimits
    private var processes: [ServiceCommand: ServiceProcess] = [:]
    /// Nil: whoever asks has one.
    private var wanted: Set<ServiceCommand>?
    private var isStopping = false
    private var onStopped: [CheckedContinuation<Void, Never>] = []

    public convenience init(loop: EventLoop, journal: Journal = .silent) {
        self.init(loop: loop, journal: journal, limits: ServiceLimits())
    }

    init(loop: EventLoop, journal: Journal, limits: ServiceLimits) {
        self.loop = loop
        self.journal = journal
        self.limits = limits
    }

    /// Services that were asked and have not ended since.
    public var count: Int { processes.count }

    /// From now on these checks are all there are: a process that none of them names is ended, the
    /// others never notice.
    public func keep(_ checks: [any Check]) {
        let wanted = Set(checks.compactMap { ($0 as? ServiceCheck)?.command })
        self.wanted = wanted
        for (command, process) in processes where !wanted.contains(command) { process.stop() }
    }

    func ask(
        _ command: ServiceCommand,
        by deadline: Instant,
        since begin: Instant,
        _ question: (Int) -> [UInt8]
    ) async -> ServiceReply {
        if let process = processes[command] {
            return await process.ask(by: deadline, since: begin, question)
        }
        // A probe may outlive its check by a moment, and must not bring back what has gone with it.
        if isStopping || wanted?.contains(command) == false {
            return refuse(.processError, "service is being stopped")
        }
        guard processes.count < Self.processesMax else {
            return refuse(
                .socketError,
                "expected at most \(Self.processesMax) services at a time"
            )
        }
        return await add(command).ask(by: deadline, since: begin, question)
    }

    private func refuse(_ reason: Reason, _ message: String) -> ServiceReply {
        ServiceReply(outcome: Outcome(.neutral, reason, message: message), line: [])
    }

    private func add(_ command: ServiceCommand) -> ServiceProcess {
        let home = LoopBound(self, on: loop)
        let process = ServiceProcess(
            command,
            on: loop,
            limits: limits,
            journal: journal,
            // In a turn of its own: it is the process that calls, and this lets go of it.
            onStopped: { home.loop.execute { home.value.forget(command) } }
        )
        processes[command] = process
        return process
    }

    private func forget(_ command: ServiceCommand) {
        processes[command] = nil
        guard processes.isEmpty else { return }
        for waiter in onStopped { waiter.resume() }
        onStopped = []
    }

    /// Ends every process and returns when all are reaped: soon, or within a few seconds where one
    /// does not listen to SIGTERM.
    public func stop() async {
        isStopping = true
        for process in processes.values { process.stop() }
        // Asked where the wait begins: on the way there the last one may have gone.
        await withCheckedContinuation { waiter in
            if processes.isEmpty { waiter.resume() } else { onStopped.append(waiter) }
        }
    }
}
