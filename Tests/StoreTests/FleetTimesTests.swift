// By whose clock are the times of a verdict in the store?

import Fleet
import Health
import Testing
import Vocabulary

@testable import Store

@Suite struct FleetTimesTests {
    private let start = WallTime(milliseconds: 1_795_000_000_000)

    @Test func `what is less than a second is nothing, and the rest is whole seconds`() {
        for (milliseconds, seconds) in [
            (0, 0), (999, 0), (-999, 0), (1_000, 1), (1_999, 1), (-1_500, -1), (366_400, 366),
        ] as [(Int64, Int64)] {
            #expect(FleetTimes.coarse(.milliseconds(milliseconds)) == .seconds(seconds))
        }
    }

    @Test func `a verdict goes out by the store's clock, and comes back by one's own`() {
        let own = Verdict.sample(.up, peer: "a", sequence: 1, at: start, life: .seconds(4))
        var one = FleetCall.Publication(pair: own.key, epoch: 1, sequence: 1)
        one.verdict = own
        guard case .publish(let sent) = FleetCall.publish([one]).shifted(by: .seconds(366)),
            let written = sent.first?.verdict
        else {
            Issue.record("expected the call that it was")
            return
        }
        #expect(written.checkedAt == start + .seconds(366))
        #expect(written.expiresAt - written.checkedAt == own.expiresAt - own.checkedAt)
        let reply = FleetReply.claimed(
            era: 1,
            at: start,
            [.fresh, .granted(epoch: 2, from: start, begun: start, written)]
        )
        let expected = FleetReply.claimed(
            era: 1,
            at: start,
            [.fresh, .granted(epoch: 2, from: start, begun: start, own)]
        )
        #expect(reply.shifted(by: .seconds(-366)) == expected)
        #expect(reply.shifted(by: .zero) == reply)
    }
}
