// What happened while somebody was not looking? The last transitions, each with an id that is never
// given twice, over restarts too. Whoever comes back with the id of the last event he has seen gets
// what came after it, or is told that something is missing.
//
// An id is the time of its event in microseconds, or one more than the id before it where that would
// not be more. So ids grow though nobody remembers the last one: a process that begins, begins later.

import Health
public import Ledger
public import Vocabulary

/// The transitions that are held, oldest first. Confined to its loop's thread.
public final class EventLog {
    /// What is given to somebody who comes back.
    public struct Page: Hashable, Sendable {
        public var events: [TransitionEvent]
        /// Something between what was seen last and these events may be missing.
        public var hasGap: Bool
    }

    public private(set) var events: [TransitionEvent] = []
    private var last: UInt64
    private let capacity: Int
    private var ledger: Ledger?

    /// Nothing is missing after the event with this id.
    public var completeAfter: UInt64 { max(base, dropped) }
    /// Where this process began, or the last one if it said goodbye.
    private var base: UInt64
    /// The last one that had to make room.
    private var dropped: UInt64 = 0
    /// The last one that is left out of the ledger.
    private var unwritten: UInt64 = 0
    private var hasEnded = false

    /// How the last process saw each peer at its end, for those that are found so again.
    private var before: [PeerKey: Past] = [:]

    /// What the last process wrote of itself.
    private var left: (base: UInt64, hasEnded: Bool) = (0, false)

    /// Transitions kept for those who ask later: whoever is away for a moment finds all of it, though five
    /// thousand peers turn in it.
    public static let capacityDefault = 8_000
    /// Of these so many outlive the process. Who comes back after a restart reads everything anew anyway.
    public static let writtenMax = 1_000
    /// Half of what a double holds exactly, which is what a program in a browser counts in.
    private static let idMax: UInt64 = 1 << 52

    /// A log that knows of nothing before `start`.
    public init(startedAt start: WallTime, capacity: Int = capacityDefault) {
        self.capacity = capacity
        base = Self.id(at: start)
        last = base
    }

    private static func id(at time: WallTime) -> UInt64 {
        let milliseconds = UInt64(clamping: time.milliseconds)
        // A clock that shows nonsense must not use up the ids.
        return milliseconds < idMax / 1_000 ? milliseconds * 1_000 : 0
    }

    // MARK: Writing

    func add(
        _ change: PeerHealth.Change,
        of peer: PeerKey,
        now: WallTime
    ) -> TransitionEvent {
        let event = TransitionEvent(
            id: max(last + 1, Self.id(at: now)),
            at: change.to.since,
            peer: peer,
            from: change.from.status,
            to: change.to.status,
            reason: change.to.reason
        )
        keep(event)
        ledger?.note(event.record)
        return event
    }

    private func keep(_ event: TransitionEvent) {
        last = max(last, event.id)
        events.append(event)
        // Trimmed by halves: one move of the array for five hundred events.
        guard events.count >= capacity * 3 / 2 else { return }
        let surplus = events.count - capacity
        dropped = events[surplus - 1].id
        events.removeFirst(surplus)
    }

    // MARK: Reading

    /// The events after the one with this id; without one, all that are held.
    ///
    /// An id that is not held is of an event that was dropped, that did not come to the disk before
    /// a kill, or that another agent gave: what came right after it may not be here either.
    public func page(after id: UInt64?) -> Page {
        guard let id else { return Page(events: events, hasGap: false) }
        let place = events.partitioningIndex { $0.id > id }
        let isHeld = place > 0 && events[place - 1].id == id
        return Page(
            events: Array(events[place...]),
            hasGap: id < completeAfter || !(isHeld || id == completeAfter)
        )
    }

    /// From where to where somebody reads who comes, and whether something before may be missing.
    public struct Start: Hashable, Sendable {
        /// What he gets first comes after this id.
        public var after: UInt64
        public var hasGap: Bool
        /// The last one that is held.
        public var end: UInt64
    }

    /// For somebody who has seen nothing, or up to `id`, and wants `limit` of those that are held.
    public func start(after id: UInt64?, limit: Int) -> Start {
        let place = id.map { id in events.partitioningIndex { $0.id > id } } ?? 0
        let first = max(place, events.count - limit)
        var hasGap = false
        if let id {
            let isHeld = place > 0 && events[place - 1].id == id
            hasGap = first > place || id < completeAfter || !(isHeld || id == completeAfter)
        }
        guard first < events.count else { return Start(after: last, hasGap: hasGap, end: last) }
        let after = first > 0 ? events[first - 1].id : events[first].id - 1
        return Start(after: after, hasGap: hasGap, end: last)
    }

    /// The next ones for somebody who has read up to `id` since he came, `limit` at most.
    public func next(after id: UInt64, limit: Int) -> Page {
        let place = events.partitioningIndex { $0.id > id }
        return Page(events: Array(events[place...].prefix(limit)), hasGap: id < dropped)
    }

    // MARK: Over restarts

    /// How the last process left the peer, and since when it had been so: checks alone do not tell when a drain
    /// was lifted, say. Told once.
    func past(of peer: PeerKey) -> Past? { before.removeValue(forKey: peer) }

    struct Past: Hashable {
        var status: PeerStatus
        var since: WallTime
    }

    /// Writes to `ledger` from now on, and takes from it what the last process left.
    public func keep(in ledger: Ledger) {
        self.ledger = ledger
        ledger.join(self)
    }

    /// Nothing comes any more: the next process goes on where this one ends.
    public func end() {
        hasEnded = true
        ledger?.note(mark)
        ledger = nil
    }

    private var mark: LedgerRecord {
        let json = JSON.object([
            .init("complete_after", .integer(Int64(clamping: max(completeAfter, unwritten)))),
            .init("end", .bool(hasEnded)),
        ])
        return LedgerRecord(kind: LedgerKind.eventMark, bytes: json.bytes)
    }
}

extension EventLog: LedgerClient {
    public var recordKinds: Set<UInt8> { [LedgerKind.event, LedgerKind.eventMark] }

    public func recover(_ record: LedgerRecord) {
        left.hasEnded = false
        guard let json = try? JSON(parsing: record.bytes) else { return }
        if record.kind == LedgerKind.event {
            guard let event = TransitionEvent(json: json), (events.last?.id ?? 0) < event.id else {
                return
            }
            keep(event)
        } else if let id = json["complete_after"]?.integer {
            left = (UInt64(clamping: id), json["end"]?.bool == true)
        }
    }

    /// Unless the last process said goodbye, its last events may not have come to the disk.
    public func recoveryEnded(isDamaged: Bool) {
        if left.hasEnded, !isDamaged { base = left.base }
        for event in events { before[event.peer] = Past(status: event.to, since: event.at) }
    }

    public func snapshot() -> @Sendable () -> [LedgerRecord] {
        if events.count > Self.writtenMax {
            unwritten = events[events.count - Self.writtenMax - 1].id
        }
        return { [events, mark] in events.suffix(Self.writtenMax).map(\.record) + [mark] }
    }
}

extension Array {
    /// Of an array in which all that does not hold comes before all that does: where it begins to.
    fileprivate func partitioningIndex(_ holds: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = low + (high - low) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
