// What is one receiver told, and when? Not every change is worth a word: what is no trouble to it, what
// comes and goes, what happens while it wants to be left alone. What is worth one waits for its company,
// and then for the receiver; it stays in order, and in a bounded room.
//
//   heard ──► standing of the peer ──► notice ──► waits (group, quiet hours, attempts) ──► batch
//                                                             ▲                              │
//                                                             └────────── failed ◄───────────┤
//                                                                          sent ◄────────────┘
//
// Pure: events and the time go in, and `next` says what is to be sent.

public import Health
public import Vocabulary

/// What a receiver wants to hear.
public struct HeraldRules: Sendable {
    /// Names of upstreams, `*` at the end for all that begin so; empty for all.
    public var upstreams: [String] = []
    /// What counts as trouble.
    public var statuses: Set<PeerStatus> = [.down]
    /// Whether it hears that trouble is over.
    public var resolves = true
    /// How long the first notice waits for others.
    public var group = Nanoseconds.seconds(5)
    /// How often trouble that goes on is told again; nil for never.
    public var remind: Nanoseconds?
    /// So many changes within that time are coming and going; nil tells each.
    public var flap: Flap? = Flap()
    /// When it wants to be left alone: what comes meanwhile waits.
    public var quiet: [CalendarWindow] = []
    /// Notices in one message.
    public var batchMax = 50

    public struct Flap: Hashable, Sendable {
        public var changes = 6
        public var within = Nanoseconds.seconds(600)

        public init() {}
    }

    public init() {}

    public func wants(_ upstream: String) -> Bool {
        upstreams.isEmpty
            || upstreams.contains { pattern in
                pattern.hasSuffix("*")
                    ? upstream.hasPrefix(pattern.dropLast()) : upstream == pattern
            }
    }
}

public struct Herald: Sendable {
    /// How the receiver knows a peer, once all that waits has been sent.
    struct Standing: Hashable, Sendable {
        var status: PeerStatus
        var since: WallTime
        var reason: String
        var isTrouble: Bool
        var remindAt: Instant?
        /// When it turned lately.
        var turns: [Instant] = []
        var flapping: Flapping?
    }

    private struct Told: Hashable, Sendable {
        var kind: Notice.Kind
        var to: PeerStatus
        /// Notices before this one were there already.
        var before: UInt64
    }

    struct Flapping: Hashable, Sendable {
        var turns = 0
        var lastTurn: Instant
    }

    public let name: String
    public var rules: HeraldRules
    /// What waits, the oldest first. Those in flight are its beginning.
    public private(set) var waiting: [Notice] = []
    /// Had no room, and is to be told of by number.
    public private(set) var leftOut = 0 {
        didSet { if leftOut != oldValue { news.leftOut = leftOut } }
    }
    public private(set) var counts = Counts()
    private var standings: [PeerKey: Standing] = [:]
    /// What another agent told of a peer last.
    private var othersTold: [PeerKey: Told] = [:]
    /// Of the notice that comes next.
    public private(set) var nextID: UInt64 = 1
    private var groupAt: Instant?
    private var flight: Flight?
    private var failures = 0
    /// Of these, since the last that arrived, those that the receiver itself refused.
    private var refusals = 0
    private var retryAt: Instant?
    /// When some standing has something to say by itself.
    public private(set) var nextLook: Instant?
    private var lookedAt = Instant(nanoseconds: .min)
    /// What is to be written down since that was asked for last.
    private var news = News()

    /// What began and ended to wait.
    public struct News: Hashable, Sendable {
        public var added: [Notice] = []
        public var removed: [UInt64] = []
        /// How many were left out, where that is another number now.
        public var leftOut: Int?
        /// Peers of which it is to be known otherwise how often they turned lately.
        public var turned: Set<PeerKey> = []

        public var isEmpty: Bool {
            added.isEmpty && removed.isEmpty && leftOut == nil && turned.isEmpty
        }
    }

    /// Standings are looked through this often at most, however many of them have something to say.
    static let lookEvery = Nanoseconds.seconds(1)

    private struct Flight: Sendable {
        var ids: Set<UInt64>
        var leftOut: Int
    }

