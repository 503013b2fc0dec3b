// How is the commonest probe run at the least cost? A check of a literal address that only connects,
// or sends one request and judges the head of the answer, needs no task and no `await`: events of
// the loop drive it, and one object serves one probe after the other. What it says is the same.

import CLinux
public import EventLoop
import Glibc
import HTTP1
public import Health
public import Vocabulary

/// A probe that needs no task, prepared once for a pair. A class, because it is handed on at every
/// probe and holds much.
public final class DirectPlan: Sendable {
    /// Whom the plan was made for.
    public let peer: Address
    let address: SocketAddress
    /// What is sent. Nothing where connecting is the whole probe.
    let request: [UInt8]
    let question: Question?

    init(peer: Address, address: SocketAddress) {
        self.peer = peer
        self.address = address
        request = []
        question = nil
    }

    init(peer: Address, address: SocketAddress, request: [UInt8], question: Question) {
        self.peer = peer
        self.address = address
        self.request = request
        self.question = question
    }

    /// What the answer has to be; one for all the peers of a monitor.
    final class Question: Sendable {
        let method: HTTP1.Method
        let expectation: HTTPExpectation

        init(method: HTTP1.Method, expectation: HTTPExpectation) {
            self.method = method
            self.expectation = expectation
        }
    }
}

/// Hears how a direct probe ended, on the loop's thread and never from within `begin`.
public protocol DirectProbeObserver: AnyObject {
    func directProbeEnded(
        _ outcome: Outcome,
        of peer: Address,
        pair: Int,
        generation: UInt32,
        started: Instant
    )
}

/// Runs direct probes. Confined to its loop's thread.
public final class DirectProbes {
    fileprivate let loop: EventLoop
    fileprivate weak var observer: (any DirectProbeObserver)?
    fileprivate let buffer = ReadBuffer()
    /// At rest, with a socket for the next probe. Apart from those without: they are asked first, or a
    /// burst would leave the ones with sockets below and every probe after it would open a new one.
    private var warm: [DirectProbe] = []
    private var cold: [DirectProbe] = []
    private var all: [DirectProbe] = []
    /// The one that was let go last: it is on its way to tell how its probe ended.
    private var leaving: DirectProbe?

    /// Sockets that wait for the next probe. A burst may need more, and closes them after it.
    static let socketsKeptMax = 256

    fileprivate var keepsAnother: Bool { warm.count < Self.socketsKeptMax }

    /// Ever, for tests.
    fileprivate(set) var socketsOpened = 0
    var probesKept: Int { all.count }

    public init(loop: EventLoop, observer: any DirectProbeObserver) {
        self.loop = loop
        self.observer = observer
    }

    deinit { close() }

    /// Drops whatever is in flight, unheard, and the timers of probes that rest.
    public func close() {
        for probe in all { probe.drop(on: loop) }
        all = []
        warm = []
        cold = []
    }

    /// Of those without a socket a few wait, and what else a burst needed is let go.
    fileprivate func rest(_ probe: DirectProbe, isWarm: Bool) {
        if isWarm {
            warm.append(probe)
        } else if cold.count < Self.socketsKeptMax {
            cold.append(probe)
        } else {
            probe.drop(on: loop)
            leaving = probe
            let last = all.removeLast()
            guard last !== probe else { return }
            last.place = probe.place
            all[last.place] = last
        }
    }

    public func begin(
        _ plan: DirectPlan,
        pair: Int,
        generation: UInt32,
        started: Instant,
        deadline: Instant
    ) {
        let probe: DirectProbe
        if let rested = warm.popLast() ?? cold.popLast() {
            probe = rested
        } else {
            probe = DirectProbe(owner: self, loop: loop)
            probe.place = all.count
            all.append(probe)
        }
        probe.begin(plan, pair: pair, generation: generation, from: started, to: deadline)
    }
}

/// One probe in flight, or none.
private final class DirectProbe: EventSink {
    private enum Stage { case idle, connecting, sending, receiving, failed }

