// What of that which others wrote is believed? Redis, a state file and another agent may hold anything:
// another program's data, another version's, a hostile hand's. One rule for all of it:
//
//   refused  a name that is empty, long or cannot be printed; a count beyond its thresholds; a status that
//            its count contradicts; an order (epoch, sequence) that no agent could have reached; an intent
//            whose times are none
//   clamped  a verdict's times into the years 1970 to 9999, latency into 0 … 1 day, hints into their range
//   made printable and cut   a message
//   left out what is none    addresses that are down, beyond the first 64
//
// docs/STATE.md says the same to whoever writes there.

import Health
import Vocabulary

enum Believable {
    /// A peer may be a path, a monitor is a word.
    static let nameBytesMax = 512
    /// Twice what an outcome keeps: two of them may be told together.
    static let messageBytesMax = 1_024
    /// The year 2527: an epoch is milliseconds since 1970 where it begins, and grows by one. Of verdicts in Redis
    /// `FleetTerms.epochLead` says more, where a clock is at hand.
    static let epochMax: UInt64 = 1 << 44
    /// What a script in Redis can count exactly.
    static let sequenceMax: UInt64 = 1 << 53
    static let latencyMax = Nanoseconds.seconds(86_400)
    /// More than a probe visits.
    static let addressesMax = 64
    /// The longest IPv6 address with an interface and a port.
    static let addressBytesMax = 64
    /// Of one value in Redis. Nothing of ours comes near, and what is read at once stays well below what
    /// is read of one reply.
    static let valueBytesMax = 16 << 10

    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= nameBytesMax
            && text.printable.utf8.count == text.utf8.count
    }

    static func message(_ text: String) -> String {
        // Cut first, or a megabyte of control characters becomes six; and again, as they grow.
        cut(cut(text).printable)
    }

    /// `host:port` after `host:port`, with blanks between: each once, and in order.
    static func addresses(_ text: String) -> [String] {
        if text.isEmpty { return [] }
        var found = Set<String>()
        for part in text.utf8.split(separator: UInt8(ascii: " ")) {
            let text = String(Substring(part))
            guard part.count <= addressBytesMax, case .host? = Address(text: text) else { continue }
            found.insert(text)
            if found.count == addressesMax { break }
        }
        return found.sorted()
    }

    private static func cut(_ text: String) -> String {
        if text.utf8.count <= messageBytesMax { return text }
        var kept = ""
        var bytes = 0
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            if bytes > messageBytesMax { break }
            kept.unicodeScalars.append(scalar)
        }
        return kept
    }

    static func time(_ milliseconds: Int64) -> WallTime { WallTime(clamping: milliseconds) }

    /// A time that decides which of two orders holds, or when one ends: nothing is made of a wrong one.
    static func stamp(_ milliseconds: Int64) -> WallTime? {
        let time = WallTime(milliseconds: milliseconds)
        return WallTime.range.contains(time) ? time : nil
    }

    static func latency(microseconds: Int64) -> Nanoseconds {
        min(max(.microseconds(microseconds), .zero), latencyMax)
    }

    static func isOrder(epoch: UInt64, sequence: UInt64) -> Bool {
        epoch <= epochMax && sequence <= sequenceMax
    }

    /// What `HealthCounter` could have counted.
    static func isCount(
        _ status: HealthCounter.Status,
        health: Int,
        rise: Int,
        fall: Int
    ) -> Bool {
        let counts = 1...Thresholds.countMax
        guard counts.contains(rise), counts.contains(fall), (0...rise + fall - 1).contains(health)
        else { return false }
        switch status {
        case .unknown: return true
        case .up: return health >= rise
        case .down: return health < rise
        }
    }
}