    public struct Counts: Hashable, Sendable {
        public var sent: UInt64 = 0
        public var failed: UInt64 = 0
        public var leftOut: UInt64 = 0
        /// Changes that were not told because their peer comes and goes.
        public var suppressed: UInt64 = 0
        public init() {}
    }

    /// Notices that wait for one receiver.
    public static let waitingMax = 1_000
    /// Peers that are kept apart; of more nothing is told.
    public static let standingsMax = 100_000
    /// Turns of one peer that are remembered: more is never asked for.
    public static let turnsMax = 100
    public static let backoffMin = Nanoseconds.seconds(1)
    public static let backoffMax = Nanoseconds.seconds(60)
    /// Whoever says "later" (`Retry-After`) is not believed for longer.
    public static let laterMax = Nanoseconds.seconds(600)
    /// A message that the receiver refuses, and not only cannot take now, is tried so often.
    public static let refusalsMax = 5

    public init(_ name: String, _ rules: HeraldRules) {
        self.name = name
        self.rules = rules
    }

    /// Peers in trouble, as this receiver sees it.
    public var troubled: Int { standings.values.count { $0.isTrouble } }
    public var isSending: Bool { flight != nil }
    /// Since the last message that arrived.
    public var failuresInARow: Int { failures }

    // MARK: What happens

    /// A peer came into another status. Returns the notice that this is worth, if any.
    @discardableResult
    public mutating func heard(
        _ peer: PeerKey,
        from: PeerStatus,
        to: PeerStatus,
        since: WallTime,
        reason: String,
        supply: Notice.Supply? = nil,
        now: Moment
    ) -> Notice? {
        guard rules.wants(peer.upstream) else { return nil }
        // That nothing is known of it is no end of what was known.
        if to == .unknown, !rules.statuses.contains(.unknown) { return nil }
        let isTrouble = rules.statuses.contains(to)
        var standing =
            standings[peer]
            ?? Standing(status: from, since: since, reason: "", isTrouble: false)
        // Nothing that this receiver sees a difference in.
        if standing.isTrouble == isTrouble, !isTrouble || standing.status == to {
            guard standings[peer] != nil else { return nil }
            standing.status = to
            standing.reason = reason
            standings[peer] = standing
            return nil
        }
        guard standings[peer] != nil || standings.count < Self.standingsMax else {
            counts.leftOut += 1
            return nil
        }
        let before = standing
        (standing.status, standing.since, standing.reason) = (to, since, reason)
        standing.isTrouble = isTrouble
        standing.remindAt = isTrouble ? rules.remind.map { now.instant + $0 } : nil
        let isFlapping = note(turnOf: peer, &standing, at: now.instant)
        defer {
            standings[peer] = standing
            lookSoon(at: earliest(standing))
        }
        if before.flapping != nil {
            counts.suppressed += 1
            return nil
        }
        if !isFlapping, !isTrouble, !rules.resolves { return nil }
        let kind: Notice.Kind = isFlapping ? .flapping : isTrouble ? .trouble : .resolved
        var notice = make(kind, peer, standing, from: before.status)
        if kind == .resolved { notice.lasted = since - before.since }
        if kind == .flapping { notice.changes = standing.turns.count }
        notice.supply = supply
        return enqueue(notice, at: now.instant)
    }

    /// The peer is defined no more.
    @discardableResult
    public mutating func gone(_ peer: PeerKey, now: Moment) -> Notice? {
        othersTold[peer] = nil
        guard let standing = standings.removeValue(forKey: peer), standing.isTrouble,
            rules.resolves
        else { return nil }
        var notice = make(.resolved, peer, standing, from: standing.status)
        (notice.to, notice.at, notice.isTrouble) = (.unknown, now.wall, false)
        notice.reason = "it is not defined any more"
        notice.lasted = now.wall - standing.since
        return enqueue(notice, at: now.instant)
    }

    /// Whether this turn makes the peer one that comes and goes.
    private mutating func note(
        turnOf peer: PeerKey,
        _ standing: inout Standing,
        at now: Instant
    ) -> Bool {
        guard let flap = rules.flap else { return false }
        standing.turns = standing.turns.filter { now - $0 < flap.within } + [now]
        if standing.turns.count > flap.changes { standing.turns.removeFirst() }
        // One turn alone says nothing after a restart.
        if standing.turns.count > 1 || standing.flapping != nil { news.turned.insert(peer) }
        if standing.flapping != nil {
            standing.flapping?.turns += 1
            standing.flapping?.lastTurn = now
            return false
        }
        guard standing.turns.count >= flap.changes else { return false }
        standing.flapping = Flapping(lastTurn: now)
        return true
    }

