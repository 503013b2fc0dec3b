// What happened to this request, and what now? Everything that is decided of an exchange is decided
// here, from what client, peer and clock did, and from nothing else: no socket, no buffer, no pool.
// The worker reports, and does what it is told.

import Health

/// What happened.
enum ExchangeEvent: Equatable {
    // Of an attempt.
    /// Nobody is left who could be asked.
    case nobody
    /// Somebody was chosen, and a connection to them begins.
    case opening
    /// Somebody was chosen, and a connection that served others before stands.
    case taken
    case connected
    /// The first byte of the request is in the kernel's hands.
    case asked
    case interim
    case answering
    /// The answer has a status with which requests shall be tried elsewhere, and somebody is left.
    case unwelcome
    case failed(Failing)
    /// The peer is lost, and another is there.
    case lost
    /// The peer is down, and its connections shall go.
    case wentDown

    // Of the client, and of time.
    /// The connection carries bytes that nobody reads from now on.
    case tunnelled
    /// The deadline came.
    case late(Lateness)
    /// The request turned out to make no sense.
    case senseless(status: UInt16)
    case clientGone
    /// The answer is whole, and was handed on.
    case complete
}

/// How an attempt went wrong.
enum Failing: Equatable {
    /// No connection.
    case connect
    /// The connection ended before the head of an answer began.
    case silent
    /// What came was no answer, or only a part of its head.
    case malformed
    /// No answer in time.
    case timeout
    /// In the middle of the body.
    case broken
}

/// Who kept an exchange waiting too long.
enum Lateness: Equatable {
    case connecting
    /// The peer has all of the request, or does not take it.
    case peer
    /// The peer broke off in the middle of its answer.
    case stalled
    /// The client does not send the rest of its request.
    case clientSends
    /// The client does not read its answer.
    case clientReads
}

/// What to do now.
enum ExchangeAction: Equatable {
    case goOn
    /// Ask a peer that has not been asked. `again` where one may have had the request before.
    case choose(again: Bool)
    /// Ask the same peer on a fresh connection.
    case reconnect
    case end(Ending)
}

/// How an exchange ends. Each does once.
enum Ending: Hashable {
    /// The answer has been handed on whole.
    case answered
    /// With an answer of our own, after which the connection goes on if nothing of the request is
    /// still to come.
    case own(status: UInt16)
    /// With an answer of our own that is the last on its connection.
    case refused(status: UInt16)
    /// What came of the answer goes out, and then the client is cut off.
    case cut
    /// The client is cut off at once.
    case reset
    /// The client is there no more.
    case gone
}

/// The course of one exchange.
struct Course: Hashable {
    enum Attempt: UInt8 {
        /// Nobody is asked now.
        case none
        case connecting
        /// The connection stands.
        case open
        /// The peer may have seen a byte of the request.
        case asked
        case tunnel
    }

    /// What the client has heard.
    enum Heard: UInt8 { case nothing, interim, answer }

    var attempt = Attempt.none
    var heard = Heard.nothing
    /// In TCP mode there is neither request nor answer.
    var isOpaque = false
    /// It may be sent twice, and it changes nothing.
    var isIdempotent = false
    var isSafe = false
    /// It may be sent to another peer although this one, which is lost, may carry it out later.
    var isMovable = false
    /// It was moved off a peer that had it.
    var hasMoved = false
    /// It may be under way a second time: that is counted until it ends.
    var isAgain = false
    /// Every byte that was sent is still here, to be sent again.
    var isReplayable = true
    /// All of the request has come from the client.
    var isWhole = true
    /// The connection served others before.
    var isReused = false
    /// A connection that had gone stale has been forgiven once.
    var usedFreeRetry = false
    /// Who was asked last did not answer in time.
    private var timedOut = false
    /// Peers asked, and how many may be.
    var tries: UInt8 = 0
    var triesMax: UInt8 = 1
    /// What may be tried again.
    var occasions: TryingDefinition.Occasions = []
    /// The answer that began cannot be taken back: an interim one went before it.
    private var hadInterim = false

    /// Takes in what happened. `hasBudget`: a request may be sent a second time.
    @inline(__always)
    mutating func on(_ event: ExchangeEvent, hasBudget: Bool = false) -> ExchangeAction {
        switch event {
        case .opening:
            attempt = .connecting
            isReused = false
            return .goOn
        case .taken:
            attempt = .open
            isReused = true
            return .goOn
        case .connected:
            attempt = .open
            return .goOn
        case .asked:
            attempt = .asked
            return .goOn
        case .interim:
            heard = .interim
            hadInterim = true
            return .goOn
        case .answering:
            heard = .answer
            return .goOn
        case .tunnelled:
            attempt = .tunnel
            return .goOn
        case .complete:
            return .end(.answered)
        default:
            return amiss(event, hasBudget)
        }
    }

