// How does what people ask for come to Redis and from there? Each change is merged there, by the clock of
// Redis, and what holds then is the answer. While Redis is away it is held here, with a time of its own.

import EventLoop
import Health
import Ledger
import Redis
import Vocabulary

final class AskedSide<W: Wish>: CountedSide {
    private unowned let store: RedisStore
    private let shelf: Shelf<Asked<W>>
    /// What is asked for here that Redis may not know yet.
    private var untold = Set<W.Key>()
    private var written: [W.Key] = []
    /// What readings told of the hash as such.
    private var known = KnownHash()
    /// The one that goes on, if any.
    private var reading: AskedReading<W.Key>?
    /// What this reading found that was not known, and is told when it is over.
    private var found: [W.Key] = []
    /// A value of it is taken in.
    private var isTaking = false
    /// The mark of a hash that becomes whole when all is told.
    private var unfinished = HashMark.none
    /// What was asked for here: told again after a loss, also where it is not defined any more.
    private var given = Set<W.Key>()
    /// What a file remembered is all that is known: what is defined may not be, before that is read too.
    private var isUnread = false
    /// Something untold lies in the ledger.
    private var isInLedger = false

    /// Times that a comparison is tried again where Redis counts otherwise than we.
    private static var comparisonsMax: Int { 3 }

    init(of store: RedisStore) {
        self.store = store
        shelf = store.known.shelf(of: Asked<W>.self)
    }

    var sort: RecordSort { W.sort }
    var pendingCount: Int { untold.count + (unfinished == .none ? 0 : 1) }
    var hasUrgent: Bool { pendingCount > 0 }
    var orderCount: Int { untold.count }
    var mark: String? { known.mark?.text }
    func remember(mark: String) {
        known.note(HashMark(mark))
        isUnread = true
    }
    var lazyCount: Int { 0 }

    func restate() {}
    func shift(by step: Nanoseconds) {}
    func forgetWhatWasRead() {}

    func noteClock(at now: WallTime, ahead span: Nanoseconds) {
        // What was asked for until now was stamped by this machine's clock.
        for key in untold {
            // Of what the state file tells too the time was the store's already.
            shelf.put(shelf[key]?.stamped(later: span).asked(by: now), for: key)
        }
    }

    /// Whoever was told of an end by a clock that has been set since would end it too early, and for good, or
    /// too late.
    func tellEndsAgain() {
        for (key, record) in shelf.records where record.hasEnd {
            if let change = told(record, of: key) { store.tell(change) }
        }
    }

    /// By this machine's clock, as it is now.
    private func told(_ record: Asked<W>?, of key: W.Key) -> (any StoreChange)? {
        let record = record?.ending(later: store.ends.shift)
        return Asked<W>.change(record, of: key, later: -store.clockAhead)
    }

    // MARK: Asking

    /// Answers what `Store.stampSum` is right after.
    func change(
        _ change: W.Change,
        of key: W.Key,
        expecting expected: UInt64?,
        on writer: RedisConnection
    ) async throws(RedisError) -> ChangeAnswer {
        note(given: key)
        store.followClock(store.loop.moment)
        let text = AskedChange(change, of: W.self, endingLater: -store.ends.shift).json.text
        guard let expected, let owner = key.owner else {
            let made = try await write(text, for: key, on: writer)
            return .taken(stampSum: key.owner.map { stampSum(of: $0, with: made, as: key) } ?? 0)
        }
        var sum = "\(expected)"
        var trusts = true
        for _ in 0...Self.comparisonsMax {
            // What is known here is what is expected: then Redis need not look at everything.
            trusts = trusts && store.stampSum(of: owner) == expected && store.knowsAll
            let known = trusts ? [] : store.sums(of: owner)
            let held = shelf[key]
            let command = store.call(.ask, on: sort) + [key.field, text, "", sum]
            let reply = try await store.askCounted(
                writer,
                [command + store.grounds(of: owner, trusting: trusts)]
            ).first
            let parts = reply?.array ?? []
            if parts.count == 2 {
                let made = try await settle(parts[0], text, of: key, askedFrom: held, on: writer)
                noteTold(key)
                note(written: key)
                // What held already is no change, whatever was expected. What was there before this change Redis
                // knows: here it may not have been heard of.
                guard let before = parts[1].text.flatMap(UInt64.init) else {
                    return .taken(stampSum: stampSum(of: owner, with: made, as: key))
                }
                let rest = StampSum.subtract(before, from: expected)
                return .taken(stampSum: StampSum.add(rest, made?.stampSum ?? 0))
            }
            if trusts {
                // Somebody touched it meanwhile, or may have.
                trusts = false
                continue
            }
            sum = parts.first?.text ?? ""
            store.learn(reply ?? .null, of: owner, knownBefore: known)
            // Another state than the one that was seen; or the same, which Redis counts otherwise.
            if store.stampSum(of: owner) != expected { return .outdated }
        }
        return .outdated
    }

