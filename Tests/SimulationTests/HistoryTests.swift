// What goes wrong without each rule? The histories of docs/FLEET.md, told to the store call by call: what agents
// do on their own is in the stories, this is what must hold whatever agents do.

import Fleet
import Health
import Testing
import Vocabulary

@testable import Simulation

@Suite struct HistoryTests {
    /// An agent that does as it is told.
    private struct Caller {
        var id: String
        var instance: UInt64
        var era: UInt64 = 0
        var count: UInt64 = 0
        var roster: UInt64 = 0

        var signature: Signature {
            Signature(agent: id, instance: instance, era: era, count: count)
        }

        @discardableResult
        mutating func beat(
            _ store: inout StoreModel,
            state: FleetCall.State = .working,
            lag: Int64 = 0,
            doubt: Int = 0,
            isSilent: Bool = false
        ) -> FleetReply {
            count += 1
            var beat = FleetCall.Beat()
            beat.state = state
            beat.lag = .milliseconds(lag)
            beat.doubt = doubt
            beat.isSilent = isSilent
            beat.roster = roster
            let reply = store.perform(signature, .beat(beat))
            if case .beaten(let answer) = reply { (era, roster) = (answer.era, answer.roster) }
            return reply
        }

        func claim(
            _ store: inout StoreModel,
            _ reason: FleetCall.Reason,
            epoch: UInt64 = 0,
            holder: String = "",
            mark: Int64 = 0
        ) -> FleetReply {
            var claim = FleetCall.Claim(HistoryTests.pair, reason)
            claim.epoch = epoch
            claim.holder = holder
            claim.mark = WallTime(milliseconds: mark)
            return store.perform(signature, .claim(roster: roster, [claim]))
        }

        func publish(
            _ store: inout StoreModel,
            epoch: UInt64,
            sequence: UInt64,
            _ status: HealthCounter.Status = .up,
            health: Int = 4,
            isFound: Bool = true,
            isVouched: Bool = false
        ) -> FleetReply {
            var one = FleetCall.Publication(
                pair: HistoryTests.pair,
                epoch: epoch,
                sequence: sequence
            )
            one.verdict = Verdict(
                key: HistoryTests.pair,
                kind: "http",
                status: status,
                health: health,
                rise: 2,
                fall: 3,
                reason: .layer7OK,
                latency: .zero,
                since: WallTime(milliseconds: 0),
                checkedAt: WallTime(milliseconds: 0),
                isFound: isFound,
                expiresAt: WallTime(milliseconds: store.clock + 10_000),
                agent: id,
                epoch: epoch,
                sequence: sequence
            )
            one.isVouched = isVouched
            return store.perform(signature, .publish([one]))
        }
    }

    private static let pair = VerdictKey(upstream: "web", peer: "p", monitor: "http")
    private static let start = Int64(1_800_000_000_000)

    /// A fleet that has long been there, of those named.
    private static func fleet(_ ids: [String]) -> (StoreModel, [Caller]) {
        var store = StoreModel(clock: start, replid: 1)
        var callers = ids.enumerated().map {
            Caller(id: $0.element, instance: UInt64($0.offset + 1))
        }
        for _ in 0..<40 {
            store.clock += 250
            for index in callers.indices { callers[index].beat(&store) }
        }
        for index in callers.indices { callers[index].beat(&store) }
        return (store, callers)
    }

    private static func grant(
        _ reply: FleetReply
    ) -> (epoch: UInt64, from: Int64, verdict: Verdict?)? {
        guard case .claimed(_, _, let answers) = reply,
            case .granted(let epoch, let from, _, let verdict)? = answers.first
        else { return nil }
        return (epoch, from.milliseconds, verdict)
    }

    private static func answer(_ reply: FleetReply) -> FleetReply.ClaimAnswer? {
        guard case .claimed(_, _, let answers) = reply else { return nil }
        return answers.first
    }

    private static func written(_ reply: FleetReply) -> FleetReply.PublishAnswer? {
        guard case .published(let answers) = reply else { return nil }
        return answers.first
    }

    private static func member(_ reply: FleetReply) -> Bool? {
        guard case .beaten(let answer) = reply else { return nil }
        return answer.isMember
    }

    // MARK: Rule 2

