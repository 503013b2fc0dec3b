// Who is told that a backend is dead, and when? Its marks are positions in a list, so that they are written
// anew whenever the list is, and whenever somebody has said that one is dead; and they end by themselves
// unless they are said again.

public import Health
import Redis
import Vocabulary

/// Hosts whose marks are to be written, in the order in which they came.
struct MarkQueue {
    struct Entry: Equatable {
        var host: String
        /// Its dead are told of on the channel.
        var isNews: Bool
        /// The life of its marks begins anew.
        var renews: Bool
        /// Only marks that are missing are written; those of others are left alone.
        var onlyAdds = false
    }

    private var order: [String] = []
    private var start = 0
    private var waiting: [String: Entry] = [:]
    /// After Redis did not take them, not before then.
    var notBefore = Instant(nanoseconds: .min)

    /// Marks live so long, as hipache-hchecker's did, and are said again well before.
    static let lifeSeconds = 60
    static let refreshEvery = Nanoseconds.seconds(20)
    static let atOnce = 64
    static let tryAgain = Nanoseconds.seconds(1)

    var isEmpty: Bool { waiting.isEmpty }
    var count: Int { waiting.count }

    mutating func add(_ host: String, isNews: Bool = false, renews: Bool = false) {
        add(Entry(host: host, isNews: isNews, renews: renews))
    }

    mutating func add(_ entry: Entry) {
        if let before = waiting[entry.host] {
            waiting[entry.host]?.isNews = before.isNews || entry.isNews
            waiting[entry.host]?.renews = before.renews || entry.renews
            waiting[entry.host]?.onlyAdds = before.onlyAdds && entry.onlyAdds
            return
        }
        waiting[entry.host] = entry
        order.append(entry.host)
    }

    mutating func take() -> [Entry] {
        var taken: [Entry] = []
        while taken.count < Self.atOnce, start < order.count {
            let host = order[start]
            start += 1
            if let entry = waiting.removeValue(forKey: host) { taken.append(entry) }
        }
        if start == order.count {
            order = []
            start = 0
        }
        return taken
    }
}

/// What hipache-hchecker left in Redis of itself.
enum Checker {
    static let ping = "hchecker_ping"
    static let locks = "hchecker"
    static let pingEvery = Nanoseconds.seconds(10)
    /// Its locks had no end: those of a checker that was killed were for ever.
    static let lockSeconds = 90
    static let locksAtOnce = 500
}

extension HipacheSource {
    // MARK: What changed

    /// What is thought of a peer is otherwise. `wentDown`: it may be asked no more.
    public func standingChanged(_ key: PeerKey, wentDown: Bool) {
        guard let peer = routes.peer(of: key) else { return }
        routes.standings.open()
        for host in routes.table.hosts(with: peer) { queueMarks(of: host, isNews: wentDown) }
        wake()
    }

    func queueMarks(of host: String, isNews: Bool = false, renews: Bool = false) {
        guard setting.marks else { return }
        marks.add(host, isNews: isNews, renews: renews)
        for guest in guestsOf[host] ?? [] { marks.add(guest, isNews: isNews, renews: renews) }
    }

    /// All that is dead is said again.
    func refreshMarks() {
        guard setting.marks else { return }
        for peer in routes.table.peers where isOursAndDead(peer) {
            for host in routes.table.hosts(with: peer) { queueMarks(of: host, renews: true) }
        }
    }

    private func isOursAndDead(_ peer: ForeignPeer) -> Bool {
        let standing = routes.standing(of: peer)
        return standing.isOurs && standing.checkedAt != nil && standing.isDead
    }

    /// A list was written as it was before: whoever did that may have lost its marks.
    func restateMarks(of host: String) {
        let isAnyDead = routes.table.peers(of: host).contains {
            $0.map { isOursAndDead($0) } ?? false
        }
        if isAnyDead { queueMarks(of: host) }
    }

    // MARK: Guests

    /// A host that a wildcard serves: hipache looks for its marks under its own name.
    func welcome(_ host: String, as key: String) {
        if guests[host] == key { return }
        if let before = guests[host] { guestsOf[before]?.remove(host) }
        guard guests[host] != nil || guests.count < Self.guestsMax else { return }
        guests[host] = key
        guestsOf[key, default: []].insert(host)
        let isAnyDead = routes.table.weights(of: key).contains {
            let standing = routes.standing(of: $0.peer)
            return standing.checkedAt != nil && standing.isDead
        }
        guard isAnyDead, setting.marks else { return }
        marks.add(host)
        wake()
    }

    /// It has a list of its own now.
    func leave(_ host: String, as key: String) {
        guests[host] = nil
        guestsOf[key]?.remove(host)
    }

    // MARK: Writing

    func nextMark() -> Instant { marks.isEmpty ? .distantFuture : marks.notBefore }

