// How do the words of agents, verdicts and their like, come to Redis and from there? Transitions at once,
// renewals in batches, each refused there if a newer one is held.

import EventLoop
import Fleet
import Health
import Redis
import Vocabulary

final class FencedSide<R: FencedRecord>: RedisSide {
    private unowned let store: RedisStore
    private let shelf: Shelf<R>
    private var book: FencedBook<R>
    /// Digests of what was read, by field: most of it is what it was, and not worth reading again.
    private var scanned: [String: UInt64] = [:]
    /// What each slice of the hash held when it was read last, by its cursor.
    private var slices: [String: Slice] = [:]
    /// Readings of everything that may still be left out.
    private var readingsLeft = 0
    /// To be read although nothing says that it has changed.
    private var recalled = Set<R.Key>()
    /// Who writes what is said here, where that takes a claim; nil where this side writes it itself.
    private var writer: Writer?

    private struct Slice {
        var digest: String
        var fields: [String]
    }

    struct Writer {
        /// This is to be written, at once or with the next that is.
        var say: (R.Key, _ isUrgent: Bool) -> Void
        /// Somebody has written this, and this life vouches for it, or none: zero.
        var heard: (R, _ instance: UInt64) -> Void
        /// What stays as it was need not be said again.
        var vouches: () -> Bool
        /// When this life of an agent last was sure to find what it says, by this machine's clock.
        var mark: Following<R>.Mark
    }

    init(of store: RedisStore) {
        self.store = store
        shelf = store.known.shelf(of: R.self)
        book = FencedBook(of: store.agent, on: shelf)
    }

    private var outbox: Outbox<R> {
        get { book.outbox }
        _modify { yield &book.outbox }
    }

    /// What is known has words of others.
    var namesOthers: Bool { shelf.records.values.contains { $0.agent != store.agent } }

    var sort: RecordSort { R.sort }
    var pendingCount: Int { outbox.pendingCount }
    var hasUrgent: Bool { outbox.hasUrgent }
    var lazyCount: Int { outbox.lazyCount }

    func restate() {
        outbox.restate()
        handOver()
    }
    func shift(by step: Nanoseconds) { book.shift(by: step) }
    func tellEndsAgain() {}
    func forgetWhatWasRead() {
        recalled = []
        book.forgetAside()
        scanned = [:]
        slices = [:]
        readingsLeft = 0
    }
    func noteClock(at now: WallTime, ahead span: Nanoseconds) {}

    // MARK: Saying

    /// False when a newer one is here already.
    func publish(_ record: R, isTransition: Bool, now: WallTime) -> Bool {
        let said = book.say(
            record,
            isTransition: isTransition,
            now: now,
            vouches: writer?.vouches() ?? false
        )
        if said == .refused { return false }
        if said == .kept {
            store.touchFile(
                within: isTransition ? StateFile.transitionDelay : StateFile.renewalDelay
            )
        }
        handOver()
        return true
    }

    // MARK: What somebody else writes

    /// From now on `writer` hears what is to be written.
    func leave(writingTo writer: Writer) {
        self.writer = writer
        book.share()
    }

    private func handOver() {
        guard let writer else { return }
        for (key, isUrgent) in outbox.drain() { writer.say(key, isUrgent) }
    }

    func newest(_ key: R.Key) -> (record: R, isCurrent: Bool)? {
        outbox.newest(key, at: store.loop.wall)
    }
    func sent(_ record: R) { outbox.sent(record) }
    func wrote(_ record: R, isVouched: Bool) { book.wrote(record, isVouched: isVouched) }

    /// What was vouched for and is not found any more.
    func sayLapsed() {
        guard let writer else { return }
        for key in outbox.lapsed(at: store.loop.wall) { writer.say(key, false) }
    }

    /// Another says it from now on.
    func letGo(_ key: R.Key) { outbox.letGo(key) }
    /// It is not probed here any more: what lies in the store is shown again where another word was.
    func giveUp(_ key: R.Key) {
        if let record = book.giveUp(key, mark: writer?.mark ?? { _, _ in nil }) {
            store.tell(record)
        }
    }
    /// Its name is another process's: what that says holds here too.
    func letGoOfAll() {
        outbox.letGoOfAll()
        forgetWhatWasRead()
    }

    // MARK: Forgetting

    func forget(_ key: R.Key) {
        outbox.forget(key)
        if shelf.put(nil, for: key) { store.touchFile(within: StateFile.transitionDelay) }
    }

