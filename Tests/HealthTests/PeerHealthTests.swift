// Are the layers of a peer joined in the right order, and does time change what it must?

import Health
import Testing
import Vocabulary

@Suite struct PeerHealthTests {
    private let start = WallTime(milliseconds: 1_795_000_000_000)

    private func peer(
        weight: Int = 4,
        slowStart: Nanoseconds = .zero,
        isDisabled: Bool = false,
        required: Set<String> = ["http"]
    ) -> PeerHealth {
        PeerHealth(
            policy: PeerPolicy(
                weight: weight,
                slowStart: slowStart,
                isDisabled: isDisabled,
                requiredMonitors: required
            ),
            now: start
        )
    }

    private func verdict(
        _ status: HealthCounter.Status,
        by monitor: String = "http",
        sequence: UInt64 = 1,
        epoch: UInt64 = 1,
        isDegraded: Bool = false,
        hints: Hints = Hints(),
        at time: WallTime? = nil,
        life: Nanoseconds = .seconds(1_000)
    ) -> Verdict {
        let time = time ?? start
        return Verdict(
            key: VerdictKey(upstream: "web", peer: "a", monitor: monitor),
            kind: "http",
            status: status,
            isDegraded: isDegraded,
            health: status == .up ? 3 : 0,
            rise: 2,
            fall: 2,
            reason: status == .up ? .layer7OK : .layer7Status,
            code: status == .up ? 200 : 503,
            message: status == .up ? "" : "expected 2xx, saw 503",
            latency: .zero,
            hints: hints,
            since: time,
            checkedAt: time,
            expiresAt: time + life,
            agent: "a1",
            epoch: epoch,
            sequence: sequence
        )
    }

    /// Its status is that of before, and whoever looks has to see that it is not well.
    @Test func `a failure that does not count is told in the reason, and why it does not`() {
        for (why, words) in [
            (
                Withheld.massChange,
                "held as it was by store.mass-change, for too many fell silent at once"
            ),
            (.unconfirmed, "held as it was until other agents see it fail too"),
            (.doubt, "held as it was, for the agent that probes it doubts itself"),
        ] {
            var health = peer()
            var verdict = verdict(.up)
            verdict.isDegraded = true
            verdict.withheld = why
            verdict.message = "200 OK; last probe: L4TOUT no answer"
            _ = health.apply(verdict, now: start)
            #expect(health.view.status == .degraded)
            #expect(health.view.reason.hasPrefix("\(words); last probe: L4TOUT no answer (http)"))
            verdict.sequence = 2
            (verdict.isDegraded, verdict.withheld, verdict.message) = (false, nil, "")
            _ = health.apply(verdict, now: start)
            #expect(health.view.reason == "")
        }
    }

    /// Drain A, stop A, and B fails: what was drained is no place for requests, dead or alive.
    @Test(arguments: [Intent.Mode.drain, .maint])
    func `who was asked to take nothing is not meant to serve when it is down either`(
        mode: Intent.Mode
    ) {
        var health = peer()
        _ = health.apply(verdict(.down), now: start)
        #expect(health.view.isMeantToServe)
        _ = health.set(intent: Intent(mode: mode), now: start)
        #expect(health.view.status == (mode == .drain ? .down : .maint))
        #expect(!health.view.isMeantToServe)
        _ = health.set(intent: nil, now: start)
        #expect(health.view.isMeantToServe)
    }

    @Test func `a peer is back though a second required check cannot speak`() {
        var health = peer(weight: 10, slowStart: .seconds(10), required: ["http", "command"])
        _ = health.apply(verdict(.unknown, by: "command"), now: start)
        #expect(!health.view.isPassing)
        _ = health.apply(verdict(.down), now: start)
        #expect(health.view.status == .down && !health.view.isPassing)

        let now = start + .seconds(1)
        _ = health.apply(verdict(.up, sequence: 2, at: now), now: now)
        #expect(health.view.status == .unknown && health.view.isPassing)
        #expect(health.view.isAvailable)
        #expect(health.view.effectiveCentiweight == 100, "it begins slowly")
        #expect(health.view.reason.contains("it gets requests because of http"))
        #expect(health.view.reason.contains("slow start at 10%"))
        _ = health.refresh(now: now + .seconds(5))
        #expect(health.view.effectiveCentiweight == 500)
        _ = health.refresh(now: now + .seconds(10))
        #expect(health.view.effectiveCentiweight == 1_000)
        #expect(!health.view.reason.contains("slow start"))
    }

