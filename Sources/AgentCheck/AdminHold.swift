// When is `ready` said? After a drain or maint of ours ended, for the hold time, and not a moment
// longer: HAProxy takes `ready` as an order, also against its operator's own maint.
//
//     quiet ──asked──► asserting ──lifted──► releasing ──hold over──► quiet
//     remembered ──asked──► asserting
//     remembered ──known not to be asked any more──► releasing
//
// A process that starts is quiet about every peer, so a restart cancels nothing. Only peers to whom
// the process before had given a word are remembered (`AdminMemory`): if that word was lifted while
// nobody was here, HAProxy still has to be told, and the hold begins when we know.

public import Health
public import Vocabulary

/// The admin word of one peer under `when-set`. Pure: it is told the time.
public struct AdminHold: Hashable, Sendable {
    private enum Phase: Hashable {
        case quiet
        case remembered(Intent.Mode)
        case asserting(Intent.Mode)
        case releasing(from: Intent.Mode, until: Instant)
    }

    private var phase = Phase.quiet

    public init() {}

    /// Goes on where another process of this agent ended.
    public init(remembering mode: Intent.Mode) {
        phase = mode == .ready ? .quiet : .remembered(mode)
    }

    /// Takes in what is asked for now. `isCertain` is false while intents have not been read from
    /// the store: that nothing is asked for means nothing then.
    public mutating func observe(
        _ asked: Intent.Mode,
        at now: Instant,
        hold: Nanoseconds,
        isCertain: Bool = true
    ) {
        if asked != .ready {
            phase = .asserting(asked)
            return
        }
        switch phase {
        case .asserting(let mode): phase = .releasing(from: mode, until: now + hold)
        case .remembered(let mode) where isCertain:
            phase = .releasing(from: mode, until: now + hold)
        case .releasing(_, let until) where now >= until: phase = .quiet
        case .quiet, .remembered, .releasing: break
        }
    }

    /// The word to say, or nil for none.
    public func word(at now: Instant) -> Intent.Mode? {
        switch phase {
        case .quiet, .remembered: nil
        case .asserting(let mode): mode
        case .releasing(_, let until): now < until ? .ready : nil
        }
    }

    /// When the word ends by itself.
    public var endsAt: Instant? {
        if case .releasing(_, let until) = phase { return until }
        return nil
    }

    /// What HAProxy may still hold of us: what the next process has to know.
    public var outstanding: Intent.Mode? {
        switch phase {
        case .quiet: nil
        case .remembered(let mode), .asserting(let mode), .releasing(let mode, _): mode
        }
    }
}
