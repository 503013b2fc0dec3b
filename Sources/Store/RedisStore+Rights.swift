// What does Redis let an agent do? It may be full, or a copy of another, or forbid what it does not know: reading goes on
// where it can, and people hear since when something is missing.

import EventLoop
import Redis
import Vocabulary

extension RedisStore {
    // MARK: Writes that are refused

    /// Redis can be read, and takes no writes: what is to be written waits.
    func refuseWriting(_ text: String) {
        if Refusal(text) == .writing, RedisConnection.isOfReplication(text) {
            // What was the master is a replica now: sentinels know who is it.
            if url.sentinels != nil, text.contains("READONLY") { return lost(.refused(text)) }
            seekMaster(after: text)
        }
        let right = Self.checkableRight(text)
        let isNew: Bool
        if let right {
            isNew = missingRights.updateValue(text, forKey: right) == nil
            checkRightsLater()
        } else {
            isNew = writeError != text
            writeError = text
        }
        noteWritable(false)
        if isNew { observer?.storeStatusChanged(status) }
        if writeAgain == nil {
            writeAgain = timers.schedule(after: Self.writeAgainAfter) { [unowned self] in
                writeAgain = nil
                flushSoon()
            }
        }
        if right == nil, Refusal(text) == .right {
            findRights(for: text, isTold: true)
        } else {
            tellOfRefusal(text)
        }
    }

    /// What was refused without a word of what is missing is known by now.
    func takeFound() {
        if writeError.map({ Refusal($0) == .right }) == true { writeError = nil }
    }

    func tellOfRefusal(_ text: String) {
        let said = throttle.note("write \(Refusal.word(text))", at: loop.instant)
        // However soon it came after the one before: the last word of a log would be that writes are taken.
        let lasts =
            !isWriteTroubleTold
            && unwritableSince.map { loop.instant - $0 >= Outage.brief } ?? false
        guard said != nil || lasts else { return }
        let silent = said ?? 0
        var line = "store \(url) takes no writes: \(text.printable)"
        if silent > 0 { line += " (\(silent + 1) attempts in the last minute)" }
        if let advice = Refusal.advice(text) { line += "; \(advice)" }
        isWriteTroubleTold = true
        // The write that was refused just now may not be among those that wait yet.
        let waiting = max(status.pending, 1)
        journal.warning(
            line + "; reading goes on, \(waiting) \(waiting == 1 ? "write waits" : "writes wait")"
                + (fleet == nil || status.hearsOthers
                    ? "" : "; what other agents found stays as it was"),
            [.event("store-read-only"), .store("redis"), .error(text)]
        )
    }

    /// Writing refused is no reason to read no more; everything else is thrown on.
    func tolerate(_ error: RedisError) throws(RedisError) {
        guard case .refused(let text) = error, Refusal(text) == .writing else { throw error }
        refuseWriting(text)
    }

    /// Redis took a write, even if only one that changes nothing.
    func wroteAgain(isBeat: Bool = false) {
        writeError = nil
        // That another command is let through says nothing of it.
        if !missingRights.isEmpty { return }
        // What a beat ends it has not ended yet: its answer is on the way there.
        let isRefused = isBeat ? fleet?.isRightMissed == true : fleet?.isRefused == true
        guard !isRefused, let began = unwritableSince else { return }
        let words = ", after \(TransitionLine.rough(loop.instant - began))"
        noteWritable(true)
        // Good news of a trouble that nobody was told of would be riddles.
        if isWriteTroubleTold {
            isWriteTroubleTold = false
            journal.notice(
                "store \(url) takes writes again\(words)",
                [.event("store-writable"), .store("redis")]
            )
        }
        observer?.storeStatusChanged(status)
    }

    // MARK: Rights that are missing

    /// The command that is forbidden, where it can be found out when it no longer is.
    static func checkableRight(_ text: String) -> String? {
        Refusal.missingRight(text).map { $0.lowercased() }.flatMap {
            checkableRights.contains($0) ? $0 : nil
        }
    }

    /// Of each command that is needed to write, one that changes nothing anybody reads, and is refused where the user may not
    /// run the one of that name: ACLs are asked before keys are. `key` is of no use to anybody else.
    private static func harmless(_ key: String) -> [String: [String]] {
        [
            // With an id that is none.
            "xadd": ["XADD", key, "-", "a", "b"],
            // These two leave something, which is taken away again.
            "incr": ["INCR", key],
            "hset": ["HSET", key, "a", "b"],
            "set": ["SET", key, "", "XX"],
            "get": ["GET", key],
            "del": ["DEL", key],
            "type": ["TYPE", key],
            "exists": ["EXISTS", key],
            "strlen": ["STRLEN", key],
            "time": ["TIME"],
            "hget": ["HGET", key, ""],
            "hdel": ["HDEL", key, ""],
            "hlen": ["HLEN", key],
            "hexists": ["HEXISTS", key, ""],
            "hmget": ["HMGET", key, ""],
            "hgetall": ["HGETALL", key],
            "hscan": ["HSCAN", key, "0"],
            "hstrlen": ["HSTRLEN", key, ""],
            "xrevrange": ["XREVRANGE", key, "+", "-", "COUNT", "1"],
            "rename": ["RENAME", key, key],
            "renamenx": ["RENAMENX", key, key],
        ]
    }

