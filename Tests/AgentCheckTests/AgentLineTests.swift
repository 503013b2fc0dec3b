// Is every line of the grammar that HAProxy measured, and does it say what muster means?

import Health
import Testing
import Vocabulary

@testable import AgentCheck

private let start = WallTime(milliseconds: 1_000_000)

/// A peer's view after some history, and the line about it.
private struct Scene {
    var definition = peer("s1")
    var slowStart = Nanoseconds.zero
    var required: Set<String> = ["http"]
    var isDisabled = false
    var verdicts: [Verdict] = []
    var intent: Intent?
    var at = start

    var view: PeerView {
        var health = PeerHealth(
            policy: PeerPolicy(
                weight: definition.weight,
                slowStart: slowStart,
                isDisabled: isDisabled,
                requiredMonitors: required
            ),
            now: start
        )
        for verdict in verdicts { _ = health.apply(verdict, now: verdict.checkedAt) }
        _ = health.set(intent: intent, now: at)
        _ = health.refresh(now: at)
        return health.view
    }

    func line(
        askers: Int = 1,
        isStoreLost: Bool = false,
        owesUp: Bool = false,
        _ change: (inout AgentCheckPolicy) -> Void = { _ in }
    ) -> String {
        answer(askers: askers, isStoreLost: isStoreLost, owesUp: owesUp, change).text
    }

    func answer(
        askers: Int = 1,
        isStoreLost: Bool = false,
        owesUp: Bool = false,
        _ change: (inout AgentCheckPolicy) -> Void = { _ in }
    ) -> AgentAnswer {
        var policy = AgentCheckPolicy()
        change(&policy)
        let view = view
        var hold = AdminHold()
        hold.observe(view.asked, at: Instant(nanoseconds: 0), hold: policy.hold)
        let admin: Intent.Mode? =
            switch policy.adminWords {
            case .whenSet: hold.word(at: Instant(nanoseconds: 0))
            case .always: view.asked
            case .never: nil
            }
        return AgentQuestion(
            definition: definition,
            view: view,
            admin: admin,
            askers: askers,
            isStoreLost: isStoreLost,
            owesUp: owesUp,
            policy: policy
        ).answer
    }
}

private let up = verdict(.up, at: start)
private let down = verdict(.down, message: "Connection refused", at: start)

private func intent(_ mode: Intent.Mode, _ reason: String = "", weight: Int? = nil) -> Intent {
    Intent(mode: mode, reason: reason, weight: weight)
}

