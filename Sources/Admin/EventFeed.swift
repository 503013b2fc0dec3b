// Who waits for something to happen? Readers of events, woken by the next transition, or after a while so
// that they can tell their clients that they still live. However many they are, an event is put into words
// once for all who wait at the same place, and a rush of them is told in few pieces.

public import EventLoop
public import Store
import Vocabulary

/// Confined to the control loop.
public final class EventFeed: BoardObserver {
    /// What comes next, in the words of the stream. Without events it is a comment.
    struct Telling: Sendable {
        var bytes: [UInt8]
        /// The last event in it.
        var last: UInt64?
        /// There is more already.
        var isFull: Bool
    }

    private let board: Board
    private let agent: String
    private let loop: EventLoop
    private let timers: Timers
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var alarm: (at: Instant, token: Timers.Token)?
    private var lastWake = Instant(nanoseconds: .min)
    /// What was told last, to whom and when there was nothing after it.
    private var told: (after: UInt64, end: UInt64, telling: Telling)?

    /// A client that is gone is noticed by the next write.
    static let beatEvery = Nanoseconds.seconds(5)
    /// What happens within so long is told together. Whoever waited longer hears at once.
    static let gatherFor = Nanoseconds.milliseconds(20)
    /// Events put into words in one go: the loop has other work.
    static let atOnce = 128

    public init(of board: Board, by agent: String, on loop: EventLoop) {
        self.board = board
        self.agent = agent
        self.loop = loop
        timers = Timers(loop: loop)
        board.subscribe(self)
    }

    /// What came after the event with this id, as soon as there is something. A comment where nothing came
    /// for a while.
    func next(after id: UInt64) async -> Telling {
        let now = loop.instant
        let telling = telling(after: id)
        if telling.isFull { return telling }
        if telling.last != nil, now >= lastWake + Self.gatherFor {
            lastWake = now
            return telling
        }
        await withCheckedContinuation { reader in
            waiting.append(reader)
            wake(by: telling.last == nil ? now + Self.beatEvery : lastWake + Self.gatherFor)
        }
        return self.telling(after: id)
    }

    func start(after id: UInt64?, limit: Int) -> EventLog.Start {
        board.events.start(after: id, limit: limit)
    }

    /// What is there already.
    func telling(after id: UInt64) -> Telling {
        let end = board.events.events.last?.id ?? 0
        if let told, told.after == id, told.end == end { return told.telling }
        let page = board.events.next(after: id, limit: Self.atOnce)
        var text = page.hasGap ? EventRoutes.gap : ""
        for event in page.events { text += EventRoutes.text(of: event, by: agent) }
        // A comment, which clients pass over.
        if text.isEmpty { text = ":\n\n" }
        let telling = Telling(
            bytes: Array(text.utf8),
            last: page.events.last?.id,
            isFull: page.events.count == Self.atOnce
        )
        told = (id, end, telling)
        return telling
    }

    public func transition(_ event: TransitionEvent) {
        guard !waiting.isEmpty else { return }
        let soonest = lastWake + Self.gatherFor
        if loop.instant >= soonest { wake() } else { wake(by: soonest) }
    }

    private func wake(by deadline: Instant) {
        if let alarm {
            if alarm.at <= deadline { return }
            timers.cancel(alarm.token)
        }
        let token = timers.schedule(at: deadline) { [unowned self] in
            alarm = nil
            wake()
        }
        alarm = (deadline, token)
    }

    private func wake() {
        if let alarm { timers.cancel(alarm.token) }
        alarm = nil
        lastWake = loop.instant
        let readers = waiting
        waiting = []
        for reader in readers { reader.resume() }
    }
}
