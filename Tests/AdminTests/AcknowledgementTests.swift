// Does an answer say what it is worth, and what is asked of the peer?

import Health
import Store
import Testing
import Vocabulary

@testable import Admin

@Suite struct AcknowledgementTests {
    @Test(
        arguments: [
            (IntentReach.everywhere, true, "stored", nil),
            (
                .memory, true, "memory",
                "in memory only; a restart forgets it (no store.state-file)"
            ),
            (.here, false, "agent", "on this agent only until the store is back"),
            (
                .unwritten(why: "no room"), false, "memory",
                "in memory only until the disk takes it: no room"
            ),
        ] as [(IntentReach, Bool, JSON, JSON?)]
    )
    func `an order is answered with what it is worth`(
        reach: IntentReach,
        isKept: Bool,
        word: JSON,
        note: JSON?
    ) {
        let answer = JSON.object(UpstreamJSON.acknowledgement(reach))
        #expect(UpstreamJSON.isKept(reach) == isKept)
        #expect(answer["acknowledged"] == word)
        #expect(answer["acknowledged_note"] == note)
        // Whoever reads lines must not take for kept what a restart forgets.
        let line = CompatConfigServer.done(reach)
        #expect(line.status == (isKept ? .ok : .accepted))
        guard case .bytes(let bytes) = line.body else {
            Issue.record("expected a line")
            return
        }
        #expect(String(decoding: bytes, as: UTF8.self) == (isKept ? "" : note?.string))
    }

    @Test func `a weight set by hand stands beside the configured one, with reason and end`() {
        let now = WallTime(milliseconds: 0)
        let end = now + .seconds(60)
        let intent = Intent(weight: 0, weightReason: "test", weightUntil: end, weightBy: "root")
        var health = PeerHealth(policy: PeerPolicy(weight: 5, requiredMonitors: []), now: now)
        _ = health.set(intent: intent, now: now)
        let definition = PeerDefinition(address: .host("10.0.0.1", port: 80), weight: 5)
        let report = PeerReport(
            definition: definition,
            view: health.view,
            intent: intent,
            verdicts: []
        )
        let shown = UpstreamJSON.peer(report, monitors: [], now: now)
        #expect(shown["weight"] == 0)
        #expect(shown["configured_weight"] == 5)
        #expect(shown["weight_reason"] == "test")
        #expect(shown["weight_until"]?.string == end.description)
        #expect(shown["weight_by"] == "root" && shown["intent_by"] == .null)
        let later = UpstreamJSON.peer(report, monitors: [], now: end)
        #expect(later["weight_reason"] == nil)
    }

    @Test func `a drain says who asked for it, and a weight without an end has none`() {
        let now = WallTime(milliseconds: 0)
        let intent = Intent(mode: .drain, reason: "deploy", weight: 2, by: "ann", weightBy: "")
        var health = PeerHealth(policy: PeerPolicy(weight: 5, requiredMonitors: []), now: now)
        _ = health.set(intent: intent, now: now)
        let report = PeerReport(
            definition: PeerDefinition(address: .host("10.0.0.1", port: 80), weight: 5),
            view: health.view,
            intent: intent,
            verdicts: []
        )
        let shown = UpstreamJSON.peer(report, monitors: [], now: now)
        #expect(shown["intent_by"] == "ann" && shown["intent_until"] == .null)
        #expect(shown["weight_by"] == .null && shown["weight_until"] == .null)
        #expect(shown["weight_reason"] == "")
    }

    @Test(arguments: [
        "ask(\"/ready\")", "is away", "takes no writes", "no available peer: ", "with weight 0",
        "configured_weight", "in panic since ", "the configuration was refused at ",
        "this agent doubts itself: ", "held as they were since ", " s and not begun: ",
        "store.twin", "source.connected", "; routing goes on with what was read",
        "a restart is due: ",
        "Give all agents the same definition",
    ])
    func `the dashboard tells of the store and of who is missing`(words: String) {
        #expect(Dashboard.page.contains(words))
    }

    @Test func `the dashboard says within seconds that nobody answers`() {
        #expect(Dashboard.page.contains("const silenceMax = 6000;"))
        #expect(Dashboard.page.contains("Date.now() - lastAnswer > silenceMax) missing();"))
        #expect(Dashboard.page.contains("=== 1 ? \" outage\" : \" outages\""))
    }

    @Test func `who acts on the dashboard is called so`() {
        #expect(Dashboard.page.contains("const headers = { From: \"dashboard\","))
    }
}
