// Which name that nobody knows is worth a line? Each is a mistake in somebody's configuration: told
// at once and then once in a while, and never so often that a port scan fills a disk.

import Vocabulary

/// Pure: it is told the time.
struct UnknownNames {
    static let againAfter = Nanoseconds.seconds(600)
    /// The oldest is forgotten beyond that.
    static let namesMax = 256
    static let linesMax = 20
    static let window = Nanoseconds.seconds(10)

    private var told: [String: Instant] = [:]
    private var began = Instant(nanoseconds: .min)
    private var lines = 0

    mutating func isWorthALine(_ name: String, now: Instant) -> Bool {
        if let before = told[name], now < before + Self.againAfter { return false }
        if now >= began + Self.window {
            began = now
            lines = 0
        }
        guard lines < Self.linesMax else { return false }
        lines += 1
        if told[name] == nil, told.count >= Self.namesMax,
            let oldest = told.min(by: { $0.value < $1.value })
        {
            told[oldest.key] = nil
        }
        told[name] = now
        return true
    }
}