    private mutating func make(
        _ kind: Notice.Kind,
        _ peer: PeerKey,
        _ standing: Standing,
        from: PeerStatus
    ) -> Notice {
        defer { nextID += 1 }
        return Notice(
            id: nextID,
            kind: kind,
            peer: peer,
            from: from,
            to: standing.status,
            at: standing.since,
            reason: standing.reason,
            isTrouble: standing.isTrouble
        )
    }

    private mutating func enqueue(_ notice: Notice, at now: Instant) -> Notice {
        if waiting.isEmpty || groupAt == nil { groupAt = now + rules.group }
        waiting.append(notice)
        news.added.append(notice)
        if waiting.count > Self.waitingMax {
            // What is in flight is with the receiver already, perhaps.
            let oldest = waiting.firstIndex { flight?.ids.contains($0.id) != true }
            if let oldest {
                news.removed.append(waiting.remove(at: oldest).id)
                leftOut += 1
                counts.leftOut += 1
            }
        }
        return notice
    }

    // MARK: Time

    /// What time alone brings about: reminders, and that peers have settled. Returns the notices.
    @discardableResult
    public mutating func look(now: Moment) -> [Notice] {
        guard let due = nextLook, due <= now.instant else { return [] }
        nextLook = nil
        lookedAt = now.instant
        var made: [Notice] = []
        var dueNow: [(peer: PeerKey, standing: Standing)] = []
        for (peer, standing) in standings {
            guard let time = earliest(standing) else { continue }
            if time <= now.instant { dueNow.append((peer, standing)) } else { lookSoon(at: time) }
        }
        // In an order that does not depend on how a dictionary lies in memory.
        dueNow.sort { ($0.peer.upstream, $0.peer.peer) < ($1.peer.upstream, $1.peer.peer) }
        let told = dueNow.isEmpty ? [] : Set(waiting.map(\.peer))
        for (peer, old) in dueNow {
            var standing = old
            if let flapping = standing.flapping, let flap = rules.flap,
                now.instant - flapping.lastTurn >= flap.within
            {
                standing.flapping = nil
                standing.turns = []
                news.turned.insert(peer)
                var notice = make(.settled, peer, standing, from: standing.status)
                notice.changes = flapping.turns
                made.append(enqueue(notice, at: now.instant))
            } else if let at = standing.remindAt, at <= now.instant, let remind = rules.remind {
                standing.remindAt = now.instant + remind
                if standing.flapping == nil, !told.contains(peer) {
                    let notice = make(.reminder, peer, standing, from: standing.status)
                    made.append(enqueue(notice, at: now.instant))
                }
            }
            let isOver = !standing.isTrouble && standing.flapping == nil
            let within = rules.flap?.within ?? .zero
            let isForgotten = standing.turns.allSatisfy { now.instant - $0 >= within }
            standings[peer] = isOver && isForgotten ? nil : standing
            if standings[peer] != nil { lookSoon(at: earliest(standing)) }
        }
        return made
    }

    private func earliest(_ standing: Standing) -> Instant? {
        let within = rules.flap?.within ?? .zero
        let times = [
            standing.remindAt,
            standing.flapping.map { $0.lastTurn + within },
            standing.isTrouble ? nil : standing.turns.last.map { $0 + within },
        ]
        return times.compactMap { $0 }.min()
    }

    private mutating func lookSoon(at time: Instant?) {
        guard let time else { return }
        let next = max(time, lookedAt + Self.lookEvery)
        nextLook = nextLook.map { min($0, next) } ?? next
    }

    /// When `look` or `next` may have something; nil where nothing is waited for.
    public func wakeAt(now: Moment) -> Instant? {
        var times = [nextLook]
        if !waiting.isEmpty, flight == nil {
            let quiet = quietEnd(at: now.wall).map { now.instant + ($0 - now.wall) }
            times.append([groupAt, retryAt, quiet].compactMap { $0 }.max() ?? now.instant)
        }
        return times.compactMap { $0 }.min()
    }

