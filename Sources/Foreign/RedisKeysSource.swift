// How does muster route by a Redis that has one key a host, as proxies of nginx and Lua had it? It asks for a
// host when a request does, keeps the answer, and hears when it is another. What it knows serves on while
// Redis is away.

public import EventLoop
import Health
public import Proxy
public import Redis
public import Vocabulary

/// One Redis whose keys are hosts. Confined to the loop's thread.
public final class RedisKeysSource {
    public let setting: RedisKeysSetting
    private let loop: EventLoop
    private let journal: Journal
    private let routes: ForeignRoutes
    private let lookup: HostLookup?
    private let life: SourceLife
    private var link: ForeignLink?
    private var wasAway = false
    public private(set) var condition: SourceCondition
    private let standstill: Gate

    /// When each host that is there was read last, and until when those that are not are believed not to be.
    private var readAt: [String: Instant] = [:]
    private var absent: [String: Instant] = [:]
    /// Written since they were read.
    private var dirty: Set<String> = []
    /// Who answered when all was read last.
    private var identity: ServerIdentity?
    /// Redis came back without them: kept until then.
    private(set) var lost: [String: Instant] = [:]

    /// Names that somebody made up displace nobody.
    public static let absentMax = 10_000
    /// Those that are there: more take the places of those that were asked for longest ago.
    var hostsMax = ForeignRoutes.routedMax
    /// Of one value. One host with more is a mistake, or somebody who wants many probed.
    public static let addressesMax = 64
    private static let atOnce = 200
    private static let readTimeout = Nanoseconds.milliseconds(500)
    private static let patience = Nanoseconds.milliseconds(900)
    private static let believed = Nanoseconds.seconds(60)
    /// By those who ask here, who would hear too late that it has been written.
    private static let absentBelieved = Nanoseconds.milliseconds(1)
    private static let awayAgain = Nanoseconds.seconds(1)
    private static let lostKept = Nanoseconds.seconds(600)
    private static let tickEvery = Nanoseconds.seconds(5)

    public init(
        _ setting: RedisKeysSetting,
        on loop: EventLoop,
        hands: any ForeignHands,
        journal: Journal = .silent,
        lookup: HostLookup? = nil
    ) {
        self.setting = setting
        self.loop = loop
        self.journal = journal
        self.lookup = lookup
        condition = SourceCondition(at: loop.wall)
        routes = ForeignRoutes(setting.base, on: loop, journal: journal)
        routes.hands = hands
        life = SourceLife(on: loop)
        standstill = Gate(loop: loop)
    }

    private var base: ForeignBase { setting.base }
    public var name: String { base.name }
    public var hostCount: Int { routes.table.count }
    public var backendCount: Int { routes.table.peerCount }
    public var isConnected: Bool { link != nil }
    private var isNotified: Bool { link?.isNotified ?? false }

    // MARK: Life