    func flush(on writer: RedisConnection) async throws(RedisError) {
        let forgotten = outbox.nextForgotten()
        if !forgotten.isEmpty { try await remove(forgotten.map(\.field), on: writer) }
        var batches: [[R]] = []
        while batches.count < RedisStore.pipelineMax {
            let batch = outbox.nextBatch()
            if batch.isEmpty { break }
            batches.append(batch)
        }
        if batches.isEmpty { return }
        do throws(RedisError) {
            let commands = batches.map { batch in
                store.call(.publish, on: sort) + batch.flatMap { [$0.key.field, $0.json.text] }
            }
            let replies = try await store.ask(writer, commands)
            for (batch, reply) in zip(batches, replies) { settle(batch, reply) }
        } catch {
            for batch in batches { outbox.failed(batch) }
            throw error
        }
    }

    private func settle(_ batch: [R], _ reply: RedisReply) {
        outbox.wrote(batch)
        for (record, answer) in zip(batch, reply.array ?? []) where answer.integer == 0 {
            // Whoever wrote the newer one is heard of at the next reconciliation at the latest.
            scanned[record.key.field] = nil
            store.noteRefused(record.key.field, of: sort)
        }
    }

    private func remove(
        _ fields: [String],
        on writer: RedisConnection
    ) async throws(RedisError) {
        let oldest = store.loop.wall + -Retention.span
        let command =
            store.call(.remove, on: sort) + [store.agent, "\(oldest.milliseconds)"] + fields
        _ = try await store.ask(writer, [command])
        for field in fields { scanned[field] = nil }
    }

    // MARK: Hearing

    func learn(_ value: RedisReply, digest: RedisReply, field: String) {
        scanned[field] = digest.text.flatMap { UInt64($0, radix: 16) }
        learn(value, field: field)
    }

    private func learn(_ value: RedisReply, field: String) {
        guard let bytes = value.bytes else { return }
        guard let key = R.Key(field: field) else { return store.ignore(.name(sort), field) }
        guard let json = RedisStore.json(bytes), var record = R.read(json, of: key),
            writer == nil
                || FleetTerms.isEpoch(record.epoch, at: store.loop.wall + store.fleetAhead)
        else {
            store.ignore(.value(sort), field, bytes)
            // Whoever begins to read would know nothing of it.
            if let writer, outbox.holds(key), !store.isTwin { writer.say(key, false) }
            return
        }
        store.makesSense(sort, field)
        // Its times become this machine's: all others must be by the same clock before.
        store.followClock(store.loop.moment)
        let instance = json[FleetVouching.member]?.string.flatMap(UInt64.init) ?? 0
        if let writer {
            record.shift(by: -store.fleetAhead)
            writer.heard(record, instance)
        }
        let heard: Outbox<R>.Heard
        (heard, record) = book.hear(
            record,
            vouchedBy: instance,
            isTwin: store.isTwin,
            isHearing: store.isHearing,
            now: store.loop.wall,
            mark: writer?.mark ?? { _, _ in nil }
        )
        switch heard {
        case .own, .old: break
        // The board tells people; what is kept for the next start is ours.
        // Of what this agent said before its file changed nobody has to be warned.
        case .aside: if record.agent != store.agent { store.tell(record) }
        case .news:
            store.tell(record)
            store.touchFile(within: StateFile.renewalDelay)
        }
        // What is said here was written over.
        if let writer, outbox.holds(key), !outbox.isOwn(record), !store.isTwin {
            writer.say(key, false)
        }
    }

    // MARK: Words that somebody vouches for

    /// Words of others hold for as long as somebody vouches for them.
    func renewSome(isHearing: Bool, every pause: Nanoseconds) {
        guard let writer else { return }
        let renewals = book.renewals(
            isHearing: isHearing,
            every: pause,
            at: store.loop.moment,
            mark: writer.mark
        )
        for record in renewals {
            store.tell(renewed: record, isSaidHere: outbox.holds(record.key))
        }
        if !renewals.isEmpty { store.touchFile(within: StateFile.renewalDelay) }
    }

    /// What was read from a file: it holds until the store can be heard.
    func followKnown() {
        if let writer { book.followKnown(mark: writer.mark) }
    }

    // MARK: Reading one

    /// Whoever listens knows nothing of this. False where nothing has to be read for it.
    func recall(_ key: R.Key) -> Bool {
        // Nothing has been read yet, and this is with the rest.
        if scanned.isEmpty || outbox.holds(key) { return false }
        if let record = shelf[key] { store.tell(record) }
        recalled.insert(key)
        return true
    }

