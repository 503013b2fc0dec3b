// What an upstream says of trying again, and what is wrong with it.

import Health
import Settings
import Testing

@Suite struct TryingTests {
    private static func text(_ settings: String) -> String {
        "upstreams:\n  web:\n    \(settings)\n    peers: [\"127.0.0.1:1\"]\n"
    }

    private static func trying(_ settings: String) throws -> TryingDefinition {
        try load(text(settings)).upstreams[0].definition.trying
    }

    @Test func `what is not written is safe`() throws {
        let trying = try Self.trying("slow-start: 0s")
        #expect(trying == TryingDefinition())
        #expect(trying.occasions == [.connectFailure, .emptyResponse, .malformedResponse])
        #expect(trying.retries == 2)
        #expect(trying.reuse == .safe)
    }

    @Test func `everything that can be said`() throws {
        let trying = try Self.trying(
            "retry-on: [connect-failure, response-timeout, 503, 500]\n    retries: 5\n"
                + "    retry-budget: {share: 50%, min: 1}\n    reuse: always\n"
                + "    retry-key: \"header:Idempotency-Key\""
        )
        #expect(trying.occasions == [.connectFailure, .responseTimeout])
        #expect(trying.statuses == [503, 500])
        #expect(trying.retries == 5)
        #expect(trying.budgetShare == 0.5)
        #expect(trying.budgetMin == 1)
        #expect(trying.reuse == .always)
        #expect(trying.key == "header:Idempotency-Key")
        #expect(try Self.trying("retry-on: none").occasions == [])
        #expect(try Self.trying("retry-on: 502").statuses == [502])
    }

    @Test(arguments: [
        ("retry-on: [200]", "retry-on: expected a status from 400 to 599"),
        ("retry-on: [timeout]", "retry-on"),
        ("retries: 8", "retries: expected a whole number from 0 to 7"),
        ("retry-key: idempotency-key", "retry-key: expected header: and the name of a request"),
        ("retry-key: \"header:a b\"", "retry-key: expected header: and the name of a request"),
        ("retry-budget: {most: 3}", "retry-budget"),
        ("reuse: never", "reuse"),
    ])
    func `a mistake is named where it is`(settings: String, words: String) throws {
        let complaints = try complaints(Self.text(settings))
        #expect(complaints.count == 1)
        #expect(complaints.first?.contains("muster.yaml:3:") == true)
        #expect(complaints.first?.contains(words) == true, "\(complaints)")
    }
}
