// How do the words of agents, verdicts and their like, come to Redis and from there? Transitions at once,
// renewals in batches, each refused there if a newer one is held.

import EventLoop
import Health
import Redis
import Vocabulary

final class FencedSide<R: FencedRecord>: RedisSide {
    private unowned let store: RedisStore
    private let shelf: Shelf<R>
    private var outbox = Outbox<R>()
    /// Digests of what was read, by field: most of it is what it was, and not worth parsing again.
    private var scanned: [String: Int] = [:]
    /// Who writes what is said here, where that takes a claim; nil where this side writes it itself.
    private var writer: Writer?

    struct Writer {
        /// This is to be written, at once or with the next that is.
        var say: (R.Key, _ isUrgent: Bool) -> Void
        /// Somebody has written this.
        var heard: (R) -> Void
    }

    init(of store: RedisStore) {
        self.store = store
        shelf = store.known.shelf(of: R.self)
    }

    var sort: RecordSort { R.sort }
    var pendingCount: Int { outbox.pendingCount }
    var hasUrgent: Bool { outbox.hasUrgent }
    var lazyCount: Int { outbox.lazyCount }

    func restate() {
        outbox.restate()
        handOver()
    }
    func shift(by step: Nanoseconds) { outbox.shift(by: step) }
    func forgetWhatWasRead() { scanned = [:] }
    func believe(at now: WallTime, isFirst: Bool, isBehind: Bool, ahead span: Nanoseconds) {}

    // MARK: Saying

    /// False when a newer one is here already.
    func publish(_ record: R, isTransition: Bool, now: WallTime) -> Bool {
        guard outbox.take(record, isTransition: isTransition, now: now) else { return false }
        if shelf.take(record) {
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
        outbox.takesAnyOrder = true
    }

    private func handOver() {
        guard let writer else { return }
        for (key, isUrgent) in outbox.drain() { writer.say(key, isUrgent) }
    }

    func newest(_ key: R.Key) -> R? { outbox.newest(key) }
    func sent(_ record: R) { outbox.sent(record) }
    func wrote(_ record: R) { outbox.wrote(record) }

    /// Another says it from now on.
    func letGo(_ key: R.Key) { outbox.letGo(key) }

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

    func learn(_ value: RedisReply, field: String) {
        guard let bytes = value.bytes else { return }
        guard let key = R.Key(field: field) else { return store.ignore(.name(sort), field) }
        guard let record = RedisStore.json(bytes).flatMap({ R.read($0, of: key) }) else {
            return store.ignore(.value(sort), field)
        }
        writer?.heard(record)
        let heard = outbox.hear(
            record,
            besides: shelf,
            asAgent: store.agent,
            isShared: writer != nil,
            isTwin: store.isTwin
        )
        switch heard {
        case .own, .old: break
        // The board tells people; what is kept for the next start is ours.
        case .aside: store.tell(record)
        case .news:
            store.tell(record)
            store.touchFile(within: StateFile.renewalDelay)
        }
    }

    func reconcile(
        _ reader: RedisConnection,
        wasEmptied: Bool
    ) async throws(RedisError) {
        if wasEmptied { scanned = [:] }
        try await store.walk(sort, reader) { field, value in
            guard let bytes = value.bytes else { return }
            let digest = bytes.hashValue
            if scanned.updateValue(digest, forKey: field) == digest { return }
            learn(value, field: field)
        }
        if scanned.count > State.entriesMax { scanned = [:] }
        if wasEmptied { restate() }
        // Of nobody any more, there or only here.
        let over = shelf.over(at: store.loop.wall, keeping: Retention.span)
            .prefix(RedisStore.staleMax)
        if over.isEmpty { return }
        do throws(RedisError) {
            if let writer = store.writer { try await remove(over.map(\.field), on: writer) }
        } catch {
            try store.tolerate(error)
        }
        for key in over { shelf.put(nil, for: key) }
    }
}