    /// Until when it wants to be left alone.
    public func quietEnd(at now: WallTime) -> WallTime? {
        rules.quiet.compactMap { $0.opening(at: now)?.end }.max()
    }

    // MARK: Sending

    /// What is to be sent now; ends in `sent` or `failed`. Of what `isOurs` says no to, another sends.
    public mutating func next(
        now: Moment,
        by agent: String,
        isOurs: (Notice) -> Bool = { _ in true }
    ) -> Batch? {
        guard flight == nil, !waiting.isEmpty, quietEnd(at: now.wall) == nil else { return nil }
        if let groupAt, now.instant < groupAt { return nil }
        if let retryAt, now.instant < retryAt { return nil }
        let notices = Array(waiting.lazy.filter(isOurs).prefix(rules.batchMax))
        if notices.isEmpty { return nil }
        flight = Flight(ids: Set(notices.map(\.id)), leftOut: leftOut)
        return Batch(
            receiver: name,
            agent: agent,
            notices: notices,
            leftOut: leftOut,
            troubled: troubled,
            holds: rules.remind.map { $0 * 3 },
            sentAt: now.wall
        )
    }

    /// What was in flight has arrived. Returns it.
    @discardableResult
    public mutating func sent(now: Instant) -> [Notice] {
        guard let flight = flight.take() else { return [] }
        let told = waiting.filter { flight.ids.contains($0.id) }
        remove(flight)
        for notice in told { othersTold[notice.peer] = nil }
        counts.sent += 1
        failures = 0
        refusals = 0
        retryAt = nil
        // More than one message holds goes on at once; what came meanwhile waits for its company.
        groupAt = told.count >= rules.batchMax ? now : now + rules.group
        return told
    }

    /// It has not, or nobody knows. `later` is when the receiver said to come again. One that it refuses is
    /// given up after some attempts: nothing else would ever arrive. Returns what was given up.
    @discardableResult
    public mutating func failed(
        isRefusal: Bool,
        later: Nanoseconds? = nil,
        now: Instant
    ) -> [Notice] {
        guard let flight = flight.take() else { return [] }
        counts.failed += 1
        failures += 1
        let doubled = Self.backoffMin * (1 << Int64(min(failures - 1, 6)))
        let pause = max(min(doubled, Self.backoffMax), min(later ?? .zero, Self.laterMax))
        retryAt = now + pause
        if isRefusal { refusals += 1 }
        guard isRefusal, refusals >= Self.refusalsMax else { return [] }
        let lost = waiting.filter { flight.ids.contains($0.id) }
        remove { flight.ids.contains($0.id) }
        leftOut += lost.count
        counts.leftOut += UInt64(lost.count)
        failures = 0
        refusals = 0
        return lost
    }

    /// When what waits is tried again; nil where the last attempt arrived.
    public var nextAttempt: Instant? { waiting.isEmpty ? nil : retryAt }

    /// The receiver is there again: what waits for the next attempt goes out now.
    public mutating func hurry() { retryAt = nil }

    private mutating func remove(_ isOver: (Notice) -> Bool) {
        waiting.removeAll { notice in
            let isOver = isOver(notice)
            if isOver { news.removed.append(notice.id) }
            return isOver
        }
    }

    /// What is to be written down.
    public mutating func takeNews() -> News {
        defer { news = News() }
        return news
    }

    private mutating func remove(_ flight: Flight) {
        remove { flight.ids.contains($0.id) }
        leftOut = max(0, leftOut - flight.leftOut)
    }

    /// Another agent has told of this peer up to this: what is older of it need not be told here.
    public mutating func toldElsewhere(_ peer: PeerKey, _ kind: Notice.Kind, _ to: PeerStatus) {
        if othersTold[peer] != nil || othersTold.count < Self.standingsMax {
            othersTold[peer] = Told(kind: kind, to: to, before: nextID)
        }
        let last = waiting.lastIndex {
            $0.peer == peer && $0.kind == kind && $0.to == to
                && flight?.ids.contains($0.id) != true
        }
        guard let last else { return }
        let id = waiting[last].id
        let inFlight = self.flight?.ids ?? []
        remove { $0.peer == peer && $0.id <= id && !inFlight.contains($0.id) }
    }

