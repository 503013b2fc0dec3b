// What is known of one (monitor, peer) between two probes? There are tens of thousands: whatever is
// here is paid for by each of them.

import Checks
import EventLoop
import Fleet
import Health
import Store
import Vocabulary

/// One definition for all its pairs.
final class SharedMonitor {
    let kind: String
    let check: any Check
    let checkDigest: UInt32
    let schedule: Schedule
    let thresholds: Thresholds
    let confirm: ConfirmRule
    let observers: Int

    init(_ definition: MonitorDefinition) {
        kind = definition.kind
        check = definition.check
        checkDigest = definition.checkDigest
        schedule = definition.schedule
        thresholds = definition.thresholds
        confirm = ConfirmRule(of: definition)
        observers = definition.observers
    }
}

/// Who waits for the answer to a question by hand. It comes once.
final class Asker {
    private var continuation: CheckedContinuation<ProbeAnswer, Never>?
    /// Of the timer for the longest wait.
    var patience: Timers.Token?

    init(_ continuation: CheckedContinuation<ProbeAnswer, Never>) {
        self.continuation = continuation
    }

    func answer(_ answer: ProbeAnswer) {
        continuation?.resume(returning: answer)
        continuation = nil
    }
}

/// Who asked for a probe by hand. Apart: few pairs ever have any.
private final class Askers {
    let next: [Asker]
    let current: [Asker]

    init(next: [Asker], current: [Asker]) {
        self.next = next
        self.current = current
    }
}

/// One (monitor, peer). A class: while one part is changed in place, whoever hears of it may look at
/// another.
final class Pair {
    enum Phase {
        /// A wake-up is set.
        case resting
        /// In the line of due probes.
        case waiting
        /// A probe is in flight.
        case probing
        /// Free for another pair.
        case removed
    }

    // In an order that leaves few gaps.
    let key: VerdictKey
    let address: Address
    var phase = Phase.resting
    /// Requests wait for the peer, and it says nothing: a probe that fails is the second failure.
    var isSuspect = false
    /// Probes in a row that got no connection while requests were answered.
    var pardons: UInt8 = 0
    /// The number of its upstream among those that share the places for probes.
    let group: UInt32
    /// The address in words, which all that is said of it share.
    private let addressText: String
    let beat: Beat
    var monitor: SharedMonitor
    /// Set where a probe needs no task.
    var plan: DirectPlan?
    var opinion: Opinion
    /// Of the addresses of its name; empty where it is not probed address by address.
    var addresses: AddressStates
    var series = ProbeSeries()
    var generation: UInt32 = 0
    /// Raised when it is taken over from another agent; zero while it never was.
    var epoch: UInt64 = 0
    /// Where its verdict stands on the board.
    var place: Board.Place?
    /// What the opinion's times have been moved along by, where the wall clock was set.
    var clockShift = Nanoseconds.zero
    /// How late the loop had been in all when the probe in flight began.
    var lagAtStart = Nanoseconds.zero
    /// When the probe is meant to begin. Lateness counts from here.
    var dueAt = Instant.distantFuture
    /// When it is woken for it; the distant future while it is not to be.
    var wakesAt = Instant.distantFuture
    private var askers: Askers?

    init(
        key: VerdictKey,
        address: Address,
        monitor: SharedMonitor,
        opinion: Opinion,
        group: UInt32
    ) {
        self.group = group
        self.key = key
        self.address = address
        let text = address.description
        // Most peers are called by their address: one text for both.
        addressText = text == key.peer ? key.peer : text
        self.monitor = monitor
        self.opinion = opinion
        addresses = AddressStates(
            resuming: opinion.downAddresses,
            thresholds: monitor.thresholds
        )
        beat = Beat(monitor: key.monitor, peer: "\(key.upstream)/\(key.peer)")
        plan = monitor.check.direct(target)
    }

    /// Want the next probe.
    var waiters: [Asker] {
        get { askers?.next ?? [] }
        set { setAskers(next: newValue, current: answering) }
    }

    /// Want the one in flight.
    var answering: [Asker] {
        get { askers?.current ?? [] }
        set { setAskers(next: waiters, current: newValue) }
    }

    private func setAskers(next: [Asker], current: [Asker]) {
        askers = next.isEmpty && current.isEmpty ? nil : Askers(next: next, current: current)
    }

    var subject: Subject { Subject(address: addressText, check: monitor.checkDigest) }

    var target: Target {
        Target(upstream: key.upstream, peer: key.peer, address: address)
    }
}
