// What shall be done about a service? Whether it is started, who waits for an answer, what a line of
// it settles, and when it is given up. Pure: events and time in, effects out; `ServiceProcess` has
// them done.
//
//   idle ──ask──► running ──ended──► resting ──time──► running
//                    │ silent, or an end closed
//                    └──► ending ──ended──► resting
//
// The probes are the peer's, the process is ours: whatever goes wrong with the process is neutral.
// Only a process that was asked and says nothing leaves the peer to blame.

public import Health
public import Vocabulary

/// How patient muster is with a service.
public struct ServiceLimits: Sendable {
    /// Rests between an end and the next start: this at first, twice as long each time.
    public var restMin = Nanoseconds.seconds(1)
    public var restMax = Nanoseconds.seconds(30)
    /// From SIGTERM to SIGKILL.
    public var goodbye = Nanoseconds.seconds(2)
    /// Deadlines without a single answer, one after the other, that a process survives.
    public var silentDeadlinesMax = 3
    /// However short the deadlines are, a process gets this long for one answer.
    public var silenceMin = Nanoseconds.seconds(5)
    /// Questions that the process has not read, beyond what is in the pipe.
    public var linesQueuedMax = 256
    /// Questions without an answer.
    public var openMax = 4_096

    public init() {}
}

/// How a program ended.
public enum ProgramEnd: Hashable, Sendable {
    case exited(Int)
    case killed(signal: Int)
}

public struct ServiceRules {
    public enum Effect: Hashable {
        case start
        /// The probe of this number has ended.
        case settle(Int, Outcome)
        /// No more questions: a well-behaved program ends.
        case endInput
        /// The whole process group is asked to end, or ended.
        case terminate, kill
        /// For the journal.
        case say(String)
    }

    private enum Phase {
        case idle
        case running
        /// Told to end, or ending by itself: nothing is asked any more.
        case ending(killAt: Instant, because: String, isOurs: Bool)
        case resting(until: Instant, because: String, code: Int?)
        case stopping(killAt: Instant)
        case stopped
    }

    private struct Question {
        var asked: Instant
        var deadline: Instant
        /// Lines that were nobody's answer when it was asked.
        var strays: Int
        var isSent = false
    }

    public let limits: ServiceLimits
    private var phase = Phase.idle
    private var open: [Int: Question] = [:]
    private var lastID = 0
    /// No open deadline is earlier.
    private var earliest = Instant.distantFuture
    /// Ends in a row without an answer between them.
    private var failures = 0
    private var heardAt = Instant(nanoseconds: .min)
    private var silentDeadlines = 0
    /// Deadlines of questions asked before this are no further sign of silence.
    private var countFrom = Instant(nanoseconds: .min)
    private var said: Set<ServiceMistake.Sort> = []
    /// Lines that nobody can tell the probe of, and the last of them. Each may have been meant for
    /// any probe that was open.
    private var strays = 0
    private var lastStray = ""

    public init(limits: ServiceLimits = ServiceLimits()) { self.limits = limits }

    public var isStopped: Bool { if case .stopped = phase { true } else { false } }

    /// Still waits for an answer.
    public func isOpen(_ id: Int) -> Bool { open[id] != nil }

    /// When `due` wants to be called next. Too early does no harm.
    public var next: Instant? {
        var next = earliest
        switch phase {
        case .ending(let time, _, _), .resting(let time, _, _), .stopping(let time):
            next = min(next, time)
        case .idle, .running, .stopped: break
        }
        return next == .distantFuture ? nil : next
    }

    // MARK: Asking

