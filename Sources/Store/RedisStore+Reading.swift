// How does an agent learn what the others wrote to Redis? By reading everything once, following the
// stream of hints, and reading everything again every few seconds: the part of `RedisStore` that reads.

import EventLoop
import Health
import Redis
import Vocabulary

extension RedisStore {
    func follow() async throws(RedisError) {
        var reconcileAt = loop.instant + reconcileEvery
        while let reader, !isStopping {
            let wait = max(min(reconcileAt - loop.instant, Self.followFor), .milliseconds(1))
            let replies: [RedisReply]
            do throws(RedisError) {
                replies = try await ask(
                    reader,
                    [
                        [
                            "XREAD", "COUNT", "\(Self.scanCount)", "BLOCK", "\(wait.milliseconds)",
                            "STREAMS", keys.changes, streamID,
                        ]
                    ],
                    timeout: wait + commandTimeout
                )
            } catch {
                if case .tooLong = error { skipsHints = true }
                guard case .refused(let text) = error, Refusal.word(text) == "WRONGTYPE" else {
                    throw error
                }
                // Not as often as somebody else may write there.
                await sleep(Self.backoffMin)
                reconcileAt = loop.instant
                replies = []
            }
            try await read(hints: replies.first ?? .null, on: reader)
            if loop.instant >= reconcileAt {
                try await reconcile(reader)
                flushSoon()
                reconcileAt = loop.instant + reconcileEvery
            }
        }
        throw .closed
    }

    /// `[[stream, [[id, [name, value, …]], …]]]`, or null when nothing came.
    private func read(hints: RedisReply, on reader: RedisConnection) async throws(RedisError) {
        guard let entries = hints.array?.first?.array?.last?.array, !entries.isEmpty else { return }
        var verdicts: [String] = []
        var intents: [String] = []
        for entry in entries {
            guard let parts = entry.array, let id = parts.first?.text else { continue }
            streamID = id
            let words = (parts.last?.array ?? []).map { $0.text ?? "" }
            var values: [String: String] = [:]
            for index in stride(from: 0, to: words.count - 1, by: 2) {
                values[words[index]] = words[index + 1]
            }
            guard let field = values["field"] else { continue }
            if let number = values["revision"].flatMap(UInt64.init) {
                revision = max(revision, number)
            }
            if values["kind"] == "intent" {
                if !intents.contains(field) { intents.append(field) }
            } else if values["kind"] == "verdict" {
                if !verdicts.contains(field) { verdicts.append(field) }
            }
        }
        var commands: [[String]] = []
        if !verdicts.isEmpty { commands.append(call(.read, on: keys.verdicts) + verdicts) }
        if !intents.isEmpty { commands.append(call(.read, on: keys.intents) + intents) }
        var replies = try await ask(reader, commands)[...]
        if !verdicts.isEmpty, let values = replies.popFirst()?.array {
            var pace = Pace(on: loop)
            for (field, value) in zip(verdicts, values) {
                learn(verdict: value, field: field)
                if pace.isOver() { await breathe() }
            }
        }
        if !intents.isEmpty, let values = replies.popFirst()?.array {
            for (field, value) in zip(intents, values) { learn(intent: value, field: field) }
        }
    }

    /// Reads everything, and finds out whether Redis still is the one we knew.
    func reconcile(_ reader: RedisConnection) async throws(RedisError) {
        let made = "\(UInt64.random(in: 0...UInt64.max, using: &loop.dice))"
        let replies = try await ask(reader, [look(made)])
        guard let parts = replies.first?.array, parts.count == 5,
            let refusal = parts[0].text, let time = Self.time(parts[4])
        else { throw .refused("expected a look, saw another reply") }
        // A Redis that takes no writes can be read all the same.
        if refusal.isEmpty { wroteAgain() } else { refuseWriting(refusal) }
        let isNew = parts[1].integer == 1
        note(time: time)
        let id = parts[2].text
        let number = parts[3].text.flatMap(UInt64.init) ?? 0
        let wasEmptied = isNew || (storeID != nil && id != storeID) || number < revision
        if wasEmptied, storeID != nil { complainOfLoss(of: "its state") }
        if wasEmptied { scanned = [:] }
        storeID = id
        revision = number
        // Taken before the hashes are read: a change in between is read twice rather than missed. By time,
        // as the ids are made: what lies at the end of the stream may be anything. Scripts see a time
        // that is a little older than the clock's.
        let margin = skipsHints ? Nanoseconds.zero : Self.hintMargin
        skipsHints = false
        streamID = "\(max((time + -margin).milliseconds, 0))-0"

        let stale = try await scanVerdicts(reader)
        let over = try await readIntents(reader, wasEmptied: wasEmptied)
        if wasEmptied { outbox.restate() }
        do throws(RedisError) {
            if !over.isEmpty, let writer { try await sweep(over, on: writer) }
            if !stale.isEmpty, let writer { try await remove(stale, on: writer) }
        } catch {
            try tolerate(error)
        }
    }