    public func start() {
        guard life.begin() else { return }
        routes.begin()
        let here = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await here.value.run() }
    }

    public func stop() async {
        guard life.willStop() else { return }
        await life.stop()
        routes.close()
    }

    private func run() async {
        await life.run(session) { error in
            if let error { tellAway(error) }
            link?.close()
            link = nil
        }
    }

    private func tellAway(_ error: RedisError) {
        condition.away("\(error)", at: loop.wall)
        if wasAway { return }
        wasAway = true
        journal.warning(
            "source \(name) at \(base.read) is away: \(error); hosts that were asked for before are "
                + "served on, others are answered 503",
            [.event("source-away"), .store("\(base.read)"), .error("\(error)")]
        )
    }

    private func session() async throws(RedisError) {
        let here = LoopBound(self, on: loop)
        let bell = life.bell
        asksWhole = false
        link = try await ForeignLink.open(
            base,
            kinds: [],
            channels: [],
            on: loop,
            lookup: lookup,
            onMessage: { here.value.hear($0, $1) },
            onFailure: { bell.ring() }
        )
        // Nobody knows what happened meanwhile, and the server tells of keys that were read on this connection.
        dirty = Set(routes.table.hosts)
        absent = [:]
        try await readDirty(isReturn: true)
        journal.notice(
            "source \(name) is connected to \(base.read)"
                + (isNotified ? ", which tells of changes" : ""),
            [.event("source-connected"), .store("\(base.read)")]
        )
        wasAway = false
        condition.connected(at: loop.wall)
        var nextTick = loop.instant + Self.tickEvery
        while !life.isStopping {
            if let failure = link?.failure { throw failure }
            if !dirty.isEmpty {
                try await readDirty(isReturn: false)
            } else if loop.instant >= nextTick {
                nextTick = loop.instant + Self.tickEvery
                try await link?.checkEars()
                sweep(at: loop.instant)
            } else {
                await life.bell.wait(until: nextTick)
            }
        }
    }

    /// Lets go of hosts that nobody asks for.
    func sweep(at now: Instant) {
        // Whom Redis has lost is kept for whoever asks later.
        for host in routes.sweep(at: now) where lost[host] == nil { forget(host) }
        let ended = lost.filter { $0.value <= now }.map(\.key)
        for host in ended {
            lost[host] = nil
            dirty.insert(host)
        }
        if !ended.isEmpty {
            journal.warning(
                "source \(name): \(ended.count) hosts that Redis came back without are asked for again: nobody "
                    + "wrote them within \(Self.lostKept.rounded)",
                [.event("source-lost"), .count(ended.count)]
            )
        }
        absent = absent.filter { $0.value > now }
    }

    /// Whom nobody asked for since Redis lost him goes first.
    private func makeRoom() {
        let count = max(1, min(ForeignRoutes.droppedAtOnce, hostsMax / 8))
        let unasked = lost.keys.filter { !routes.isRouted($0) }.prefix(count)
        let gone = unasked.isEmpty ? routes.letGoOldest(count) : Array(unasked)
        for host in gone { forget(host) }
    }

    private func forget(_ host: String) {
        readAt[host] = nil
        lost[host] = nil
        dirty.remove(host)
        _ = routes.table.set(host, nil, now: loop.instant)
    }

    // MARK: Hearing

    private func hear(_ channel: String, _ payload: RedisReply) {
        if channel == ForeignLink.invalidations {
            if let keys = payload.array {
                for key in keys { key.text.map(note) }
            } else {
                for host in absent.keys { routes.hands?.forget([.exact(host)]) }
                absent = [:]
                for host in routes.table.hosts { stale(host) }
            }
        } else if let colon = channel.firstIndex(of: ":") {
            note(String(channel[channel.index(after: colon)...]))
        }
        life.bell.ring()
    }

    private func note(_ key: String) {
        guard key.hasPrefix(base.prefix) else { return }
        let host = String(key.dropFirst(base.prefix.count))
        if absent.removeValue(forKey: host) != nil {
            routes.hands?.forget([.exact(host)])
        } else if routes.table.has(host) {
            stale(host)
        }
        changedMeanwhile.insert(host)
    }

    private func stale(_ host: String) {
        dirty.insert(host)
        routes.hands?.forget([.exact(host)])
    }

    /// Redis does not let its parts be asked for.
    private var asksWhole = false
    /// More is no list of addresses, of which each has a name of 255 bytes at most.
    static let valueBytesMax = 32_768
    /// Written while they were asked for.
    private var changedMeanwhile: Set<String> = []

    // MARK: Reading

    private func readDirty(isReturn: Bool) async throws(RedisError) {
        var (asked, gone) = (0, [String]())
        while !dirty.isEmpty {
            guard let reader = link?.reader else { throw .closed }
            let hosts = Array(dirty.prefix(Self.atOnce))
            dirty.subtract(hosts)
            let replies = try await values(of: hosts, from: reader)
            for (host, reply) in zip(hosts, replies) {
                asked += 1
                // Others may have taken its place meanwhile.
                guard routes.table.has(host) else { continue }
                if reply == .null, isReturn { gone.append(host) } else { take(host, reply) }
            }
            routes.watchFresh()
        }
        guard isReturn else { return }
        let answers = try await link?.identity()
        defer { identity = answers }
        // Where another server has come and most of all is gone, that one lost it, and nobody ordered that.
        let isLoss = gone.count * 2 > asked && (answers.map { $0 != identity } ?? true)
        for host in gone {
            if isLoss { lost[host] = loop.instant + Self.lostKept } else { take(host, .null) }
        }
        if isLoss, !gone.isEmpty {
            journal.warning(
                "source \(name) is back without \(gone.count) of \(asked) hosts: they are served as "
                    + "before for \(Self.lostKept.rounded), until they are written again",
                [.event("source-lost"), .count(gone.count)]
            )
        }
    }

    /// Of each no more than counts, for whoever asks for a host chooses the key: one of megabytes would end the connection.
    /// A part of what is not there is empty, and only the whole tells the two apart.
    private func values(
        of hosts: [String],
        from reader: RedisConnection
    ) async throws(RedisError) -> [RedisReply] {
        var replies = [RedisReply](repeating: .string([]), count: hosts.count)
        if !asksWhole {
            replies = try await reader.pipeline(
                hosts.map { ["GETRANGE", base.prefix + $0, "0", "\(Self.valueBytesMax - 1)"] },
                timeout: Self.readTimeout
            )
        }
        let whole = hosts.indices.filter { index in
            switch replies[index] {
            case .string(let bytes): return bytes.isEmpty
            case .error(let text):
                // A user who was given the rights of an older version.
                guard text.hasPrefix("NOPERM") else { return false }
                asksWhole = true
                return true
            default: return false
            }
        }
        if whole.isEmpty { return replies }
        let rest = try await reader.pipeline(
            whole.map { ["GET", base.prefix + hosts[$0]] },
            timeout: Self.readTimeout
        )
        for (index, reply) in zip(whole, rest) { replies[index] = reply }
        return replies
    }

    private func take(_ host: String, _ reply: RedisReply) {
        let now = loop.instant
        switch reply {
        case .string(let bytes):
            lost[host] = nil
            readAt[host] = now
            absent[host] = nil
            let all = Self.backends(in: bytes)
            let texts = Array(all.prefix(Self.addressesMax))
            if all.count > texts.count {
                routes.complain(
                    of: base.prefix + host,
                    tooMany: all.count,
                    isCut: bytes.count == Self.valueBytesMax
                )
            }
            if !routes.table.has(host), routes.table.count >= hostsMax { makeRoom() }
            guard routes.table.set(host, backends: texts, now: now) else { return }
            routes.complain(of: base.prefix + host, texts)
        case .null:
            if lost[host] != nil { return }
            readAt[host] = nil
            if absent.count < Self.absentMax { absent[host] = now + setting.missing }
            guard routes.table.set(host, nil, now: now) else { return }
        case .error(let text):
            let key = base.prefix + host
            routes.complain(.refused, of: key, "GET \(key): \(text)")
            return
        default: return
        }
        routes.watchFresh()
        routes.follow(host)
    }

    /// `addr:port[,addr:port…]`, blanks around each allowed.
    static func backends(in value: [UInt8]) -> [String] {
        String(decoding: value, as: UTF8.self)
            .split { $0 == "," || $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r" }
            .map(String.init)
    }

    // MARK: Routing

    /// Asked once at a time for each host.
    public func find(_ host: String) async -> RouteFinding {
        let deadline = loop.instant + Self.patience
        let now = loop.instant
        if isNotified, absent[host] != nil { await standstill.turn() }
        if let until = absent[host], until > now {
            return .none(for: isNotified ? min(until - now, Self.absentBelieved) : until - now)
        }
        let isFresh =
            !dirty.contains(host)
            && (readAt[host].map { isNotified || now - $0 < base.refresh } ?? false)
        if !isFresh, let finding = await ask(host) { return finding }
        guard routes.table.has(host) else {
            return .none(for: isNotified ? Self.absentBelieved : setting.missing)
        }
        let group = routes.bring(host)
        await routes.waitForVerdicts(of: host, until: deadline)
        if link == nil { return .upstream(group, for: Self.awayAgain) }
        return .upstream(group, for: isNotified ? Self.believed : base.refresh)
    }

    /// Asks Redis. Nil where there is an answer, or what was known is to serve on.
    private func ask(_ host: String) async -> RouteFinding? {
        let isKnown = routes.table.has(host)
        guard let reader = link?.reader else { return isKnown ? nil : .unavailable }
        for _ in 0..<Self.rereads {
            changedMeanwhile.remove(host)
            do throws(RedisError) {
                let reply = try await values(of: [host], from: reader)[0]
                dirty.remove(host)
                if case .error = reply, !isKnown {
                    take(host, reply)
                    return .unavailable
                }
                take(host, reply)
            } catch {
                return isKnown ? nil : .unavailable
            }
            if !changedMeanwhile.contains(host) { break }
        }
        changedMeanwhile.remove(host)
        return nil
    }

    private static let rereads = 3

    /// What is thought of a peer is otherwise.
    public func standingChanged(_ key: PeerKey) {
        if routes.peer(of: key) != nil { routes.standings.open() }
    }
}