    /// With this record as Redis answered it. Of what came after it one may have heard here, on the other connection: whoever
    /// was told the sum of that could change it without having seen it.
    private func stampSum(of owner: String, with made: Asked<W>?, as key: W.Key) -> UInt64 {
        let sum = store.stampSum(of: owner)
        guard let made else { return sum }
        return StampSum.add(StampSum.subtract(shelf[key]?.stampSum ?? 0, from: sum), made.stampSum)
    }

    /// The stream tells of it in a moment; until then it is no change of others.
    private func note(written key: W.Key) {
        written.removeAll { $0 == key }
        if written.count == AskedLimits.writtenMax { written.removeFirst() }
        written.append(key)
    }

    /// What was written from here lately, and the sum of its stamps as it is known.
    func written(of owner: String) -> [(field: String, sum: UInt64)] {
        written.filter { $0.owner == owner }.map { ($0.field, shelf[$0]?.stampSum ?? 0) }
    }

    private func note(given key: W.Key) {
        if given.count < AskedLimits.givenMax { given.insert(key) }
    }

    /// Takes a change in here alone, until Redis can be told.
    func hold(_ change: W.Change, of key: W.Key) {
        note(given: key)
        untold.insert(key)
        let held = shelf[key]
        var record = held ?? Asked<W>()
        store.followClock(store.loop.moment)
        record.take(change, at: record.next(at: store.now), endingLater: -store.ends.shift)
        tell(key, shelf.put(record, for: key), before: held)
    }

    /// A part of it: others have to write too.
    func flush(on writer: RedisConnection) async throws(RedisError) {
        var told: [(key: W.Key, record: Asked<W>, text: String)] = []
        for key in untold.prefix(Self.batchMax) {
            if let record = shelf[key] {
                told.append((key, record, AskedChange(whole: record).json.text))
            } else {
                untold.remove(key)
            }
        }
        if !told.isEmpty {
            let commands = told.map { store.call(.ask, on: sort) + [$0.key.field, $0.text] }
            let replies = try await store.askCounted(writer, commands)
            for (each, reply) in zip(told, replies) {
                // Asked for otherwise meanwhile: that goes with the next.
                if shelf[each.key] != each.record {
                    learn(reply, field: each.key.field)
                    if shelf[each.key] != each.record { continue }
                }
                _ = try await settle(
                    reply,
                    each.text,
                    of: each.key,
                    askedFrom: each.record,
                    on: writer
                )
                untold.remove(each.key)
            }
        }
        guard untold.isEmpty else { return }
        if unfinished != .none {
            let mark = unfinished
            unfinished = .none
            let made = try await self.mark(on: writer, finishing: mark)
            // The same since our reading, and we have told all that was missing then.
            if case .whole = made, mark.isFinished(as: made) { known.note(made) }
        }
        if isInLedger {
            isInLedger = false
            store.ledger?.rewrite()
        }
    }

    private static var batchMax: Int { 256 }

    // MARK: On the disk

    /// Stamped by this machine's clock, which is all that one knows before Redis was heard.
    private func ledgerRecord(of key: W.Key) -> LedgerRecord? {
        shelf[key].flatMap { Shelf.ledgerRecord($0.stamped(later: -store.clockAhead), of: key) }
    }

    /// What was held for `key` is on the disk when this returns, where there is one.
    func record(_ key: W.Key) async throws(LedgerError) {
        guard let ledger = store.ledger, let record = ledgerRecord(of: key) else { return }
        isInLedger = true
        try await ledger.append(record)
    }

    func recover(_ record: LedgerRecord) {
        guard record.kind == sort.ledgerKind, let key = shelf.recover(record) else { return }
        untold.insert(key)
        isInLedger = true
    }

    func ledgerRecords() -> [LedgerRecord] { untold.compactMap(ledgerRecord) }

    /// What holds then is known when this returns.
    private func write(
        _ change: String,
        for key: W.Key,
        on writer: RedisConnection
    ) async throws(RedisError) -> Asked<W>? {
        let command = store.call(.ask, on: sort) + [key.field, change]
        let held = shelf[key]
        guard let reply = try await store.askCounted(writer, [command]).first else { return nil }
        let made = try await settle(reply, change, of: key, askedFrom: held, on: writer)
        noteTold(key)
        note(written: key)
        return made
    }

    /// The answer may come from a hash that was thrown away since: until one knows that it is whole,
    /// what was asked for is told once more.
    private func noteTold(_ key: W.Key) {
        if !known.isWhole { untold.insert(key) }
    }

