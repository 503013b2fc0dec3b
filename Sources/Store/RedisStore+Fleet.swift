// How do the calls of the fleet come to Redis, and its letters from there? On the connections that the store
// has anyway: calls in order on the one that writes, letters in the same blocking read as the changes.

import EventLoop
import Fleet
import Health
import Redis
import Vocabulary

extension RedisStore: FleetWire {
    /// Fleet scripts, by the names that Redis gave them.
    func loadFleet(on writer: RedisConnection) async throws(RedisError) {
        guard let fleet else { return }
        for script in FleetScript.allCases {
            fleetScripts[script] = try await load(
                script.source(terms: fleet.setting.terms),
                on: writer
            )
        }
    }

    package func post(
        _ signature: Signature,
        _ call: FleetCall,
        _ done: @escaping (WireAnswer) -> Void
    ) {
        guard let writer, let name = fleetScripts[call.script] else { return done(.lost) }
        let names = FleetScript.keys(prefix: keys.prefix)
        writer.post(
            ["EVALSHA", name, "\(names.count)"] + names
                + call.shifted(by: fleetAhead).words(signature, .store),
            timeout: commandTimeout
        ) { [weak self] reply in
            switch reply {
            case nil: done(.lost)
            case .error(let text)?:
                switch Refusal(text) {
                // Somebody took our scripts away: with another connection they are loaded again.
                case .scripts:
                    done(.lost)
                    self?.reconnect()
                case .writing:
                    self?.refuseWriting(text)
                    done(.unwritten)
                case .right, .other:
                    // What lies there is looked at with the next reading of everything.
                    if text.contains("WRONGTYPE") { self?.looks = 0 }
                    if Refusal(text) == .right { self?.missRight(text) }
                    self?.noteWritable(false)
                    done(.refused(text))
                }
            case .array(let items)?:
                let words = items.map { $0.text ?? $0.integer.map { "\($0)" } ?? "" }
                let reply = FleetReply(words, to: call, by: signature, .store)
                // A beat is written: nobody has to wait for the next reading of everything to learn that writes go again.
                if case .beaten = reply { self?.beatIsWritten() }
                // Nothing follows from anybody's silence then, as where none is written.
                if case .refused(.format) = reply { self?.noteWritable(false) }
                let ahead = self?.fleetAhead ?? .zero
                done(
                    reply.map { .reply($0.shifted(by: -ahead)) }
                        ?? .refused("expected an answer to \(call.script.rawValue), saw another")
                )
            default: done(.refused("expected a list, saw another reply"))
            }
        }
    }

    /// No order was refused, and it may be another right than orders need.
    private func missRight(_ text: String) {
        if Self.checkableRight(text) != nil {
            refuseWriting(text)
        } else {
            findRights(for: text, isTold: false)
        }
    }

    package var missesRights: Bool { isFindingRights || !missingRights.isEmpty }

    private func beatIsWritten() {
        // It wrote no order, which may be forbidden all the same.
        if writeError.map({ Refusal($0) == .right }) != true { wroteAgain(isBeat: true) }
    }

    package func newest(_ key: VerdictKey) -> (record: Verdict, isCurrent: Bool)? {
        verdicts?.newest(key)
    }
    package func sent(_ verdict: Verdict) { verdicts?.sent(verdict) }
    package func wrote(_ verdict: Verdict, isVouched: Bool) {
        verdicts?.wrote(verdict, isVouched: isVouched)
    }
    package func letGo(_ key: VerdictKey) { verdicts?.letGo(key) }
    package func giveUp(_ key: VerdictKey) { verdicts?.giveUp(key) }
    package func noteRefused(_ key: VerdictKey) { noteRefused(key.field, of: Verdict.sort) }
    package func standingChanged() {
        if isTwin { verdicts?.letGoOfAll() }
        observer?.storeStatusChanged(status)
    }