    /// A probe asks that began at `begin`; `queued` questions before it have not been sent.
    public mutating func ask(
        by deadline: Instant,
        since begin: Instant,
        queued: Int = 0,
        now: Instant
    ) -> (id: Int, effects: [Effect]) {
        lastID += 1
        let id = lastID
        func refuse(_ reason: Reason, _ message: String, code: Int? = nil) -> (Int, [Effect]) {
            let outcome = Outcome(.neutral, reason, code: code, message: message)
            return (id, [.settle(id, outcome)])
        }
        switch phase {
        case .ending(_, let because, _):
            return refuse(.processError, "service \(because) and has not ended yet")
        case .resting(let until, let because, let code):
            let rest = max(until - now, .zero).rounded
            return refuse(
                .processError,
                "service \(because); it is started again in \(rest)",
                code: code
            )
        case .stopping, .stopped:
            return refuse(.processError, "service is being stopped")
        case .idle, .running:
            if queued >= limits.linesQueuedMax || open.count >= limits.openMax {
                return refuse(
                    .socketError,
                    "service is behind: \(queued) questions wait to be read, \(open.count) for "
                        + "an answer"
                )
            }
        }
        open[id] = Question(asked: begin, deadline: deadline, strays: strays)
        earliest = min(earliest, deadline)
        if case .idle = phase { return (id, [.start]) }
        return (id, [])
    }

    /// The whole question has left us.
    public mutating func sent(_ id: Int) { open[id]?.isSent = true }

    // MARK: Life of the process

    public mutating func started(now: Instant) {
        phase = .running
        heardAt = now
        countFrom = Instant(nanoseconds: .min)
        silentDeadlines = 0
        said = []
    }

    public mutating func couldNotStart(_ complaint: String, now: Instant) -> [Effect] {
        rest(because: "could not be started: \(complaint)", code: nil, now: now)
    }

    /// The process has ended. `words` is the last that it said on its standard error.
    public mutating func ended(_ end: ProgramEnd, words: String, now: Instant) -> [Effect] {
        var because: String
        var code: Int?
        switch end {
        case .exited(let status):
            because = "exited with code \(status)"
            code = status
        case .killed(let signal): because = "was killed by signal \(signal)"
        }
        if !words.isEmpty { because += ": \(words)" }
        switch phase {
        case .stopping, .stopped:
            phase = .stopped
            return []
        case .ending(_, let ours, isOurs: true):
            return rest(because: ours, code: nil, now: now)
        default:
            return rest(because: because, code: code, now: now)
        }
    }

    /// It has closed its output or its input: it will never answer again.
    public mutating func closed(_ what: String, now: Instant) -> [Effect] {
        guard case .running = phase else { return [] }
        // Most often it is just ending. Who is open learns how, and not only that it did.
        phase = .ending(
            killAt: now + limits.goodbye,
            because: "has closed its \(what)",
            isOurs: false
        )
        return [.endInput]
    }

    /// Nobody needs it any more.
    public mutating func stop(now: Instant) -> [Effect] {
        let outcome = Outcome(.neutral, .processError, message: "service is being stopped")
        switch phase {
        case .stopping, .stopped: return []
        case .idle, .resting:
            phase = .stopped
            return settleAll(outcome)
        case .running, .ending:
            phase = .stopping(killAt: now + limits.goodbye)
            return settleAll(outcome) + [.endInput, .terminate]
        }
    }

    private mutating func rest(because: String, code: Int?, now: Instant) -> [Effect] {
        var rest = limits.restMin
        for _ in 0..<failures where rest < limits.restMax { rest = rest * 2 }
        rest = min(rest, limits.restMax)
        failures += 1
        phase = .resting(until: now + rest, because: because, code: code)
        let outcome = Outcome(
            .neutral,
            .processError,
            code: code,
            message: "service \(because)"
        )
        return settleAll(outcome) + [.say("\(because); it is started again in \(rest.rounded)")]
    }

    private mutating func settleAll(_ outcome: Outcome) -> [Effect] {
        defer {
            open = [:]
            earliest = .distantFuture
        }
        return open.keys.sorted().map { .settle($0, outcome) }
    }

    // MARK: Answers

