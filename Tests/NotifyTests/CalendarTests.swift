// Which moments are within hours of the week? Rows of windows and moments, over midnight and over the night
// in which clocks are set.

import Health
import Testing
import Vocabulary

@testable import Notify

/// An hour ahead of UTC in winter and two in summer, which begins at 01:00 UTC on 2026-03-29.
private let place = CalendarWindow.Zone("Somewhere") { time in
    .seconds(time.milliseconds < 1_774_746_000_000 ? 3_600 : 7_200)
}

private func window(
    _ days: [CalendarWindow.Day],
    _ from: Int,
    _ to: Int,
    _ zone: CalendarWindow.Zone = .utc
) -> CalendarWindow {
    CalendarWindow(days: Set(days), from: from * 60, to: to * 60, zone: zone)
}

private func time(_ text: String) -> WallTime {
    WallTime(rfc3339: text) ?? WallTime(milliseconds: 0)
}

@Suite struct CalendarTests {
    // 2026-11-29 is a Sunday.
    @Test(arguments: [
        ([CalendarWindow.Day.sunday], 2, 4, "2026-11-29T01:59:59.999Z", false),
        ([.sunday], 2, 4, "2026-11-29T02:00:00Z", true),
        ([.sunday], 2, 4, "2026-11-29T03:59:59.999Z", true),
        ([.sunday], 2, 4, "2026-11-29T04:00:00Z", false),
        ([.monday], 2, 4, "2026-11-29T03:00:00Z", false),
        ([.sunday], 22, 6, "2026-11-29T23:00:00Z", true),
        ([.sunday], 22, 6, "2026-11-30T05:59:00Z", true),
        ([.sunday], 22, 6, "2026-11-30T06:00:00Z", false),
        ([.sunday], 22, 6, "2026-11-29T05:00:00Z", false),
        ([.sunday], 0, 24, "2026-11-29T00:00:00Z", true),
        ([.sunday], 0, 24, "2026-11-29T23:59:59Z", true),
        ([.sunday], 0, 24, "2026-11-30T00:00:00Z", false),
    ])
    func `within, and not`(
        days: [CalendarWindow.Day],
        from: Int,
        to: Int,
        at: String,
        isWithin: Bool
    ) {
        #expect((window(days, from, to).opening(at: time(at)) != nil) == isWithin)
    }

    @Test func `by the clock of its place, in winter and in summer`() {
        let night = window([.saturday, .sunday, .monday], 2, 4, place)
        #expect(
            night.opening(at: time("2026-01-04T01:00:00Z"))?.end == time("2026-01-04T03:00:00Z")
        )
        #expect(
            night.opening(at: time("2026-04-05T00:00:00Z"))?.end == time("2026-04-05T02:00:00Z")
        )
        // The hour from two to three is not there that night.
        #expect(
            night.opening(at: time("2026-03-29T01:30:00Z"))?.end == time("2026-03-29T02:00:00Z")
        )
    }

    @Test func `the next beginning is found within the week`() {
        let sunday = window([.sunday], 2, 4)
        #expect(
            sunday.nextStart(after: time("2026-11-29T01:00:00Z")) == time("2026-11-29T02:00:00Z")
        )
        #expect(
            sunday.nextStart(after: time("2026-11-29T02:00:00Z")) == time("2026-12-06T02:00:00Z")
        )
    }

    /// Each minute of a fortnight, against the plain reading of the words.
    @Test func `no minute is judged otherwise than by the words`() {
        let hours = window([.tuesday, .friday], 20, 7)
        let start = time("2026-11-23T00:00:00Z")  // a Monday
        for minute in 0..<(14 * 1_440) {
            let (day, rest) = (minute / 1_440 % 7, minute % 1_440)
            let isEvening = (day == 1 || day == 4) && rest >= 20 * 60
            let isMorning = (day == 2 || day == 5) && rest < 7 * 60
            let moment = start + .seconds(Int64(minute) * 60)
            #expect(
                (hours.opening(at: moment) != nil) == (isEvening || isMorning),
                "minute \(minute)"
            )
        }
    }
}

@Suite struct DutyTests {
    private let t0 = Instant(nanoseconds: 0)

    @Test func `all agents name the same teller, and each name falls to somebody`() {
        let agents = ["a1", "a2", "a3"]
        var tellers = Set<String>()
        for index in 0..<50 {
            let receiver = "r\(index)"
            let named = agents.map { agent in
                var duty = Duty(agent: agent)
                duty.join()
                for other in agents where other != agent {
                    duty.heard(other, canTell: receiver, at: t0)
                }
                return duty.teller(of: receiver, at: t0 + .seconds(1))
            }
            #expect(Set(named).count == 1)
            tellers.formUnion(named)
        }
        #expect(tellers == Set(agents))
    }

    @Test func `a newcomer tells where nobody else is, and otherwise not before it has joined`() {
        for index in 0..<20 {
            let receiver = "r\(index)"
            var (old, new) = (Duty(agent: "a1"), Duty(agent: "a2"))
            old.join()
            old.heard("a2", canTell: receiver, isNew: true, at: t0)
            new.heard("a1", canTell: receiver, at: t0)
            #expect(old.teller(of: receiver, at: t0) == "a1")
            #expect(new.teller(of: receiver, at: t0) == "a1")
            new.join()
            old.heard("a2", canTell: receiver, at: t0)
            #expect(old.teller(of: receiver, at: t0) == new.teller(of: receiver, at: t0))
            var first = Duty(agent: "a1")
            first.heard("a2", canTell: receiver, isNew: true, at: t0)
            #expect(first.teller(of: receiver, at: t0) == old.teller(of: receiver, at: t0))
        }
    }

    @Test func `one that falls silent, leaves or cannot tell is none`() {
        var duty = Duty(agent: "a1")
        duty.heard("a2", canTell: "ops", at: t0)
        #expect(duty.hasOthers(for: "ops", at: t0 + .seconds(11)))
        #expect(!duty.hasOthers(for: "ops", at: t0 + .seconds(12)))
        #expect(!duty.hasOthers(for: "pager", at: t0))
        duty.heard("a2", canTell: "ops", at: t0 + .seconds(20))
        duty.note(members: ["a1", "a2"])
        #expect(duty.hasOthers(for: "ops", at: t0 + .seconds(21)))
        duty.note(members: ["a1"])
        #expect(!duty.hasOthers(for: "ops", at: t0 + .seconds(21)))
    }
}
