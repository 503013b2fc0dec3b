// Who has been waiting longest? Connections stand in one of three queues, each with one patience for
// all who stand in it, so that its head is always the next to run out: no timer a connection, no
// walk through those who wait. Ten thousand silent clients cost their memory and nothing else.

import EventLoop
import Vocabulary

/// Where a connection is in its short life.
enum Phase: Int, CaseIterable {
    /// Has not yet asked everything. → answered
    case asking
    /// Has its line; it may close first, which spares this machine the TIME_WAIT. → ended
    case answered
    /// Was told that no more will come, and is being waited for. → gone
    case ended

    var patience: Nanoseconds {
        switch self {
        case .asking: .seconds(5)
        case .answered: .milliseconds(2)
        case .ended: .seconds(1)
        }
    }
}

struct AskerConnection {
    /// Owned here until it is registered with the loop, which then owns it under `handle`.
    var raw: Int32
    var handle = Handle.none
    /// Which listener it came to.
    var port: Int
    var phase = Phase.asking
    var since: Instant
    /// What was read of an unfinished request.
    var partial: [UInt8] = []
    /// Set while a line waits for its line feed.
    var silence = TimerID.none
    fileprivate var next = -1
    fileprivate var previous = -1

    init(raw: Int32, port: Int, since: Instant) {
        self.raw = raw
        self.port = port
        self.since = since
    }
}

/// A table of connections in three queues. Pure: it closes nothing and reads no clock.
struct ConnectionQueues {
    private struct Ends {
        var head = -1
        var tail = -1
    }

    private var table: [AskerConnection] = []
    private var free: [Int] = []
    private var queues = [Ends](repeating: Ends(), count: Phase.allCases.count)
    private(set) var count = 0

    subscript(index: Int) -> AskerConnection {
        get { table[index] }
        _modify { yield &table[index] }
    }

    mutating func insert(_ connection: AskerConnection) -> Int {
        let index: Int
        if let reused = free.popLast() {
            index = reused
            table[index] = connection
        } else {
            index = table.count
            table.append(connection)
        }
        count += 1
        append(index, to: connection.phase)
        return index
    }

    mutating func remove(_ index: Int) -> AskerConnection {
        unlink(index)
        count -= 1
        free.append(index)
        let connection = table[index]
        table[index].raw = -1
        table[index].partial = []
        return connection
    }

    mutating func move(_ index: Int, to phase: Phase, at now: Instant) {
        unlink(index)
        table[index].phase = phase
        table[index].since = now
        append(index, to: phase)
    }

    /// The one who has been in this phase for longest.
    func first(in phase: Phase) -> Int? {
        let head = queues[phase.rawValue].head
        return head < 0 ? nil : head
    }

    /// When the first of this phase runs out of patience.
    func deadline(of phase: Phase) -> Instant? {
        first(in: phase).map { table[$0].since + phase.patience }
    }

    /// Every connection, in no order.
    var all: [Int] {
        Phase.allCases.flatMap { phase in
            sequence(first: queues[phase.rawValue].head) { table[$0].next }.prefix { $0 >= 0 }
        }
    }

    private mutating func append(_ index: Int, to phase: Phase) {
        let tail = queues[phase.rawValue].tail
        table[index].previous = tail
        table[index].next = -1
        if tail < 0 {
            queues[phase.rawValue].head = index
        } else {
            table[tail].next = index
        }
        queues[phase.rawValue].tail = index
    }

    private mutating func unlink(_ index: Int) {
        let (previous, next) = (table[index].previous, table[index].next)
        let phase = table[index].phase.rawValue
        if previous < 0 { queues[phase].head = next } else { table[previous].next = next }
        if next < 0 { queues[phase].tail = previous } else { table[next].previous = previous }
    }
}