    /// Writes some of what waits. False where Redis does not take it now.
    func writeMarks() async -> Bool {
        guard loop.instant >= marks.notBefore else { return false }
        guard setting.marks else {
            marks = MarkQueue()
            return true
        }
        guard let writer = await writing() else {
            marks.notBefore = loop.instant + MarkQueue.tryAgain
            return false
        }
        defer { if marks.isEmpty { takenAgain() } }
        let batch = marks.take().compactMap { entry in
            command(for: entry).map { (entry: entry, command: $0) }
        }
        if batch.isEmpty { return true }
        do throws(RedisError) {
            let replies = try await writer.pipeline(
                batch.map(\.command),
                timeout: ForeignLink.timeout
            )
            var refused: [String] = []
            var why = ""
            for (mark, reply) in zip(batch, replies) {
                let text: String
                switch reply {
                case .error(let words): text = words
                case .integer(-1): text = "a value that is no set"
                default: continue
                }
                marks.add(mark.entry)
                if refused.isEmpty { why = text }
                refused.append(mark.entry.host)
            }
            if !refused.isEmpty { tellRefused(refused, why) }
            if RedisConnection.isOfReplication(why), !why.contains("NOREPLICAS") {
                await seekMaster()
            }
            // Where some were taken the next are tried at once; who is left over in the end waits.
            if refused.count < batch.count { return true }
        } catch {
            for mark in batch { marks.add(mark.entry) }
            refusal = "EVAL: \(error)"
            tellWriteError()
        }
        // Verified by whoever writes them, they may be written late.
        marks.notBefore = loop.instant + MarkQueue.tryAgain
        return false
    }

    private func command(for entry: MarkQueue.Entry) -> [String]? {
        let host = entry.host
        // Whose list is gone, and who is nobody's guest, has no backend that could be dead.
        let isServed = routes.table.has(host) || guests[host] != nil
        let key = isServed ? routes.table.key(of: host) : nil
        var words: [String] = []
        if let key {
            // One text may stand there twice, and is one backend.
            var told = Set<String>()
            for (text, peer) in zip(routes.table.texts(of: key), routes.table.peers(of: key)) {
                guard let peer, told.insert(text).inserted else { continue }
                let standing = routes.standing(of: peer)
                guard standing.isOurs, standing.checkedAt != nil else { continue }
                if entry.onlyAdds, !standing.isDead { continue }
                words += [text, standing.isDead ? "1" : "0"]
            }
            if words.isEmpty { return nil }
        }
        let frontend = base.prefix + Kind.frontend.rawValue + (key ?? host)
        let dead = base.prefix + Kind.dead.rawValue + host
        let least = setting.isChecker && (reported[host] ?? 0) < 2 ? 2 : 1
        return [
            "EVAL", ForeignScripts.mark, "2", frontend, dead, "\(MarkQueue.lifeSeconds)",
            "\(least)", entry.isNews ? ForeignLink.dead : "", host, entry.renews ? "1" : "0",
        ] + words
    }

    /// Who takes marks. A master that cannot be reached is told of, also while there is nothing to write.
    func writing() async -> RedisConnection? {
        guard let master else {
            guard let reader = link?.reader, reader.isOpen else { return nil }
            return reader
        }
        let writer = await master.writing()
        tellWriteError()
        if let error = master.error, throttle.note("write", at: loop.instant) != nil {
            journal.warning(
                "source \(name): \(base.write), to which marks of the dead are written, is away: "
                    + "\(error); other proxies do not hear who is dead",
                [.event("source-problem"), .store("\(base.write)"), .error("\(error)")]
            )
        }
        return writer
    }

    private func tellWriteError() {
        let why = master?.error.map { "\($0)" } ?? refusal
        condition.writeError = why.map { "\(base.write) takes no marks: \($0)" }
    }

    /// Once a minute for each reason, while it goes on.
    private func tellRefused(_ hosts: [String], _ text: String) {
        let text = ForeignScripts.explained(text, needing: ForeignScripts.markRights)
        refusal = "EVAL: \(text)"
        tellWriteError()
        guard throttle.note("refused \(text)", at: loop.instant) != nil else { return }
        journal.warning(
            "source \(name): expected \(base.write) to take marks of the dead, saw \(text) to the EVAL of "
                + "\(base.prefix)\(Kind.dead.rawValue)\(hosts[0]); hosts whose marks wait: \(marks.count), "
                + "tried again each second; other proxies do not hear who is dead",
            [.event("source-problem"), .store("\(base.write)"), .error(text)]
        )
    }

    /// Nothing waits any more.
    private func takenAgain() {
        guard refusal != nil else { return }
        refusal = nil
        tellWriteError()
        journal.notice(
            "source \(name): no marks of the dead wait for \(base.write) any more",
            [.event("source-connected"), .store("\(base.write)")]
        )
    }

    // MARK: Reports

    private static let reportsMax = 10_000
    private static let reportPatience = Nanoseconds.seconds(10)
    private static let reportPause = Nanoseconds.milliseconds(20)