    @inline(never)
    private mutating func amiss(_ event: ExchangeEvent, _ hasBudget: Bool) -> ExchangeAction {
        switch event {
        case .nobody:
            if isOpaque { return .end(.reset) }
            // Told as it would be if nobody else had been looked for.
            return .end(.own(status: tries == 0 ? 503 : timedOut ? 504 : 502))
        case .failed(let failing):
            return failed(failing, hasBudget)
        case .unwelcome:
            guard state(hasBudget).mayBeSentAgain else { return .goOn }
            attempt = .none
            return .choose(again: true)
        case .lost:
            guard mayMove else { return .goOn }
            if attempt == .asked {
                // Two peers died with it: it may be what they died of.
                if hasMoved { return .end(.own(status: 502)) }
                hasMoved = true
            }
            attempt = .none
            return .choose(again: false)
        case .wentDown:
            // Nobody knows what was said in a tunnel.
            if attempt == .tunnel { return .end(.reset) }
            isReused = false
            return failed(attempt == .connecting ? .connect : .silent, hasBudget)
        case .late(.connecting):
            return failed(.connect, hasBudget)
        case .late(.peer):
            return failed(.timeout, hasBudget)
        case .late(.stalled):
            return failed(.broken, hasBudget)
        case .late(.clientSends):
            return .end(.refused(status: 408))
        case .late(.clientReads):
            return .end(.reset)
        case .senseless(let status):
            return .end(heard == .answer ? .reset : .refused(status: status))
        case .clientGone:
            return .end(.gone)
        default:
            return .goOn
        }
    }

    private mutating func failed(_ failing: Failing, _ hasBudget: Bool) -> ExchangeAction {
        let failure = failure(failing)
        attempt = .none
        timedOut = failure == .timeout
        if isOpaque {
            // No byte was exchanged yet: another peer can take the connection.
            let canGoOn = failing == .connect && tries < triesMax
            return canGoOn ? .choose(again: false) : .end(.reset)
        }
        switch Failover.decide(failure, state(hasBudget)) {
        case .anotherPeer:
            return .choose(again: failure != .connect)
        case .freshConnection:
            usedFreeRetry = true
            return .reconnect
        case .respond(let status): return .end(.own(status: UInt16(status)))
        case .abort: return .end(.cut)
        }
    }

    /// Whether it can leave a peer that is lost. What the peer has seen nothing of always can.
    var mayMove: Bool {
        if isOpaque || heard != .nothing || !isReplayable { return false }
        switch attempt {
        case .connecting, .open: return true
        case .asked: return isMovable
        case .none, .tunnel: return false
        }
    }

    /// A 408 that ends a connection which served others before is no answer to this request, but to none: the
    /// peer had waited for one too long, and said so while this one was on its way (RFC 9110, section
    /// 15.5.9). It is the same as an end without a word. `isLast`: nothing comes after it.
    func isAnsweredTooLate(isLast: Bool) -> Bool {
        isLast && isReused && !usedFreeRetry && heard == .nothing && isIdempotent && isReplayable
            && isWhole
    }

    /// The answer had begun, but nothing of it has left yet.
    mutating func takeBack() { heard = hadInterim ? .interim : .nothing }

    /// What the table asks for. Whoever is under way a second time needs no budget for a third.
    func state(_ hasBudget: Bool) -> AttemptState {
        AttemptState(
            isIdempotent: isIdempotent,
            isSafe: isSafe,
            isReplayable: isReplayable,
            interimWasSent: heard == .interim,
            tries: Int(tries),
            triesMax: Int(triesMax),
            usedFreeRetry: usedFreeRetry,
            hasBudget: hasBudget || isAgain,
            occasions: occasions
        )
    }

    /// What failed, in the words of the table.
    private func failure(_ failing: Failing) -> AttemptFailure {
        if heard == .answer { return .midResponse }
        return switch failing {
        case .connect: .connect
        case .silent: .diedSilent(isReused: isReused, wroteBytes: attempt == .asked)
        case .malformed: .malformed
        case .timeout: .timeout
        case .broken: .midResponse
        }
    }

    /// Whom the deadline has caught. `isSent`: nothing of the request waits to be sent; `isDelivered`:
    /// nothing of the answer waits for the client.
    func lateness(isSent: Bool, isDelivered: Bool) -> Lateness {
        if attempt == .connecting { return .connecting }
        if heard == .answer { return isDelivered ? .stalled : .clientReads }
        return !isWhole && isSent ? .clientSends : .peer
    }
}