    /// Walks through a hash in slices small enough for probes to get their turn in between, and for
    /// Redis too: what somebody left there, be it a hundred thousand fields, delays nobody.
    private func walk(
        _ hash: String,
        _ reader: RedisConnection,
        _ take: (_ field: String, _ value: RedisReply) -> Void
    ) async throws(RedisError) {
        var cursor = "0"
        repeat {
            let reply = try await ask(
                reader,
                [call(.scan, on: hash) + [cursor, "\(Self.scanCount)"]]
            )
            guard let parts = reply.first?.array, parts.count == 3, let next = parts[0].text,
                let entries = parts[1].array, let large = parts[2].array
            else { throw .refused("expected a scan, saw another reply") }
            cursor = next
            var pace = Pace(on: loop)
            for index in stride(from: 0, to: entries.count - 1, by: 2) {
                if let field = entries[index].text { take(field, entries[index + 1]) }
                if pace.isOver() { await breathe() }
            }
            for index in stride(from: 0, to: large.count - 1, by: 2) {
                ignore(
                    .tooLarge,
                    hash,
                    large[index].text ?? "",
                    "has \(large[index + 1].integer ?? 0) bytes, expected at most "
                        + "\(Believable.valueBytesMax)"
                )
            }
            await breathe()
        } while cursor != "0" && !isStopping
    }

    /// Answers fields that belong to nobody any more.
    private func scanVerdicts(_ reader: RedisConnection) async throws(RedisError) -> [String] {
        var stale: [String] = []
        let oldest = loop.wall + -Self.retention
        try await walk(keys.verdicts, reader) { field, value in
            guard let bytes = value.bytes else { return }
            // Most of it is what it was: not worth parsing.
            let digest = bytes.hashValue
            if scanned.updateValue(digest, forKey: field) == digest { return }
            learn(verdict: value, field: field)
            if let key = VerdictKey(field: field), let held = known.verdicts[key],
                held.expiresAt < oldest, stale.count < Self.staleMax
            {
                stale.append(field)
            }
        }
        if scanned.count > State.entriesMax { scanned = [:] }
        return stale
    }

    /// Answers fields that ask for nothing any more.
    private func readIntents(
        _ reader: RedisConnection,
        wasEmptied: Bool
    ) async throws(RedisError) -> [String] {
        var held = Set<PeerKey>()
        var over: [String] = []
        var isOurs = false
        try await walk(keys.intents, reader) { field, value in
            if field == RedisKeys.mark {
                isOurs = true
                return
            }
            guard let key = PeerKey(field: field) else {
                return ignore(.intent, keys.intents, field, "names no peer")
            }
            held.insert(key)
            learn(intent: value, field: field)
            if known.intents[key]?.isOver(at: now) == true, over.count < Self.staleMax {
                over.append(field)
            }
        }
        let missing = known.intents.keys.filter { !held.contains($0) && !untold.contains($0) }
        // Nobody lifted what an emptied store forgot, or what it threw away whole.
        if wasEmptied || !isOurs {
            untold.formUnion(missing)
            if !wasEmptied, missing.contains(where: { known.intents[$0]?.asked != nil }) {
                complainOfLoss(of: "\(keys.intents) whole")
            }
        } else {
            for key in missing { forget(intent: key) }
        }
        return over
    }

    /// Once a minute: whoever empties it again and again fills no log.
    private func complainOfLoss(of what: String) {
        guard let silent = throttle.note("emptied", at: loop.instant) else { return }
        let times = silent > 0 ? " (\(silent) times more in the last minute)" : ""
        journal.warning(
            "store \(url) has lost \(what)\(times); telling it everything again\(evictionAdvice)",
            [.event("store-emptied"), .store("redis")]
        )
    }