    /// Others have told what waits here, but for `kept`, of which they may not have heard.
    public mutating func clear(but kept: Range<UInt64>) {
        let inFlight = self.flight?.ids ?? []
        remove { !inFlight.contains($0.id) && !kept.contains($0.id) }
        leftOut = 0
    }

    /// Waits until `time` for the word of others.
    public mutating func hold(until time: Instant) { groupAt = max(groupAt ?? time, time) }

    /// This agent tells from now on, in place of another. Of each peer of which something waits it tells at most
    /// how it is now, and that only where the receiver does not know: what is over, and what the other has told
    /// in words of its own, it keeps to itself.
    public mutating func takeOver(now: Moment) {
        let inFlight = flight?.ids ?? []
        let open = waiting.filter { !inFlight.contains($0.id) }
        var seen: Set<PeerKey> = []
        for peer in open.map(\.peer) where seen.insert(peer).inserted {
            let own = open.filter { $0.peer == peer }
            let kept = last(of: peer, own)
            remove { $0.peer == peer && !inFlight.contains($0.id) && $0.id != kept?.id }
            if let kept, !own.contains(where: { $0.id == kept.id }) {
                _ = enqueue(kept, at: now.instant)
            }
        }
    }

    /// The one word that is left to tell of `peer`, of which `own` wait.
    private mutating func last(of peer: PeerKey, _ own: [Notice]) -> Notice? {
        guard let first = own.first, let newest = own.last else { return nil }
        let told = othersTold[peer]
        let isFlappingTold = told?.kind == .flapping
        if let flapping = own.last(where: { $0.kind == .flapping }) {
            // Nobody has told anything of it since, and it goes on.
            if newest.kind == .flapping, told.map({ $0.before <= flapping.id }) ?? true {
                return flapping
            }
            // The other did not find that it comes and goes, and told its turns.
            if let told, !isFlappingTold, told.before > flapping.id {
                standings[peer]?.flapping = nil
                standings[peer]?.turns = []
                news.turned.insert(peer)
            }
        }
        if newest.kind == .settled, told == nil || isFlappingTold { return newest }
        let known = told?.to ?? first.from
        let standing = standings[peer]
        let present = standing?.status ?? newest.to
        let isTrouble = standing?.isTrouble ?? false
        let wasTrouble = rules.statuses.contains(known)
        if isTrouble == wasTrouble, !isTrouble || known == present { return nil }
        let kind: Notice.Kind = isTrouble ? .trouble : .resolved
        if let last = own.last(where: { $0.kind == kind && $0.to == present }) { return last }
        guard isTrouble || rules.resolves, let standing else { return nil }
        return make(kind, peer, standing, from: known)
    }

    /// What others have told while this agent listened is told.
    public mutating func dropTold() {
        let inFlight = flight?.ids ?? []
        for (peer, newest) in Dictionary(waiting.map { ($0.peer, $0) }, uniquingKeysWith: { $1 })
        where othersTold[peer].map({ $0.to == newest.to }) ?? false {
            remove { $0.peer == peer && !inFlight.contains($0.id) }
        }
    }

    // MARK: Over restarts

    /// What the last process still had to tell.
    public mutating func restore(_ notice: Notice, now: Instant) {
        nextID = max(nextID, notice.id + 1)
        restore(standingOf: notice, now: now)
        // Its company has come already.
        groupAt = now
        waiting.append(notice)
        if waiting.count > Self.waitingMax {
            waiting.removeFirst()
            leftOut += 1
        }
    }

    /// What the receiver knows of the peer.
    public mutating func restore(standingOf notice: Notice, now: Instant) {
        nextID = max(nextID, notice.id + 1)
        guard notice.kind != .test else { return }
        if !notice.isTrouble {
            standings[notice.peer] = nil
        } else if standings.count < Self.standingsMax {
            let remindAt = rules.remind.map { now + $0 }
            standings[notice.peer] = Standing(
                status: notice.to,
                since: notice.at,
                reason: notice.reason,
                isTrouble: true,
                remindAt: remindAt
            )
            lookSoon(at: remindAt)
        }
    }

