// Which lines wait for a reader of the log that is slow or gone, and which are left out? So many lines
// and so many bytes, and of what is left out the number and the time. A value; the thread that
// writes is `LogWriter`.
//
// The first lines of trouble tell its cause, so what waits stays, and what comes later is left out.
// The last quarter is kept for warnings and errors. Once something was left out, lines are taken
// again when half of the room is free: else every second line would be a line about lost lines.

import Vocabulary

struct LogBacklog {
    struct Entry: Equatable {
        var time: WallTime
        var line: Journal.Line
    }

    /// Lines that nobody will read, from the first to the last.
    struct Gap: Equatable {
        var count: Int
        var first: WallTime
        var last: WallTime
    }

    let linesMax: Int
    let bytesMax: Int

    private var entries: [Entry] = []
    /// Those before it are taken.
    private var head = 0
    private var bytes = 0
    private var gap: Gap?
    /// Why the log could not be written, when it was not for want of a reader.
    private var trouble: String?
    /// Since the start.
    private(set) var dropped: UInt64 = 0

    /// 10,000 lines are what a fleet of 5,000 peers says when all of them fall and rise once.
    init(linesMax: Int = 10_000, bytesMax: Int = 4 << 20) {
        self.linesMax = linesMax
        self.bytesMax = bytesMax
    }

    var isEmpty: Bool { head == entries.count && gap == nil }

    private var lines: Int { entries.count - head }

    /// Whether so many more bytes fit in a share of the room, told in quarters.
    private func hasRoom(for more: Int, quarters: Int) -> Bool {
        lines < linesMax * quarters / 4 && bytes + more <= bytesMax * quarters / 4
    }

    mutating func add(_ entry: Entry) {
        let size = Self.size(of: entry)
        if gap != nil, hasRoom(for: size, quarters: 2) { closeGap() }
        let isUrgent = entry.line.level >= .warning
        let isTaken =
            isUrgent
            ? hasRoom(for: size, quarters: 4) : gap == nil && hasRoom(for: size, quarters: 3)
        guard isTaken else {
            dropped += 1
            gap = Gap(
                count: (gap?.count ?? 0) + 1,
                first: gap?.first ?? entry.time,
                last: entry.time
            )
            return
        }
        entries.append(entry)
        bytes += size
    }

    /// The oldest lines, of at most so many bytes in all but at least one.
    mutating func take(bytesMax limit: Int) -> [Entry] {
        if gap != nil, hasRoom(for: 0, quarters: 2) { closeGap() }
        var taken: [Entry] = []
        var size = 0
        while head < entries.count {
            let next = Self.size(of: entries[head])
            if !taken.isEmpty, size + next > limit { break }
            taken.append(entries[head])
            size += next
            head += 1
        }
        bytes -= size
        if head == entries.count {
            entries.removeAll(keepingCapacity: entries.count < 256)
            head = 0
        } else if head > entries.count / 2 {
            entries.removeFirst(head)
            head = 0
        }
        return taken
    }

    /// The log cannot be written, and why: the next line about lost lines tells it as their cause.
    mutating func isInTrouble(_ words: String) { trouble = words }

    /// It can be written again.
    mutating func isOutOfTrouble() {
        if gap == nil { trouble = nil }
    }

    private mutating func closeGap() {
        guard let gap else { return }
        self.gap = nil
        let why = trouble.map { "while the log could not be written (\($0))" }
        trouble = nil
        let were = gap.count == 1 ? "line was" : "lines were"
        let entry = Entry(
            time: gap.last,
            line: Journal.Line(
                .warning,
                "\(gap.count) \(were) dropped \(why ?? "while nobody read the log"), "
                    + "from \(gap.first) to \(gap.last)",
                [
                    .event("log-dropped"), .count(gap.count), .init("first", "\(gap.first)"),
                    .init("last", "\(gap.last)"),
                ]
            )
        )
        entries.append(entry)
        bytes += Self.size(of: entry)
    }

    /// About what it takes in memory and as JSON.
    private static func size(of entry: Entry) -> Int {
        entry.line.fields.reduce(64 + entry.line.text.utf8.count) { sum, field in
            let value =
                switch field.value {
                case .text(let text): text.utf8.count
                case .number: 8
                }
            return sum + 48 + field.key.utf8.count + value
        }
    }
}