    /// As `TIME` answers it: seconds, and microseconds beside them.
    private static func time(_ reply: RedisReply) -> WallTime? {
        guard let parts = reply.array, parts.count == 2,
            let seconds = parts[0].text.flatMap(Int64.init),
            let microseconds = parts[1].text.flatMap(Int64.init),
            (0...Int64(1) << 40).contains(seconds), (0..<1_000_000).contains(microseconds)
        else { return nil }
        return WallTime(milliseconds: seconds * 1_000 + microseconds / 1_000)
    }

    private func note(time wall: WallTime) {
        if storeTime == nil {
            // What was asked for until now was stamped by this machine's clock.
            for key in untold { known.shift(key, by: wall - loop.wall) }
        }
        storeTime = (wall, loop.instant)
        known.believe(at: now)
    }

    private func learn(verdict reply: RedisReply, field: String) {
        guard let bytes = reply.bytes else { return }
        guard let key = VerdictKey(field: field) else {
            return ignore(.verdict, keys.verdicts, field, "names no pair")
        }
        guard
            let json = try? JSON(
                parsing: bytes,
                limits: JSONLimits(bytes: Believable.valueBytesMax)
            ),
            let verdict = Verdict(key: key, json: json)
        else {
            return ignore(.verdict, keys.verdicts, field, "is no verdict")
        }
        if outbox.isOwn(verdict) { return }
        if known.take(verdict) {
            observer?.storeChanged(.verdict(verdict))
            file?.touch(within: StateFile.renewalDelay)
        }
    }

    /// What Redis holds of an intent; nil where it makes no sense.
    private func record(of reply: RedisReply) -> IntentRecord? {
        guard let bytes = reply.bytes,
            let json = try? JSON(
                parsing: bytes,
                limits: JSONLimits(bytes: Believable.valueBytesMax)
            )
        else { return nil }
        return IntentRecord(json: json)?.believed(at: now)
    }

    func isIntent(_ reply: RedisReply) -> Bool { record(of: reply) != nil }

    /// `isAnswer` where Redis has just taken in what was asked for here: then it knows best, its
    /// stamps included.
    func learn(intent reply: RedisReply, field: String, isAnswer: Bool = false) {
        guard let key = PeerKey(field: field) else { return }
        if reply.bytes == nil {
            if !untold.contains(key) { forget(intent: key) }
            return
        }
        guard let record = record(of: reply) else {
            return ignore(.intent, keys.intents, field, "is no intent")
        }
        let held = known.intents[key]
        let isChanged = isAnswer ? known.replace(record, for: key) : known.merge(record, for: key)
        tell(key, isChanged, before: held)
        // Redis has lost what was asked for last, as after a failover.
        if known.intents[key]?.isAhead(of: record) == true { untold.insert(key) }
    }

    private func forget(intent key: PeerKey) {
        let held = known.intents[key]
        tell(key, known.forget(key), before: held)
    }

    /// Tells of what is asked of a peer now, if that is something else than before.
    func tell(_ key: PeerKey, _ isChanged: Bool, before: IntentRecord?) {
        guard isChanged else { return }
        let asked = known.intents[key]?.asked
        if asked != before?.asked {
            observer?.storeChanged(.intent(key, asked?.shifted(by: -clockAhead)))
        }
        file?.touch(within: StateFile.transitionDelay)
    }
}

// MARK: Patience

extension RedisStore {
    /// What somebody else left in our keys, by the kind of it.
    enum Nonsense: String {
        case verdict, intent
        case tooLarge = "too-large"
    }

    /// One line a minute for each kind, with an example.
    func ignore(_ kind: Nonsense, _ hash: String, _ field: String, _ what: String) {
        ignored += 1
        guard let silent = throttle.note(kind.rawValue, at: loop.instant) else { return }
        let name = String(field.prefix(100)).printable
        var text = "store \(url): \(hash) '\(name)' \(what); ignored"
        if silent > 0 { text += ", as were \(silent) more in the last minute" }
        journal.warning(text, [.event("store-ignored")])
    }

    /// Lets everybody else on the loop have a turn.
    func breathe() async {
        await withCheckedContinuation { waiter in loop.execute { waiter.resume() } }
    }

    /// How long one has worked without a break.
    private struct Pace {
        private let loop: EventLoop
        private var began: Instant
        private static let max = Nanoseconds.milliseconds(3)

        init(on loop: EventLoop) {
            self.loop = loop
            began = loop.instant
        }

        mutating func isOver() -> Bool {
            let now = loop.instant
            if now - began < Self.max { return false }
            began = now
            return true
        }
    }
}