    /// Takes in what Redis answered to a change that was asked for while `held` was known here, and answers it.
    private func settle(
        _ reply: RedisReply,
        _ change: String,
        of key: W.Key,
        askedFrom held: Asked<W>?,
        on writer: RedisConnection
    ) async throws(RedisError) -> Asked<W>? {
        var reply = reply
        var held = held
        if record(of: reply) == nil {
            // What was held makes no sense, also with this in it: it goes as a whole.
            store.ignore(.replaced(sort), key.field)
            let command = store.call(.ask, on: sort) + [key.field, change, "afresh"]
            held = shelf[key]
            reply = try await store.askCounted(writer, [command]).first ?? reply
        }
        // What was heard since, on the other connection, may be later than this answer.
        learn(reply, field: key.field, isLast: shelf[key] == held, isAnswer: true)
        return record(of: reply)
    }

    // MARK: Hearing

    /// Nil where it makes no sense.
    private func record(of value: RedisReply) -> Asked<W>? {
        value.bytes.flatMap(RedisStore.json).flatMap { Asked<W>(json: $0) }
    }

    func learn(_ value: RedisReply, digest: RedisReply, field: String) {
        learn(value, field: field)
    }

    /// `isAnswer` where Redis has just taken in what was asked for here. Where that is also the last that was
    /// heard of it, Redis knows best, its stamps included.
    private func learn(
        _ value: RedisReply,
        field: String,
        isLast: Bool = false,
        isAnswer: Bool = false
    ) {
        guard let key = W.Key(field: field) else { return }
        // Nothing there may mean that nothing is left of the whole hash: the next reading tells.
        guard let bytes = value.bytes else { return }
        guard
            let record = RedisStore.json(bytes).flatMap({ Asked<W>(json: $0) })
        else { return store.ignore(.value(sort), field, bytes) }
        store.makesSense(sort, field)
        let held = shelf[key]
        if held == nil, shelf.count >= AskedLimits.orphansMax, !isAnswer, !isCared(for: key) {
            return store.ignore(.surplus(sort), field)
        }
        let isChanged = isLast ? shelf.put(record, for: key) : shelf.merge(record, for: key)
        tell(key, isChanged, before: held)
        // Redis has lost what was asked for last, as after a failover.
        if shelf[key]?.isAhead(of: record) == true { untold.insert(key) }
    }

    /// Takes in all that is asked for of one owner, as it was when Redis read it; `before` is what was
    /// known then.
    func learn(
        all list: [RedisReply],
        mark: String,
        of owner: String,
        knownBefore before: [String: UInt64]
    ) {
        var held = Set<String>()
        for place in stride(from: 0, to: list.count - 1, by: 2) {
            guard let field = list[place].text else { continue }
            held.insert(field)
            learn(list[place + 1], field: field)
        }
        guard known.isTrusted(HashMark(mark)) else { return }
        for (field, sum) in before where !held.contains(field) {
            // Unless it came meanwhile.
            guard let key = W.Key(field: field), !untold.contains(key),
                shelf[key]?.stampSum == sum
            else { continue }
            forget(key)
        }
    }

    func sums(of owner: String) -> [String: UInt64] {
        var known: [String: UInt64] = [:]
        for (key, record) in shelf.records where key.owner == owner {
            known[key.field] = record.stampSum
        }
        return known
    }

    func pattern(of owner: String) -> String? { W.Key.pattern(of: owner) }

    /// Answers the mark, which is there from then on.
    private func mark(
        on connection: RedisConnection,
        finishing mark: HashMark = .none
    ) async throws(RedisError) -> HashMark {
        let made = HashMark.made(up: UInt64.random(in: 0...UInt64.max, using: &store.loop.dice))
        let command = store.call(.mark, on: sort) + [made.text, mark.text]
        return try await store.ask(connection, [command]).first?.text.map(HashMark.init) ?? .none
    }

    /// Redis has begun another era. Where its hash is not the one that was read last, it was thrown away: what it lacks is
    /// asked for again now, and not after the next reading of everything.
    func tellAgain(on writer: RedisConnection) async throws(RedisError) {
        let mark = try await mark(on: writer)
        if known.mark == nil || known.isTrusted(mark) { return }
        var pace = RedisStore.Pace(on: store.loop)
        for key in shelf.keys {
            if pace.isOver() { await store.breathe() }
            if isCared(for: key) { untold.insert(key) }
        }
    }

