// Is what agents say of themselves, and why a peer is as it is, told in the promised shape?

import EventLoop
import Health
import Testing
import Vocabulary

@testable import Admin
@testable import Monitor
@testable import Proxy
@testable import Store

@Suite struct FleetJSONTests {
    private static let noon = WallTime(milliseconds: 1_795_867_200_000)

    private func report(
        _ id: String,
        pairs: Int,
        _ state: FleetReport.State = .member
    ) -> FleetReport {
        FleetReport(
            id: id,
            version: "1",
            zone: nil,
            started: Self.noon,
            seen: Self.noon,
            age: .zero,
            state: state,
            weight: 1,
            pairs: pairs,
            lateness: .milliseconds(5),
            doubt: 0.666,
            reasons: ["mass-failure"]
        )
    }

    @Test func `shares are of all pairs that somebody probes`() throws {
        let reports = [
            report("a1", pairs: 30), report("a2", pairs: 10), report("a3", pairs: 9, .silent),
            report("a4", pairs: 8, .left),
        ]
        let json = AgentsJSON.make(reports, isComplete: true)
        let shares = json["agents"]?.items?.compactMap { $0["share"]?.double }
        #expect(shares == [0.75, 0.25, 0, 0])
        #expect(json["agents"]?.items?.compactMap { $0["pairs"]?.int } == [30, 10, 9, 0])
        let first = try #require(json["agents"]?[0])
        #expect(first["doubt"]?.double == 0.67)
        #expect(first["reasons"]?.items == ["mass-failure"])
        #expect(first["started"]?.string == "\(Self.noon)")
        #expect(json["complete"] == true)
    }

    @Test func `what is held as it was is told of each agent that lives`() throws {
        var holding = report("a1", pairs: 30)
        holding.hold = .init(since: Self.noon, pairs: 12)
        var silent = report("a2", pairs: 10, .silent)
        silent.hold = holding.hold
        let agents = AgentsJSON.make([holding, silent], isComplete: true)["agents"]
        #expect(agents?[0]?["held"] == ["since": .string("\(Self.noon)"), "pairs": 12])
        #expect(agents?[1]?["held"] == .null)
    }

    @Test func `until when beats were written is told with why, and by which lease each goes`() {
        var one = report("a1", pairs: 30)
        (one.heardUntil, one.lease, one.settle) = (Self.noon, .seconds(3), .seconds(4))
        let refused = AgentsJSON.make(
            [one],
            isComplete: true,
            writeError: "OOM command not allowed"
        )
        #expect(refused["heard_until"]?.string == "\(Self.noon)")
        #expect(refused["write_error"] == "OOM command not allowed")
        #expect(refused["agents"]?[0]?["lease_ms"] == 3_000)
        #expect(refused["agents"]?[0]?["settle_ms"] == 4_000)
        let well = AgentsJSON.make([report("a1", pairs: 30)], isComplete: true)
        #expect(well["heard_until"] == .null && well["write_error"] == .null)
        #expect(well["agents"]?[0]?["lease_ms"] == .null)
    }

    @Test func `pairs that are held are a gauge`() {
        func text(_ hold: FleetReport.Hold?) -> String {
            MetricsText.make(
                agent: "a1",
                uptime: .seconds(5),
                upstreams: [],
                store: StoreStatus(kind: "redis", isConnected: true, since: Self.noon),
                scheduler: SchedulerMetrics(),
                fleet: FleetStatus(
                    state: .member,
                    weight: 1,
                    doubt: 0,
                    reasons: [],
                    words: [],
                    hold: hold,
                    members: 2,
                    counts: FleetDesk.Counts(),
                    isAway: false
                ),
                definedOtherwise: 3,
                pairs: [],
                proxy: Proxy.Report()
            )
        }
        #expect(text(nil).contains("\nmuster_mass_change_held 0\n"))
        let held = text(.init(since: Self.noon, pairs: 12))
        #expect(held.contains("\nmuster_mass_change_held 12\n"))
        #expect(held.contains("\nmuster_other_definitions 3\n"))
    }

    // MARK: Explaining

    private var verdict: Verdict {
        Verdict(
            key: VerdictKey(upstream: "web", peer: "a", monitor: "http"),
            kind: "http",
            status: .up,
            health: 3,
            rise: 2,
            fall: 3,
            reason: .layer7Status,
            code: 500,
            latency: .zero,
            since: Self.noon,
            checkedAt: Self.noon,
            expiresAt: Self.noon + .seconds(4),
            agent: "a2",
            epoch: 7,
            sequence: 1
        )
    }

