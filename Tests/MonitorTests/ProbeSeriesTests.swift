// Are the numbers right, and do failures stand apart?

import Health
import Monitor
import Testing
import Vocabulary

@Suite struct ProbeSeriesTests {
    @Test func `each duration falls into the first bucket that holds it`() {
        var histogram = Histogram()
        for bound in Histogram.bounds { histogram.record(bound) }
        histogram.record(.seconds(60))
        #expect(histogram.cumulative == (1...15).map { UInt64($0) })
        #expect(histogram.count == 15)
        #expect(histogram.sum == Histogram.bounds.reduce(.seconds(60), +))
    }

    @Test func `quantiles are bounds`() {
        var histogram = Histogram()
        #expect(histogram.quantile(0.5) == nil)
        for _ in 0..<99 { histogram.record(.microseconds(100)) }
        histogram.record(.milliseconds(7))
        #expect(histogram.quantile(0.5) == .microseconds(500))
        #expect(histogram.quantile(0.99) == .microseconds(500))
        #expect(histogram.quantile(1) == .milliseconds(10))
    }

    @Test func `a phase that was not reached is not counted as zero`() {
        var series = ProbeSeries()
        var passed = Outcome.pass
        passed.phases.connect = .milliseconds(1)
        passed.phases.firstByte = .milliseconds(4)
        passed.phases.total = .milliseconds(5)
        series.record(passed)
        var refused = Outcome.refused
        refused.phases.total = .microseconds(30)
        series.record(refused)
        series.record(refused)

        let counts = series.latencies.map { "\($0.phase) \($0.verdict) \($0.histogram.count)" }
        #expect(counts == ["connect pass 1", "firstByte pass 1", "total pass 1", "total fail 2"])
        #expect(
            series.reasons.map { "\($0.reason.rawValue) \($0.count)" } == ["L7OK 1", "L4CON 2"]
        )
    }
}