    @Test func `a peer that nobody asked about yet does not pass`() {
        var health = peer(required: ["http", "command"])
        _ = health.apply(verdict(.up), now: start)
        #expect(health.view.status == .unknown && !health.view.isPassing)
    }

    /// Everything at once, then taken away from the worst downwards: what remains decides.
    @Test func `maint beats down, down beats drain, drain beats degraded`() {
        var health = peer(required: ["http"])
        _ = health.apply(verdict(.down), now: start)
        _ = health.set(intent: Intent(mode: .maint), now: start)
        #expect(health.view.status == .maint)
        _ = health.set(intent: Intent(mode: .drain), now: start)
        #expect(health.view.status == .down)
        _ = health.apply(verdict(.up, sequence: 2, isDegraded: true), now: start)
        #expect(health.view.status == .drain)
        _ = health.set(intent: nil, now: start)
        #expect(health.view.status == .degraded)
        _ = health.apply(verdict(.up, sequence: 3), now: start)
        #expect(health.view.status == .up)
    }

    @Test(arguments: [
        (PeerStatus.up, true), (.degraded, true), (.starting, true), (.unknown, true),
        (.maint, false), (.down, false), (.drain, false), (.ejected, false),
    ])
    func `these statuses take new requests`(status: PeerStatus, isAvailable: Bool) {
        var view = peer().view
        view.routing = status
        #expect(view.isAvailable == isAvailable)
        view.effectiveCentiweight = 0
        #expect(!view.isAvailable)
    }