    package func eraChanged() {
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) { await home.value.tellOrdersAgain() }
    }

    package func announce(_ sign: FleetSign, by instance: String) {
        var words = [
            "XADD", keys.changes, "MAXLEN", "~", "\(RedisScript.changesMax)", "*", "kind",
            sign.kind.rawValue, "field", sign.peer.field, "status", sign.status, "message",
            sign.message, "by", instance,
        ]
        if let vote = sign.vote {
            words += [
                "agent", sign.agent, "requests", "\(vote.requests)", "failures", "\(vote.failures)",
                "window", "\(vote.window.milliseconds)", "life", "\(vote.life.milliseconds)",
            ]
        }
        writer?.post(words, timeout: commandTimeout) { [weak self] reply in
            if case .error(let text)? = reply, Refusal(text) == .right { self?.missRight(text) }
        }
    }

    /// Milliseconds; `TrafficVote` draws the line much lower.
    private static var votedMax: Int { 1 << 40 }

    /// What another agent heard of a peer.
    func heard(_ kind: FleetSign.Kind, _ values: [String: String]) {
        guard let peer = values["field"].flatMap({ PeerKey(field: $0) }),
            let status = values["status"], let by = values["by"]
        else { return }
        var sign = FleetSign(
            kind,
            peer: peer,
            status: status,
            message: Believable.message(values["message"] ?? "")
        )
        if kind == .suspicion, let agent = values["agent"], Believable.isName(agent) {
            func number(_ name: String) -> Int? { values[name].flatMap(Int.init) }
            func span(_ name: String) -> Nanoseconds {
                .milliseconds(Int64(min(max(number(name) ?? 0, 0), Self.votedMax)))
            }
            sign.agent = agent
            if let requests = number("requests"), let failures = number("failures") {
                sign.vote = TrafficVote(
                    requests: requests,
                    failures: failures,
                    window: span("window"),
                    life: span("life")
                )
            }
        }
        fleet?.heard(sign, by: by)
    }

    /// The letters of one entry.
    func heard(letter words: [String]) {
        guard let fleet else { return }
        if let hint = FleetHint(words, .store) { return fleet.heard(hint) }
        guard words.first == "word", words.dropFirst().first == "strange" else {
            return ignoreStrange(keys.inbox(of: agent), words.first ?? "", "is no letter", 1)
        }
        // A script found what is none of ours.
        var values: [String: String] = [:]
        for place in stride(from: 0, to: words.count - 1, by: 2) {
            values[words[place]] = words[place + 1]
        }
        guard let key = values["key"], let field = values["field"] else { return }
        let isClaim = key == keys.prefix + "claims"
        ignoreStrange(
            key,
            field,
            isClaim ? "was no claim; claimed anew" : "is no line of the fleet's; removed",
            values["count"].flatMap(UInt64.init) ?? 1
        )
    }

    /// One line a minute for each key.
    private func ignoreStrange(_ key: String, _ field: String, _ words: String, _ count: UInt64) {
        ignored += count
        guard let silent = throttle.note("strange \(key)", at: loop.instant) else { return }
        let name = String(field.prefix(100)).printable
        var text = "store \(url): \(key.printable) '\(name)' \(words)"
        if count > 1 { text += ", as \(count == 2 ? "was" : "were") \(count - 1) beside it" }
        if silent > 0 { text += " (\(silent) times more in the last minute)" }
        journal.warning(
            text + ". Find out who writes there, and give one of the two another prefix",
            [.event("store-ignored"), .store("redis")]
        )
    }

    // MARK: Who vouches for what

    /// When this life of an agent last was sure to find what it says, by this machine's clock.
    func mark(of agent: String, instance: UInt64) -> WallTime? {
        let heard = fleet?.mark(of: agent, instance: instance)
        let now = loop.moment
        let read = marksRead[agent]?.first { $0.instance == instance }
            .map { now.wall + -(now.instant - $0.mark) }
        return [heard, read].compactMap(\.self).max()
    }

    /// What others say of themselves can be heard: by the answers of beats, or by reading. What is read on a connection
    /// before its first beat is answered is how far they were when they were heard of last. Where the store takes no
    /// writes, or is of a newer format, nobody's beats are written, and nothing follows from that they do not change.
    var isHearing: Bool {
        let silentSince =
            fleet?.unwritableSince ?? (fleet?.newerWords == nil ? nil : unwritableSince)
        return isConnected && fleet?.awaitsAnswer != true
            && (silentSince.map { lastBeat.hasMoved(since: $0) } ?? true)
    }

    /// Reads the marks of all that have beaten lately. Who takes part hears of them with its beats; who begins to
    /// read finds words of those that are gone too, and has to know until when they held.
    func readMarks(_ reader: RedisConnection) async throws(RedisError) {
        guard fleet != nil else { return }
        let reply = try await ask(reader, [["HGETALL", keys.prefix + "fleet"]]).first
        marksRead = [:]
        let lines = Self.pairs(reply ?? .null)
        storeShift = Self.shift(lines)
        let (time, instant) = (now + storeShift, loop.instant)
        let last = lines["last"] ?? ""
        let span = fleet?.setting.terms.resumeAfter ?? .seconds(1)
        lastBeat.read(last, at: time, within: span, on: instant)
        for (field, text) in lines {
            guard field.hasPrefix(FleetScript.lifeMark), let life = FleetLife(text) else {
                continue
            }
            let id = String(field.dropFirst(FleetScript.lifeMark.count))
            marksRead[id] = [
                (life.instance, instant + -max(time - life.mark, .zero)),
                (life.former.instance, instant + -max(time - life.former.mark, .zero)),
            ]
        }
    }

    /// By how much the time of the fleet is ahead of the clock of Redis, which was set back.
    private static func shift(_ lines: [String: String]) -> Nanoseconds {
        let span = lines["shift"].flatMap(Int64.init) ?? 0
        return .milliseconds((0...shiftMax).contains(span) ? span : 0)
    }

    /// Ten years, as in the scripts.
    private static var shiftMax: Int64 { 315_360_000_000 }

    // MARK: Who is set otherwise

    /// With each roster, against the first in it: where all have what that one has, all have the same.
    func compareTerms(on reader: RedisConnection) async throws(RedisError) {
        guard let fleet, fleet.member.membership.isMember else { return }
        let roster = fleet.member.membership.roster
        guard termsCompared != roster.number,
            let other = roster.members.map(\.id).filter({ $0 != agent }).min()
        else { return }
        let reply = try await ask(reader, [["HGET", keys.prefix + "about", other]]).first
        guard let about = reply?.bytes.flatMap(Self.json), let lease = about["lease_ms"]?.integer,
            let settle = about["settle_ms"]?.integer
        else { return }
        termsCompared = roster.number
        let terms = fleet.setting.terms
        let differences = [
            ("store.lease", terms.lease, Nanoseconds.milliseconds(lease)),
            ("store.settle", terms.settle, Nanoseconds.milliseconds(settle)),
        ].filter { $0.1 != $0.2 }
        if differences.isEmpty || throttle.note("terms", at: loop.instant) == nil { return }
        let words = differences.map { name, mine, its in
            "\(name) to be the same at all agents, saw \(its) at \(other.printable) and \(mine) here"
        }
        journal.warning(
            "expected \(words.joined(separator: ", and ")): each call to the store goes by that of its caller, so "
                + "agents are taken for dead, or for settled, too early or too late; muster agents says who has which",
            [.event("terms-differ"), .agent(other)]
        )
    }

    // MARK: Who is there

    /// What all agents say of themselves; nil where Redis does not answer.
    public func agents() async -> [FleetReport]? {
        guard let reader = writer, isConnected else { return nil }
        let names = ["about", "fleet"].map { keys.prefix + $0 }
        guard
            let replies = try? await ask(
                reader,
                names.map { ["HGETALL", $0] } + [["TIME"]]
            ), replies.count == names.count + 1
        else { return nil }
        let about = Self.pairs(replies[0])
        let lives = Self.pairs(replies[1])
        let now = (Self.time(replies[2]) ?? loop.wall) + Self.shift(lives)
        let beats = WrittenBeats(lives, resumeAfter: fleet?.setting.terms.resumeAfter, at: now)
        return lives.compactMap { field, text in
            guard field.hasPrefix(FleetScript.lifeMark) else { return nil }
            let id = String(field.dropFirst(FleetScript.lifeMark.count))
            return FleetReport(
                id: id,
                life: text,
                about: about[id] ?? "",
                silentAfter: fleet?.setting.terms.lease ?? .seconds(3),
                beats: beats,
                now: now
            )
        }.sorted { $0.id < $1.id }
    }

    private static func pairs(_ reply: RedisReply) -> [String: String] {
        let items = reply.array ?? []
        var pairs: [String: String] = [:]
        for place in stride(from: 0, to: items.count - 1, by: 2) {
            guard let name = items[place].text, let value = items[place + 1].text,
                value.utf8.count <= Believable.valueBytesMax, Believable.isName(name)
            else { continue }
            pairs[name] = value
        }
        return pairs
    }
}

