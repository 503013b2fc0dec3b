// What would Redis do? The scripts of `FleetScripts`, line by line as a value: with a clock that can be set,
// eras, a failover that loses its last writes, and FLUSHALL. A test holds it against a real Redis; the
// simulation runs on it.

public import Fleet
public import Health
import Vocabulary

public struct StoreModel: Sendable {
    // MARK: What lies there

    struct Life: Hashable, Sendable {
        var instance: UInt64
        var joined: Int64
        var count: UInt64 = 0
        var state = FleetCall.State.working
        var seen: Int64 = 0
        var word = ""
    }

    struct Seat: Hashable, Sendable {
        var instance: UInt64
        var weight: Double
    }

    public struct Holding: Hashable, Sendable {
        public var epoch: UInt64
        public var era: UInt64
        public var agent: String
        public var instance: UInt64
        public var from: Int64
        var before: UInt64 = 0
        var beforeInstance: UInt64 = 0
    }

    /// Everything that a failover may lose the end of.
    struct Content: Hashable, Sendable {
        var era: UInt64 = 0
        var replid: UInt64 = 0
        var roster: UInt64 = 0
        var last: Int64 = 0
        var shift: Int64 = 0
        var resumed: Int64 = 0
        var frozen: Int64 = 0
        var guarded: Int64 = 0
        var founded: Int64 = 0
        var lives: [String: Life] = [:]
        var seats: [String: Seat] = [:]
        var seen: [String: Int64] = [:]
        var marks: [String: Int64] = [:]
        var doubting: [String: String] = [:]
        var claims: [VerdictKey: Holding] = [:]
        var verdicts: [VerdictKey: Verdict] = [:]
        var revision: UInt64 = 0
    }

    let terms: FleetTerms
    var content = Content()
    /// What the server's clock shows, and which life of which server this is.
    public var clock: Int64
    public var replid: UInt64
    /// Entries of streams since the last time somebody took them.
    public private(set) var letters: [FleetCall.Letter] = []
    public private(set) var changed: [VerdictKey] = []

    public init(terms: FleetTerms = FleetTerms(), clock: Int64, replid: UInt64) {
        self.terms = terms
        self.clock = clock
        self.replid = replid
    }

    // MARK: Reading

    public var era: UInt64 { content.era }
    public var revision: UInt64 { content.revision }
    public var roster: [String] { content.seats.keys.sorted() }
    func isDoubting(_ agent: String) -> Bool { content.doubting[agent] != nil }
    public func holding(of pair: VerdictKey) -> Holding? { content.claims[pair] }
    public func verdict(of pair: VerdictKey) -> Verdict? { content.verdicts[pair] }
    public var verdicts: [VerdictKey: Verdict] { content.verdicts }

    public mutating func takeLetters() -> [FleetCall.Letter] {
        defer { letters = [] }
        return letters
    }

    public mutating func takeChanged() -> [VerdictKey] {
        defer { changed = [] }
        return changed
    }

    // MARK: What befalls it

    public mutating func flush() {
        content = Content()
        letters = []
        changed = []
    }

    /// What a replica has at this moment.
    public struct Replica: Sendable { let content: Content }
    public var replica: Replica { Replica(content: content) }

    /// The replica takes over: what was written since is lost, and the server is another.
    public mutating func failOver(to replica: Replica, replid: UInt64) {
        content = replica.content
        self.replid = replid
        letters = []
        changed = []
    }

    // MARK: The scripts

    private var lease: Int64 { terms.lease.milliseconds }

    public mutating func perform(_ signature: Signature, _ call: FleetCall) -> FleetReply {
        var moment = begin(signature)
        switch call {
        case .beat(let beat): return self.beat(beat, signature, &moment)
        case .claim(let roster, let claims):
            return refusal(signature, moment) ?? claim(claims, roster, signature, moment)
        case .publish(let publications):
            return refusal(signature, moment) ?? publish(publications, signature, moment)
        case .release(let holdings):
            return refusal(signature, moment) ?? release(holdings, signature)
        case .tell(let letters):
            if let refused = refusal(signature, moment) { return refused }
            self.letters += letters
            return .done(letters.count)
        }
    }