    private func explained(
        _ verdict: Verdict,
        intent: Intent? = nil,
        by pair: PairExplanation? = nil,
        isRequired: Bool = true,
        from agent: String = "a1",
        hold: FleetReport.Hold? = nil,
        ejection: Ejection? = nil,
        otherwise: [OtherDefinition] = [],
        asOf: WallTime? = nil,
        isPanic: Bool = false,
        isDisabled: Bool = false,
        refusals: [Proxy.Refusal] = [],
        isWatched: Bool = true,
        slowStart: Nanoseconds = .zero
    ) throws -> JSON {
        let monitor = MonitorSummary(
            upstream: "web",
            id: "http",
            kind: "http",
            isRequired: isRequired,
            rise: 2,
            fall: 3,
            interval: .seconds(1)
        )
        let address = try #require(Address(text: "10.0.0.1:80"))
        var health = PeerHealth(
            policy: PeerPolicy(
                weight: 1,
                slowStart: slowStart,
                isDisabled: isDisabled,
                requiredMonitors: ["http"]
            ),
            now: Self.noon,
            isJoining: slowStart > .zero
        )
        _ = health.apply(verdict, now: Self.noon)
        let asked = Self.noon + -.seconds(60)
        _ = health.set(intent: intent, since: asked, weightSince: asked, now: Self.noon)
        if let ejection { _ = health.eject(ejection, now: Self.noon) }
        let peer = PeerReport(
            definition: PeerDefinition(id: "a", address: address, isDisabled: isDisabled),
            view: health.view,
            intent: intent,
            verdicts: [verdict],
            ejection: health.ejection,
            askedSince: health.askedSince,
            weightSince: health.weightSince,
            slowStartEnd: health.slowStartEnd
        )
        return ExplainJSON(
            agent: agent,
            upstream: "web",
            report: peer,
            monitors: isWatched ? [(monitor, pair)] : [],
            transitions: [],
            otherwise: otherwise,
            massHold: hold,
            asOf: asOf,
            isPanic: isPanic,
            refusals: refusals,
            now: Self.noon
        ).json
    }

    private func strings(_ json: JSON?) -> [String] { json?.items?.compactMap(\.string) ?? [] }

    @Test func `what the configuration says of a peer, where an order holds instead, is overruled`()
        throws
    {
        for (mode, says) in [
            (Intent.Mode.ready, "overruled"), (.drain, "overruled"), (nil, "maint"),
        ] {
            let json = try explained(
                verdict,
                intent: mode.map { Intent(mode: $0) },
                isDisabled: true
            )
            let layer = json["layers"]?.items?.first { $0["layer"] == "configuration" }
            #expect(layer?["says"]?.string == says)
        }
    }

    @Test func `a peer that nobody watches is of its upstream too`() throws {
        let json = try explained(verdict, intent: Intent(mode: .drain), isWatched: false)
        #expect(json["upstream"] == "web")
        #expect(strings(json["would_change"]).first?.hasSuffix("muster peer ready web a") == true)
    }