    /// It has printed a line, or more than a line may be.
    public mutating func heard(_ line: LineCutter.Piece, now: Instant) -> [Effect] {
        do throws(ServiceMistake) {
            guard case .line(let bytes) = line else { throw .tooLong }
            let answer = try ServiceAnswer(parsing: bytes)
            guard (1...max(lastID, 1)).contains(answer.id) else {
                throw ServiceMistake(
                    .unknownID,
                    "expected the id of a question, saw \(answer.id)"
                )
            }
            answered(now: now)
            // Late, or given twice: the probe has ended.
            guard open.removeValue(forKey: answer.id) != nil else { return [] }
            var effects: [Effect] = [.settle(answer.id, answer.outcome)]
            if let oddity = answer.oddity {
                effects += sayOnce(ServiceMistake(.oddity, oddity))
            }
            return effects
        } catch {
            return mistaken(error, now: now)
        }
    }

    private mutating func mistaken(_ mistake: ServiceMistake, now: Instant) -> [Effect] {
        if let id = mistake.id, (1...max(lastID, 1)).contains(id) {
            answered(now: now)
            guard open.removeValue(forKey: id) != nil else { return sayOnce(mistake) }
            let outcome = Outcome(.neutral, .layer7Response, message: mistake.message)
            return [.settle(id, outcome)] + sayOnce(mistake)
        }
        strays += 1
        lastStray = mistake.message
        return sayOnce(mistake)
    }

    private mutating func answered(now: Instant) {
        failures = 0
        heardAt = now
        countFrom = now
        silentDeadlines = 0
    }

    /// Each sort of mistake once a process.
    private mutating func sayOnce(_ mistake: ServiceMistake) -> [Effect] {
        said.insert(mistake.sort).inserted ? [.say(mistake.message)] : []
    }

    // MARK: Time

    public mutating func due(now: Instant) -> [Effect] {
        var effects = earliest <= now ? expire(now: now) : []
        switch phase {
        case .resting(let until, _, _) where until <= now:
            phase = .idle
            effects.append(.start)
        case .ending(let killAt, let because, let isOurs) where killAt <= now:
            phase = .ending(killAt: .distantFuture, because: because, isOurs: isOurs)
            effects.append(.kill)
        case .stopping(let killAt) where killAt <= now:
            phase = .stopping(killAt: .distantFuture)
            effects.append(.kill)
        case .running where isSilent(now: now):
            let because = "answered nothing for \((now - heardAt).rounded) and was ended"
            phase = .ending(killAt: now + limits.goodbye, because: because, isOurs: true)
            let outcome = Outcome(.neutral, .processError, message: "service \(because)")
            effects += settleAll(outcome) + [.endInput, .terminate]
        default: break
        }
        return effects
    }

    private func isSilent(now: Instant) -> Bool {
        silentDeadlines >= limits.silentDeadlinesMax && now - heardAt >= limits.silenceMin
    }

    private mutating func expire(now: Instant) -> [Effect] {
        var effects: [Effect] = []
        var isCounted = false
        let over = open.filter { $0.value.deadline <= now }
        for (id, question) in over.sorted(by: { $0.key < $1.key }) {
            open[id] = nil
            effects.append(.settle(id, verdict(on: question)))
            // A hundred probes that begin together and end together are one sign of silence.
            if question.asked >= countFrom { isCounted = true }
        }
        if isCounted {
            silentDeadlines += 1
            countFrom = now
        }
        earliest = open.values.map(\.deadline).min() ?? .distantFuture
        return effects
    }

    private func verdict(on question: Question) -> Outcome {
        let expected =
            "expected an answer within \((question.deadline - question.asked).rounded), saw "
        switch phase {
        case .ending(_, let because, _):
            return Outcome(.neutral, .processError, message: "service \(because)")
        case _ where !question.isSent:
            return Outcome(
                .neutral,
                .socketError,
                message: "service is behind: it did not read the question in time"
            )
        default:
            guard question.strays == strays else {
                let message = expected + "other lines: \(lastStray)"
                return Outcome(.neutral, .layer7Response, message: message)
            }
            return Outcome(.fail, .layer7Timeout, message: expected + "none from the service")
        }
    }
}
