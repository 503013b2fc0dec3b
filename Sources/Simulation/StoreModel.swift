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
        var mark: Int64 = 0
        var word = Word.sure
        /// The weight with which it is in the roster.
        var seat: Double?
        /// Of its life before.
        var former = Mark(instance: 0, mark: 0)
    }

    /// How far one life of an agent was.
    struct Mark: Hashable, Sendable {
        var instance: UInt64
        var mark: Int64
    }

    enum Word: Hashable, Sendable { case sure, doubt, silent }

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
        /// Zero where it could not be asked; nil where nothing was ever noted.
        var replid: UInt64?
        var roster: UInt64 = 0
        var last: Int64 = 0
        var shift: Int64 = 0
        var resumed: Int64 = 0
        var frozen: Int64 = 0
        var guarded: Int64 = 0
        var founded: Int64 = 0
        var lives: [String: Life] = [:]
        /// When all are looked at again, and what was found then.
        var look: Int64 = 0
        var late: [FleetReply.BeatAnswer.Late] = []
        var doubting: [FleetReply.BeatAnswer.Doubting] = []
        var claims: [VerdictKey: Holding] = [:]
        var verdicts: [VerdictKey: Verdict] = [:]
        /// Whose life vouches for it.
        var vouching: [VerdictKey: UInt64] = [:]
        var revision: UInt64 = 0
    }

    let terms: FleetTerms
    var content = Content()
    /// What the server's clock shows, and which life of which server this is.
    public var clock: Int64
    public var replid: UInt64
    /// An ACL lets scripts ask.
    public var tellsServer = true
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
    public var roster: [String] {
        content.lives.filter { $0.value.seat != nil }.map(\.key).sorted()
    }
    func isDoubting(_ agent: String) -> Bool { content.doubting.contains { $0.agent == agent } }
    public func holding(of pair: VerdictKey) -> Holding? { content.claims[pair] }
    public func verdict(of pair: VerdictKey) -> Verdict? { content.verdicts[pair] }
    public var verdicts: [VerdictKey: Verdict] { content.verdicts }
    func word(of pair: VerdictKey) -> SimulatedAgent.Word? {
        content.verdicts[pair].map { .init(verdict: $0, instance: content.vouching[pair] ?? 0) }
    }
    var rosterName: (era: UInt64, number: UInt64) { (content.era, content.roster) }
    var lastBeat: Int64 { content.last }
    /// What whoever reads takes for its time.
    var time: Int64 { clock + content.shift }
    /// As whoever begins to read finds them.
    var marks: [String: [Mark]] {
        content.lives.mapValues { [Mark(instance: $0.instance, mark: $0.mark), $0.former] }
    }

    var hasLetters: Bool { !letters.isEmpty }

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
        var signature = signature
        var asksServer = true
        if case .beat(let beat) = call { asksServer = beat.asksServer }
        var moment = begin(&signature, asksServer: asksServer)
        switch call {
        case .beat(let beat): return self.beat(beat, signature, &moment)
        case .claim(let roster, let claims):
            return refusal(signature, moment) ?? claim(claims, roster, signature, moment)
        case .publish(let publications):
            return refusal(signature, moment) ?? publish(publications, signature, moment)
        case .release(let holdings):
            return refusal(signature, moment) ?? release(holdings, signature, moment)
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

    private mutating func begin(_ signature: inout Signature, asksServer: Bool) -> Moment {
        var moment = Moment(time: clock + content.shift, shift: content.shift)
        if moment.time < content.last {
            moment.shift += content.last - moment.time
            moment.time = content.last
        }
        let latest = FleetTerms.latestEra(at: WallTime(milliseconds: moment.time))
        if content.era > latest { content.era = 0 }
        if signature.era > latest { signature.era = 0 }
        let isOfLater = signature.era > content.era
        let asks = asksServer || content.era == 0 || isOfLater || content.replid == nil
        // Whoever may not ask, or might not before, has not found another.
        let found = asks && tellsServer ? replid : content.replid
        if content.era > 0, content.replid ?? 0 == 0, let found { content.replid = found }
        if content.era == 0 || content.replid != found || isOfLater {
            let wasThere = content.era > 0 || signature.era > 0
            content.guarded = moment.time + (wasThere ? lease : terms.greeting.milliseconds)
            let (time, before) = (UInt64(max(moment.time, 0)), max(signature.era, content.era))
            let who = signature.instance + signature.count
            let step = FleetTerms.eraStep + who % FleetTerms.eraSpread
            content.era = time > before || before + step > latest ? time : before + step
            content.resumed = moment.time
            content.roster += 1
            content.look = 0
            content.replid = found ?? 0
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

    /// It sees nothing: there is nothing to wait for. Who leaves, and doubts itself for whatever reason, comes to see
    /// nothing more.
    private func isBlind(_ agent: String) -> Bool {
        guard let life = content.lives[agent] else { return false }
        return life.word == .silent || life.state == .leaving && life.word != .sure
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
        let lateAfter = terms.lateAfter.milliseconds
        var looks = time >= content.look || content.look > time + lateAfter + 1
        if time - content.last > terms.resumeAfter.milliseconds {
            content.resumed = time
            looks = true
        }
        content.last = time
        content.shift = moment.shift

        var mine: Life
        var hasChanged = false
        switch content.lives[me] {
        case let former? where former.instance != signature.instance:
            if former.state != .gone, livesOn(former, moment) {
                let until = max(former.seen, content.resumed) + lease
                return .refused(.taken(until: WallTime(milliseconds: until)))
            }
            mine = Life(instance: signature.instance, joined: time)
            mine.word = former.word
            mine.seat = former.seat
            mine.former = Mark(instance: former.instance, mark: former.mark)
            hasChanged = mine.seat != nil
        case let life?:
            if life.state == .gone || !livesOn(life, moment) { return .refused(.expired) }
            if signature.count <= life.count { return .refused(.twin) }
            mine = life
        case nil: mine = Life(instance: signature.instance, joined: time)
        }
        let word = beat.isSilent ? Word.silent : beat.doubt >= 50 ? .doubt : .sure
        looks = looks || word != mine.word || beat.state == .gone
        mine.count = signature.count
        mine.state = beat.state
        mine.seen = time
        mine.mark = max(time - max(beat.lag.milliseconds, 0), 0)
        mine.word = word
        let seat = seat(of: mine, beat, time)
        hasChanged = hasChanged || seat != mine.seat
        mine.seat = seat
        content.lives[me] = mine
        if hasChanged || looks {
            lookAround(hasChanged, moment)
        } else {
            content.look = min(content.look, mine.mark + lateAfter + 1)
        }
        return .beaten(answer(to: beat, signature, moment))
    }

    /// With which weight it is in the roster from now on.
    private mutating func seat(of mine: Life, _ beat: FleetCall.Beat, _ time: Int64) -> Double? {
        if beat.state != .working || beat.weight <= 0 { return nil }
        if mine.seat != nil { return beat.weight }
        let settle = terms.settle.milliseconds
        if !content.lives.values.contains(where: { $0.seat != nil }) { content.founded = time }
        return time - content.founded < settle || time - mine.joined >= settle ? beat.weight : nil
    }

    /// Who is out of the roster, who is late, and who doubts.
    private mutating func lookAround(_ hasChanged: Bool, _ moment: Moment) {
        let time = moment.time
        let lateAfter = terms.lateAfter.milliseconds
        var hasChanged = hasChanged
        let seated = content.lives.filter { $0.value.seat != nil }
        let lapsed = seated.filter { !livesOn($0.value, moment) }.keys
        if lapsed.isEmpty {
            content.frozen = 0
        } else if 2 * lapsed.count >= seated.count, content.frozen == 0 || time < content.frozen {
            if content.frozen == 0 { content.frozen = time + lease }
        } else {
            for agent in lapsed { content.lives[agent]?.seat = nil }
            hasChanged = true
            content.frozen = 0
        }
        if hasChanged { content.roster += 1 }

        let living = content.lives.filter { _, life in
            life.state != .gone && (life.seat != nil || livesOn(life, moment))
        }
        content.late = []
        if time - content.resumed > lateAfter {
            let behind = living.filter { $0.value.mark < time - lateAfter }
                .sorted { ($0.value.mark, $0.key) < ($1.value.mark, $1.key) }
            content.late = behind.prefix(FleetTerms.lateMax).map { agent, life in
                let mark = WallTime(milliseconds: max(life.mark, content.resumed))
                return .init(agent: agent, mark: mark)
            }
            .sorted { $0.agent < $1.agent }
        }
        content.doubting = living.filter { $0.value.word != .sure }
            .map { .init(agent: $0.key, isSilent: $0.value.word == .silent) }
            .sorted { $0.agent < $1.agent }
        let first = living.values.map(\.mark).min() ?? time
        content.look = max(max(first, content.resumed) + lateAfter + 1, time + 100)
    }

    private func answer(
        to beat: FleetCall.Beat,
        _ signature: Signature,
        _ moment: Moment
    ) -> FleetReply.BeatAnswer {
        let seated = content.lives.filter { $0.value.seat != nil }
        let members =
            beat.roster == content.roster && signature.era == content.era
            ? nil
            : seated.map { agent, life in
                RosterMember(id: agent, instance: life.instance, weight: life.seat ?? 0)
            }
            .sorted { $0.id < $1.id }
        return FleetReply.BeatAnswer(
            era: content.era,
            time: WallTime(milliseconds: moment.time),
            isMember: seated[signature.agent] != nil,
            roster: content.roster,
            members: members,
            late: content.late,
            doubting: content.doubting,
            size: seated.count
        )
    }

    // MARK: What can be

    /// Zero where no agent can have reached it by now.
    private func known(_ epoch: UInt64, _ moment: Moment) -> UInt64 {
        FleetTerms.isEpoch(epoch, at: WallTime(milliseconds: moment.time)) ? epoch : 0
    }

    /// Nil where it is none of ours.
    private func record(of pair: VerdictKey, _ moment: Moment) -> Holding? {
        guard let record = content.claims[pair] else { return nil }
        let latest = FleetTerms.latestEra(at: WallTime(milliseconds: moment.time))
        let isOurs =
            known(record.epoch, moment) == record.epoch && record.era <= latest
            && known(record.before, moment) == record.before
        return isOurs ? record : nil
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
        let records = claims.map { record(of: $0.pair, moment) }
        let answers = zip(claims, records).map { claim, record in
            var claim = claim
            claim.epoch = known(claim.epoch, moment)
            // Nobody's word: nor does anybody go on from what it says.
            if let written = content.verdicts[claim.pair]?.epoch, known(written, moment) != written
            {
                content.verdicts[claim.pair] = nil
                content.vouching[claim.pair] = nil
            }
            return answer(to: claim, record, signature, moment)
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

        if let record, isMine, written <= record.epoch, claim.epoch <= record.epoch {
            isSame = true
            from = record.from
        } else if claim.reason == .keep {
            if let record {
                if record.era == era {
                    isSame = record.agent == me && record.epoch == claim.epoch
                    if !isSame && isHeld && !isMine { return held(by: record) }
                } else if record.agent != me, record.epoch > claim.epoch {
                    return held(by: record)
                }
            }
        } else if content.lives[me]?.seat == nil {
            return .joining
        } else if time < content.guarded {
            return .frozen
        } else {
            switch claim.reason {
            case .rank, .keep:
                let isBlind = record.map { self.isBlind($0.agent) } ?? false
                if isOthers, !isBlind { from = time + terms.handOver.milliseconds }
            case .stale:
                if isOthers, let record {
                    let mark = max(content.lives[record.agent]?.mark ?? 0, content.resumed)
                    let hasMoved = mark > claim.mark.milliseconds
                    if record.agent != claim.holder { return held(by: record) }
                    if hasMoved { return .fresh }
                }
            case .offer:
                let isOffered =
                    isHeld && record?.agent == claim.holder && record?.epoch == claim.epoch
                let isSilent = record.map { $0.from < claim.mark.milliseconds } ?? true
                let isVouched =
                    isHeld && record.map { content.vouching[claim.pair] == $0.instance } ?? false
                    && record.flatMap { content.lives[$0.agent]?.mark }
                        .map { time - max($0, content.resumed) <= lease } ?? false
                let isOver =
                    !isVouched && (verdict?.expiresAt.milliseconds ?? 0) < time && isSilent
                if isOffered && !isMine {
                    // Who doubts itself sees nothing until then: there is nothing to wait for.
                    let isSure = record.flatMap { content.lives[$0.agent]?.word } == .sure
                    if isSure { from = time + terms.handOver.milliseconds }
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
        let vouching = content.vouching[claim.pair]
        let plain = unvouched(claim.pair, by: record?.agent ?? "", record?.instance ?? 0)
        if let plain, !isSame {
            content.verdicts[claim.pair] = plain
            content.vouching[claim.pair] = nil
        }
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
        let begun = begunBefore(
            record,
            isVouched: vouching == record?.instance,
            isMine: isSame || isMine,
            from,
            time
        )
        content.claims[claim.pair] = holding
        return .granted(
            epoch: holding.epoch,
            from: WallTime(milliseconds: from),
            begun: WallTime(milliseconds: begun),
            plain ?? verdict
        )
    }

    /// Every slot before that was begun, as far as is known: by the mark of who held it, or until it was given back.
    private func begunBefore(
        _ record: Holding?,
        isVouched: Bool,
        isMine: Bool,
        _ from: Int64,
        _ time: Int64
    ) -> Int64 {
        if isMine || from > time { return from }
        guard let record else { return 0 }
        if record.agent.isEmpty { return min(record.from, time) }
        var mark = Int64(0)
        if let life = content.lives[record.agent] {
            if life.instance == record.instance {
                // Who doubts itself began its last slots in vain: nobody knows since when it sees nothing.
                if life.word != .sure { return 0 }
                mark = life.mark
            } else if life.former.instance == record.instance {
                mark = life.former.mark
            }
        }
        // Of what it has not spoken of yet it may not have known.
        return min(isVouched ? mark : min(mark, record.from), time)
    }

    /// What one life vouched for until now ends soon, unless somebody says it again.
    private func unvouched(_ pair: VerdictKey, by agent: String, _ its: UInt64) -> Verdict? {
        guard var verdict = content.verdicts[pair], let instance = content.vouching[pair] else {
            return nil
        }
        if verdict.isFound, its == instance, let life = content.lives[agent],
            life.instance == instance
        {
            let mark = WallTime(milliseconds: life.mark)
            verdict.checkedAt = max(verdict.checkedAt, mark)
            verdict.expiresAt = max(verdict.expiresAt, mark + .seconds(10))
        }
        return verdict
    }

    // MARK: Writing

    private mutating func publish(
        _ publications: [FleetCall.Publication],
        _ signature: Signature,
        _ moment: Moment
    ) -> FleetReply {
        var answers: [FleetReply.PublishAnswer] = []
        var writes: [(VerdictKey, Verdict, vouching: UInt64?)] = []
        for one in publications {
            let record = record(of: one.pair, moment)
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
            let written = known(old?.epoch ?? 0, moment)
            let vouching = one.isVouched ? signature.instance : nil
            let writer = written > one.epoch ? old?.agent ?? "" : ""
            if !isHolder && !wasHolder {
                answers.append(
                    .held(by: record?.agent ?? "", epoch: record?.epoch ?? 0, writer: writer)
                )
            } else if written > one.epoch {
                let holder = isHolder ? signature.agent : record?.agent ?? ""
                answers.append(.held(by: holder, epoch: written, writer: writer))
            } else if written == one.epoch, (old?.sequence ?? 0) >= one.sequence {
                let isItself = old == one.verdict && content.vouching[one.pair] == vouching
                // Under this very claim, and not by this life: above that goes only another claim.
                answers.append(
                    isHolder && !isItself
                        ? .held(by: signature.agent, epoch: written, writer: "") : .known
                )
            } else {
                if let verdict = one.verdict { writes.append((one.pair, verdict, vouching)) }
                answers.append(.written)
            }
        }
        for (pair, verdict, vouching) in writes {
            let isNews =
                content.verdicts[pair].map { !verdict.saysTheSame(as: $0) } ?? true
                || content.vouching[pair] != vouching
            content.verdicts[pair] = verdict
            content.vouching[pair] = vouching
            if isNews {
                content.revision += 1
                changed.append(pair)
            }
        }
        return .published(answers)
    }

    private mutating func release(
        _ holdings: [FleetCall.Holding],
        _ signature: Signature,
        _ moment: Moment
    ) -> FleetReply {
        var released = 0
        for one in holdings {
            if content.vouching[one.pair] == signature.instance,
                let plain = unvouched(one.pair, by: signature.agent, signature.instance)
            {
                content.verdicts[one.pair] = plain
                content.vouching[one.pair] = nil
                content.revision += 1
                changed.append(one.pair)
            }
            guard var record = record(of: one.pair, moment), record.agent == signature.agent,
                record.instance == signature.instance, record.era == content.era,
                one.epoch == 0 || record.epoch == one.epoch
            else { continue }
            (record.agent, record.instance) = ("", 0)
            (record.before, record.beforeInstance) = (0, 0)
            record.from = moment.time
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