/// Until when beats were written, and from when on somebody's silence says anything.
struct WrittenBeats: Hashable {
    /// Nobody's beat was written since then: that somebody has not beaten says nothing of that one. Nil while beats are.
    var heardUntil: WallTime?
    private let until: WallTime
    private let resumed: WallTime

    init(_ lines: [String: String], resumeAfter: Nanoseconds?, at now: WallTime) {
        func time(_ name: String) -> WallTime? {
            lines[name].flatMap(Int64.init).map { WallTime(clamping: $0) }
        }
        let last = time("last") ?? now
        if now - last > resumeAfter ?? .seconds(1) { heardUntil = last }
        until = heardUntil ?? now
        resumed = time("resumed") ?? WallTime(milliseconds: 0)
    }

    /// For how long it has been silent while others could be heard.
    func silence(since seen: WallTime) -> Nanoseconds {
        max(until - max(seen, min(resumed, until)), .zero)
    }
}

extension FleetWriting {
    /// As records are written.
    static let store = FleetWriting(
        field: { $0.field },
        key: { VerdictKey(field: $0) },
        text: { $0.json.text },
        verdict: { key, text in
            RedisStore.json(Array(text.utf8)).flatMap { Verdict.read($0, of: key) }
        }
    )
}

/// One agent, as it said last.
public struct FleetReport: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
        /// It takes part.
        case member
        /// It lives, and takes no part yet, or never.
        case joining, observing
        case leaving
        /// It was told to stop, and has handed over what it had.
        case left
        /// No beat for a lease, and not a word before.
        case silent
        /// It writes verdicts and takes no part: of a version that knows no claims, or another program.
        case older

        /// It may probe something.
        public var lives: Bool { self != .left && self != .silent && self != .older }
    }

    /// One that is seen by nothing but what it writes.
    public struct Older: Hashable, Sendable {
        public var id: String
        public var seen: WallTime
    }

    public init(_ older: Older, now: WallTime) {
        self.init(
            id: older.id,
            version: "",
            zone: nil,
            started: nil,
            seen: older.seen,
            age: max(now - older.seen, .zero),
            state: .older,
            weight: 0,
            pairs: 0,
            lateness: .zero,
            doubt: 0,
            reasons: []
        )
    }

    public var id: String
    public var version: String
    public var zone: String?
    public var started: WallTime?
    /// When it beat last, by the clock of Redis.
    public var seen: WallTime
    public var age: Nanoseconds
    public var state: State
    public var weight: Double
    public var pairs: Int
    public var lateness: Nanoseconds
    public var doubt: Double
    public var reasons: [String]
    /// Since when it doubts itself, by the clock of Redis; nil where it does not, or does not say.
    public var doubtSince: WallTime?
    /// What it holds as it was, because too many fell silent at once; nil where it holds nothing.
    public var hold: Hold?
    /// What it asked others about pairs that fail at it: a few.
    public var questions: [Question] = []
    /// It shares with nobody.
    public var isAlone: Bool
    /// Nobody's beat has been written since then, by the clock of Redis; nil while beats are. Its state is as of then.
    public var heardUntil: WallTime?
    /// Its `store.lease` and `store.settle`, which are to be the same at all; nil where it did not say.
    public var lease: Nanoseconds?
    public var settle: Nanoseconds?

    public struct Hold: Hashable, Sendable {
        /// By the clock of Redis.
        public var since: WallTime
        public var pairs: Int

        public init(since: WallTime, pairs: Int) {
            self.since = since
            self.pairs = pairs
        }
    }

    public init(
        id: String,
        version: String,
        zone: String?,
        started: WallTime?,
        seen: WallTime,
        age: Nanoseconds,
        state: State,
        weight: Double,
        pairs: Int,
        lateness: Nanoseconds,
        doubt: Double,
        reasons: [String],
        hold: Hold? = nil,
        isAlone: Bool = false
    ) {
        self.hold = hold
        self.isAlone = isAlone
        self.id = id
        self.version = version
        self.zone = zone
        self.started = started
        self.seen = seen
        self.age = age
        self.state = state
        self.weight = weight
        self.pairs = pairs
        self.lateness = lateness
        self.doubt = doubt
        self.reasons = reasons
    }

    /// Nil where what lies there is none of ours.
    init?(
        id: String,
        life: String,
        about: String,
        silentAfter: Nanoseconds,
        beats: WrittenBeats,
        now: WallTime
    ) {
        guard let life = FleetLife(life), WallTime.range.contains(life.seen) else { return nil }
        let about = RedisStore.json(Array(about.utf8)) ?? .object([])
        let isSilent = beats.silence(since: life.seen) > silentAfter
        self.init(
            id: id,
            version: Believable.message(about["version"]?.string ?? ""),
            zone: about["zone"]?.string.map(Believable.message),
            started: about["started"]?.integer.map(Believable.time),
            seen: life.seen,
            age: max(now - life.seen, .zero),
            state: life.state == .gone
                ? .left
                : isSilent
                    ? .silent
                    : life.state == .leaving
                        ? .leaving
                        : life.isMember ? .member : life.weight > 0 ? .joining : .observing,
            weight: life.weight,
            pairs: max(about["pairs"]?.int ?? 0, 0),
            lateness: .milliseconds(min(max(about["lateness_ms"]?.integer ?? 0, 0), 86_400_000)),
            doubt: min(max(about["doubt"]?.double ?? 0, 0), 1),
            reasons: (about["reasons"]?.items ?? []).prefix(8).compactMap(\.string)
                .map(Believable.message),
            hold: Self.hold(in: about)
        )
        heardUntil = beats.heardUntil
        doubtSince = about["doubt_since"]?.integer.flatMap(Believable.stamp)
        func span(_ name: String) -> Nanoseconds? {
            about[name]?.integer.flatMap { (1...86_400_000).contains($0) ? .milliseconds($0) : nil }
        }
        (lease, settle) = (span("lease_ms"), span("settle_ms"))
        questions = (about["questions"]?.items ?? []).prefix(Self.questionsMax)
            .compactMap(Question.init(json:))
    }

    private static func hold(in about: JSON) -> Hold? {
        guard let pairs = about["held"]?.int, pairs > 0, let since = about["held_since"]?.integer
        else { return nil }
        return Hold(since: Believable.time(since), pairs: pairs)
    }

    /// One that left, or has been silent, for longer is of the past.
    public static let forgottenAfter = Nanoseconds.seconds(3_600)
}

/// When the store took somebody's beat last, as far as it was read.
package struct LastBeat: Hashable, Sendable {
    private var time = ""
    /// When it was read that beats are written: somebody's was, since it was read before and just then. One that is
    /// only later than what was read minutes ago may be the last that was ever taken.
    private var movedAt: Instant?

    package init() {}

    package mutating func read(
        _ last: String,
        at now: WallTime,
        within span: Nanoseconds,
        on instant: Instant
    ) {
        let isFresh = Int64(last).map { now - WallTime(clamping: $0) < span } ?? true
        movedAt = last != time && isFresh ? instant : nil
        time = last
    }

    /// Beats are written, though none of this agent's has been since then.
    package func hasMoved(since unwritable: Instant) -> Bool {
        movedAt.map { $0 >= unwritable } ?? false
    }
}
