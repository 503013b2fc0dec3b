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
                        ["XREAD", "COUNT", "\(Self.scanCount)", "BLOCK", "\(wait.milliseconds)"]
                            + streams
                    ],
                    timeout: wait + commandTimeout
                )
            } catch {
                if case .tooLong = error { skipsHints = true }
                guard case .refused(let text) = error, Refusal.word(text) == "WRONGTYPE" else {
                    throw error
                }
                looks = 0
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

    /// What is listened to, and from where on: changes, and letters to this agent.
    private var streams: [String] {
        fleet == nil
            ? ["STREAMS", keys.changes, streamID]
            : ["STREAMS", keys.changes, keys.inbox(of: agent), streamID, inboxID]
    }

    /// What came meanwhile, without waiting for more: an order is heard of within moments, however long
    /// the reading of everything takes.
    func readHints(on reader: RedisConnection) async throws(RedisError) {
        let command = ["XREAD", "COUNT", "\(Self.scanCount)"] + streams
        do throws(RedisError) {
            let hints = try await ask(reader, [command]).first ?? .null
            try await read(hints: hints, on: reader)
        } catch {
            if case .tooLong = error { skipsHints = true }
            guard case .refused(let text) = error, Refusal.word(text) == "WRONGTYPE" else {
                throw error
            }
        }
    }

    /// `[[stream, [[id, [name, value, …]], …]]]`, or null when nothing came.
    private func read(hints: RedisReply, on reader: RedisConnection) async throws(RedisError) {
        for stream in hints.array ?? [] {
            guard let parts = stream.array, let entries = parts.last?.array else { continue }
            if parts.first?.text == keys.changes {
                try await read(changes: entries, on: reader)
            } else {
                read(letters: entries)
            }
        }
    }

    private func read(letters entries: [RedisReply]) {
        for entry in entries {
            guard let parts = entry.array, let id = parts.first?.text else { continue }
            inboxID = id
            heard(letter: (parts.last?.array ?? []).map { $0.text ?? "" })
        }
    }

    private func read(
        changes entries: [RedisReply],
        on reader: RedisConnection
    ) async throws(RedisError) {
        if entries.isEmpty { return }
        var fields = Array(repeating: [String](), count: sides.count)
        var numbers: [UInt64] = []
        var pace = Pace(on: loop)
        for entry in entries {
            guard let parts = entry.array, let id = parts.first?.text else { continue }
            streamID = id
            let words = parts.last?.array ?? []
            var values: [String: String] = [:]
            var value = RedisReply.null
            for index in stride(from: 0, to: words.count - 1, by: 2) {
                guard let name = words[index].text else { continue }
                if name == "value" {
                    value = words[index + 1]
                } else {
                    values[name] = words[index + 1].text ?? ""
                }
            }
            guard let field = values["field"] else { continue }
            if let kind = values["kind"].flatMap(FleetSign.Kind.init) {
                heard(kind, values)
                continue
            }
            if let number = values["revision"].flatMap(UInt64.init) {
                revision = max(revision, number)
                numbers.append(number)
            }
            guard let place = sides.firstIndex(where: { $0.sort.name == values["kind"] }) else {
                continue
            }
            if let digest = values["digest"], value.bytes != nil {
                // The word itself: its order says whether it is the latest.
                sides[place].learn(value, digest: .string(Array(digest.utf8)), field: field)
                if pace.isOver() { await breathe() }
            } else if !fields[place].contains(field) {
                fields[place].append(field)
            }
        }
        let named = zip(sides, fields).filter { !$1.isEmpty }
        let replies =
            named.isEmpty
            ? [] : try await ask(reader, named.map { call(.read, on: $0.sort) + [""] + $1 })
        for ((side, fields), reply) in zip(named, replies) {
            let items = reply.array ?? []
            for (place, field) in fields.enumerated() where 2 * place + 1 < items.count {
                side.learn(items[2 * place], digest: items[2 * place + 1], field: field)
                if pace.isOver() { await breathe() }
            }
        }
        heard.take(numbers)
    }

    /// Reads everything, and finds out whether Redis still is the one we knew.
    func reconcile(_ reader: RedisConnection) async throws(RedisError) {
        let made = "\(UInt64.random(in: 0...UInt64.max, using: &loop.dice))"
        let replies = try await ask(reader, [look(made)])
        guard let parts = replies.first?.array, parts.count == 7,
            let refusal = parts[0].text, let time = Self.time(parts[4])
        else { throw .refused("expected a look, saw another reply") }
        // A Redis that takes no writes can be read all the same.
        // It wrote no order, which may be forbidden all the same.
        let isForbidden = writeError.map { Refusal($0) == .right } ?? false
        if !refusal.isEmpty { refuseWriting(refusal) } else if !isForbidden { wroteAgain() }
        tell(ofAsides: parts[5].array ?? [])
        let isNew = parts[1].integer == 1
        note(time: time)
        if areMarksDue || fleet?.isHearing != true { try await readMarks(reader) }
        areMarksDue = false
        heardAll = heard.whole != nil
        let id = parts[2].text
        let number = parts[3].text.flatMap(UInt64.init) ?? 0
        let wasEmptied = isNew || (storeID != nil && id != storeID) || number < revision
        if wasEmptied, storeID != nil { complainOfLoss(of: "its state") }
        // Where an ACL forbids to ask, it is the one that it was.
        let server = parts[6].text ?? ""
        // Taken from a running agent: nothing else would say so before the next connection.
        if server.isEmpty, !isServerHidden { await askForEviction(reader) }
        isServerHidden = server.isEmpty
        let isOther = !server.isEmpty && serverRead != nil && serverRead != server
        storeID = id
        revision = number
        if wasEmptied { revisionWritten = 0 }
        heard.begin(at: number)
        // Taken before the hashes are read: a change in between is read twice rather than missed. By time,
        // as the ids are made: what lies at the end of the stream may be anything. Scripts see a time
        // that is a little older than the clock's.
        let margin = skipsHints ? Nanoseconds.zero : Self.hintMargin
        // A new life begins at the end of its letters, and so does one whose letters are too many to be read.
        if inboxID.isEmpty || skipsHints || wasEmptied {
            inboxID = "\(max((time + -margin).milliseconds, 0))-0"
        }
        let place = StreamPlace(time: time + -margin)
        // Verdicts are not all read each time: what lies in the stream and was not read yet, because this process stood
        // still or there is much of it, stays to be read. What is read once more does no harm.
        let goesOn = heardAll && !wasEmptied && !skipsHints
        streamID = (goesOn ? min(place, StreamPlace(id: streamID) ?? place) : place).id
        skipsHints = false

        for side in sides {
            try await side.reconcile(reader, wasEmptied: wasEmptied, isOther: isOther)
        }
        try await compareTerms(on: reader)
        // Not before: a reading that breaks off has found out nothing.
        if !server.isEmpty { serverRead = server }
        noteRead()
        heard.finish()
    }

    /// Beats tell of another era before the next reading of everything does.
    func tellOrdersAgain() async {
        guard let writer, isConnected else { return }
        do throws(RedisError) {
            for side in sides { try await side.tellAgain(on: writer) }
        } catch {
            // The reading of everything finds the same.
            if case .refused = error { return }
            return lost(error)
        }
        flushSoon()
    }

    /// Walks through a hash in slices small enough for probes to get their turn in between, and for
    /// Redis too: what somebody left there, be it a hundred thousand fields, delays nobody.
    func walk(
        _ sort: RecordSort,
        _ reader: RedisConnection,
        _ take: (_ field: String, _ value: RedisReply) -> Void
    ) async throws(RedisError) {
        var cursor = "0"
        var slices = 0
        repeat {
            let reply = try await ask(
                reader,
                [call(.scan, on: sort) + [cursor, "\(Self.scanCount)"]]
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
                    .tooLarge(sort, bytes: large[index + 1].integer ?? 0),
                    large[index].text ?? ""
                )
            }
            await breathe()
            slices += 1
            if slices.isMultiple(of: Self.slicesBetweenHints) { try await readHints(on: reader) }
        } while cursor != "0" && !isStopping
    }

    /// Once for each name: its data may be of use to somebody.
    private func tell(ofAsides kept: [RedisReply]) {
        for place in stride(from: 0, to: kept.count - 1, by: 2) {
            guard let name = kept[place].text, asidesTold.insert(name).inserted else { continue }
            let key = String(name.dropLast(RedisKeys.aside.count + 1))
            journal.warning(
                "store \(url): \(key.printable) held a \(kept[place + 1].text ?? "?") that is none of "
                    + "muster's; it is kept as \(name.printable). Find out who writes there, and give one "
                    + "of the two another prefix",
                [.event("store-aside"), .store("redis")]
            )
        }
    }

    /// Once a minute: whoever empties it again and again fills no log.
    func complainOfLoss(of what: String) {
        guard let silent = throttle.note("emptied", at: loop.instant) else { return }
        let times = silent > 0 ? " (\(silent) times more in the last minute)" : ""
        journal.warning(
            "store \(url) has lost \(what)\(times); telling it everything again\(evictionAdvice)",
            [.event("store-emptied"), .store("redis")]
        )
    }

    /// As `TIME` answers it: seconds, and microseconds beside them.
    static func time(_ reply: RedisReply) -> WallTime? {
        guard let parts = reply.array, parts.count == 2,
            let seconds = parts[0].text.flatMap(Int64.init),
            let microseconds = parts[1].text.flatMap(Int64.init),
            (0...Int64(1) << 40).contains(seconds), (0..<1_000_000).contains(microseconds)
        else { return nil }
        return WallTime(milliseconds: seconds * 1_000 + microseconds / 1_000)
    }

    func note(time wall: WallTime) {
        let isFirst = storeTime == nil
        storeTime = (wall, loop.instant)
        if isFirst { for side in sides { side.noteClock(at: now, ahead: wall - loop.wall) } }
        followClock(loop.moment)
    }

    /// Nil where it is none of ours.
    static func json(_ bytes: [UInt8]) -> JSON? {
        try? JSON(parsing: bytes, limits: JSONLimits(bytes: Believable.valueBytesMax))
    }

    func tell(_ change: any StoreChange) { observer?.storeChanged(change) }

    func tell(renewed record: any FencedRecord, isSaidHere: Bool) {
        guard let verdict = record as? Verdict else { return }
        observer?.storeRenewed(verdict, isSaidHere: isSaidHere)
    }

    func touchFile(within delay: Nanoseconds) { file?.touch(within: delay) }
}