    /// What the head of every script finds out.
    struct Moment {
        var time: Int64
        var shift: Int64
    }

    private mutating func begin(_ signature: Signature) -> Moment {
        var moment = Moment(time: clock + content.shift, shift: content.shift)
        if moment.time < content.last {
            moment.shift += content.last - moment.time
            moment.time = content.last
        }
        if content.era == 0 || content.replid != replid {
            let wasThere = content.era > 0 || signature.era > 0
            content.guarded = moment.time + (wasThere ? lease : terms.greeting.milliseconds)
            content.era = max(UInt64(max(moment.time, 0)), signature.era + 1, content.era + 1)
            content.resumed = moment.time
            content.roster += 1
            content.replid = replid
            content.last = moment.time
            content.shift = moment.shift
        }
        return moment
    }

    private func livesOn(_ life: Life, _ moment: Moment) -> Bool {
        moment.time - max(life.seen, content.resumed) <= lease
    }

    private func isAlive(_ agent: String, _ instance: UInt64, _ moment: Moment) -> Bool {
        guard let life = content.lives[agent] else { return false }
        return life.instance == instance && life.state != .gone && livesOn(life, moment)
    }

    private func refusal(_ signature: Signature, _ moment: Moment) -> FleetReply? {
        if signature.era != content.era { return .refused(.era(content.era)) }
        let isFit =
            isAlive(signature.agent, signature.instance, moment)
            && content.lives[signature.agent]?.count == signature.count
        return isFit ? nil : .refused(.lease)
    }

    // MARK: Beating

    private mutating func beat(
        _ beat: FleetCall.Beat,
        _ signature: Signature,
        _ moment: inout Moment
    ) -> FleetReply {
        let (me, time) = (signature.agent, moment.time)
        if time - content.last > terms.resumeAfter.milliseconds { content.resumed = time }
        content.last = time
        content.shift = moment.shift

        var mine = content.lives[me]
        if let life = mine, life.instance != signature.instance {
            if life.state != .gone, livesOn(life, moment) {
                let until = max(life.seen, content.resumed) + lease
                return .refused(.taken(until: WallTime(milliseconds: until)))
            }
            content.doubting[me] = nil
            mine = nil
        } else if let life = mine {
            if life.state == .gone || !livesOn(life, moment) { return .refused(.expired) }
            if signature.count <= life.count { return .refused(.twin) }
        }
        var life = mine ?? Life(instance: signature.instance, joined: time)
        let word = beat.isSilent ? "silent" : beat.doubt >= 50 ? "doubt" : ""
        if word != life.word { content.doubting[me] = word.isEmpty ? nil : word }
        life.count = signature.count
        life.state = beat.state
        life.seen = time
        life.word = word
        content.lives[me] = life
        if beat.state == .gone {
            out(me)
        } else {
            content.seen[me] = time
            content.marks[me] = time - max(beat.lag.milliseconds, 0)
        }
        keepRoster(beat, signature, life, moment)
        return .beaten(answer(to: beat, signature, moment))
    }

    private mutating func out(_ agent: String) {
        content.seen[agent] = nil
        content.marks[agent] = nil
        content.doubting[agent] = nil
    }

    private mutating func keepRoster(
        _ beat: FleetCall.Beat,
        _ signature: Signature,
        _ life: Life,
        _ moment: Moment
    ) {
        let (me, time) = (signature.agent, moment.time)
        var hasChanged = false
        let wanted =
            beat.state == .working && beat.weight > 0
            ? Seat(instance: signature.instance, weight: beat.weight) : nil
        if let wanted {
            if let seat = content.seats[me] {
                if seat != wanted {
                    content.seats[me] = wanted
                    hasChanged = true
                }
            } else {
                let settle = terms.settle.milliseconds
                if content.seats.isEmpty { content.founded = time }
                if time - content.founded < settle || time - life.joined >= settle {
                    content.seats[me] = wanted
                    hasChanged = true
                }
            }
        } else if content.seats[me] != nil {
            content.seats[me] = nil
            hasChanged = true
        }

        var lapsed: [String] = []
        if time - content.resumed > lease {
            for agent in content.seen.filter({ $0.value < time - lease }).keys.sorted() {
                if content.seats[agent] != nil { lapsed.append(agent) } else { out(agent) }
            }
        }
        let isHalf = 2 * lapsed.count >= content.seats.count
        if lapsed.isEmpty {
            content.frozen = 0
        } else if isHalf, content.frozen == 0 || time < content.frozen {
            if content.frozen == 0 { content.frozen = time + lease }
        } else {
            for agent in lapsed {
                content.seats[agent] = nil
                out(agent)
            }
            hasChanged = true
            content.frozen = 0
        }
        if hasChanged { content.roster += 1 }
    }

