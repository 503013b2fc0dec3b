// What may another process say of the requests of a peer?

import Health
import Testing
import Vocabulary

@Suite struct TrafficVoteTests {
    @Test func `what cannot be is drawn to what can`() {
        let vote = TrafficVote(requests: -3, failures: 0, window: .zero, life: .seconds(1 << 30))
        #expect((vote.requests, vote.failures) == (1, 1))
        #expect(vote.window == .milliseconds(1))
        #expect(vote.life == .seconds(86_400))
        let huge = TrafficVote(requests: 2, failures: .max, window: .seconds(2), life: .seconds(10))
        #expect(huge.requests == huge.failures)
        #expect(huge.failures < .max)
    }

    @Test func `its words have both numbers and the time`() {
        let vote = TrafficVote(requests: 12, failures: 5, window: .seconds(2), life: .seconds(10))
        #expect(vote.words == "5 of 12 requests failed within 2s")
        let one = TrafficVote(requests: 1, failures: 1, window: .seconds(1), life: .seconds(10))
        #expect(one.words == "1 of 1 request failed within 1s")
    }
}
