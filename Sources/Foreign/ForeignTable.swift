// What do the lists say, all together? Each host with its backends in their order, each backend once
// however many lists name it, and who is to be watched because some list does. Pure.

import Health
public import Vocabulary

/// What a backend is asked, where its frontend says so (planb's `healthcheck:<host>`).
public struct BackendCheck: Hashable, Sendable {
    public var path: String
    /// What the body must hold; empty: anything.
    public var body: String
    /// 0: any.
    public var status: Int

    public init(path: String = "/", body: String = "", status: Int = 0) {
        self.path = path
        self.body = body
        self.status = status
    }

    /// Nil where the fields ask for nothing.
    public init?(fields: [String: String]) {
        let path = fields["path"] ?? ""
        let body = fields["body"] ?? ""
        let status = fields["status"].flatMap { Int($0) } ?? 0
        if path.isEmpty, body.isEmpty, status == 0 { return nil }
        self.init(
            path: path.hasPrefix("/") ? path : "/\(path)",
            body: body,
            status: (100...599).contains(status) ? status : 0
        )
    }
}

/// One place and one question: what is probed once, whoever names it.
public struct ForeignPeer: Hashable, Sendable {
    /// The number of its check; 0 is the usual one.
    public var check: Int32
    /// As a peer of that check's upstream.
    public var id: String

    public init(check: Int32 = 0, id: String) {
        self.check = check
        self.id = id
    }
}

/// The lists of one source.
public struct ForeignTable: Sendable {
    private struct Backend: Sendable {
        let text: String
        let place: BackendPlace?
        var uses: Int32 = 0
    }

    private struct Entry: Sendable {
        var digest: UInt64
        var check: Int32 = 0
        var backends: [Int32]
    }

    private struct Use: Sendable {
        let address: Address
        var hosts: Set<String> = []
        /// Since when no list names it.
        var idleSince: Instant?
    }

    private var entries: [String: Entry] = [:]
    private var backends: [Backend] = []
    private var numbers: [String: Int32] = [:]
    private var free: [Int32] = []
    private var uses: [ForeignPeer: Use] = [:]
    private var idle: Set<ForeignPeer> = []
    private var checkOf: [String: Int32] = [:]
    private var checkNumbers: [BackendCheck: Int32] = [:]
    /// By number; the first is the usual one.
    private(set) var checks: [BackendCheck] = [BackendCheck()]
    private var patternCount = 0
    private var fresh: [ForeignPeer] = []
    private var returned: Set<ForeignPeer> = []

    /// Of one list. More are no list of backends.
    public static let backendsMax = 4_096
    /// Whoever asks more different questions is asked the usual one.
    static let checksMax = 1_024

    public init() {}

    // MARK: Reading

    public var count: Int { entries.count }
    public var peerCount: Int { uses.count }
    public var hosts: [String] { Array(entries.keys) }
    public func has(_ host: String) -> Bool { entries[host] != nil }

    /// Under which name a host is served; nil where it is not.
    public func key(of host: String) -> String? {
        if entries[host] != nil { return host }
        if patternCount == 0 { return nil }
        return FrontendHosts.candidates(of: host).dropFirst().first { entries[$0] != nil }
    }

    /// As the list has them, in its order.
    public func texts(of host: String) -> [String] {
        entries[host]?.backends.map { backends[Int($0)].text } ?? []
    }

    /// What each position of the list is; nil where it names no place.
    public func peers(of host: String) -> [ForeignPeer?] {
        guard let entry = entries[host] else { return [] }
        return entry.backends.map { number in
            backends[Int(number)].place.map { ForeignPeer(check: entry.check, id: $0.id) }
        }
    }

    /// Who a backend of a list is, without a look at the others; nil where the list names no such place.
    public func peer(of host: String, at text: String) -> ForeignPeer? {
        guard let entry = entries[host], let number = numbers[text],
            let place = backends[Int(number)].place
        else { return nil }
        let peer = ForeignPeer(check: entry.check, id: place.id)
        return uses[peer]?.hosts.contains(host) == true ? peer : nil
    }

    /// Each peer once, with how often the list names it.
    public func weights(of host: String) -> [(peer: ForeignPeer, weight: Int)] {
        var order: [ForeignPeer] = []
        var counts: [ForeignPeer: Int] = [:]
        for case let peer? in peers(of: host) {
            if counts[peer] == nil { order.append(peer) }
            counts[peer, default: 0] += 1
        }
        return order.map { ($0, counts[$0] ?? 1) }
    }

    /// The check of a host's backends.
    public func check(of host: String) -> Int32 { entries[host]?.check ?? 0 }
    public func check(_ number: Int32) -> BackendCheck { checks[Int(number)] }

    public func hosts(with peer: ForeignPeer) -> Set<String> { uses[peer]?.hosts ?? [] }
    public func address(of peer: ForeignPeer) -> Address? { uses[peer]?.address }
    public var peers: [ForeignPeer] { Array(uses.keys) }

    // MARK: Changing

    /// What the list of a host is now, its values parted by NUL and the name first; nil where there is none.
    /// False where that is nothing new.
    public mutating func set(_ host: String, _ list: [UInt8]?, now: Instant) -> Bool {
        guard let list else { return remove(host, now: now) }
        let digest = list.reduce(StableHash.seed, StableHash.step)
        if entries[host]?.digest == digest { return false }
        let texts = list.split(separator: 0, omittingEmptySubsequences: false)
            .dropFirst()
            .prefix(Self.backendsMax)
        return put(
            host,
            texts.map { String(decoding: $0, as: UTF8.self) },
            digest: digest,
            now: now
        )
    }