    private func answer(
        to beat: FleetCall.Beat,
        _ signature: Signature,
        _ moment: Moment
    ) -> FleetReply.BeatAnswer {
        let me = signature.agent
        let time = moment.time
        let late = terms.lateAfter.milliseconds
        var marks: [(agent: String, mark: Int64)] = []
        if time - content.resumed > late {
            marks = content.marks.filter { $0.value < time - late }
                .map { (agent: $0.key, mark: $0.value) }
                .sorted { ($0.mark, $0.agent) < ($1.mark, $1.agent) }
        }
        let members =
            beat.roster == content.roster && signature.era == content.era
            ? nil
            : content.seats.map {
                RosterMember(id: $0.key, instance: $0.value.instance, weight: $0.value.weight)
            }
            .sorted { $0.id < $1.id }
        return FleetReply.BeatAnswer(
            era: content.era,
            time: WallTime(milliseconds: time),
            isMember: content.seats[me] != nil,
            roster: content.roster,
            members: members,
            late: marks.prefix(FleetTerms.lateMax).map {
                .init(
                    agent: $0.agent,
                    mark: WallTime(milliseconds: max($0.mark, content.resumed))
                )
            }
            .sorted { $0.agent < $1.agent },
            doubting: content.doubting.map {
                .init(agent: $0.key, isSilent: $0.value == "silent")
            }
            .sorted { $0.agent < $1.agent },
            size: content.seats.count
        )
    }

    // MARK: Claiming

    private mutating func claim(
        _ claims: [FleetCall.Claim],
        _ roster: UInt64,
        _ signature: Signature,
        _ moment: Moment
    ) -> FleetReply {
        if roster != content.roster,
            claims.contains(where: { $0.reason == .rank || $0.reason == .stale })
        {
            return .refused(.roster(content.roster))
        }
        // As a script that reads everything first.
        let records = claims.map { content.claims[$0.pair] }
        let answers = zip(claims, records).map { claim, record in
            answer(to: claim, record, signature, moment)
        }
        return .claimed(
            era: content.era,
            at: WallTime(milliseconds: moment.time),
            answers
        )
    }