// MARK: Patience

extension RedisStore {
    /// One line a minute for each kind, with an example.
    ///
    /// Some hashes are read anew every few seconds: what lies there as it was is counted once.
    func ignore(_ what: Nonsense, _ field: String, _ value: [UInt8] = []) {
        if isKnown(what, field, value) { return }
        ignored += 1
        guard let silent = throttle.note(what.kind, at: loop.instant) else { return }
        let name = String(field.prefix(100)).printable
        let hash = keys.hash(of: what.sort)
        var text = "store \(url): \(hash) '\(name)' \(what.words); ignored"
        if silent > 0 { text += ", as were \(silent) more in the last minute" }
        journal.warning(text, [.event("store-ignored")])
    }

    private func isKnown(_ what: Nonsense, _ field: String, _ value: [UInt8]) -> Bool {
        // An order has put an end to it.
        if case .replaced = what { return false }
        var hash = StableHash()
        hash.combine(what.words)
        hash.combine(String(decoding: value, as: UTF8.self))
        let name = "\(what.sort.name) \(field.prefix(Believable.nameBytesMax))"
        if nonsense[name] == hash.value { return true }
        if nonsense[name] != nil || nonsense.count < AskedLimits.nonsenseMax {
            nonsense[name] = hash.value
        }
        return false
    }

    /// What lies there now is ours; other nonsense after it is counted again.
    func makesSense(_ sort: RecordSort, _ field: String) {
        if !nonsense.isEmpty { nonsense["\(sort.name) \(field)"] = nil }
    }

    /// Lets everybody else on the loop have a turn.
    func breathe() async {
        await withCheckedContinuation { waiter in loop.execute { waiter.resume() } }
    }

    /// How long one has worked without a break.
    struct Pace {
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
