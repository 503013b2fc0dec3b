// What is held, wanted and given away, in which order, and by which right?

import Fleet
import Health
import Testing
import Vocabulary

@Suite struct ClaimsTests {
    private static func key(_ pair: PairNumber) -> VerdictKey {
        VerdictKey(upstream: "web", peer: "\(pair)", monitor: "http")
    }
    private static let later = WallTime(milliseconds: 9_000)

    private static func ledger(_ pairs: PairNumber) -> Claims {
        var claims = Claims()
        for pair in 0..<pairs { claims.define(pair) }
        return claims
    }

    private static func batch(_ claims: inout Claims, mayRank: Bool = true) -> [String] {
        claims.nextBatch(mayRank: mayRank, key: key).map {
            "\($0.pair) \($0.claim.reason.rawValue)"
        }
    }

    @Test func `what is held is kept first, then what nobody probes, then one's share`() {
        var claims = Self.ledger(5)
        _ = claims.grant(3, epoch: 5, from: Self.later)
        claims.keepAll()
        claims.want(0, .rank)
        claims.want(1, .offer)
        claims.want(2, .stale, holder: "b")
        #expect(Self.batch(&claims, mayRank: false) == ["3 keep"])
        #expect(Self.batch(&claims) == ["2 stale", "1 offer", "0 rank"])
        #expect(Self.batch(&claims) == [])
    }

    @Test func `a pair is wanted once, for the most urgent reason, and by one call at a time`() {
        var claims = Self.ledger(1)
        claims.want(0, .rank)
        claims.want(0, .stale)
        claims.want(0, .rank)
        #expect(Self.batch(&claims) == ["0 stale"])
        claims.want(0, .stale)
        #expect(Self.batch(&claims) == [])
        claims.settle(0)
        claims.want(0, .rank)
        claims.unwantShare(0)
        #expect(Self.batch(&claims) == [])
    }

    @Test func `128 pairs a call`() {
        var claims = Self.ledger(300)
        for pair in PairNumber(0)..<300 { claims.want(pair, .rank) }
        #expect([128, 128, 44, 0] == (0..<4).map { _ in Self.batch(&claims).count })
    }

    @Test func `a pair that is ceded is published until its time, and a kept one is not`() {
        var claims = Self.ledger(1)
        #expect(claims.grant(0, epoch: 5, from: Self.later) == true)
        #expect(claims.cede(0, epoch: 5, at: Self.later) == false)
        #expect(claims.cede(0, epoch: 6, at: Self.later) == true)
        #expect(claims.cede(0, epoch: 6, at: Self.later) == false)
        #expect(claims.publishableEpoch(of: 0) == 5)
        claims.keepAll()
        #expect(claims.publishableEpoch(of: 0) == nil)
        // It keeps by its own epoch, whatever it heard of.
        let claim = claims.nextBatch(mayRank: false, key: Self.key).first?.claim
        #expect(claim?.epoch == 5)
    }

    @Test func `counting what is held`() {
        var claims = Self.ledger(3)
        _ = claims.grant(0, epoch: 1, from: Self.later)
        _ = claims.grant(1, epoch: 1, from: Self.later)
        _ = claims.grant(1, epoch: 2, from: Self.later)
        claims.keep(2)
        claims.keep(0)
        #expect(claims.heldCount == 3)
        #expect(claims.hold(of: 0) == .held(epoch: 1, from: Self.later))
        #expect(claims.drop(1) == true)
        #expect(claims.drop(1) == false)
        #expect(claims.dropAll() == [0, 2])
        #expect(claims.heldCount == 0)
    }

    @Test func `what the store has just answered is asked again when its pause is over, and once`()
    {
        var claims = Self.ledger(2)
        let now = Instant(nanoseconds: 0)
        claims.want(0, .offer)
        #expect(Self.batch(&claims) == ["0 offer"])
        claims.settle(0)
        claims.pause(0, until: now + .milliseconds(250))
        claims.want(0, .offer)
        claims.want(0, .keep)
        claims.want(1, .offer)
        claims.endPauses(at: now + .milliseconds(249))
        #expect(Self.batch(&claims) == ["1 offer"])
        #expect(claims.pauseEnds == now + .milliseconds(250))
        claims.endPauses(at: now + .milliseconds(250))
        #expect(Self.batch(&claims) == ["0 keep"])
        #expect(Self.batch(&claims) == [])
        claims.settle(0)
        // In a new era all that is held is claimed at once.
        _ = claims.grant(0, epoch: 5, from: Self.later)
        claims.pause(0, until: now + .milliseconds(500))
        claims.keepAll()
        #expect(Self.batch(&claims) == ["0 keep"])
    }

    @Test
    func
        `what was given away in doubt may come back soon after it, what was lost by votes may not`()
    {
        var claims = Claims()
        let now = Instant(nanoseconds: 0)
        claims.abstain(from: 1, until: now + .seconds(60), because: .doubt)
        claims.abstain(from: 2, until: now + .seconds(60))
        claims.abstain(from: 3, until: now + .seconds(2), because: .doubt)
        claims.endDoubt(until: now + .seconds(3))
        let spans = [PairNumber(1), 2, 3].map { claims.abstention(from: $0).map { $0 - now } }
        #expect(spans == [.seconds(3), .seconds(60), .seconds(2)])
    }
}