    private static let checkableRights = harmless("").keys.sorted()

    /// `done` hears with which words this user may not run it; nil where it may, and of nothing where the connection ends.
    private func check(right name: String, _ done: @escaping (String?) -> Void) {
        guard let writer, let command = Self.harmless(keys.right)[name] else { return }
        writer.post(command, timeout: commandTimeout) { [weak self] reply in
            guard let self, let reply else { return }
            if case .error(let text) = reply, Refusal(text) == .right { return done(text) }
            if name == "incr" || name == "hset", case .integer = reply {
                self.writer?.post(["DEL", keys.right], timeout: commandTimeout) { _ in }
            }
            done(nil)
        }
    }

    /// A script is refused without a word of the command that it may not run, before Redis 7.2: each is tried. `isTold`
    /// where people hear of `text` if none of them is the one.
    func findRights(for text: String, isTold: Bool) {
        guard !isFindingRights, let writer, writer.isOpen else {
            if isTold { tellOfRefusal(text) }
            return
        }
        isFindingRights = true
        var (waiting, found) = (Self.checkableRights.count, [String]())
        for name in Self.checkableRights {
            check(right: name) { [weak self] refusal in
                if let refusal { found.append(refusal) }
                waiting -= 1
                guard waiting == 0, let self else { return }
                isFindingRights = false
                if found.isEmpty { return isTold ? tellOfRefusal(text) : () }
                takeFound()
                for refusal in found { refuseWriting(refusal) }
            }
        }
    }

    /// Calls that do not need it pass, and say nothing of it: it is missed until Redis lets this user run the very command.
    func checkRightsLater() {
        guard rightsAgain == nil, !isStopping else { return }
        rightsAgain = timers.schedule(after: Self.writeAgainAfter) { [unowned self] in
            rightsAgain = nil
            checkRights()
        }
    }

    private func checkRights() {
        if missingRights.isEmpty { return }
        checkRightsLater()
        guard isConnected else { return }
        for name in missingRights.keys.sorted() {
            check(right: name) { [weak self] refusal in
                if refusal == nil { self?.given(right: name) }
            }
        }
    }

    private func given(right name: String) {
        guard missingRights.removeValue(forKey: name) != nil, missingRights.isEmpty else { return }
        fleet?.rightsAreGiven()
        wroteAgain()
        flushSoon()
    }

    /// This agent's writes are taken, or none of them.
    func noteWritable(_ isWritable: Bool) {
        if isWritable == (unwritableSince == nil) { return }
        unwritableSince = isWritable ? nil : loop.instant
        since = loop.wall
        noteWell()
        observer?.storeStatusChanged(status)
    }

    func noteWell() {
        let isWell = isConnected && unwritableSince == nil
        wellUntil = isWell ? nil : wellUntil ?? loop.wall
    }

    /// A Redis that evicts any key when its memory is full loses drains. Where an ACL does not let us ask, scripts may not
    /// either which server they run in: they go on without, and nothing else would ever say so.
    func askForEviction(_ reader: RedisConnection) async {
        let replies = try? await reader.pipeline([["INFO", "memory"]], timeout: commandTimeout)
        if case .error(let text)? = replies?.first, Refusal.word(text) == "NOPERM",
            throttle.note("info", at: loop.instant) != nil
        {
            journal.warning(
                "store \(url) does not allow INFO: \(text.printable); without it a failover is not told from the server "
                    + "before, and whether it throws away keys is not known. Allow +info; docs/STATE.md names all rights",
                [.event("store-rights"), .store("redis"), .error(text)]
            )
        }
        let lines = (replies?.first?.text ?? "").split(whereSeparator: \.isNewline)
        func value(_ name: String) -> Substring? {
            lines.first { $0.hasPrefix(name + ":") }?.dropFirst(name.count + 1)
        }
        let before = evictionAdvice
        guard let policy = value("maxmemory_policy"), policy.hasPrefix("allkeys"),
            let limit = value("maxmemory"), limit != "0"
        else {
            evictionAdvice = ""
            return
        }
        evictionAdvice =
            "; its maxmemory-policy is \(policy), which throws away drains and verdicts when memory "
            + "is short: set noeviction or volatile-lru, or use a Redis of muster's own"
        if before.isEmpty {
            journal.warning(
                "store \(url) may lose what it was told\(evictionAdvice)",
                [.event("store-evicts"), .store("redis")]
            )
        }
    }
}