    private unowned let owner: DirectProbes
    private let loop: EventLoop
    /// Among all of its owner's.
    fileprivate var place = 0
    private var stage = Stage.idle
    /// Kept from one connection to the next, for as long as few are kept.
    private var handle = Handle.none
    private var family: Int32 = -1
    private var isConnected = false
    /// Left running from one probe to the next and set anew only when it fires: nearly every probe
    /// ends long before its deadline.
    private var timer = TimerID.none
    private var timerAt = Instant.distantFuture
    private var plan: DirectPlan?
    private var pair = 0
    private var generation: UInt32 = 0
    private var started = Instant.distantFuture
    private var deadline = Instant.distantFuture
    private var asked = Instant.distantFuture
    private var sent = 0
    private var hasReadEnded = false
    /// The peer takes no more; what it said before is read first.
    private var broken: Int32 = 0
    private var phases = Phases()
    /// Kept from one piece of a head to the next.
    private var reply: ResponseReader?
    /// Why the probe ended before it was under way.
    private var early: ProbeFailure?

    init(owner: DirectProbes, loop: EventLoop) {
        self.owner = owner
        self.loop = loop
    }

    func drop(on loop: EventLoop) {
        loop.cancel(timer)
        timer = .none
        hangUp()
        stage = .idle
    }

    // MARK: Life

    func begin(
        _ plan: DirectPlan,
        pair: Int,
        generation: UInt32,
        from started: Instant,
        to deadline: Instant
    ) {
        self.plan = plan
        self.pair = pair
        self.generation = generation
        self.started = started
        self.deadline = deadline
        phases = Phases()
        sent = 0
        hasReadEnded = false
        broken = 0
        isConnected = false
        do throws(SystemError) {
            try connect(plan.address, sendsNothing: plan.question == nil)
            stage = .connecting
            setTimer(at: deadline)
        } catch {
            // Told in a moment: whoever began us is not done yet.
            early = .connecting(.failed(error), within: span, at: nil)
            stage = .failed
            self.deadline = started
            setTimer(at: started)
        }
    }

    private func connect(
        _ address: SocketAddress,
        sendsNothing: Bool
    ) throws(SystemError) {
        if family == address.family {
            return try Socket.probe(
                address,
                over: handle.descriptor,
                sendsNothing: sendsNothing
            )
        }
        hangUp()
        let attempt = try Socket.probe(address, sendsNothing: sendsNothing)
        owner.socketsOpened += 1
        handle = try loop.register(attempt, sink: self)
        family = address.family
    }

    private func hangUp() {
        loop.close(handle)
        handle = .none
        family = -1
    }

    private func setTimer(at time: Instant) {
        if timer.isNone {
            timer = loop.schedule(at: time, sink: self)
        } else if time < timerAt {
            loop.move(timer, to: time)
        } else {
            return
        }
        timerAt = time
    }

    private func end(_ outcome: Outcome) {
        let isKept =
            isConnected && family != AF_UNIX && owner.keepsAnother
            && Socket.disconnect(handle.descriptor)
        if !isKept { hangUp() }
        stage = .idle
        let peer = plan.take()?.peer
        reply = nil
        early = nil
        var outcome = outcome
        outcome.phases = phases
        owner.rest(self, isWarm: isKept)
        guard let peer else { return }
        owner.observer?.directProbeEnded(
            outcome,
            of: peer,
            pair: pair,
            generation: generation,
            started: started
        )
    }

    private func fail(_ failure: ProbeFailure) { end(failure.outcome(phases)) }

    private var span: Nanoseconds { deadline - started }

    override func due(tag: Int) {
        timer = .none
        if stage == .idle { return }
        if deadline > loop.now { return setTimer(at: deadline) }
        switch stage {
        case .idle: break
        case .failed: if let early { fail(early) }
        case .connecting: fail(.connecting(.timedOut, within: span, at: nil))
        case .sending: failSending(.timedOut)
        case .receiving: failReceiving(.timedOut, seen: seen)
        }
    }

