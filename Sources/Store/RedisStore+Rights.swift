// What does Redis let an agent do? It may be full, or a copy of another, or forbid what it does not know: reading goes on
// where it can, and people hear since when something is missing.

import EventLoop
import Redis
import Vocabulary

extension RedisStore {
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