    @Test func `a claim that a failover lost and another's claim are never one epoch`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let replica = store.replica
        let lost = try #require(Self.grant(callers[0].claim(&store, .rank)))
        store.failOver(to: replica, replid: 2)
        store.clock += 300
        // Whatever A still sends is of another era, and writes nothing.
        #expect(
            callers[0].publish(&store, epoch: lost.epoch, sequence: 1) == .refused(.era(store.era))
        )
        callers[1].beat(&store)
        store.clock += 3_100
        callers[1].beat(&store)
        let later = try #require(Self.grant(callers[1].claim(&store, .rank)))
        #expect(later.epoch > lost.epoch)
        // A keeps what it remembers: too late, and once.
        callers[0].beat(&store)
        #expect(
            Self.answer(callers[0].claim(&store, .keep, epoch: lost.epoch))
                == .held(by: "b", epoch: later.epoch)
        )
    }

    @Test func `who kept a claim that the failover lost gets it, if it comes first`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let old = try #require(Self.grant(callers[1].claim(&store, .rank)))
        let replica = store.replica
        let lost = try #require(
            Self.grant(callers[0].claim(&store, .offer, epoch: old.epoch, holder: "b"))
        )
        store.failOver(to: replica, replid: 2)
        store.clock += 300
        for index in callers.indices { callers[index].beat(&store) }
        let kept = try #require(Self.grant(callers[0].claim(&store, .keep, epoch: lost.epoch)))
        #expect(kept.epoch > lost.epoch)
        #expect(
            Self.answer(callers[1].claim(&store, .keep, epoch: old.epoch))
                == .held(by: "a", epoch: kept.epoch)
        )
    }

    // MARK: Rule 3

    @Test func `without a lease nothing is written, whoever holds the pair`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[0].claim(&store, .rank)))
        #expect(
            Self.written(callers[0].publish(&store, epoch: held.epoch, sequence: 1)) == .written
        )
        for _ in 0..<14 {
            store.clock += 250
            callers[1].beat(&store)
        }
        #expect(callers[0].publish(&store, epoch: held.epoch, sequence: 2) == .refused(.lease))
        #expect(callers[0].beat(&store) == .refused(.expired))
    }

    /// A call that was on its way when its connection broke arrives after the next connection's beat.
    @Test func `a call of the past is refused`() {
        var (store, callers) = Self.fleet(["a", "b"])
        let past = callers[0]
        store.clock += 250
        callers[0].beat(&store)
        #expect(past.claim(&store, .rank) == .refused(.lease))
    }

    /// What its requests find failing it cannot ask the holder about.
    @Test func `what requests find failing is probed here until the store is back`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[0].claim(&store, .rank)))
        _ = callers[0].publish(&store, epoch: held.epoch, sequence: 1)
        var member = FleetMember(agent: "c", weight: 0, dice: Dice(seed: 1), at: Self.moment(store))
        let schedule = Schedule(
            interval: .seconds(1),
            fastInterval: .milliseconds(500),
            timeout: .milliseconds(400)
        )
        let now = Self.moment(store).instant
        let pair = member.define(PairPlan(key: Self.pair, schedule: schedule), at: now)
        var effects: [FleetEffect] = []
        func live(for span: Int64, isAway: Bool) -> [FleetEffect] {
            var seen: [FleetEffect] = []
            for _ in 0..<span / 250 {
                store.clock += 250
                for index in callers.indices { callers[index].beat(&store) }
                let now = Self.moment(store).instant
                member.tick(at: now, lag: .zero, into: &effects)
                while !effects.isEmpty {
                    let effect = effects.removeFirst()
                    seen.append(effect)
                    guard case .call(let number, let signature, let call) = effect else { continue }
                    if isAway {
                        member.unwritten(number, at: now)
                    } else {
                        let reply = store.perform(signature, call)
                        member.replied(number, reply, at: now, into: &effects)
                    }
                }
            }
            return seen
        }
        func isProbedWhenSuspected() -> Bool {
            effects = []
            member.suspected(Self.pair, at: Self.moment(store).instant, into: &effects)
            defer { effects = [] }
            return effects.contains {
                if case .probe(pair, let from, 0, nil) = $0 {
                    from.milliseconds == 0
                } else {
                    false
                }
            }
        }
        _ = live(for: 2_000, isAway: false)
        let isProbedWithStore = isProbedWhenSuspected()
        #expect(!isProbedWithStore, "its holder is told")
        _ = live(for: 4_000, isAway: true)
        let isProbed = isProbedWhenSuspected()
        #expect(isProbed)
        let isProbedAgain = isProbedWhenSuspected()
        #expect(!isProbedAgain, "it is probed already")
        let time = Self.moment(store).instant
        let ruling = member.outcome(
            .fails(silent: false, immediate: false),
            of: pair,
            counter: HealthCounter(
                thresholds: Thresholds(rise: 2, fall: 1),
                resuming: .up,
                health: 2
            ),
            begun: time,
            at: time,
            into: &effects
        )
        #expect(ruling == .count && member.isUnconfirmed(pair))
        effects = []
        let back = live(for: 2_000, isAway: false)
        #expect(back.contains { if case .stop(pair, _) = $0 { true } else { false } })
        #expect(store.holding(of: Self.pair)?.agent == "a")
    }

    // MARK: Rule 8

    @Test func `a second process with the same id gets nothing until the first is over`() {
        var (store, callers) = Self.fleet(["a", "b"])
        var second = Caller(id: "a", instance: 99)
        guard case .refused(.taken(let until)) = second.beat(&store) else {
            Issue.record("expected the id to be taken")
            return
        }
        #expect(until.milliseconds == store.clock + 3_000)
        #expect(second.claim(&store, .rank) == .refused(.era(store.era)))
        // A clean stop makes room at once.
        store.clock += 100
        callers[0].beat(&store, state: .gone)
        #expect(Self.member(second.beat(&store)) == false)
    }

    @Test func `a copy of a beat is a twin, not a sign of life`() {
        var (store, callers) = Self.fleet(["a", "b"])
        var clone = callers[0]
        callers[0].beat(&store)
        #expect(clone.beat(&store) == .refused(.twin))
    }

    // MARK: Rule 9

    @Test func `a claim by a roster that changed is refused`() {
        var (store, callers) = Self.fleet(["a", "b"])
        store.clock += 250
        callers[1].beat(&store, state: .leaving)
        guard case .refused(.roster) = callers[0].claim(&store, .rank) else {
            Issue.record("expected the roster to be refused")
            return
        }
        callers[0].beat(&store)
        #expect(Self.grant(callers[0].claim(&store, .rank)) != nil)
    }

    @Test func `in a hand-over the old holder writes until the moment, the count goes along`()
        throws
    {
        var (store, callers) = Self.fleet(["a", "b"])
        let old = try #require(Self.grant(callers[0].claim(&store, .rank)))
        // One failure of three.
        #expect(
            Self.written(callers[0].publish(&store, epoch: old.epoch, sequence: 1, health: 3))
                == .written
        )
        let new = try #require(Self.grant(callers[1].claim(&store, .rank)))
        #expect(new.from == store.clock + 500)
        #expect(new.verdict?.health == 3)
        let letters = store.takeLetters()
        #expect(
            letters == [
                .init(
                    to: "a",
                    .ceded(
                        Self.pair,
                        epoch: new.epoch,
                        from: WallTime(milliseconds: new.from),
                        by: "b"
                    )
                )
            ]
        )
        store.clock += 499
        #expect(
            Self.written(callers[0].publish(&store, epoch: old.epoch, sequence: 2, health: 2))
                == .written
        )
        store.clock += 1
        #expect(
            Self.written(callers[0].publish(&store, epoch: old.epoch, sequence: 3))
                == .held(by: "b", epoch: new.epoch, writer: "")
        )
        // Asked again, because the answer was lost: the same, and nobody is told.
        #expect(Self.grant(callers[1].claim(&store, .rank))?.epoch == new.epoch)
        #expect(store.takeLetters().isEmpty)
    }

    @Test func `half of the roster gone at once is kept for one lease more`() {
        var (store, callers) = Self.fleet(["a", "b", "c", "d"])
        func live(_ indices: [Int], for span: Int64) {
            for _ in 0..<span / 250 {
                store.clock += 250
                for index in indices { callers[index].beat(&store) }
            }
        }
        live([0, 1], for: 5_000)
        #expect(store.roster == ["a", "b", "c", "d"])
        live([0, 1], for: 2_000)
        #expect(store.roster == ["a", "b"])
        // One of two is half as well; one of three is not.
        var (other, three) = Self.fleet(["a", "b", "c"])
        for _ in 0..<13 {
            other.clock += 250
            for index in 0..<2 { three[index].beat(&other) }
        }
        #expect(other.roster == ["a", "b"])
    }

    @Test func `a newcomer settles first, a fleet that starts does not`() {
        var store = StoreModel(clock: Self.start, replid: 1)
        var (a, b) = (Caller(id: "a", instance: 1), Caller(id: "b", instance: 2))
        #expect(Self.member(a.beat(&store)) == true)
        store.clock += 2_000
        a.beat(&store)
        #expect(Self.member(b.beat(&store)) == true)
        for _ in 0..<10 {
            store.clock += 250
            a.beat(&store)
            b.beat(&store)
        }
        var late = Caller(id: "c", instance: 3)
        for step in 0..<13 {
            #expect(Self.member(late.beat(&store)) == (step == 12))
            #expect(
                Self.answer(late.claim(&store, .rank)) == (step == 12 ? nil : .joining)
                    || step == 12
            )
            store.clock += 250
            a.beat(&store)
            b.beat(&store)
        }
    }

    // MARK: Rules 1 and 11

    @Test func `a mark that moved on is no stale one`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[0].claim(&store, .rank)))
        let seen = store.clock
        store.clock += 250
        callers[0].beat(&store)
        callers[1].beat(&store)
        #expect(Self.answer(callers[1].claim(&store, .stale, holder: "a", mark: seen)) == .fresh)
        #expect(
            Self.grant(callers[1].claim(&store, .stale, holder: "a", mark: store.clock))?.epoch
                == held.epoch + 1
        )
    }

    @Test func `what an agent cannot begin holds its mark back, while it beats`() {
        var (store, callers) = Self.fleet(["a", "b"])
        store.clock += 250
        callers[0].beat(&store, lag: 900)
        guard case .beaten(let answer) = callers[1].beat(&store) else {
            Issue.record("expected an answer")
            return
        }
        #expect(answer.late == [.init(agent: "a", mark: WallTime(milliseconds: store.clock - 900))])
    }

    @Test func `a store that stood still makes nobody late, and ends no lease`() {
        var (store, callers) = Self.fleet(["a", "b"])
        store.clock += 20_000
        guard case .beaten(let answer) = callers[1].beat(&store) else {
            Issue.record("expected an answer")
            return
        }
        #expect(answer.late.isEmpty)
        #expect(store.roster == ["a", "b"])
        // From now on it counts.
        for _ in 0..<3 {
            store.clock += 250
            callers[1].beat(&store)
        }
        guard case .beaten(let later) = callers[1].beat(&store) else { return }
        #expect(later.late.map(\.agent) == ["a"])
    }

    @Test func `a clock that is set back prolongs no dead agent's lease`() {
        var (store, callers) = Self.fleet(["a", "b", "c"])
        store.clock -= 60_000
        for _ in 0..<15 {
            store.clock += 250
            for index in 0..<2 { callers[index].beat(&store) }
        }
        #expect(store.roster == ["a", "b"])
    }

    // MARK: Rule 10

    @Test func `what is released keeps its epoch and its verdict`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[0].claim(&store, .rank)))
        _ = callers[0].publish(&store, epoch: held.epoch, sequence: 1, .down, health: 0)
        let release = FleetCall.release([.init(pair: Self.pair, epoch: held.epoch)])
        #expect(store.perform(callers[0].signature, release) == .done(1))
        #expect(store.verdict(of: Self.pair)?.status == .down)
        let next = try #require(Self.grant(callers[1].claim(&store, .offer)))
        #expect(next.epoch > held.epoch)
        #expect(next.verdict?.status == .down)
    }

    /// The answer to its claim was lost: under which epoch it holds the pair it does not know.
    @Test
    func `what is released under no epoch is whatever this life holds, and nothing of another`()
        throws
    {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[0].claim(&store, .rank)))
        let release = FleetCall.release([.init(pair: Self.pair, epoch: 0)])
        #expect(store.perform(callers[1].signature, release) == .done(0))
        #expect(store.holding(of: Self.pair)?.agent == "a")
        #expect(store.perform(callers[0].signature, release) == .done(1))
        #expect(store.holding(of: Self.pair)?.agent == "")
        #expect(store.holding(of: Self.pair)?.epoch == held.epoch)
    }

    // MARK: Rule 13

    @Test func `a verdict by somebody who knows no claims is topped by claiming again`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[0].claim(&store, .rank)))
        // As an older version writes: past the claims, under the next epoch.
        var old = store.content.verdicts[Self.pair]
        _ = callers[0].publish(&store, epoch: held.epoch, sequence: 1)
        old = store.content.verdicts[Self.pair]
        old?.agent = "old"
        old?.epoch = held.epoch + 1
        store.content.verdicts[Self.pair] = old
        #expect(
            Self.written(callers[0].publish(&store, epoch: held.epoch, sequence: 2))
                == .held(by: "a", epoch: held.epoch + 1, writer: "old")
        )
        let again = try #require(Self.grant(callers[0].claim(&store, .offer, holder: "a")))
        #expect(again.epoch == held.epoch + 2)
        #expect(
            Self.written(callers[0].publish(&store, epoch: again.epoch, sequence: 3)) == .written
        )
    }

    /// Or each hand-over would have it hold for as long again.
    @Test func `what its holder does not find ends when it did, whoever takes the pair`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[0].claim(&store, .rank)))
        let found = store.clock
        _ = callers[0].publish(
            &store,
            epoch: held.epoch,
            sequence: 1,
            isFound: false,
            isVouched: true
        )
        for _ in 0..<80 {
            store.clock += 250
            for index in callers.indices { callers[index].beat(&store) }
        }
        // It is over, and its holder lives and vouches for that it finds nothing.
        #expect(
            Self.answer(callers[1].claim(&store, .offer, mark: store.clock))
                == .held(by: "a", epoch: held.epoch)
        )
        let taken = try #require(
            Self.grant(callers[1].claim(&store, .offer, epoch: held.epoch, holder: "a"))
        )
        #expect(taken.verdict?.expiresAt.milliseconds == found + 10_000)
    }

    /// It began its slots, and saw nothing: whoever takes the pair must not wait for the next one, which may be a long
    /// interval away.
    @Test(arguments: [(0, false), (60, false), (0, true)])
    func `what somebody who doubts itself began is not taken for begun`(
        doubt: Int,
        isSilent: Bool
    ) throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[0].claim(&store, .rank)))
        for _ in 0..<4 {
            store.clock += 250
            callers[0].beat(&store, doubt: doubt, isSilent: isSilent)
            callers[1].beat(&store)
        }
        let reply = callers[1].claim(&store, .offer, epoch: held.epoch, holder: "a")
        guard case .granted(_, let from, let begun, _)? = Self.answer(reply) else {
            Issue.record("\(reply)")
            return
        }
        let isSure = doubt == 0 && !isSilent
        #expect(from.milliseconds == store.clock + (isSure ? 500 : 0))
        #expect((begun.milliseconds > 0) == isSure)
    }

    // MARK: Words by hand

    /// Where somebody wrote what nobody can have reached, or what stands in the way of whoever holds the pair.
    enum Forgery: CaseIterable, CustomTestStringConvertible {
        case verdictOfOld, verdictAtLimit, verdictBelowLimit, verdictOfLaterSequence
        case claimOfOld, claimAtLimit, claimBelowLimit, claimOfTwo
        case letter, eraAtLimit, eraBelowLimit

        var testDescription: String { "\(self)" }

        fileprivate func write(into store: inout StoreModel, _ member: inout FleetMember) {
            let now = HistoryTests.moment(store).instant
            let time = WallTime(milliseconds: store.clock)
            let limit = UInt64(store.clock + FleetTerms.epochLead)
            var verdict = store.content.verdicts[HistoryTests.pair]
            verdict?.status = .down
            verdict?.health = 0
            var claim = store.content.claims[HistoryTests.pair]
            switch self {
            case .verdictOfOld: verdict?.epoch = 1 << 48
            case .verdictAtLimit: verdict?.epoch = limit
            case .verdictBelowLimit: verdict?.epoch = limit - 1
            case .verdictOfLaterSequence: verdict?.sequence = 1 << 53
            case .claimOfOld: claim?.epoch = 1 << 48 - 1
            case .claimAtLimit: claim?.epoch = limit
            case .claimBelowLimit: claim?.epoch = limit - 1
            case .claimOfTwo:
                claim?.epoch = limit - 1
                verdict?.epoch = limit - 1
                claim?.agent = "nobody"
            case .letter:
                let hint = FleetHint.offered(HistoryTests.pair, epoch: 1 << 60, by: "nobody")
                var effects: [FleetEffect] = []
                member.heard(hint, at: now, into: &effects)
                return
            case .eraAtLimit: store.content.era = FleetTerms.latestEra(at: time) + 1
            case .eraBelowLimit: store.content.era = FleetTerms.latestEra(at: time)
            }
            store.content.verdicts[HistoryTests.pair] = verdict
            store.content.claims[HistoryTests.pair] = claim
        }
    }

    /// A fleet of one that has had its pair for a while, with what reads and writes for it.
    private struct Holder {
        var store = StoreModel(clock: HistoryTests.start, replid: 1)
        var member: FleetMember
        var calls = 0
        var claims = 0

        init() {
            member = FleetMember(agent: "a", dice: Dice(seed: 1), at: HistoryTests.moment(store))
            let schedule = Schedule(
                interval: .seconds(1),
                fastInterval: .milliseconds(500),
                timeout: .milliseconds(400)
            )
            let plan = PairPlan(key: HistoryTests.pair, schedule: schedule)
            member.define(plan, at: HistoryTests.moment(store).instant)
        }

        /// `reads`: it hears what lies there, and says its own again where that is another's word.
        mutating func live(for span: Int64, reads: Bool = false) {
            let from = calls
            for _ in 0..<span / 50 {
                store.clock += 50
                let now = HistoryTests.moment(store).instant
                var effects: [FleetEffect] = []
                if reads, let word = store.verdict(of: HistoryTests.pair), word.status != .up {
                    member.heard(
                        verdictOf: word.key,
                        by: word.agent,
                        epoch: word.epoch,
                        at: now,
                        into: &effects
                    )
                    if let pair = member.number(of: word.key) { member.said(pair) }
                }
                member.tick(at: now, lag: .zero, into: &effects)
                while !effects.isEmpty, calls - from < 10_000 {
                    switch effects.removeFirst() {
                    case .call(let number, let signature, let call):
                        perform(number, signature, call, now, &effects)
                    case .probe(let pair, _, _, _): member.said(pair)
                    default: break
                    }
                }
            }
        }

        private mutating func perform(
            _ number: CallNumber,
            _ signature: Signature,
            _ call: FleetCall,
            _ now: Instant,
            _ effects: inout [FleetEffect]
        ) {
            calls += 1
            var call = call
            if case .claim = call { claims += 1 }
            if case .publish(var publications) = call {
                for index in publications.indices {
                    let one = publications[index]
                    publications[index].verdict = Verdict(
                        key: one.pair,
                        kind: "http",
                        status: .up,
                        health: 4,
                        rise: 2,
                        fall: 3,
                        reason: .layer7OK,
                        latency: .zero,
                        since: WallTime(milliseconds: 0),
                        checkedAt: WallTime(milliseconds: store.clock),
                        expiresAt: WallTime(milliseconds: store.clock + 10_000),
                        agent: "a",
                        epoch: one.epoch,
                        sequence: one.sequence
                    )
                    publications[index].isVouched = true
                }
                call = .publish(publications)
            }
            member.replied(number, store.perform(signature, call), at: now, into: &effects)
        }
    }

    @Test(arguments: Forgery.allCases)
    func `what a hand wrote is written over within seconds, and claimed no more than once a beat`(
        forgery: Forgery
    ) {
        var holder = Holder()
        holder.live(for: 10_000)
        #expect(holder.store.verdict(of: Self.pair)?.status == .up)
        (holder.calls, holder.claims) = (0, 0)
        forgery.write(into: &holder.store, &holder.member)
        holder.live(for: 10_000, reads: true)
        #expect(holder.calls < 100, "saw \(holder.calls) calls, \(holder.claims) of them claims")
        // What it holds it can publish, and it does.
        let (store, pair) = (holder.store, holder.member.number(of: Self.pair) ?? -1)
        let epoch = holder.member.claims.publishableEpoch(of: pair)
        #expect(store.holding(of: Self.pair)?.epoch == epoch)
        #expect(store.verdict(of: Self.pair)?.status == .up)
        #expect(store.verdict(of: Self.pair)?.epoch == epoch)
        holder.calls = 0
        holder.live(for: 5_000)
        #expect(holder.calls <= 21, "saw \(holder.calls) calls in five seconds of rest")
    }

    @Test(arguments: [Forgery.verdictOfOld, .verdictBelowLimit, .verdictOfLaterSequence])
    func `what a hand wrote and took away again leaves nothing behind`(forgery: Forgery) {
        var holder = Holder()
        holder.live(for: 10_000)
        forgery.write(into: &holder.store, &holder.member)
        holder.live(for: 100, reads: true)
        holder.store.content.verdicts[Self.pair] = nil
        if let pair = holder.member.number(of: Self.pair) { holder.member.said(pair) }
        (holder.calls, holder.claims) = (0, 0)
        holder.live(for: 2_000, reads: true)
        #expect(holder.calls < 20, "saw \(holder.calls) calls, \(holder.claims) of them claims")
        #expect(holder.store.verdict(of: Self.pair)?.status == .up)
    }

    // MARK: Rule 7

    /// It holds its pair, and asks others as it sees it fail.
    private struct Asker {
        var store: StoreModel
        var callers: [Caller]
        var member: FleetMember
        var pair: PairNumber = 0
        var effects: [FleetEffect] = []

        /// Two share the probing, so that each is asked by the other; `about`: what this one looks at.
        init(about: About? = nil) throws {
            (store, callers) = HistoryTests.fleet(["b"])
            let ids = (0..<20).map { "a\($0)" }
            let id = try #require(ids.first { HistoryTests.heir(among: ["b", $0]) == $0 })
            let schedule = Schedule(
                interval: .seconds(1),
                fastInterval: .milliseconds(500),
                timeout: .milliseconds(400)
            )
            let now = HistoryTests.moment(store)
            member = FleetMember(agent: id, dice: Dice(seed: 1), at: now)
            let plan = PairPlan(
                key: HistoryTests.pair,
                schedule: schedule,
                confirm: ConfirmRule(agents: 1),
                about: about
            )
            pair = member.define(plan, at: now.instant)
            live(for: 10_000)
        }

        var now: Instant { HistoryTests.moment(store).instant }

        mutating func live(for span: Int64) {
            for _ in 0..<span / 250 {
                store.clock += 250
                callers[0].beat(&store)
                member.tick(at: now, lag: .zero, into: &effects)
                _ = takeLetters()
            }
        }

        /// Has the store answer its calls. What it told others since it was asked for last.
        mutating func takeLetters() -> [FleetCall.Letter] {
            var told: [FleetCall.Letter] = []
            while !effects.isEmpty {
                guard case .call(let number, let signature, let call) = effects.removeFirst()
                else { continue }
                if case .tell(let letters) = call { told += letters }
                member.replied(number, store.perform(signature, call), at: now, into: &effects)
            }
            return told
        }

        mutating func find(_ found: Found) -> Ruling {
            let counter = HealthCounter(
                thresholds: Thresholds(rise: 2, fall: 1),
                resuming: .up,
                health: 2
            )
            return member.outcome(
                found,
                of: pair,
                counter: counter,
                begun: now,
                at: now,
                into: &effects
            )
        }

        mutating func fail() -> Ruling { find(.fails(silent: false, immediate: false)) }

        mutating func takeAsk() -> Ask? {
            takeLetters().lazy.compactMap { letter -> Ask? in
                if letter.to == "b", case .asked(_, let ask) = letter.words { ask } else { nil }
            }
            .first
        }

        /// It hears nothing of its pair, and the other does: how often it asks until it offers it. Nil: it does not.
        @discardableResult
        mutating func giveAway(about: About? = nil) -> Int? {
            var askings = 0
            for _ in 0..<8 {
                _ = find(.nothing)
                if let ask = takeAsk() {
                    askings += 1
                    hear(.passes, to: ask, about: about)
                }
                let isOffered = takeLetters().contains {
                    if case .offered = $0.words { $0.to == "b" } else { false }
                }
                if isOffered { return askings }
                live(for: 1_000)
            }
            return nil
        }

        mutating func hear(_ word: Vote.Word, to ask: Ask, about: About? = nil) {
            let vote = Vote(
                by: "b",
                word: word,
                epoch: ask.epoch,
                number: ask.number,
                at: WallTime(milliseconds: store.clock),
                about: about
            )
            member.heard(.voted(HistoryTests.pair, vote), at: now, into: &effects)
        }
    }

    /// Its failure was found before it doubted itself, and waits for another's word, which comes after.
    @Test func `a vote takes nothing down at an agent that has come to doubt itself`() throws {
        var asker = try Asker()
        let ruling = asker.fail()
        #expect(ruling == .hold)
        let asked = asker.takeAsk()
        let ask = try #require(asked)
        asker.member.lagged(by: .seconds(2), at: asker.now)
        asker.hear(.fails, to: ask)
        #expect(!asker.effects.contains(.fall(asker.pair)))
        // As soon as it does not, what it finds counts, and the vote with it.
        asker.live(for: 11_000)
        let rulingThen = asker.fail()
        #expect(rulingThen == .count)
    }

    private static let about = About(whom: 7, what: 7)

    /// Agents are reloaded one after the other: under one name one has an address or a check that the other has not yet.
    @Test(arguments: [about, nil, About(whom: 7, what: 8), About(whom: 8, what: 7)])
    func `who looks at something else has no vote, but where it passes at the same address`(
        about: About?
    ) throws {
        for word in [Vote.Word.fails, .passes] {
            var asker = try Asker(about: Self.about)
            let ruling = asker.fail()
            #expect(ruling == .hold)
            let asked = asker.takeAsk()
            let ask = try #require(asked)
            asker.hear(word, to: ask, about: about)
            // Nobody else is there: where the other has no vote its own is enough.
            let isKeptUp = word == .passes && about?.whom != 8
            #expect(asker.effects.contains(.fall(asker.pair)) == !isKeptUp)
            let isTold = asker.effects.contains(.say(.otherDefinition(asker.pair, "b")))
            #expect(isTold == (about != nil && about != Self.about))
        }
    }

    /// It has given the pair away for a while, and is asked as the only other one.
    @Test func `who has withdrawn from a pair has a word on it where it passes`() throws {
        let words: [(Found, Vote.Word)] = [
            (.passes, .passes), (.fails(silent: false, immediate: false), .abstains),
        ]
        for (found, expected) in words {
            var asker = try Asker()
            asker.giveAway()
            #expect(asker.member.claims.abstains(from: asker.pair, at: asker.now))
            let ask = Ask(
                by: "b",
                epoch: 1,
                number: 1,
                askedAt: WallTime(milliseconds: asker.store.clock)
            )
            asker.member.heard(.asked(Self.pair, ask), at: asker.now, into: &asker.effects)
            #expect(asker.effects.contains(.look(asker.pair)))
            asker.member.found(
                found,
                of: asker.pair,
                begun: asker.now,
                at: asker.now,
                into: &asker.effects
            )
            let words = asker.takeLetters().compactMap { letter -> Vote.Word? in
                if case .voted(_, let vote) = letter.words { vote.word } else { nil }
            }
            #expect(words == [expected])
        }
    }

    // MARK: What says nothing

    @Test(arguments: [about, About(whom: 8, what: 7)])
    func `what says nothing here goes to who hears it, if that looks at the same`(
        about: About
    ) throws {
        var asker = try Asker(about: Self.about)
        let askings = asker.giveAway(about: about)
        #expect(askings == (about == Self.about ? FleetTerms.patience : nil))
    }

    /// It stops cleanly, be it that somebody takes the pair while it is leaving or when it is gone.
    @Test(arguments: [FleetCall.State.leaving, .gone], [0, 60])
    func `what somebody began that left in doubt is not taken for begun`(
        state: FleetCall.State,
        doubt: Int
    ) throws {
        var (store, callers) = Self.fleet(["a", "b"])
        _ = try #require(Self.grant(callers[0].claim(&store, .rank)))
        for _ in 0..<4 {
            store.clock += 250
            callers[0].beat(&store)
            callers[1].beat(&store)
        }
        callers[0].beat(&store, state: state, doubt: doubt)
        callers[1].beat(&store)
        let reply = callers[1].claim(&store, .rank)
        guard case .granted(_, let from, let begun, _)? = Self.answer(reply) else {
            Issue.record("\(reply)")
            return
        }
        let isHandedOver = state == .leaving && doubt == 0
        #expect(from.milliseconds == store.clock + (isHandedOver ? 500 : 0))
        #expect((begun.milliseconds > 0) == (doubt == 0))
    }

    /// It has come back from a cut of its own, and takes what ranks it first from one that is cut off now.
    @Test(arguments: [true, false])
    func `whoever sees nothing is not waited for, and began nothing`(isSilent: Bool) throws {
        var (store, callers) = Self.fleet(["a", "b"])
        _ = try #require(Self.grant(callers[0].claim(&store, .rank)))
        for _ in 0..<4 {
            store.clock += 250
            callers[0].beat(&store, doubt: 70, isSilent: isSilent)
            callers[1].beat(&store)
        }
        let reply = callers[1].claim(&store, .rank)
        guard case .granted(_, let from, let begun, _)? = Self.answer(reply) else {
            Issue.record("\(reply)")
            return
        }
        // One that is late with everything, say, still probes.
        #expect(from.milliseconds == store.clock + (isSilent ? 0 : 500))
        #expect(begun.milliseconds == (isSilent ? 0 : from.milliseconds))
    }

    // MARK: The net below all others

    /// Its process lost track of it: it lives, holds the pair, and never says a word of it.
    @Test
    func `a pair of which its living holder never speaks is taken by whoever defines it`() throws {
        var (store, callers) = Self.fleet(["a", "b"])
        let held = try #require(Self.grant(callers[1].claim(&store, .rank)))
        let id = try #require(
            ["c", "d", "e", "f"].first { Self.heir(among: ["a", "b", $0]) != $0 }
        )
        let schedule = Schedule(
            interval: .seconds(1),
            fastInterval: .milliseconds(500),
            timeout: .milliseconds(400)
        )
        var member = FleetMember(agent: id, dice: Dice(seed: 1), at: Self.moment(store))
        member.define(
            PairPlan(key: Self.pair, schedule: schedule),
            at: Self.moment(store).instant
        )
        for _ in 0..<80 {
            store.clock += 250
            for index in callers.indices { callers[index].beat(&store) }
            let now = Self.moment(store).instant
            var effects: [FleetEffect] = []
            member.tick(at: now, lag: .zero, into: &effects)
            while !effects.isEmpty {
                guard case .call(let number, let signature, let call) = effects.removeFirst()
                else { continue }
                member.replied(number, store.perform(signature, call), at: now, into: &effects)
            }
        }
        let holding = try #require(store.holding(of: Self.pair))
        #expect(holding.agent == id)
        #expect(holding.epoch > held.epoch)
    }

    private static func moment(_ store: StoreModel) -> Moment {
        Moment(
            instant: Instant(nanoseconds: (store.clock - start) * 1_000_000),
            wall: WallTime(milliseconds: store.clock)
        )
    }

    private static func heir(among ids: [String]) -> String {
        var ownership = Ownership()
        ownership.define(0, key: Ownership.key(of: pair))
        ownership.take(ids.map { RosterMember(id: $0, instance: 1, weight: 1) })
        while !ownership.isSettled { _ = ownership.advance() }
        return ownership.id(of: ownership.ranks(of: 0).first)
    }
}
