// When is the next probe? On a beat that every agent computes alike.

import Health
import Testing
import Vocabulary

@Suite struct ScheduleTests {
    private let schedule = Schedule(
        interval: .seconds(10),
        fastInterval: .seconds(1),
        downInterval: .seconds(30),
        timeout: .seconds(2)
    )
    private let beat = Beat(monitor: "http", peer: "web/a")
    private let thresholds = Thresholds(rise: 2, fall: 2)

    private func counter(_ probes: String) -> HealthCounter {
        var counter = HealthCounter(thresholds: thresholds)
        for probe in probes { _ = counter.observe(passed: probe == "+") }
        return counter
    }

    @Test(arguments: [
        ("", Nanoseconds.seconds(1)), ("+", .seconds(10)), ("+-", .seconds(1)),
        ("+--", .seconds(30)), ("+--+", .seconds(1)), ("+--++", .seconds(10)),
    ])
    func `the pause follows the state of the count`(probes: String, pause: Nanoseconds) {
        #expect(schedule.pause(for: counter(probes)) == pause)
    }

    @Test func `the beat is the first later time of its phase, at any time asked`() {
        for interval in [1, 7, 1_000, 10_000] as [Int64] {
            let step = Nanoseconds.milliseconds(interval)
            let phase = beat.next(after: WallTime(milliseconds: 0), every: step).milliseconds
            for time in stride(from: Int64(-25_000), through: 25_000, by: 333) {
                let next = beat.next(after: WallTime(milliseconds: time), every: step)
                #expect(next.milliseconds > time)
                #expect(next.milliseconds <= time + interval)
                #expect((next.milliseconds - phase) % interval == 0)
            }
        }
    }

    @Test func `a taken-over probe keeps its beat`() {
        let other = Beat(monitor: "http", peer: "web/a")
        let time = WallTime(milliseconds: 1_795_000_000_123)
        #expect(
            beat.next(after: time, every: .seconds(10))
                == other.next(after: time, every: .seconds(10))
        )
    }

    @Test func `a thousand beats spread evenly`() {
        var buckets = [Int](repeating: 0, count: 10)
        for peer in 0..<1_000 {
            let beat = Beat(monitor: "http", peer: "web/10.0.0.\(peer)")
            let next = beat.next(after: WallTime(milliseconds: 0), every: .seconds(10))
            buckets[Int((next.milliseconds - 1) / 1_000)] += 1
        }
        #expect(buckets.allSatisfy { (60...140).contains($0) }, "\(buckets)")
    }

    @Test func `observers of one peer are offset against each other`() {
        let time = WallTime(milliseconds: 1_795_000_000_123)
        for peer in 0..<50 {
            let beat = Beat(monitor: "http", peer: "\(peer)")
            let slots = (0..<4).map {
                beat.next(after: time, every: .seconds(10), offset: .milliseconds(2_500 * $0))
            }
            .sorted()
            #expect(slots.allSatisfy { $0 > time && $0 <= time + .seconds(10) })
            let pauses = zip(slots, slots.dropFirst()).map { $1 - $0 }
            #expect(pauses.allSatisfy { $0 == .milliseconds(2_500) }, "\(pauses)")
        }
    }

    @Test func `a quickened probe follows its predecessor, a regular one its beat`() {
        let start = WallTime(milliseconds: 1_795_000_000_000)
        let quick = schedule.next(
            after: start,
            now: start + .milliseconds(200),
            counter: counter("+-"),
            beat: beat
        )
        #expect(quick == start + .seconds(1))
        let regular = schedule.next(
            after: start,
            now: start + .milliseconds(200),
            counter: counter("+"),
            beat: beat
        )
        #expect(regular == beat.next(after: start + .milliseconds(200), every: .seconds(10)))
    }

    @Test func `a probe that overran skips the beats it missed`() {
        let start = WallTime(milliseconds: 1_795_000_000_000)
        let late = start + .seconds(25)
        let next = schedule.next(after: start, now: late, counter: counter("+"), beat: beat)
        #expect(next > late && next <= late + .seconds(10))
        let quick = schedule.next(after: start, now: late, counter: counter("+-"), beat: beat)
        #expect(quick == late)
    }

    @Test func `a verdict outlives the next probe, even a slow one`() {
        for probes in ["+", "+-", "+--", "+--+"] {
            let counter = counter(probes)
            let start = WallTime(milliseconds: 1_795_000_000_000)
            let next = schedule.next(after: start, now: start, counter: counter, beat: beat)
            let validity = schedule.validity(for: counter)
            #expect(start + validity > next + schedule.timeout, "after \(probes)")
        }
    }
}