    @Test func `what the settings of its upstream cost requests is told of a peer`() throws {
        let refusal = Proxy.Refusal(
            cause: "queue-timeout",
            setting: "queue.timeout",
            answer: 503,
            count: 7,
            since: Self.noon + -.seconds(20),
            last: Self.noon + -.seconds(5),
            words: "why"
        )
        let json = try explained(verdict, refusals: [refusal])
        let layer = try #require(json["layers"]?.items?.last)
        #expect(layer["layer"] == "requests of web")
        #expect(layer["says"] == "queue-timeout")
        let (begun, last) = (Self.noon + -.seconds(20), Self.noon + -.seconds(5))
        #expect(
            layer["reason"]?.string
                == "7 requests answered 503 since \(begun), the last at \(last): why"
        )
    }

    @Test func `every layer is told, and what would change the status`() throws {
        let pair = PairExplanation(
            owner: "a2",
            why: "a2 is first in rank of 2 agents",
            rank: ["a2", "a1"],
            nextAt: Self.noon + .seconds(1),
            votes: [
                .init(agent: "a1", status: "passes", reason: "L7OK"),
                .init(agent: "a3", status: nil),
            ],
            confirmAgents: 2
        )
        let intent = Intent(mode: .drain, reason: "deploy", by: "root")
        let json = try explained(verdict, intent: intent, by: pair)
        #expect(json["owner"] == "a2")
        #expect(json["rank"]?.items == ["a2", "a1"])
        #expect(json["next_probe_at"]?.string == "\(Self.noon + .seconds(1))")
        #expect(json["votes"]?.items?.map { $0["status"]?.text } == ["\"passes\"", "null"])
        #expect(json["votes"]?.items?.map { $0["reason"]?.text } == ["\"L7OK\"", "null"])
        let layers = json["layers"]?.items ?? []
        #expect(layers.compactMap { $0["layer"]?.string } == ["operator", "check http", "status"])
        #expect(layers.compactMap { $0["says"]?.string } == ["drain", "up", "drain"])
        #expect(
            layers[0]["reason"]?.string == "asked by root at \(Self.noon + -.seconds(60)): deploy"
        )
        let changes = strings(json["would_change"])
        #expect(changes.first == "the end of drain: muster peer ready web a")
        #expect(
            changes.contains(
                "http: 2 failures in a row take it down, and 2 other agents have a vote on that"
            )
        )
    }

    @Test
    func `a weight set by hand and an ejection are layers, with who, when and what ends them`()
        throws
    {
        let intent = Intent(
            weight: 5,
            weightReason: "warm up",
            weightUntil: Self.noon + .seconds(90),
            weightBy: "root"
        )
        var agreeing = verdict
        agreeing.hints = Hints(weightPercent: 50)
        let ejection = Ejection(
            "failed 2 requests (timeout) within 10s",
            from: Self.noon,
            for: .seconds(10),
            test: .connection
        )
        let json = try explained(agreeing, intent: intent, ejection: ejection, asOf: Self.noon)
        #expect(json["as_of"]?.string == "\(Self.noon)")
        let layers = (json["layers"]?.items ?? []).map { layer in
            ["layer", "says", "reason"].map { layer[$0]?.string ?? "" }
        }
        let (since, until) = (Self.noon + -.seconds(60), Self.noon + .seconds(90))
        let end = Self.noon + .seconds(10)
        #expect(layers[0] == ["operator", "ready", "nothing asked"])
        #expect(
            layers[1] == [
                "weight", "5", "asked by root at \(since), until \(until): warm up; configured: 1",
            ]
        )
        #expect(layers[3] == ["the peer's own agent", "weight 50%", "said over http"])
        #expect(
            layers[4] == [
                "traffic", "ejected", "failed 2 requests (timeout) within 10s, until \(end)",
            ]
        )
        let changes = strings(json["would_change"])
        #expect(
            changes[0]
                == "the end of weight 5 at \(until), or before by muster peer weight web a default"
        )
        #expect(
            changes[1]
                == "the end of the ejection: at \(end), or where this agent probes it, a second after its "
                + "checks have passed `rise` times in a row; or when no other peer is left"
        )
    }

    @Test func `an optional check takes nobody down, and brings nobody up`() throws {
        var down = verdict
        (down.status, down.health) = (.down, 1)
        let optional = strings(try explained(down, isRequired: false)["would_change"])
        #expect(
            optional == [
                "http: one pass ends that it degrades the peer",
                "http: no word of a2 until \(Self.noon + .seconds(4)) leaves this check out",
            ]
        )
        down.health = 0
        let required = strings(try explained(down)["would_change"])
        #expect(required.first == "http: 2 passes in a row bring it up")
        // Of nothing that is known there is nothing that could be over.
        var unknown = verdict
        (unknown.status, unknown.health) = (.unknown, 0)
        #expect(
            strings(try explained(unknown)["would_change"]) == ["http: a probe that says something"]
        )
    }

    @Test func `that another agent means something else is told before the checks`() throws {
        let other = OtherDefinition(key: verdict.key, agent: "a9", words: "is about another")
        let layers = try explained(verdict, otherwise: [other])["layers"]?.items ?? []
        #expect(layers[1]["layer"] == "agent a9" && layers[1]["says"] == "another definition")
        #expect(layers[1]["reason"] == "is about another")
    }

    @Test func `a failure that does not count is a layer, and what ends that is told`() throws {
        var held = verdict
        held.withheld = .massChange
        held.message = "last probe: L4TOUT no answer"
        let hold = FleetReport.Hold(since: Self.noon, pairs: 12)
        let here = try explained(held, from: "a2", hold: hold)
        let layer = try #require(here["layers"]?[2])
        #expect(layer["layer"] == "store.mass-change over http" && layer["says"] == "held")
        let words = "held as it was by store.mass-change, for too many fell silent at once, says a2"
        #expect(layer["reason"]?.string == "\(words); 12 pairs since \(Self.noon)")
        // Of another agent's hold this one knows what its verdict says.
        let there = try explained(held, from: "a1", hold: hold)
        #expect(there["layers"]?[2]?["reason"]?.string == words)
        #expect(there["reason"]?.string?.hasSuffix("; last probe: L4TOUT no answer (http)") == true)
        #expect(
            strings(there["would_change"]).first?.hasPrefix("http: an answer of it, or of") == true
        )
        held.withheld = .doubt
        let doubted = try explained(held)
        #expect(doubted["layers"]?[2]?["layer"] == "its agent over http")
        #expect(
            strings(doubted["would_change"]).first?.contains("the end of the doubt of a2") == true
        )
    }

    private func last(_ json: JSON) -> [String?] {
        let layer = json["layers"]?.items?.last
        return ["layer", "says", "reason"].map { layer?[$0]?.string }
    }

    @Test func `in panic it is told that a peer gets requests whatever its checks find`() throws {
        var down = verdict
        (down.status, down.health) = (.down, 0)
        let words =
            "it gets requests all the same: too few peers are available, so they go to all that are not "
            + "in maint, in drain or at weight 0"
        #expect(last(try explained(down, isPanic: true)) == ["upstream", "panic", words])
        #expect(last(try explained(down))[0] == "status")
        // It would get them anyway, or nobody may send it any.
        #expect(last(try explained(verdict, isPanic: true))[0] == "status")
        let maint = Intent(mode: .maint)
        #expect(last(try explained(down, intent: maint, isPanic: true))[0] == "status")
    }

    @Test func `no check changes anything in maint, and a slow start ends by itself`() throws {
        let still = "nothing that its checks find, while it is in maint"
        #expect(
            strings(try explained(verdict, intent: Intent(mode: .maint))["would_change"]) == [
                "the end of maint: muster peer ready web a", still,
            ]
        )
        var asking = verdict
        asking.hints = Hints(admin: .maint)
        #expect(
            strings(try explained(asking)["would_change"]) == [
                "the peer's own agent, which asked for maint: when it says ready", still,
            ]
        )
        #expect(
            strings(try explained(verdict, isDisabled: true)["would_change"]) == [
                "the configuration, which marks it down; or before: muster peer ready web a", still,
            ]
        )
        let starting = try explained(verdict, slowStart: .seconds(30))
        #expect(starting["status"] == "starting")
        #expect(
            strings(starting["would_change"]).first
                == "the end of its slow start at \(Self.noon + .seconds(30)): it has its whole weight then"
        )
    }

    @Test func `while the store is away the words of others hold, and time makes nothing of them`()
        throws
    {
        let json = try explained(verdict, asOf: Self.noon)
        #expect(
            json["layers"]?[1]?["reason"]?.string?.hasSuffix(
                ", holds until the store is heard again"
            ) == true
        )
        #expect(
            strings(json["would_change"]).last
                == "http: the return of the store, with what a2 finds"
        )
        // Its own go on.
        let own = try explained(verdict, from: "a2", asOf: Self.noon)
        #expect(strings(own["would_change"]).last?.hasSuffix(" makes it unknown") == true)
    }

    /// Whoever cannot be heard may be dead, and cannot be asked.
    @Test func `while others are not heard no probe of theirs is promised, nor a vote`() throws {
        let pair = PairExplanation(
            owner: "a2",
            why: "a2 held the claim when the store was last heard",
            rank: ["a2", "a1"],
            nextAt: Self.noon + .seconds(1),
            confirmAgents: 2
        )
        let json = try explained(verdict, by: pair, asOf: Self.noon)
        #expect(json["next_probe_at"] == .null)
        #expect(json["checks"]?[0]?["next_probe_at"] == .null)
        #expect(!strings(json["would_change"]).contains { $0.contains("vote") })
        let own = try explained(verdict, by: pair, from: "a2", asOf: Self.noon)
        #expect(own["next_probe_at"]?.string == "\(Self.noon + .seconds(1))")
    }

    @Test func `a failure that is not enough is told, and one that comes after a long silence`()
        throws
    {
        #expect(
            last(try explained(verdict))[2]
                == "no required check has failed often enough: http failed 1 of 3 times"
        )
        var over = verdict
        over.expiresAt = Self.noon + -.seconds(9)
        let json = try explained(over)
        #expect(json["status"] == "unknown")
        #expect(
            strings(json["would_change"]) == [
                "http: one pass makes it known again; 2 failures in a row take it down"
            ]
        )
        var best = verdict
        best.health = 4
        #expect(last(try explained(best))[2] == "every required check passes")
    }
}