    /// The same where somebody has read the backends already.
    public mutating func set(_ host: String, backends texts: [String], now: Instant) -> Bool {
        var digest = StableHash.seed
        for text in texts { digest = StableHash.step(text.utf8.reduce(digest, StableHash.step), 0) }
        if entries[host]?.digest == digest { return false }
        return put(host, texts, digest: digest, now: now)
    }

    private mutating func put(
        _ host: String,
        _ texts: [String],
        digest: UInt64,
        now: Instant
    ) -> Bool {
        let check = checkOf[host] ?? 0
        if entries[host] == nil, FrontendHosts.isPattern(host) { patternCount += 1 }
        let before = entries[host]
        let entry = Entry(digest: digest, check: check, backends: texts.map { number(of: $0) })
        entries[host] = entry
        link(host, entry, now: now)
        if let before { unlink(host, before, keeping: entry, now: now) }
        return true
    }

    private mutating func remove(_ host: String, now: Instant) -> Bool {
        guard let gone = entries.removeValue(forKey: host) else { return false }
        if FrontendHosts.isPattern(host) { patternCount -= 1 }
        unlink(host, gone, keeping: nil, now: now)
        return true
    }

    /// A question that nobody asks yet, and one more than are asked.
    public func isTooMany(_ check: BackendCheck) -> Bool {
        checkNumbers[check] == nil && checks.count >= Self.checksMax
    }

    /// What the backends of a host are asked. False where that is nothing new.
    public mutating func set(_ host: String, check: BackendCheck?, now: Instant) -> Bool {
        var number: Int32 = 0
        if let check {
            if let known = checkNumbers[check] {
                number = known
            } else if checks.count < Self.checksMax {
                number = Int32(checks.count)
                checks.append(check)
                checkNumbers[check] = number
            }
        }
        if (checkOf[host] ?? 0) == number { return false }
        checkOf[host] = number == 0 ? nil : number
        guard let before = entries[host] else { return true }
        var entry = before
        entry.check = number
        for backend in entry.backends { backends[Int(backend)].uses += 1 }
        entries[host] = entry
        link(host, entry, now: now)
        unlink(host, before, keeping: entry, now: now)
        return true
    }

    private mutating func number(of text: String) -> Int32 {
        if let known = numbers[text] {
            backends[Int(known)].uses += 1
            return known
        }
        let backend = Backend(text: text, place: BackendPlace(text), uses: 1)
        let number: Int32
        if let reused = free.popLast() {
            number = reused
            backends[Int(number)] = backend
        } else {
            number = Int32(backends.count)
            backends.append(backend)
        }
        numbers[text] = number
        return number
    }

    private func peers(of entry: Entry) -> Set<ForeignPeer> {
        Set(
            entry.backends.compactMap { number in
                backends[Int(number)].place.map { ForeignPeer(check: entry.check, id: $0.id) }
            }
        )
    }

    private mutating func link(_ host: String, _ entry: Entry, now: Instant) {
        for number in entry.backends {
            guard let place = backends[Int(number)].place else { continue }
            let peer = ForeignPeer(check: entry.check, id: place.id)
            if uses[peer] == nil {
                uses[peer] = Use(address: place.address)
                fresh.append(peer)
            }
            uses[peer]?.hosts.insert(host)
            if uses[peer]?.idleSince != nil {
                uses[peer]?.idleSince = nil
                idle.remove(peer)
                returned.insert(peer)
            }
        }
    }

    private mutating func unlink(
        _ host: String,
        _ entry: Entry,
        keeping kept: Entry?,
        now: Instant
    ) {
        let stay = kept.map { peers(of: $0) } ?? []
        for peer in peers(of: entry) where !stay.contains(peer) {
            uses[peer]?.hosts.remove(host)
            if uses[peer]?.hosts.isEmpty == true {
                uses[peer]?.idleSince = now
                idle.insert(peer)
            }
        }
        for number in entry.backends {
            backends[Int(number)].uses -= 1
            guard backends[Int(number)].uses == 0 else { continue }
            numbers[backends[Int(number)].text] = nil
            free.append(number)
        }
    }

    // MARK: Watching

    /// Peers that are to be watched from now on, since the last time somebody asked.
    public mutating func takeFresh() -> [(peer: ForeignPeer, address: Address)] {
        defer { fresh = [] }
        return fresh.compactMap { peer in uses[peer].map { (peer, $0.address) } }
    }

    /// Peers that no list named for a moment and that some list does again, since the last time somebody asked.
    public mutating func takeReturned() -> Set<ForeignPeer> {
        defer { returned = [] }
        return returned
    }

    /// Takes out who has been in no list for so long: a list that is written anew names nobody for a moment.
    public mutating func sweep(after span: Nanoseconds, now: Instant) -> [ForeignPeer] {
        let gone = idle.filter { peer in
            uses[peer]?.idleSince.map { $0 + span <= now } ?? true
        }
        for peer in gone {
            uses[peer] = nil
            idle.remove(peer)
            returned.remove(peer)
        }
        return Array(gone)
    }

    public var hasIdle: Bool { !idle.isEmpty }
}