    func reconcile(
        _ reader: RedisConnection,
        wasEmptied: Bool,
        isOther: Bool
    ) async throws(RedisError) {
        reading = AskedReading(try await mark(on: reader))
        defer { reading = nil }
        do throws(RedisError) {
            try await store.walk(sort, reader) { field, value in
                if field == RedisKeys.mark { return }
                guard let key = W.Key(field: field) else { return store.ignore(.name(sort), field) }
                isTaking = W.comesInOrder
                learn(value, field: field)
                isTaking = false
                reading?.see(key)
            }
        } catch {
            await tellFound()
            throw error
        }
        await tellFound()
        let after = try await mark(on: reader)
        // Not read to its end.
        if store.isStopping { return }
        // What another server lacks it may never have had: a copy, and a replica that was behind, have the same mark.
        let end = reading?.end(after, wasEmptied: wasEmptied || isOther, known: &known)
        guard let end else { return }
        let isTrusted = end.isTrusted
        var isLost = false
        var pace = RedisStore.Pace(on: store.loop)
        for key in shelf.keys {
            if pace.isOver() { await store.breathe() }
            guard reading?.isMissing(key, isTrusted: isTrusted) == true, !untold.contains(key)
            else { continue }
            if isTrusted {
                forget(key)
            } else if isCared(for: key) {
                untold.insert(key)
                isLost = isLost || shelf[key]?.isTombstone == false
            }
        }
        if isLost, !wasEmptied {
            store.complainOfLoss(of: "\(store.keys.hash(of: sort)) whole, or a part of it")
        }
        isUnread = false
        unfinished = end.unfinished
        try await sweep()
    }

    /// Others tell what they are asked for: we, what concerns us.
    private func isCared(for key: W.Key) -> Bool {
        isUnread || given.contains(key) || store.observer?.isDefined(key) ?? true
    }

    /// Removes what was lifted so long ago that nobody can bring it back.
    private func sweep() async throws(RedisError) {
        let over = await over()
        guard let writer = store.writer, !over.isEmpty else { return }
        // Where there are more tombstones than anybody needs, younger ones go too.
        let youngest = over.compactMap { shelf[$0]?.lastStamp }.max() ?? StampTime.never
        let before = max(store.forgetting + -Retention.span, youngest + .milliseconds(1))
        let command =
            store.call(.sweep, on: sort) + ["\(before.milliseconds)"] + over.map(\.field)
        do throws(RedisError) {
            _ = try await store.ask(writer, [command])
        } catch {
            try store.tolerate(error)
        }
    }

    /// As `Shelf.over`, with breaks, and no more than are removed at once.
    private func over() async -> [W.Key] {
        var over: [W.Key] = []
        var tombstones: [(at: WallTime, key: W.Key)] = []
        var pace = RedisStore.Pace(on: store.loop)
        for key in shelf.keys {
            if pace.isOver() { await store.breathe() }
            guard let record = shelf[key] else { continue }
            if record.isOver(at: store.forgetting) {
                over.append(key)
                if over.count == RedisStore.staleMax { return over }
            } else if record.isTombstone {
                tombstones.append((record.lastStamp, key))
            }
        }
        let surplus = tombstones.count - Retention.tombstonesMax
        if surplus > 0 { over += tombstones.sorted { $0.at < $1.at }.prefix(surplus).map(\.key) }
        return Array(over.prefix(RedisStore.staleMax))
    }

    private func forget(_ key: W.Key) {
        let held = shelf[key]
        tell(key, shelf.put(nil, for: key), before: held)
    }

    /// In the order in which it was asked for, so that every agent, and each life of one, has the same.
    private func tellFound() async {
        let keys = found.map { key in
            let asking = shelf[key].flatMap { told($0, of: key) } as? Asking<W>
            return (since: asking?.since ?? WallTime(milliseconds: 0), field: key.field, key: key)
        }
        found = []
        var pace = RedisStore.Pace(on: store.loop)
        for (_, _, key) in keys.sorted(by: { ($0.since, $0.field) < ($1.since, $1.field) }) {
            if pace.isOver() { await store.breathe() }
            // As it is by now.
            if let record = shelf[key], let change = told(record, of: key) { store.tell(change) }
        }
    }

    /// Tells of what is asked for now, if that is something else than before.
    private func tell(_ key: W.Key, _ isChanged: Bool, before: Asked<W>?) {
        reading?.change(key)
        guard isChanged else { return }
        if isTaking, before == nil {
            found.append(key)
            return store.touchFile(within: StateFile.transitionDelay)
        }
        let record = shelf[key]
        if record?.wish != before?.wish, let change = told(record, of: key) { store.tell(change) }
        store.touchFile(within: StateFile.transitionDelay)
    }
}

/// What became of a change.
enum ChangeAnswer {
    case taken(stampSum: UInt64)
    case outdated
}