    override func ready(_ readiness: Readiness, tag: Int) {
        if !readiness.isDisjoint(with: [.readEnded, .hungUp, .failed]) { hasReadEnded = true }
        if stage == .connecting {
            guard !readiness.isDisjoint(with: [.writable, .failed, .hungUp]) else { return }
            guard connected(readiness) else { return }
        }
        if stage == .sending {
            send()
            guard stage == .receiving else { return }
        }
        if stage == .receiving,
            !readiness.isDisjoint(with: [.readable, .readEnded, .failed, .hungUp])
        {
            receive()
        }
    }

    // MARK: Steps

    /// Returns whether there is more to do.
    private func connected(_ readiness: Readiness) -> Bool {
        // Only then is it worth a call to ask how the attempt went.
        if !readiness.isDisjoint(with: [.failed, .hungUp]) {
            let code = Socket.pendingError(handle.descriptor)
            // Without an error it is news of the connection that the socket had before, taken from
            // the kernel just before this one began.
            if plan?.question != nil, Self.isReset(code) {
                // A reset comes after the connection: an attempt is refused.
                broken = ECONNRESET
            } else {
                if code != 0 {
                    fail(
                        .connecting(
                            .failed(SystemError("connect", code: code)),
                            within: span,
                            at: nil
                        )
                    )
                }
                return false
            }
        }
        isConnected = true
        asked = loop.instant
        phases.connect = asked - started
        guard plan?.question != nil else {
            end(TCPCheck.connected)
            return false
        }
        stage = .sending
        return true
    }

    private func send() {
        guard let request = plan?.request else { return }
        while sent < request.count {
            let count = request.withUnsafeBytes {
                // MSG_NOSIGNAL: a peer that hung up is an error here, not the end of the process.
                Glibc.send(
                    handle.descriptor,
                    $0.baseAddress.map { $0 + sent },
                    $0.count - sent,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                return
            } else if Self.isReset(errno) {
                broken = ECONNRESET
                break
            } else if errno != EINTR {
                return failSending(.failed(SystemError("write")))
            }
        }
        stage = .receiving
        if broken != 0 { receive() }
    }

    private static func isReset(_ code: Int32) -> Bool { code == ECONNRESET || code == EPIPE }

    private func receive() {
        guard let question = plan?.question else { return }
        var reply =
            self.reply.take()
            ?? ResponseReader(method: question.method, bodyBytesMax: 0)
        let room = owner.buffer.room
        while true {
            let count = Glibc.recv(handle.descriptor, room.baseAddress, room.count, 0)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN, broken == 0 { break }
                let error = SystemError("read")
                return failReceiving(.failed(error), seen: HTTPExchange.progress(reply))
            }
            if count == 0, broken != 0 {
                let error = SystemError("read", code: broken)
                return failReceiving(.failed(error), seen: HTTPExchange.progress(reply))
            }
            do throws(ResponseReader.Failure) {
                if count == 0 {
                    try reply.end()
                } else {
                    try reply.feed(owner.buffer.prefix(count))
                }
            } catch {
                return fail(HTTPExchange.failure(error, in: reply, wanted: HTTPExchange.headWanted))
            }
            let now = loop.instant
            if phases.firstByte == nil { phases.firstByte = now - asked }
            if reply.head != nil {
                let outcome = question.expectation.judge(reply, latency: now - started)
                return end(outcome ?? HTTPExchange.unjudged.outcome(phases))
            }
            // A short read has drained the socket; the next bytes bring the next event.
            if count < room.count, !hasReadEnded, broken == 0 { break }
        }
        self.reply = consume reply
    }

    // MARK: Ends that somebody else describes

    private func failSending(_ error: StreamError) {
        fail(
            .exchanging(
                error,
                complaint: nil,
                expected: HTTPExchange.taken,
                within: span,
                seen: "nothing"
            )
        )
    }

    private var seen: String {
        switch reply {
        case .some(let reply): HTTPExchange.progress(reply)
        case .none: "nothing"
        }
    }

    private func failReceiving(_ error: StreamError, seen: String) {
        fail(
            .exchanging(
                error,
                complaint: nil,
                expected: HTTPExchange.headWanted,
                within: span,
                seen: seen
            )
        )
    }
}