@Suite struct AgentLineTests {
    @Test func `up and down say everything HAProxy would remember`() {
        #expect(Scene(verdicts: [up]).line() == "up 100%\n")
        #expect(
            Scene(verdicts: [down]).line() == "down 100% # L4CON Connection refused (http)\n"
        )
    }

    @Test func `a down is taken back once its check passes, though another cannot speak`() {
        let silent = verdict(.unknown, by: "command", at: start)
        let back = verdict(.up, at: start, sequence: 2)
        let both: Set<String> = ["http", "command"]
        #expect(
            Scene(required: both, verdicts: [silent, down]).line()
                .hasPrefix("down 100% # L4CON Connection refused (http); no opinion yet: ")
        )
        let scene = Scene(required: both, verdicts: [silent, down, back])
        #expect(scene.view.isAvailable)
        #expect(scene.line().hasPrefix("up 100% # no opinion yet: "))
        #expect(scene.line { $0.unprobed = .down }.hasPrefix("down 100%"), "as configured")
    }

    @Test func `nothing is said before every required check was asked`() {
        let scene = Scene(required: ["http", "command"], verdicts: [up])
        #expect(scene.line() == "\n")
    }

    /// The check that said `down` is gone, and no other has an opinion.
    @Test func `a down is taken back where nobody says down any more`() {
        let silent = verdict(.unknown, at: start)
        #expect(Scene(verdicts: [silent]).line() == "\n")
        #expect(Scene(verdicts: [silent]).line(owesUp: true).hasPrefix("up 100%"))
        #expect(Scene(verdicts: [down]).line(owesUp: true).hasPrefix("down"))
        // Expired, and the last that is known: requests do not go there either.
        let late = start + .seconds(1_000_000)
        let expired = Scene(verdicts: [down], at: late)
        #expect(expired.line(owesUp: true) { $0.stale = .unchanged } == "\n")
        let found = Scene(verdicts: [up], at: late)
        #expect(found.line(owesUp: true) { $0.stale = .unchanged }.hasPrefix("up 100%"))
    }

    @Test func `a degraded peer is up and says why`() {
        let warned = verdict(.up, isDegraded: true, message: "slow", at: start)
        #expect(Scene(verdicts: [warned]).line() == "up 100% # L7OK slow (http)\n")
    }

    /// Rows: milliseconds since the peer came back, and the weight then.
    @Test(arguments: [(0, "10%"), (100, "10%"), (250, "25%"), (500, "50%"), (1_000, "100%")])
    func `weight follows slow start and never reaches zero`(since: Int64, weight: String) {
        let back = verdict(.up, at: start + .milliseconds(10), sequence: 2)
        let scene = Scene(
            slowStart: .seconds(1),
            verdicts: [down, back],
            at: back.checkedAt + .milliseconds(since)
        )
        #expect(scene.line().hasPrefix("up \(weight)"))
    }

    /// Rows: configured weight, weight by intent, agent's per cent, and what is said.
    @Test(
        arguments: [
            (1, nil, nil, "up 100%"), (2, nil, 75, "up 75%"), (10, 5, nil, "up 50%"),
            (1, 5, nil, "up 500%"), (10, 0, nil, "up 0%"), (100, nil, 0, "up 0%"),
            (256, 1, 1, "up 1%"), (0, nil, nil, "up 0%"), (0, 3, nil, "up 100%"),
            (1, 256, 25_600, "up 25600%"),
            // HAProxy makes 256 of it, its greatest weight.
            (100, nil, 300, "up 256%"),
        ] as [(Int, Int?, Int?, String)]
    )
    func `weight is relative to the configured one`(
        configured: Int,
        byIntent: Int?,
        percent: Int?,
        said: String
    ) {
        let scene = Scene(
            definition: peer("s1", weight: configured),
            verdicts: [verdict(.up, hints: Hints(weightPercent: percent), at: start)],
            intent: byIntent.map { intent(.ready, weight: $0) }
        )
        #expect(scene.line().dropLast().prefix { $0 != "#" }.trimmed == said)
    }

    @Test func `static balancing hears only 0 and 100`() {
        let half = Scene(verdicts: [verdict(.up, hints: Hints(weightPercent: 50), at: start)])
        let none = Scene(verdicts: [verdict(.up, hints: Hints(weightPercent: 0), at: start)])
        #expect(half.line { $0.weights = .onOff }.hasPrefix("up 100%"))
        #expect(none.line { $0.weights = .onOff }.hasPrefix("up 0%"))
    }

    /// Rows: configured limit, the agent's, how many ask, and the share of each.
    @Test(
        arguments: [
            (30, nil, 1, " maxconn:30"), (30, nil, 4, " maxconn:8"), (nil, 2, 3, " maxconn:1"),
            (30, 10, 2, " maxconn:5"), (nil, 0, 2, " maxconn:0"), (nil, -5, 2, " maxconn:0"),
            (nil, nil, 2, ""), (30, 0, 1, " maxconn:30"),
        ] as [(Int?, Int?, Int, String)]
    )
    func `a connection limit is divided, and never rounded to nothing`(
        configured: Int?,
        hinted: Int?,
        askers: Int,
        said: String
    ) {
        let hints = Hints(maxConnections: hinted)
        let scene = Scene(
            definition: peer("s1", maxConnections: configured),
            verdicts: [verdict(.up, hints: hints, at: start)]
        )
        #expect(scene.line(askers: askers) == "up 100%\(said)\n")
    }

    @Test func `a fixed number of askers is believed`() {
        let scene = Scene(definition: peer("s1", maxConnections: 30), verdicts: [up])
        #expect(scene.line(askers: 1) { $0.askers = 3 } == "up 100% maxconn:10\n")
    }

    // MARK: Admin words

    @Test func `drain and maint are told beside health, not instead of it`() {
        #expect(
            Scene(verdicts: [up], intent: intent(.drain, "deploy")).line()
                == "drain up 100% # operator asked for drain: deploy\n"
        )
        #expect(
            Scene(verdicts: [up], intent: intent(.maint)).line()
                == "maint up 100% # operator asked for maint\n"
        )
        #expect(Scene(verdicts: [down], intent: intent(.drain)).line().hasPrefix("drain down 100%"))
        #expect(Scene(verdicts: [down], intent: intent(.maint)).line().hasPrefix("maint down 100%"))
    }

    @Test func `configured down is maint`() {
        #expect(
            Scene(isDisabled: true, verdicts: [up]).line() == "maint up 100% # configured down\n"
        )
    }

    @Test func `a peer whose own agent asks for drain is drained`() {
        let asking = verdict(.up, hints: Hints(admin: .drain), at: start)
        #expect(Scene(verdicts: [asking]).line().hasPrefix("drain up 100%"))
        let down = verdict(.down, hints: Hints(admin: .drain), at: start)
        #expect(Scene(verdicts: [down]).line().hasPrefix("drain down 100%"))
    }

    @Test func `never says drain and maint of a peer nothing is known of too`() {
        let drained = Scene(intent: Intent(mode: .drain))
        #expect(drained.line { $0.adminWords = .never }.hasPrefix("up 0%"))
        let inMaint = Scene(intent: Intent(mode: .maint))
        #expect(inMaint.line { $0.adminWords = .never }.hasPrefix("down 100%"))
        #expect(Scene().line { $0.adminWords = .never } == "\n")
    }

    @Test func `always says ready, never says it with weight and health`() {
        #expect(Scene(verdicts: [up]).line { $0.adminWords = .always } == "ready up 100%\n")
        let drained = Scene(verdicts: [up], intent: intent(.drain))
        #expect(drained.line { $0.adminWords = .never }.hasPrefix("up 0%"))
        let inMaint = Scene(verdicts: [up], intent: intent(.maint))
        #expect(inMaint.line { $0.adminWords = .never }.hasPrefix("down 100%"))
    }

    // MARK: Not knowing

    @Test func `a peer without verdict changes nothing unless the policy says so`() {
        let scene = Scene()
        #expect(scene.line() == "\n")
        #expect(scene.line { $0.unprobed = .lastKnown } == "\n")
        #expect(scene.line { $0.unprobed = .down } == "down 100% # http: not probed yet\n")
        #expect(scene.line { $0.unprobed = .up } == "up 100% # http: not probed yet\n")
    }

    @Test func `a drain is told even of a peer without verdict`() {
        #expect(Scene(intent: intent(.drain)).line() == "drain\n")
    }

    @Test(arguments: [HealthCounter.Status.up, .down])
    func `a stale verdict is repeated, and says that it is stale`(status: HealthCounter.Status) {
        let old = verdict(status, at: start, expiresAt: start + .seconds(1))
        let scene = Scene(verdicts: [old], at: start + .seconds(5))
        #expect(
            scene.line().hasPrefix("\(status.rawValue) 100% # http: last \(status.rawValue) at ")
        )
        #expect(scene.line().utf8.count <= AgentLine.reasonBytesMax + 15)
        #expect(scene.line { $0.stale = .unchanged } == "\n")
        #expect(scene.line { $0.stale = .down }.hasPrefix("down 100%"))
        #expect(scene.line { $0.stale = .up }.hasPrefix("up 100%"))
    }

    @Test func `a lost store leaves the answer from memory, unless silence is asked for`() {
        let scene = Scene(verdicts: [up])
        #expect(scene.line(isStoreLost: true) == "up 100%\n")
        #expect(scene.line(isStoreLost: true) { $0.storeLost = .unchanged } == "\n")
        #expect(scene.line(isStoreLost: true) { $0.storeLost = .down } == "down 100%\n")
    }

    // MARK: HTTP

    @Test func `the status says what the line says`() {
        #expect(Scene(verdicts: [up]).answer().httpStatus == 200)
        #expect(Scene(verdicts: [down]).answer().httpStatus == 503)
        #expect(Scene(verdicts: [up], intent: intent(.drain)).answer().httpStatus == 404)
        #expect(Scene(verdicts: [down], intent: intent(.drain)).answer().httpStatus == 503)
        #expect(Scene(verdicts: [up], intent: intent(.maint)).answer().httpStatus == 503)
        #expect(Scene().answer().httpStatus == 200)
        #expect(Scene(verdicts: [up]).answer { $0.statuses.up = 204 }.httpStatus == 204)
    }

    // MARK: The text

    @Test func `a reason is one short printable line whatever went into it`() {
        let wild = "a\r\nb\0c\u{7F}\tö€ # up\u{1B}[31m " + String(repeating: "x", count: 300)
        let text = AgentLine(health: .down, reason: wild).text
        #expect(text.hasPrefix("down # a b c ?? # up [31m xxx"))
        #expect(text.hasSuffix("x...\n"))
        #expect(text.utf8.count <= AgentLine.reasonBytesMax + "down # \n".utf8.count)
        #expect(text.utf8.dropLast().allSatisfy { (0x20...0x7E).contains($0) })
    }

    @Test func `a reason of exactly the limit is kept whole`() {
        let reason = String(repeating: "y", count: AgentLine.reasonBytesMax)
        #expect(AgentLine(health: .up, reason: reason).text == "up # \(reason)\n")
        #expect(AgentLine(health: .up, reason: " \r\n").text == "up\n")
    }

    @Test func `numbers out of range are brought into it`() {
        let line = AgentLine(health: .up, weightPercent: -3, maxConnections: -1)
        #expect(line.text == "up 0% maxconn:0\n")
        #expect(AgentLine(health: .up, weightPercent: .max).text == "up 25600%\n")
    }

    /// Everything that can come out, against the grammar, word by word.
    @Test func `every line keeps to the words that every HAProxy takes`() {
        for line in everyLine {
            let text = line.text
            #expect(text.hasSuffix("\n") && !text.dropLast().contains { $0.isNewline })
            let parts = text.dropLast().split(separator: "#", maxSplits: 1)
            let words = (parts.first ?? "").split(separator: " ").map(String.init)
            for word in words {
                let isKnown =
                    ["up", "down", "ready", "drain", "maint"].contains(word)
                    || word.wholeMatch(of: /\d+%/) != nil
                    || word.wholeMatch(of: /maxconn:\d+/) != nil
                #expect(isKnown, "\(word) in \(text)")
            }
            if parts.count == 2 { #expect(parts[0].last == " " && parts[1].first == " ") }
        }
    }
}

/// Each admin word, health, weight and limit with each other.
let everyLine: [AgentLine] = {
    var lines = [AgentLine.neutral]
    for admin in [nil] + Intent.Mode.allCases.map({ Optional($0) }) {
        lines.append(AgentLine(admin: admin))
        for health in [AgentLine.HealthWord.up, .down] {
            for weight in [nil, 0, 1, 50, 100, 500, AgentLine.weightPercentMax] {
                for limit in [nil, 0, 1, 30, AgentLine.maxConnectionsMax] {
                    for reason in ["", "L4CON Connection refused (http); a, b # up 50%"] {
                        lines.append(
                            AgentLine(
                                admin: admin,
                                health: health,
                                weightPercent: weight,
                                maxConnections: limit,
                                reason: reason
                            )
                        )
                    }
                }
            }
        }
    }
    return lines
}()

extension StringProtocol {
    var trimmed: String { String(trimmingPrefix(" ").reversed().trimmingPrefix(" ").reversed()) }
}
