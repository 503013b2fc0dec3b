// Who remembers what was, in a room that is bounded? Every turn of every peer and its probes five minutes at a
// time, in memory and in a file of their own beside the state file, for some days or as far as the room goes.

public import EventLoop
public import Health
public import Ledger
public import Vocabulary

/// The past of every peer. Confined to the control loop.
public final class History {
    public struct Rules: Hashable, Sendable {
        /// What is older is forgotten.
        public var keep = Nanoseconds.seconds(7 * 86_400)
        /// Of the file; memory takes half of it at most.
        public var bytesMax = 64 << 20

        public init() {}
    }

    private let loop: EventLoop
    private let timers: Timers
    public private(set) var rules: Rules
    private var pasts: [PeerKey: PeerPast] = [:]
    private var ledger: Ledger?
    /// Nothing older is held, because there was no room.
    public private(set) var cutAt: WallTime?
    private var current: UInt32

    /// Of so many peers something is remembered; of more nothing.
    public static let peersMax = 100_000
    /// The file may hold this many times what the memory does before it is written anew.
    public static let growth = 2
    /// What is forgotten at once where the room is used up.
    private static let forgetsAtOnce = Nanoseconds.seconds(3_600)
    private static let peersARecord = 500
    private static let nameBytesMax = 1_024

    public init(on loop: EventLoop, _ rules: Rules = Rules()) {
        self.loop = loop
        self.rules = rules
        timers = Timers(loop: loop)
        current = ProbeBucket.index(of: loop.wall)
    }

    // MARK: Life

    public func keep(in ledger: Ledger) {
        self.ledger = ledger
        ledger.join(self)
    }

    public func start() { setTimer() }

    /// What was counted comes to the file.
    public func stop() {
        timers.cancelAll()
        close()
    }

    private func setTimer() {
        let next = WallTime(milliseconds: Int64(current + 1) * ProbeBucket.milliseconds)
        // A clock that is set is noticed within a minute.
        let wait = min(max(next - loop.wall, .milliseconds(1)), .seconds(60))
        timers.schedule(after: wait) { [weak self] in
            guard let self else { return }
            if ProbeBucket.index(of: self.loop.wall) != self.current { self.close() }
            self.setTimer()
        }
    }

    // MARK: What happens

    /// A probe of this agent ended.
    public func record(_ peer: PeerKey, _ latency: Nanoseconds, isFailure: Bool) {
        guard pasts[peer] != nil || pasts.count < Self.peersMax else { return }
        let begun = loop.wall + -latency
        pasts[peer, default: PeerPast()].add(latency, isFailure: isFailure, begun: begun)
    }

    /// The five minutes are over.
    private func close() {
        var bytes: [UInt8] = []
        var count = 0
        var held = 0
        let horizon = loop.wall + -rules.keep
        for key in pasts.keys {
            guard var past = pasts[key] else { continue }
            if past.sum.count > 0 {
                let bucket = ProbeBucket(past.sum, index: current)
                past.sum = ProbeSum()
                past.add(bucket)
                if ledger != nil {
                    Self.write([bucket], of: key, to: &bytes)
                    count += 1
                    if count == Self.peersARecord {
                        note(&bytes)
                        count = 0
                    }
                }
            }
            past.forget(before: horizon)
            held += past.bytes
            pasts[key] = past.isEmpty || Self.isOver(past, before: horizon) ? nil : past
        }
        if !bytes.isEmpty { note(&bytes) }
        makeRoom(held)
        current = ProbeBucket.index(of: loop.wall)
    }

    /// Nothing happened to it for so long that it is gone.
    private static func isOver(_ past: PeerPast, before horizon: WallTime) -> Bool {
        past.buckets.isEmpty && past.sum.count == 0
            && (past.turns.last.map { $0.at < horizon && $0.to == .unknown } ?? true)
    }

    private func note(_ bytes: inout [UInt8]) {
        ledger?.note(LedgerRecord(kind: LedgerKind.probeBuckets, bytes: bytes))
        bytes = []
    }

    private func makeRoom(_ held: Int) {
        var held = held
        let room = rules.bytesMax / Self.growth
        while held > room {
            let oldest = pasts.values.compactMap { $0.buckets.first?.index }.min()
            guard let oldest else { break }
            let time =
                WallTime(milliseconds: Int64(oldest) * ProbeBucket.milliseconds)
                + Self.forgetsAtOnce
            cutAt = max(cutAt ?? time, time)
            held = 0
            for key in pasts.keys {
                pasts[key]?.forget(before: time)
                held += pasts[key]?.bytes ?? 0
            }
        }
    }

    // MARK: Asking

    public func past(of peer: PeerKey) -> PeerPast? { pasts[peer] }

    /// Of all that is held.
    public var bytes: Int { pasts.values.reduce(0) { $0 + $1.bytes } }
    public var peers: Int { pasts.count }
}