    /// A proxy says that a backend failed a request: it is looked at, and what is found is written.
    func hear(_ report: DeadReport) {
        guard reports.count < Self.reportsMax else { return }
        if reported[report.frontend] != nil || reported.count < Self.guestsMax {
            // Our own word, which comes back to us, is of the list as it is.
            reported[report.frontend] = max(reported[report.frontend] ?? 0, report.count)
        }
        reports.append((report, loop.wall, loop.instant + Self.reportPatience, false))
    }

    /// Its probes go as far as requests do. One that only connects says nothing of a bad answer, for which
    /// somebody marked a backend: that mark ends by itself.
    private var knowsBetter: Bool {
        setting.isChecker || base.monitors.isEmpty
            || base.monitors.contains { $0.kind != "tcp" }
    }

    // MARK: Marks of others

    /// Theirs end after thirty seconds, those of hipache-hchecker after sixty, unless somebody says them again.
    private static let othersLive = Nanoseconds.seconds(60)

    /// Somebody has written marks of a host: they are weighed against what probes find, at once where these know
    /// better, and else when they should have ended by themselves. planb's locks begin alike, and name a URL.
    func heardMarks(of host: String) {
        guard setting.marks, !host.contains("/"), let key = routes.table.key(of: host) else {
            return
        }
        if key != host { welcome(host, as: key) }
        if knowsBetter { return marks.add(host) }
        // One of ours may have been taken away.
        let isAnyDead = routes.table.peers(of: key).contains {
            $0.map { isOursAndDead($0) } ?? false
        }
        if isAnyDead {
            marks.add(.init(host: host, isNews: false, renews: false, onlyAdds: true))
            wake()
        }
        if othersMarks.count < Self.guestsMax, othersMarks[host] == nil {
            othersMarks[host] = loop.instant + Self.othersLive
        }
    }

    /// Those that stand for longer than they should.
    func weighOthersMarks() {
        let now = loop.instant
        for (host, due) in othersMarks where due <= now {
            othersMarks[host] = nil
            marks.add(host)
        }
    }

    func nextReport() -> Instant {
        reports.isEmpty ? .distantFuture : loop.instant + Self.reportPause
    }

    /// What has become of them.
    func followReports() {
        if reports.isEmpty { return }
        let now = loop.instant
        let heard = reports
        reports = []
        for (report, at, until, isAsked) in heard where now < until {
            guard let key = routes.table.key(of: report.frontend),
                let peer = routes.table.peer(of: key, at: report.backend)
            else {
                reports.append((report, at, until, isAsked))
                continue
            }
            if key != report.frontend { welcome(report.frontend, as: key) }
            let standing = routes.standing(of: peer)
            if let checked = standing.checkedAt, checked > at {
                if standing.isDead || knowsBetter { marks.add(report.frontend) }
                continue
            }
            if !isAsked {
                // Our own word comes back to us.
                let isKnown = standing.checkedAt != nil && standing.isDead
                if !isKnown { routes.hands?.look(at: routes.key(of: peer)) }
                if isKnown { marks.add(report.frontend) }
            }
            reports.append((report, at, until, true))
        }
    }

    // MARK: In place of hipache-hchecker

    /// Says that somebody checks, so that proxies leave it to him, and holds the locks of its backends.
    func pingAsChecker() async {
        guard setting.isChecker, setting.marks, let writer = await writing() else { return }
        let seconds = loop.wall.milliseconds / 1_000
        var commands = [["SET", Checker.ping, "\(seconds)"]]
        for texts in ownBackends(atOnce: Checker.locksAtOnce) {
            commands += texts.map { ["HSETNX", Checker.locks, $0, signature(at: seconds)] }
        }
        commands.append(["EXPIRE", Checker.locks, "\(Checker.lockSeconds)"])
        for start in stride(from: 0, to: commands.count, by: Checker.locksAtOnce) {
            let slice = Array(commands[start..<min(start + Checker.locksAtOnce, commands.count)])
            _ = try? await writer.pipeline(slice, timeout: ForeignLink.timeout)
        }
    }

    private func signature(at seconds: Int64) -> String { "\(agentName)#muster;\(seconds).0" }

    /// The backends that this process looks after, as lists name them.
    private func ownBackends(atOnce count: Int) -> [[String]] {
        var texts = Set<String>()
        for peer in routes.table.peers where routes.standing(of: peer).isOurs {
            guard let host = routes.table.hosts(with: peer).first else { continue }
            for (text, other) in zip(routes.table.texts(of: host), routes.table.peers(of: host))
            where other == peer {
                texts.insert(text)
            }
        }
        let all = texts.sorted()
        return stride(from: 0, to: all.count, by: count).map {
            Array(all[$0..<min($0 + count, all.count)])
        }
    }

    /// Others may take over at once.
    func releaseLocks() async {
        guard setting.isChecker, setting.marks,
            let writer = master == nil ? link?.reader : master?.open, writer.isOpen
        else { return }
        let mine = "\(agentName)#muster;"
        let command = ["EVAL", ForeignScripts.release, "1", Checker.locks, mine]
        for texts in ownBackends(atOnce: Checker.locksAtOnce) {
            _ = try? await writer.command(command + texts)
        }
    }
}
