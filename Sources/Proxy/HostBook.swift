// Which hosts does a worker know that no table has? What was asked of a source of routes, host by host:
// found, not there, or being asked for. Bounded, whoever asks for whatever names.

import EventLoop
import HTTP1
import Health
import Vocabulary

struct HostBook {
    /// What is known of a host.
    enum Answer: Equatable {
        case upstream(Int32)
        case none
        /// Nothing yet: it has to be asked for, or has been.
        case unknown
    }

    struct Entry {
        var host: [UInt8]
        var answer = Answer.unknown
        /// From then on it is asked for again.
        var until = Instant(nanoseconds: .min)
        var isAsked = false
        /// The first of the clients that wait; -1 where none does.
        var first: Int32 = -1
    }

    private(set) var entries: [UInt64: Entry] = [:]
    private(set) var asked = 0
    private var absent = 0
    /// How many hosts each upstream has here: of most that go, all were forgotten before.
    private var hostsOf: [Int32: Int] = [:]

    /// Longer names have no address.
    static let hostMax = 255
    static let entriesMax = 65_536
    /// That are not there: whoever makes names up displaces nobody who is.
    static let absentMax = 4_096
    static let askedMax = 1_024
    private static let probes: UInt64 = 4

    // MARK: Looking up

    /// In small letters, without the dot that ends a full name; nil where it can be no name.
    static func host(_ bytes: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8>? {
        var count = bytes.count
        if count > 1, bytes[count - 1] == UInt8(ascii: ".") { count -= 1 }
        guard (1...hostMax).contains(count) else { return nil }
        return UnsafeBufferPointer(start: bytes.baseAddress, count: count)
    }

    /// Where a host stands, or would: nil where too many others have the same hash.
    func key(of host: UnsafeBufferPointer<UInt8>) -> UInt64? {
        var state = StableHash.seed
        for byte in host { state = StableHash.step(state, ASCII.lowercase(byte)) }
        let hash = StableHash.mix(state)
        for step in 0..<Self.probes {
            guard let entry = entries[hash &+ step] else { return hash &+ step }
            if Self.isSame(entry.host, host) { return hash &+ step }
        }
        return nil
    }

    private static func isSame(_ name: [UInt8], _ host: UnsafeBufferPointer<UInt8>) -> Bool {
        guard name.count == host.count else { return false }
        for index in 0..<name.count where name[index] != ASCII.lowercase(host[index]) {
            return false
        }
        return true
    }

    func answer(at key: UInt64) -> Answer { entries[key]?.answer ?? .unknown }

    /// It is to be asked for: it never was, or long ago, and nobody does now.
    func isDue(at key: UInt64, now: Instant) -> Bool {
        guard let entry = entries[key] else { return true }
        return !entry.isAsked && entry.until <= now
    }

    // MARK: Asking

    /// Notes down that it is asked for. False where too many are, or none can be kept any more.
    mutating func ask(_ host: UnsafeBufferPointer<UInt8>, at key: UInt64, now: Instant) -> Bool {
        guard asked < Self.askedMax else { return false }
        if entries[key] == nil {
            if entries.count >= Self.entriesMax { makeRoom(now) }
            guard entries.count < Self.entriesMax else { return false }
            entries[key] = Entry(host: host.map { ASCII.lowercase($0) })
        }
        entries[key]?.isAsked = true
        asked += 1
        return true
    }

    private mutating func makeRoom(_ now: Instant) {
        for (key, entry) in entries where entry.until <= now && !entry.isAsked { remove(key) }
        // All of them are in use: whoever goes is asked for again, which is better than that nobody comes.
        var excess = entries.count - (Self.entriesMax - Self.entriesMax / 8)
        for (key, entry) in entries where excess > 0 && !entry.isAsked {
            remove(key)
            excess -= 1
        }
    }

    private mutating func remove(_ key: UInt64) {
        if let answer = entries[key]?.answer { uncount(answer) }
        entries[key] = nil
    }

    private mutating func count(_ answer: Answer) {
        switch answer {
        case .none: absent += 1
        case .upstream(let number): hostsOf[number, default: 0] += 1
        case .unknown: break
        }
    }

    private mutating func uncount(_ answer: Answer) {
        switch answer {
        case .none: absent -= 1
        case .upstream(let number):
            let left = (hostsOf[number] ?? 1) - 1
            hostsOf[number] = left > 0 ? left : nil
        case .unknown: break
        }
    }

    /// The answer is there; nil where the source could not be asked, and what was known stays. Returns the
    /// first of those who wait, and what they are told.
    mutating func take(
        _ answer: Answer?,
        at key: UInt64,
        until: Instant
    ) -> (first: Int32, answer: Answer) {
        guard let entry = entries[key], entry.isAsked else { return (-1, .unknown) }
        asked -= 1
        uncount(entry.answer)
        let answer = answer ?? entry.answer
        entries[key]?.isAsked = false
        entries[key]?.answer = answer
        entries[key]?.until = until
        entries[key]?.first = -1
        count(answer)
        if answer == .unknown || answer == .none && absent > Self.absentMax { remove(key) }
        return (entry.first, answer)
    }

    /// The upstream is gone; its number will be another's.
    mutating func forget(upstream: Int32) {
        guard hostsOf[upstream] != nil else { return }
        for (key, entry) in entries where entry.answer == .upstream(upstream) { forget(at: key) }
    }

    /// These are asked for again before they are served. What is being asked for now answers for them.
    mutating func forget(_ stale: StaleHosts) {
        switch stale {
        case .exact(let host):
            let place = Array(host.utf8).withUnsafeBufferPointer { self.key(of: $0) }
            if let place, entries[place] != nil { forget(at: place) }
        case .under(let suffix):
            let suffix = Array(suffix.utf8)
            for (key, entry) in entries
            where entry.host.count >= suffix.count
                && entry.host[(entry.host.count - suffix.count)...].elementsEqual(suffix)
            {
                forget(at: key)
            }
        case .all: for key in entries.keys { forget(at: key) }
        }
    }

    private mutating func forget(at key: UInt64) {
        guard entries[key]?.isAsked == true else { return remove(key) }
        if let answer = entries[key]?.answer { uncount(answer) }
        entries[key]?.answer = .unknown
        entries[key]?.until = Instant(nanoseconds: .min)
    }

    // MARK: Waiting

    func first(at key: UInt64) -> Int32 { entries[key]?.first ?? -1 }
    mutating func setFirst(_ client: Int32, at key: UInt64) { entries[key]?.first = client }
}
