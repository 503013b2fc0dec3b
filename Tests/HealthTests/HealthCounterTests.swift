// Does a run of outcomes mean what it should? Rows read like strip charts: probes above, status below.

import Health
import Testing
import Vocabulary

@Suite struct HealthCounterTests {
    /// `+` pass, `-` fail, `!` fail at once; `U` up, `D` down after each.
    private func chart(_ probes: String, through counter: inout HealthCounter) -> String {
        String(
            probes.map { probe in
                _ = counter.observe(passed: probe == "+", isImmediate: probe == "!")
                return counter.status == .up ? "U" : "D"
            }
        )
    }

    @Test(arguments: [
        (rise: 1, fall: 1, probes: "+-+--", status: "UDUDD"),
        (rise: 2, fall: 3, probes: "+--+---", status: "UUUUUUD"),
        (rise: 2, fall: 3, probes: "-+-++", status: "DDDDU"),
        (rise: 2, fall: 2, probes: "+-+-+-", status: "UUUUUU"),
        (rise: 3, fall: 1, probes: "+-++-+++", status: "UDDDDDDU"),
        (rise: 1, fall: 3, probes: "---+--+---", status: "DDDUUUUUUD"),
        (rise: 2, fall: 2, probes: "+!++", status: "UDDU"),
        (rise: 2, fall: 5, probes: "!+!++", status: "DDDDU"),
    ])
    func `the status turns after enough dissent in a row`(
        rise: Int,
        fall: Int,
        probes: String,
        status: String
    ) {
        var counter = HealthCounter(thresholds: Thresholds(rise: rise, fall: fall))
        #expect(chart(probes, through: &counter) == status)
    }

    /// Small enough to try everything, so nothing is left to a random seed.
    @Test(arguments: 1...3, 1...3)
    func `no history of ten probes breaks the rule`(rise: Int, fall: Int) {
        for history in 0..<1_024 {
            var counter = HealthCounter(thresholds: Thresholds(rise: rise, fall: fall))
            // The rule said another way: a status stands until `rise` or `fall` in a row disagree.
            var expected: HealthCounter.Status?
            var dissent = 0
            for probe in 0..<10 {
                let passed = history >> probe & 1 == 1
                let before = counter.status
                let transition = counter.observe(passed: passed)
                let opinion: HealthCounter.Status = passed ? .up : .down
                if expected == nil || expected == opinion {
                    expected = opinion
                    dissent = 0
                } else {
                    dissent += 1
                    if dissent == (passed ? rise : fall) {
                        expected = opinion
                        dissent = 0
                    }
                }
                #expect(counter.status == expected, "history \(history), probe \(probe)")
                #expect((transition != nil) == (counter.status != before))
                #expect((0..<(rise + fall)).contains(counter.health))
                #expect((counter.health >= rise) == (counter.status == .up))
                #expect(counter.isInTransition == (dissent > 0))
            }
        }
    }

    @Test(arguments: 1...3, 1...3)
    func `a count that another takes over goes on as if nothing had happened`(rise: Int, fall: Int)
    {
        let thresholds = Thresholds(rise: rise, fall: fall)
        for history in 0..<256 {
            var one = HealthCounter(thresholds: thresholds)
            for probe in 0..<8 {
                _ = one.observe(passed: history >> probe & 1 == 1)
                let other = HealthCounter(
                    thresholds: thresholds,
                    resuming: one.status,
                    health: one.health
                )
                #expect(other == one)
            }
        }
    }

    @Test(arguments: [
        (HealthCounter.Status.up, 9, "UP"), (.up, -1, "UP 1/2"), (.down, 9, "DOWN 2/3"),
        (.down, -5, "DOWN"), (.unknown, 3, "INI"),
    ])
    func `a count of other thresholds stays on its side`(
        status: HealthCounter.Status,
        health: Int,
        shown: String
    ) {
        let counter = HealthCounter(
            thresholds: Thresholds(rise: 3, fall: 2),
            resuming: status,
            health: health
        )
        #expect(counter.status == status)
        #expect("\(counter)" == shown)
    }
}
