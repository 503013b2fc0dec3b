// What an upstream says of requests whose answers are late, and what is wrong with it.

import Health
import Settings
import Testing
import Vocabulary

@Suite struct HedgeSettingsTests {
    private static func text(_ settings: String) -> String {
        "upstreams:\n  web:\n    \(settings)\n    peers: [\"127.0.0.1:1\"]\n"
    }

    private static func hedge(_ settings: String) throws -> HedgeDefinition? {
        try load(text(settings)).upstreams[0].definition.hedge
    }

    @Test func `nobody is asked twice unless that is said`() throws {
        #expect(try Self.hedge("slow-start: 0s") == nil)
        #expect(try Self.hedge("hedge:") == nil)
        #expect(try Self.hedge("hedge: {budget: 5%}") == nil)
    }

    @Test func `so late, so many`() throws {
        #expect(
            try Self.hedge("hedge: {after: p95}")
                == HedgeDefinition(after: .share(0.95), budget: 0.05)
        )
        #expect(
            try Self.hedge("hedge: {after: p99, budget: 2%}")
                == HedgeDefinition(after: .share(0.99), budget: 0.02)
        )
        #expect(
            try Self.hedge("hedge: {after: 200ms}")
                == HedgeDefinition(after: .time(.milliseconds(200)), budget: 0.05)
        )
    }

    @Test(arguments: [
        (
            "hedge: {after: p20}",
            "hedge.after: expected p and a share of the answers from 50 to 99.99"
        ),
        ("hedge: {after: p}", "hedge.after: expected p and a share"),
        ("hedge: {after: p9x}", "hedge.after: expected p and a share"),
        ("hedge: {after: 0s}", "hedge.after: expected"), ("hedge: {budget: 101%}", "hedge.budget"),
        ("hedge: {budget: 2%}", "after"), ("hedge: {share: 5%}", "hedge"), ("hedge: p95", "hedge"),
    ])
    func `a mistake is named where it is`(settings: String, words: String) throws {
        let complaints = try complaints(Self.text(settings))
        #expect(complaints.count == 1)
        #expect(complaints.first?.contains("muster.yaml:3:") == true)
        #expect(complaints.first?.contains(words) == true, "\(complaints)")
    }
}
