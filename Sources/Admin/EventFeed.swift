// Who waits for something to happen? Readers of events, woken by the next transition, or after a while so
// that they can tell their clients that they still live.

public import EventLoop
public import Store
import Vocabulary

/// Confined to the control loop.
public final class EventFeed: BoardObserver {
    private let board: Board
    private let timers: Timers
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var beat: Timers.Token?

    /// A client that is gone is noticed by the next write.
    static let beatEvery = Nanoseconds.seconds(5)

    public init(of board: Board, on loop: EventLoop) {
        self.board = board
        timers = Timers(loop: loop)
        board.subscribe(self)
    }

    /// What came after the event with this id, as soon as there is something. Empty where nothing came
    /// for a while.
    func next(after id: UInt64) async -> EventLog.Page {
        let page = board.events.page(after: id)
        if !page.events.isEmpty { return page }
        await withCheckedContinuation { reader in
            waiting.append(reader)
            guard beat == nil else { return }
            beat = timers.schedule(after: Self.beatEvery) { [unowned self] in wake() }
        }
        return board.events.page(after: id)
    }

    /// What is held, for a reader that has seen nothing or up to `id`, and where to go on.
    func first(after id: UInt64?) -> (page: EventLog.Page, last: UInt64) {
        let page = board.events.page(after: id)
        let last = board.events.events.last?.id ?? board.events.completeAfter
        return (page, last)
    }

    public func transition(_ event: TransitionEvent) { wake() }

    private func wake() {
        if let beat { timers.cancel(beat) }
        beat = nil
        let readers = waiting
        waiting = []
        for reader in readers { reader.resume() }
    }
}