    @Test func `the reason chain names monitor, reason and what was seen`() {
        var health = peer(required: ["http", "tcp"])
        _ = health.apply(verdict(.down), now: start)
        _ = health.apply(verdict(.up, by: "tcp"), now: start)
        #expect(health.view.reason == "L7STS/503 expected 2xx, saw 503 (http)")
        _ = health.set(
            intent: Intent(
                mode: .maint,
                reason: "disk swap",
                until: start + .seconds(60)
            ),
            now: start
        )
        #expect(
            health.view.reason
                == "operator asked for maint: disk swap (until \(start + .seconds(60))); "
                + "L7STS/503 expected 2xx, saw 503 (http)"
        )
    }

    @Test func `since moves with the status and not with the reason`() {
        var health = peer()
        let later = start + .seconds(1)
        _ = health.apply(verdict(.up, at: later), now: later)
        #expect(health.view.since == later)
        _ = health.apply(verdict(.up, sequence: 2), now: start + .seconds(2))
        #expect(health.view.since == later)
        _ = health.apply(verdict(.down, sequence: 3), now: start + .seconds(3))
        #expect(health.view.since == start + .seconds(3))
    }

    @Test func `a peer found in a status has it since the verdict says, and never from the future`()
    {
        for (status, since, expected) in [
            (HealthCounter.Status.up, start + .seconds(-3_600), start + .seconds(-3_600)),
            (.down, start + .seconds(-60), start + .seconds(-60)),
            (.up, start + .seconds(9), start),
        ] {
            var health = peer()
            var found = verdict(status)
            found.since = since
            _ = health.apply(found, now: start)
            #expect(health.view.since == expected)
            // From then on it is this process that sees the changes.
            let later = start + .seconds(5)
            let other = verdict(status == .up ? .down : .up, sequence: 2, at: later)
            _ = health.apply(other, now: later)
            #expect(health.view.since == later)
        }
    }

    /// The store was away, or took no writes, when another agent found it.
    @Test func `what was found before it was heard of has been so since it was found`() {
        var health = peer()
        _ = health.apply(verdict(.up), now: start)
        let (fell, heard) = (start + .seconds(10), start + .seconds(36))
        _ = health.apply(verdict(.down, sequence: 2, at: fell), now: heard)
        #expect(health.view.status == .down && health.view.since == fell)
        let back = start + .seconds(50)
        _ = health.apply(verdict(.up, sequence: 3, at: back), now: back + .seconds(1))
        #expect(health.view.since == back)
        // Not before the status that it had, nor in the future.
        let next = start + .seconds(60)
        _ = health.apply(verdict(.down, sequence: 4, at: start + .seconds(20)), now: next)
        #expect(health.view.since == next)
        var ahead = verdict(.up, sequence: 5, at: next)
        ahead.since = next + .seconds(90)
        _ = health.apply(ahead, now: next + .seconds(2))
        #expect(health.view.since == next + .seconds(2))
        // What was unknown meanwhile is known again only now.
        _ = health.refresh(now: next + .seconds(5_000))
        #expect(health.view.status == .unknown)
        let again = next + .seconds(5_001)
        var known = verdict(.up, sequence: 6, at: again)
        known.since = next
        _ = health.apply(known, now: again)
        #expect(health.view.since == again)
    }

    // MARK: A clock that is set

    @Test(arguments: [3_600, -3_600, 86_400_000, -86_400_000] as [Int64])
    func `durations go on when the clock is set`(seconds: Int64) {
        let step = Nanoseconds.seconds(seconds)
        var health = peer(weight: 4, slowStart: .seconds(20))
        _ = health.apply(verdict(.down, life: .seconds(60)), now: start)
        _ = health.apply(verdict(.up, sequence: 2, life: .seconds(60)), now: start)
        health.shift(by: step)
        let moved = start + step
        _ = health.refresh(now: moved + .seconds(10))
        #expect(health.view.status == .starting && health.view.effectiveCentiweight == 200)
        #expect(health.view.since == moved)
        _ = health.refresh(now: moved + .seconds(20))
        #expect(health.view.status == .up && health.view.effectiveCentiweight == 400)
        #expect(health.refresh(now: moved + .seconds(60)) == nil, "valid to its last moment")
        _ = health.refresh(now: moved + .milliseconds(60_001))
        #expect(health.view.status == .unknown)
    }

    @Test func `a drain ends when its time has come or its length is over, and stays ended`() {
        let until = start + .seconds(600)
        var health = peer()
        _ = health.apply(verdict(.up, life: .seconds(9_000)), now: start)
        _ = health.set(intent: Intent(mode: .drain, until: until), now: start)
        health.shift(by: .seconds(-7_200))
        _ = health.refresh(now: start + .seconds(599 - 7_200))
        #expect(health.view.status == .drain)
        _ = health.refresh(now: start + .seconds(600 - 7_200))
        #expect(health.view.status == .up)

        _ = health.set(intent: Intent(mode: .drain, until: until), now: start)
        health.shift(by: .seconds(3_600))
        _ = health.refresh(now: start + .seconds(3_600))
        #expect(health.view.status == .up)
        health.shift(by: .seconds(-3_600))
        _ = health.refresh(now: start)
        #expect(health.view.status == .up, "what has ended has ended")
    }

    // MARK: Verdicts of other clocks

    @Test func `a foreign verdict holds as long as it says, from its receipt`() {
        let life = Nanoseconds.seconds(10)
        let hour = Nanoseconds.seconds(3_600)
        // First word of an agent an hour ahead, or in the year 9999.
        for checked in [start + hour, WallTime(clamping: .max)] {
            let got = verdict(.down, at: checked, life: life)
                .received(after: nil, lifeMax: .seconds(60), now: start)
            #expect(got.checkedAt == start)
            #expect(got.expiresAt <= start + life && got.since == start)
        }
        // An agent an hour behind that speaks again lives; left alone, its first word is old.
        let first = verdict(.up, at: start + -hour, life: life)
        #expect(first.received(after: nil, lifeMax: hour, now: start).expiresAt < start)
        let again = verdict(.up, sequence: 2, at: start + -hour, life: life)
        #expect(
            again.received(after: first, lifeMax: hour, now: start).expiresAt == start + life
        )
        // What its monitor would never say is not believed.
        let long = verdict(.down, life: .seconds(86_400 * 365))
        #expect(
            long.received(after: nil, lifeMax: .seconds(60), now: start).expiresAt
                == start + .seconds(60)
        )
        let backwards = verdict(.down, life: .seconds(-5))
        // What was over when it was said holds for no moment.
        #expect(backwards.received(after: nil, lifeMax: hour, now: start).expiresAt < start)
    }

    // MARK: Fencing

    @Test func `a verdict of an older epoch or sequence changes nothing`() {
        var health = peer()
        _ = health.apply(verdict(.up, sequence: 5, epoch: 5), now: start)
        for (epoch, sequence) in [(5, 4), (4, 9)] as [(UInt64, UInt64)] {
            let change = health.apply(
                verdict(.down, sequence: sequence, epoch: epoch),
                now: start
            )
            #expect(change == nil)
            #expect(health.view.status == .up)
        }
        _ = health.apply(verdict(.down, sequence: 1, epoch: 6), now: start)
        #expect(health.view.status == .down)
    }

    // MARK: Expiry

    @Test(arguments: [(HealthCounter.Status.up, PeerStatus.up), (.down, .down)])
    func `an expired verdict makes the peer unknown and leaves its routing`(
        status: HealthCounter.Status,
        routing: PeerStatus
    ) {
        var health = peer()
        _ = health.apply(verdict(status, life: .seconds(5)), now: start)
        #expect(health.view.nextChange == start + .milliseconds(5_001))
        #expect(health.refresh(now: start + .seconds(5)) == nil)
        let change = health.refresh(now: start + .milliseconds(5_001))
        #expect(change?.to.status == .unknown)
        #expect(change?.to.routing == routing)
        #expect(change?.to.reason.contains("last \(status.rawValue)") == true)
        _ = health.apply(
            verdict(.up, sequence: 2, at: start + .seconds(9)),
            now: start + .seconds(9)
        )
        #expect(health.view.status == .up)
    }

    @Test func `one required monitor that has not spoken leaves the peer unknown`() {
        var health = peer(required: ["http", "tcp"])
        _ = health.apply(verdict(.up), now: start)
        #expect(health.view.status == .unknown)
        #expect(health.view.reason == "tcp: not probed yet")
        _ = health.apply(verdict(.up, by: "tcp"), now: start)
        #expect(health.view.status == .up)
    }

    @Test func `a fresh failure counts though another monitor is silent`() {
        var health = peer(required: ["http", "tcp"])
        _ = health.apply(verdict(.down), now: start)
        #expect(health.view.status == .down)
    }

    // MARK: Slow start

    @Test func `a recovered peer ramps from a tenth to its weight`() {
        var health = peer(weight: 4, slowStart: .seconds(20))
        _ = health.apply(verdict(.down), now: start)
        _ = health.apply(verdict(.up, sequence: 2), now: start)
        #expect(health.view.status == .starting)
        #expect(health.view.effectiveCentiweight == 40)
        var last = 0
        for second in 0..<20 {
            let now = start + .seconds(Int64(second))
            _ = health.refresh(now: now)
            #expect(health.view.status == .starting)
            #expect(health.view.effectiveCentiweight >= last)
            #expect(health.view.nextChange == now + PeerHealth.slowStartStep)
            last = health.view.effectiveCentiweight
        }
        #expect(last == 380)
        _ = health.refresh(now: start + .seconds(20))
        #expect(health.view.status == .up)
        #expect(health.view.effectiveCentiweight == 400)
    }

    @Test func `a peer never seen down does not ramp, and one that falls again begins anew`() {
        var health = peer(slowStart: .seconds(20))
        _ = health.apply(verdict(.up), now: start)
        #expect(health.view.status == .up)
        _ = health.apply(verdict(.down, sequence: 2), now: start)
        _ = health.apply(verdict(.up, sequence: 3), now: start)
        _ = health.refresh(now: start + .seconds(10))
        #expect(health.view.effectiveCentiweight == 200)
        _ = health.apply(verdict(.down, sequence: 4), now: start + .seconds(10))
        #expect(health.view.status == .down)
        _ = health.apply(verdict(.up, sequence: 5), now: start + .seconds(11))
        #expect(health.view.effectiveCentiweight == 40)
    }

    // MARK: Intent

    @Test func `a weight ends by itself`() {
        var health = peer(weight: 4)
        _ = health.apply(verdict(.up), now: start)
        let until = start + .seconds(60)
        _ = health.set(
            intent: Intent(weight: 9, weightUntil: until),
            now: start
        )
        #expect(health.view.status == .up)
        #expect(health.view.effectiveCentiweight == 900)
        #expect(health.view.nextChange == until)
        _ = health.refresh(now: until)
        #expect(health.view.effectiveCentiweight == 400)
    }

    @Test func `a drain and a weight end each in its time`() {
        let early = start + .seconds(10)
        let late = start + .seconds(60)
        for (until, weightUntil) in [(early, late), (late, early)] {
            var health = peer(weight: 4)
            _ = health.apply(verdict(.up, life: .seconds(600)), now: start)
            let intent = Intent(
                mode: .drain,
                until: until,
                weight: 9,
                weightUntil: weightUntil
            )
            _ = health.set(intent: intent, now: start)
            #expect(health.view.status == .drain && health.view.weight == 9)
            #expect(health.view.nextChange == early)
            _ = health.refresh(now: early)
            #expect(health.view.status == (until == early ? .up : .drain))
            #expect(health.view.weight == (weightUntil == early ? 4 : 9))
            #expect(health.view.nextChange == late)
            _ = health.refresh(now: late)
            #expect(health.view.status == .up && health.view.weight == 4)
        }
    }

    /// Who, since when, until when, why; whatever else is told of the peer.
    @Test func `weight 0 says who gave it`() {
        var health = peer(weight: 4)
        _ = health.apply(verdict(.up), now: start)
        let since = start + .seconds(-60)
        let intent = Intent(weight: 0, weightBy: "ann (muster/1)")
        _ = health.set(intent: intent, weightSince: since, now: start)
        let words = "weight 0, set by ann (muster/1) at \(since): no new requests, still probed"
        #expect(health.view.status == .up && health.view.reason == words)
        _ = health.set(intent: nil, now: start)
        #expect(health.view.reason == "")
        _ = health.set(intent: Intent(weight: 0), now: start)
        #expect(
            health.view.reason == "weight 0, set by an operator: no new requests, still probed"
        )
        // Nobody is probed for its status in maintenance.
        _ = health.set(intent: Intent(mode: .maint, weight: 0), now: start)
        #expect(health.view.reason == "operator asked for maint")

        var configured = peer(weight: 0)
        _ = configured.apply(verdict(.up), now: start)
        #expect(
            configured.view.reason == "weight 0, as configured: no new requests, still probed"
        )
    }

    @Test func `a weight does not make ready what is configured down`() {
        var health = peer(isDisabled: true)
        _ = health.apply(verdict(.up), now: start)
        _ = health.set(intent: Intent(weight: 3), now: start)
        #expect(health.view.status == .maint && health.view.weight == 3)
        let until = start + .seconds(1)
        _ = health.set(intent: Intent(mode: .ready, until: until), now: start)
        #expect(health.view.status == .up)
        _ = health.refresh(now: until)
        #expect(health.view.status == .maint)
    }

    @Test func `configured down is maintenance until somebody says ready`() {
        var health = peer(isDisabled: true)
        _ = health.apply(verdict(.up), now: start)
        #expect(health.view.status == .maint)
        #expect(health.view.reason == "configured down")
        _ = health.set(intent: Intent(mode: .ready), now: start)
        #expect(health.view.status == .up)
    }

    // MARK: Agent words

    @Test(arguments: [
        (Hints(weightPercent: 50), PeerStatus.up, 200), (Hints(weightPercent: 0), .up, 0),
        (Hints(weightPercent: 200), .up, 800), (Hints(weightPercent: -5), .up, 0),
        (Hints(admin: .drain), .drain, 400),
        (Hints(admin: .maint), .maint, 400), (Hints(admin: .ready), .up, 400),
    ])
    func `agent words set weight and mode`(hints: Hints, status: PeerStatus, weight: Int) {
        var health = peer(weight: 4)
        _ = health.apply(verdict(.up, hints: hints), now: start)
        #expect(health.view.status == status)
        #expect(health.view.effectiveCentiweight == weight)
    }

    @Test(arguments: [
        (100, 300, 25_600), (256, 100, 25_600), (256, 25_600, 25_600), (85, 300, 25_500),
    ])
    func `an agent's percentage ends at the greatest weight`(
        weight: Int,
        percent: Int,
        effective: Int
    ) {
        var health = peer(weight: weight)
        _ = health.apply(verdict(.up, hints: Hints(weightPercent: percent)), now: start)
        #expect(health.view.effectiveCentiweight == effective)
    }

    @Test func `of several agents the most cautious is heard`() {
        var health = peer(weight: 4, required: ["one", "two"])
        _ = health.apply(
            verdict(.up, by: "one", hints: Hints(weightPercent: 50, maxConnections: 9)),
            now: start
        )
        _ = health.apply(
            verdict(.up, by: "two", hints: Hints(weightPercent: 80, maxConnections: 5)),
            now: start
        )
        #expect(health.view.effectiveCentiweight == 200)
        #expect(health.view.maxConnections == 5)
    }

    private typealias State = (status: HealthCounter.Status, isDegraded: Bool)

    private func expected(
        _ one: State?,
        _ two: State?,
        _ extra: State?,
        _ mode: Intent.Mode
    ) -> PeerStatus {
        if mode == .maint { return .maint }
        if one?.status == .down || two?.status == .down { return .down }
        if mode == .drain { return .drain }
        if one == nil || two == nil { return .unknown }
        let isDegraded = [one, two, extra].contains { $0?.isDegraded == true }
        return isDegraded || extra?.status == .down ? .degraded : .up
    }

    private func words(_ state: State?) -> String {
        state.map { $0.isDegraded ? "degraded" : $0.status.rawValue } ?? "silent"
    }

    /// Two required monitors and one optional, each in every state, under every intent: the joined
    /// status is the one the table of precedence gives.
    @Test func `every combination is joined by the same rule`() {
        let states: [State?] = [
            nil, (.up, false), (.up, true), (.down, false),
        ]
        for one in states {
            for two in states {
                for extra in states {
                    for mode in Intent.Mode.allCases {
                        var health = peer(required: ["one", "two"])
                        for (name, state) in [("one", one), ("two", two), ("extra", extra)] {
                            guard let state else { continue }
                            _ = health.apply(
                                verdict(state.status, by: name, isDegraded: state.isDegraded),
                                now: start
                            )
                        }
                        _ = health.set(intent: Intent(mode: mode), now: start)
                        #expect(
                            health.view.status == expected(one, two, extra, mode),
                            "\(words(one)), \(words(two)), optional \(words(extra)), \(mode)"
                        )
                    }
                }
            }
        }
    }

    /// A renewal is taken without joining anew. Whatever comes, and whenever, the view must be what
    /// joining anew would have made of it.
    @Test(arguments: 0..<64 as Range<UInt64>)
    func `after every verdict the view is what a join would say`(seed: UInt64) {
        var random = Lehmer(seed: seed)
        var health = peer(
            slowStart: seed % 3 == 0 ? .seconds(2) : .zero,
            required: seed % 2 == 0 ? ["http"] : ["http", "tcp"]
        )
        var now = start
        for sequence in 1...200 as ClosedRange<UInt64> {
            now = now + .milliseconds(Int64(random.next(below: 400)))
            if random.next(below: 20) == 0 {
                now = now + .seconds(3)
                _ = health.refresh(now: now)
            }
            if random.next(below: 25) == 0 {
                let until = random.next(below: 2) == 0 ? now + .seconds(1) : nil
                let intent = Intent(mode: .drain, until: until)
                _ = health.set(intent: random.next(below: 2) == 0 ? intent : nil, now: now)
            }
            let monitor = random.next(below: 3) == 0 ? "tcp" : "http"
            let status: HealthCounter.Status = random.next(below: 8) == 0 ? .down : .up
            let said = verdict(
                status,
                by: monitor,
                sequence: sequence,
                isDegraded: random.next(below: 10) == 0,
                hints: Hints(weightPercent: random.next(below: 10) == 0 ? 50 : nil),
                at: now,
                life: .milliseconds(Int64(500 + random.next(below: 1_000)))
            )
            _ = health.apply(said, now: now)
            #expect(health.verdict(by: monitor) == said)
            var joined = health
            let change = joined.refresh(now: now)
            #expect(change == nil, "step \(sequence): \(said) at \(now)")
        }
    }

    /// The same numbers for the same seed, everywhere.
    private struct Lehmer {
        private var state: UInt64

        init(seed: UInt64) { state = seed &* 2_654_435_769 &+ 1 }

        mutating func next(below bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
    }

    @Test func `a degraded peer that fails tells how far it is from down`() {
        var peer = peer()
        var failing = verdict(.up, isDegraded: true)
        failing.fall = 3
        failing.rise = 2
        failing.health = 3
        failing.reason = .layer7Status
        failing.code = 500
        failing.message = ""
        _ = peer.apply(failing, now: start)
        #expect(peer.view.status == .degraded)
        #expect(peer.view.reason == "1 of 3 failures: L7STS/500 (http)")
    }

    @Test func `what takes nothing has no effective weight`() {
        var peer = peer()
        _ = peer.apply(verdict(.up), now: start)
        #expect(peer.view.effectiveWeight == 4)
        _ = peer.apply(verdict(.down, sequence: 2), now: start)
        #expect(peer.view.effectiveWeight == 0 && peer.view.effectiveCentiweight == 400)
        _ = peer.apply(verdict(.up, sequence: 3), now: start)
        for mode in [Intent.Mode.drain, .maint] {
            _ = peer.set(intent: Intent(mode: mode), now: start)
            #expect(peer.view.effectiveWeight == 0)
        }
        _ = peer.set(intent: nil, now: start)
        #expect(peer.view.effectiveWeight == 4)
    }

    @Test func `what any monitor finds of an address is told of the peer, and is news`() {
        var health = peer(required: ["http"])
        func found(_ down: [String], by monitor: String, _ sequence: UInt64) -> [String]? {
            var verdict = verdict(.up, by: monitor, sequence: sequence)
            verdict.downAddresses = down
            return health.apply(verdict, now: start)?.to.downAddresses
        }
        #expect(found([], by: "http", 1) == [])
        #expect(found(["192.0.2.2:80"], by: "http", 2) == ["192.0.2.2:80"])
        #expect(found(["192.0.2.2:80"], by: "http", 3) == nil, "a renewal")
        #expect(
            found(["192.0.2.1:80", "192.0.2.2:80"], by: "tcp", 4)
                == ["192.0.2.1:80", "192.0.2.2:80"]
        )
        #expect(found([], by: "http", 5) == nil, "the other monitor says so still")
        let change = health.forget(monitor: "tcp", now: start)
        #expect(change?.to.downAddresses == [])
    }
}