    func readRecalled(_ reader: RedisConnection) async throws(RedisError) {
        while !recalled.isEmpty {
            let batch = recalled.prefix(RedisStore.scanCount).map(\.self)
            recalled.subtract(batch)
            let command = store.call(.read, on: sort) + [""] + batch.map(\.field)
            let items = try await store.ask(reader, [command]).first?.array ?? []
            for (place, key) in batch.enumerated() where 2 * place + 1 < items.count {
                learn(items[2 * place], digest: items[2 * place + 1], field: key.field)
            }
            await store.breathe()
        }
    }

    // MARK: Reading everything

    func reconcile(
        _ reader: RedisConnection,
        wasEmptied: Bool,
        isOther: Bool
    ) async throws(RedisError) {
        if wasEmptied || !store.heardAll { forgetWhatWasRead() }
        if readingsLeft > 0 {
            readingsLeft -= 1
            return
        }
        let seen = try await readSlices(reader)
        readingsLeft = writer == nil ? 0 : Self.readingsLeftOut
        if scanned.count > State.entriesMax { forgetWhatWasRead() }
        if wasEmptied {
            restate()
        } else if let writer, !store.isTwin {
            // What is said here and was taken away there.
            for key in outbox.keys where !seen.contains(key.field) { writer.say(key, false) }
        }
        // Of nobody any more, there or only here.
        let over = shelf.over(at: store.loop.wall, keeping: Retention.span)
            .prefix(RedisStore.staleMax)
        if over.isEmpty { return }
        do throws(RedisError) {
            if let writer = store.writer { try await remove(over.map(\.field), on: writer) }
        } catch {
            try store.tolerate(error)
        }
        for key in over {
            shelf.put(nil, for: key)
            // Or it would be missed there, and said again.
            outbox.letGo(key)
        }
    }

    /// Everything that is not as it was read last. Answers what is there.
    private func readSlices(_ reader: RedisConnection) async throws(RedisError) -> Set<String> {
        var read: [String: Slice] = [:]
        var seen = Set<String>()
        var cursor = "0"
        var count = 0
        repeat {
            let before = slices[cursor]
            let command =
                store.call(.slice, on: sort)
                + [cursor, "\(Self.sliceCount)", before?.digest ?? ""]
            let parts = try await store.ask(reader, [command]).first?.array ?? []
            guard parts.count >= 2, let next = parts[0].text, let digest = parts[1].text else {
                throw .refused("expected a slice, saw another reply")
            }
            if parts.count == 4 {
                let fields = try await take(parts[2].array ?? [], parts[3].array ?? [], reader)
                read[cursor] = Slice(digest: digest, fields: fields)
            } else {
                read[cursor] = before
            }
            seen.formUnion(read[cursor]?.fields ?? [])
            cursor = next
            await store.breathe()
            count += 1
            if count.isMultiple(of: RedisStore.slicesBetweenHints) {
                try await store.readHints(on: reader)
            }
        } while cursor != "0" && !store.isStopping
        slices = read
        return seen
    }

    private func take(
        _ small: [RedisReply],
        _ large: [RedisReply],
        _ reader: RedisConnection
    ) async throws(RedisError) -> [String] {
        var fields: [String] = []
        var news: [String] = []
        for index in stride(from: 0, to: small.count - 1, by: 2) {
            guard let field = small[index].text,
                let digest = small[index + 1].text.flatMap({ UInt64($0, radix: 16) })
            else { continue }
            fields.append(field)
            if scanned[field] != digest { news.append(field) }
        }
        for index in stride(from: 0, to: large.count - 1, by: 2) {
            let bytes = large[index + 1].integer ?? 0
            store.ignore(.tooLarge(sort, bytes: bytes), large[index].text ?? "")
        }
        var pace = RedisStore.Pace(on: store.loop)
        while !news.isEmpty {
            let batch = news.prefix(RedisStore.scanCount)
            news.removeFirst(batch.count)
            let command = store.call(.read, on: sort) + ["small"] + batch
            let items = try await store.ask(reader, [command]).first?.array ?? []
            for (place, field) in batch.enumerated() where 2 * place + 1 < items.count {
                learn(items[2 * place], digest: items[2 * place + 1], field: field)
                if pace.isOver() { await store.breathe() }
            }
        }
        return fields
    }

    /// Looked at in one call: what Redis does within a millisecond or two.
    private static var sliceCount: Int { 500 }
    /// What the stream of changes tells of is all that changes, unless somebody else writes there.
    private static var readingsLeftOut: Int { 2 }
}
