// Is `ready` said when it must be, and never when it would cancel somebody else's maint?

import Health
import Testing
import Vocabulary

@testable import AgentCheck

@Suite struct AdminHoldTests {
    private static let hold = Nanoseconds.seconds(3)

    /// Rows read like strip charts, one character a second. Asked for: `.` nothing, `d` drain, `m`
    /// maint. Said: `.` nothing, `r` ready.
    @Test(arguments: [
        ("......", "......"),
        ("ddd.....", "dddrrr.."),
        ("d.d.....", "drdrrr.."),
        ("dm......", "dmrrr..."),
        ("d..m.....", "drrmrrr.."),
        ("d.........d..", "drrr......drr"),
    ])
    func `ready follows drain and maint for the hold time`(asked: String, said: String) {
        var hold = AdminHold()
        #expect(Self.chart(asked, through: &hold) == said)
    }

    @Test func `a peer that was never asked anything of hears no admin word`() {
        var hold = AdminHold()
        #expect(
            Self.chart(String(repeating: ".", count: 20), through: &hold).allSatisfy { $0 == "." }
        )
        #expect(hold.outstanding == nil)
    }

    /// After a restart: `?` where nothing is asked for, but the store has not told yet.
    @Test(arguments: [
        ("??...", "..rrr", Intent.Mode.drain),
        ("??d....", "..drrr.", .drain),
        ("???????", ".......", .maint),
        ("m....", "mrrr.", .maint),
        (".....", "rrr..", .drain),
    ])
    func `a restarted process lifts what was lifted meanwhile`(
        asked: String,
        said: String,
        before: Intent.Mode
    ) {
        var hold = AdminHold(remembering: before)
        #expect(Self.chart(asked, through: &hold) == said)
    }

    @Test func `what HAProxy may still hold of us is known until the hold is over`() {
        var hold = AdminHold()
        hold.observe(.drain, at: Self.second(0), hold: Self.hold)
        #expect(hold.outstanding == .drain)
        hold.observe(.ready, at: Self.second(1), hold: Self.hold)
        #expect(hold.outstanding == .drain)
        #expect(hold.endsAt == Self.second(4))
        hold.observe(.ready, at: Self.second(4), hold: Self.hold)
        #expect(hold.outstanding == nil)
        #expect(hold == AdminHold())
    }

    @Test func `no history of ten seconds says ready without an order of ours before it`() {
        // Three choices a second, base three.
        for history in 0..<59_049 {
            var hold = AdminHold()
            var rest = history
            var lastAsked: Int?
            for second in 0..<10 {
                let mode = [Intent.Mode.ready, .drain, .maint][rest % 3]
                rest /= 3
                hold.observe(mode, at: Self.second(second), hold: Self.hold)
                if mode != .ready { lastAsked = second }
                let word = hold.word(at: Self.second(second))
                if mode != .ready {
                    if word != mode { Issue.record("history \(history), second \(second)") }
                } else {
                    // Lifted a second after it was last asked for.
                    let isDue = lastAsked.map { second - ($0 + 1) < 3 } ?? false
                    if (word == .ready) != isDue {
                        Issue.record("history \(history), second \(second)")
                    }
                }
            }
        }
    }

    private static func second(_ count: Int) -> Instant {
        Instant(nanoseconds: Int64(count) * 1_000_000_000)
    }

    private static func chart(_ asked: String, through hold: inout AdminHold) -> String {
        var said = ""
        for (second, letter) in asked.enumerated() {
            let mode: Intent.Mode = letter == "d" ? .drain : letter == "m" ? .maint : .ready
            let now = Self.second(second)
            hold.observe(mode, at: now, hold: Self.hold, isCertain: letter != "?")
            said += hold.word(at: now).map { String($0.rawValue.prefix(1)) } ?? "."
        }
        return said
    }
}