    private mutating func answer(
        to claim: FleetCall.Claim,
        _ record: Holding?,
        _ signature: Signature,
        _ moment: Moment
    ) -> FleetReply.ClaimAnswer {
        let (me, time, era) = (signature.agent, moment.time, content.era)
        let verdict = content.verdicts[claim.pair]
        let written = verdict?.epoch ?? 0
        let isMine =
            record.map { $0.agent == me && $0.instance == signature.instance && $0.era == era }
            ?? false
        let isHeld =
            record.map {
                !$0.agent.isEmpty && $0.era == era && isAlive($0.agent, $0.instance, moment)
            } ?? false
        let isOthers = isHeld && !isMine
        var from = time
        var isSame = false
        func held(by record: Holding?) -> FleetReply.ClaimAnswer {
            .held(by: record?.agent ?? "", epoch: record?.epoch ?? 0)
        }

        if let record, isMine, written <= record.epoch {
            isSame = true
            from = record.from
        } else if claim.reason == .keep {
            if let record {
                if record.era == era {
                    isSame = record.agent == me && record.epoch == claim.epoch
                    if !isSame && !isMine { return held(by: record) }
                } else if record.agent != me, record.epoch > claim.epoch {
                    return held(by: record)
                }
            }
        } else if content.seats[me] == nil {
            return .joining
        } else if time < content.guarded {
            return .frozen
        } else {
            switch claim.reason {
            case .rank, .keep: if isOthers { from = time + terms.handOver.milliseconds }
            case .stale:
                if isOthers, let record {
                    let mark = content.marks[record.agent].map { max($0, content.resumed) }
                    let hasMoved = mark.map { $0 > claim.mark.milliseconds } ?? false
                    if record.agent != claim.holder || hasMoved { return .fresh }
                }
            case .offer:
                let isOffered =
                    isHeld && record?.agent == claim.holder && record?.epoch == claim.epoch
                let isSilent = record.map { $0.from < claim.mark.milliseconds } ?? true
                let isOver = (verdict?.expiresAt.milliseconds ?? 0) < time && isSilent
                if isOffered && !isMine {
                    from = time + terms.handOver.milliseconds
                } else if isOthers && !isOver {
                    return held(by: record)
                }
            }
        }

        var holding = Holding(
            epoch: record?.epoch ?? 0,
            era: era,
            agent: me,
            instance: signature.instance,
            from: from
        )
        if isSame {
            holding.before = record?.before ?? 0
            holding.beforeInstance = record?.beforeInstance ?? 0
        } else {
            holding.epoch = max(holding.epoch, written, claim.epoch, era) + 1
            if from > time, let record {
                holding.before = record.epoch
                holding.beforeInstance = record.instance
            }
            if isOthers, let record {
                letters.append(
                    .init(
                        to: record.agent,
                        .ceded(
                            claim.pair,
                            epoch: holding.epoch,
                            from: WallTime(milliseconds: from),
                            by: me
                        )
                    )
                )
            }
        }
        content.claims[claim.pair] = holding
        return .granted(epoch: holding.epoch, from: WallTime(milliseconds: from), verdict)
    }

    // MARK: Writing

    private mutating func publish(
        _ publications: [FleetCall.Publication],
        _ signature: Signature,
        _ moment: Moment
    ) -> FleetReply {
        var answers: [FleetReply.PublishAnswer] = []
        var writes: [(VerdictKey, Verdict)] = []
        for one in publications {
            let record = content.claims[one.pair]
            let old = content.verdicts[one.pair]
            let isHolder =
                record.map {
                    $0.era == content.era && $0.epoch == one.epoch && $0.agent == signature.agent
                        && $0.instance == signature.instance
                } ?? false
            let wasHolder =
                record.map {
                    $0.era == content.era && moment.time < $0.from && $0.before == one.epoch
                        && $0.beforeInstance == signature.instance
                } ?? false
            let written = old?.epoch ?? 0
            if !isHolder && !wasHolder {
                answers.append(.held(by: record?.agent ?? "", epoch: record?.epoch ?? 0))
            } else if written > one.epoch {
                let holder = isHolder ? signature.agent : record?.agent ?? ""
                answers.append(.held(by: holder, epoch: written))
            } else if written == one.epoch, (old?.sequence ?? 0) >= one.sequence {
                answers.append(.known)
            } else {
                if let verdict = one.verdict { writes.append((one.pair, verdict)) }
                answers.append(.written)
            }
        }
        for (pair, verdict) in writes {
            let isNews = content.verdicts[pair].map { !verdict.saysTheSame(as: $0) } ?? true
            content.verdicts[pair] = verdict
            if isNews {
                content.revision += 1
                changed.append(pair)
            }
        }
        return .published(answers)
    }

    private mutating func release(
        _ holdings: [FleetCall.Holding],
        _ signature: Signature
    ) -> FleetReply {
        var released = 0
        for one in holdings {
            guard var record = content.claims[one.pair], record.agent == signature.agent,
                record.instance == signature.instance, record.era == content.era,
                record.epoch == one.epoch
            else { continue }
            (record.agent, record.instance) = ("", 0)
            (record.before, record.beforeInstance) = (0, 0)
            content.claims[one.pair] = record
            released += 1
        }
        return .done(released)
    }
}

extension Verdict {
    /// Only later: nobody needs to be woken for it.
    fileprivate func saysTheSame(as other: Verdict) -> Bool {
        var other = other
        other.checkedAt = checkedAt
        other.expiresAt = expiresAt
        other.latency = latency
        other.sequence = sequence
        return self == other
    }
}