extension History: BoardObserver {
    public func transition(_ event: TransitionEvent) {
        let key = event.peer
        guard pasts[key] != nil || pasts.count < Self.peersMax else { return }
        let turn = Turn(at: event.at, from: event.from, to: event.to, reason: event.reason)
        pasts[key, default: PeerPast()].add(turn)
        ledger?.note(Self.record(of: turn, of: key))
    }
}

extension History: LedgerClient {
    public var recordKinds: Set<UInt8> {
        [LedgerKind.turn, LedgerKind.probeBuckets, LedgerKind.shortBuckets]
    }

    public func recover(_ record: LedgerRecord) {
        if record.kind == LedgerKind.turn {
            guard let json = try? JSON(parsing: record.bytes),
                let key = json["peer"]?.string.flatMap(PeerKey.init(field:)),
                let turn = Turn(json: json), pasts[key] != nil || pasts.count < Self.peersMax
            else { return }
            pasts[key, default: PeerPast()].add(turn)
            return
        }
        var rest = record.bytes[...]
        let size =
            record.kind == LedgerKind.probeBuckets ? ProbeBucket.bytes : ProbeBucket.bytesBefore
        while let (key, buckets) = Self.read(&rest, each: size) {
            guard pasts[key] != nil || pasts.count < Self.peersMax else { continue }
            for bucket in buckets { pasts[key, default: PeerPast()].add(bucket) }
        }
    }

    public func recoveryEnded(isDamaged: Bool) {
        let horizon = loop.wall + -rules.keep
        for key in pasts.keys {
            pasts[key]?.forget(before: horizon)
            if let past = pasts[key], past.isEmpty || Self.isOver(past, before: horizon) {
                pasts[key] = nil
            }
        }
        makeRoom(bytes)
    }

    public func snapshot() -> @Sendable () -> [LedgerRecord] {
        { [pasts] in
            var records: [LedgerRecord] = []
            var bytes: [UInt8] = []
            for (key, past) in pasts {
                records += past.turns.map { Self.record(of: $0, of: key) }
                guard !past.buckets.isEmpty else { continue }
                Self.write(past.buckets, of: key, to: &bytes)
                if bytes.count > LedgerRecord.bytesMax / 2 {
                    records.append(LedgerRecord(kind: LedgerKind.probeBuckets, bytes: bytes))
                    bytes = []
                }
            }
            if !bytes.isEmpty {
                records.append(LedgerRecord(kind: LedgerKind.probeBuckets, bytes: bytes))
            }
            return records
        }
    }

    private static func record(of turn: Turn, of key: PeerKey) -> LedgerRecord {
        let json = JSON.object([
            .init("peer", .string(key.field)),
            .init("at", .integer(turn.at.milliseconds)),
            .init("from", .string(turn.from.rawValue)),
            .init("to", .string(turn.to.rawValue)),
            .init("reason", .string(turn.reason)),
        ])
        return LedgerRecord(kind: LedgerKind.turn, bytes: json.bytes)
    }

    /// The peer's field, how many buckets, and those: lengths in two bytes, the lower first.
    private static func write(_ buckets: [ProbeBucket], of key: PeerKey, to bytes: inout [UInt8]) {
        let name = Array(key.field.utf8.prefix(nameBytesMax))
        for number in [name.count, buckets.count] {
            bytes.append(UInt8(truncatingIfNeeded: number))
            bytes.append(UInt8(truncatingIfNeeded: number >> 8))
        }
        bytes += name
        for bucket in buckets { bucket.write(to: &bytes) }
    }

    /// Nil at the end, and where what stands there is none.
    private static func read(
        _ rest: inout ArraySlice<UInt8>,
        each bytes: Int
    ) -> (PeerKey, [ProbeBucket])? {
        func number(_ offset: Int) -> Int {
            Int(rest[rest.startIndex + offset]) | Int(rest[rest.startIndex + offset + 1]) << 8
        }
        guard rest.count >= 4 else { return nil }
        let (length, count) = (number(0), number(2))
        let size = 4 + length + count * bytes
        guard length <= nameBytesMax, rest.count >= size else { return nil }
        let name = rest.dropFirst(4).prefix(length)
        let body = rest.dropFirst(4 + length).prefix(count * bytes)
        rest = rest.dropFirst(size)
        guard let text = String(validating: name, as: UTF8.self), let key = PeerKey(field: text)
        else { return nil }
        let buckets = (0..<count).map { index in
            ProbeBucket(body.dropFirst(index * bytes).prefix(bytes))
        }
        return (key, buckets)
    }
}

extension Turn {
    fileprivate init?(json: JSON) {
        guard let at = json["at"]?.integer.flatMap(Believable.stamp),
            let from = json["from"]?.string.flatMap(PeerStatus.init(rawValue:)),
            let to = json["to"]?.string.flatMap(PeerStatus.init(rawValue:))
        else { return nil }
        self.init(at: at, from: from, to: to, reason: json["reason"]?.string ?? "")
    }
}