    /// The last process told of these.
    public mutating func restore(told ids: Set<UInt64>) {
        nextID = max(nextID, (ids.max() ?? 0) + 1)
        waiting.removeAll { ids.contains($0.id) }
    }

    /// Asked by the last process, the receiver said when to come again.
    public mutating func restore(retryAt time: WallTime, now: Moment) {
        // By a clock that was set since it may be far off: no pause is longer than one that is believed.
        retryAt = now.instant + min(max(time - now.wall, .zero), Self.laterMax)
    }

    /// So many had no room in the last process, and nobody was told.
    public mutating func restore(leftOut count: Int) { leftOut = max(count, 0) }

    /// How often a peer turned lately, and how it is known, by the wall clock.
    public struct Turns: Hashable, Sendable {
        public var peer: PeerKey
        public var status: PeerStatus
        public var since: WallTime
        public var reason: String
        public var isTrouble: Bool
        /// Empty where that is over.
        public var times: [WallTime]
        /// Since it is said to come and go.
        public var flapping: ComingAndGoing?

        public struct ComingAndGoing: Hashable, Sendable {
            public var count: Int
            public var last: WallTime
        }

        /// Of one of which nothing is known any more.
        static func none(of peer: PeerKey) -> Turns {
            Turns(
                peer: peer,
                status: .unknown,
                since: WallTime(milliseconds: 0),
                reason: "",
                isTrouble: false,
                times: []
            )
        }
    }

    public func turns(of peer: PeerKey, now: Moment) -> Turns {
        guard let standing = standings[peer] else { return .none(of: peer) }
        func wall(_ time: Instant) -> WallTime { now.wall + (time - now.instant) }
        return Turns(
            peer: peer,
            status: standing.status,
            since: standing.since,
            reason: standing.reason,
            isTrouble: standing.isTrouble,
            times: standing.turns.map(wall),
            flapping: standing.flapping.map { .init(count: $0.turns, last: wall($0.lastTurn)) }
        )
    }

    /// Those that turned more than once lately.
    public func turns(now: Moment) -> [Turns] {
        standings.filter { $0.value.turns.count > 1 || $0.value.flapping != nil }.keys
            .sorted { $0.description < $1.description }
            .map { turns(of: $0, now: now) }
    }

    /// The last process saw it turn so often. What was told of it stands in its notices.
    public mutating func restore(_ turns: Turns, now: Moment) {
        guard standings[turns.peer] != nil || standings.count < Self.standingsMax else { return }
        // By a clock that was set since, a turn may be to come: then it was just now.
        func instant(_ time: WallTime) -> Instant { now.instant + -max(now.wall - time, .zero) }
        var standing =
            standings[turns.peer]
            ?? Standing(
                status: turns.status,
                since: turns.since,
                reason: turns.reason,
                isTrouble: turns.isTrouble
            )
        standing.turns = turns.times.map(instant)
        standing.flapping = turns.flapping.map {
            Flapping(turns: $0.count, lastTurn: instant($0.last))
        }
        if standing.flapping != nil {
            // Nothing was told of these turns, but they happened.
            (standing.status, standing.since) = (turns.status, turns.since)
            (standing.reason, standing.isTrouble) = (turns.reason, turns.isTrouble)
        }
        if standing.isTrouble, standing.remindAt == nil {
            standing.remindAt = rules.remind.map { now.instant + $0 }
        }
        let isNothing = !standing.isTrouble && standing.turns.isEmpty && standing.flapping == nil
        standings[turns.peer] = isNothing ? nil : standing
        if !isNothing { lookSoon(at: earliest(standing)) }
    }

    /// The peers in trouble, as notices that make the same standing again.
    public var standingNotices: [Notice] {
        standings.filter(\.value.isTrouble)
            .sorted { $0.key.description < $1.key.description }
            .map { peer, standing in
                Notice(
                    id: 0,
                    kind: .reminder,
                    peer: peer,
                    from: standing.status,
                    to: standing.status,
                    at: standing.since,
                    reason: standing.reason,
                    isTrouble: true
                )
            }
    }

    /// The peers in trouble by what the receiver was told, for whoever compares that with how they are.
    public var troubledPeers: [PeerKey] { standings.filter(\.value.isTrouble).map(\.key) }
}
