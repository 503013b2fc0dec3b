// Is a token compared as a whole?

import Hummingbird
import Testing

@testable import Admin

@Suite struct TokenTests {
    @Test(arguments: [
        ("Bearer abc", true), ("bearer abc", true), ("BEARER abc", true),
        ("Bearer abd", false), ("Bearer ab", false), ("Bearer abcd", false), ("Bearer ABC", false),
        ("", false), ("abc", false), ("Bearer", false), ("Bearer ", false), ("Basic abc", false),
    ])
    func `only the very token opens`(shown: String, opens: Bool) {
        #expect(TokenMiddleware<AdminContext>.opens(shown, "abc") == opens)
    }

    @Test(arguments: [
        ("GET", "/v1/upstreams", false, true), ("HEAD", "/", false, true),
        ("OPTIONS", "/metrics", false, true), ("GET", "/health", false, false),
        ("GET", "/ready", false, false), ("GET", "/health/", false, true),
        ("GET", "/healthy", false, true), ("POST", "/health", true, true),
        ("PATCH", "/v1/upstreams/u/peers/p", true, true), ("FOO", "/", true, true),
    ])
    func `writing is guarded always, reading on request`(
        method: String,
        path: String,
        isGuarded: Bool,
        isGuardedOnRequest: Bool
    ) throws {
        let method = try #require(HTTPRequest.Method(method))
        typealias Token = TokenMiddleware<AdminContext>
        #expect(Token.isGuarded(method, path, false) == isGuarded)
        #expect(Token.isGuarded(method, path, true) == isGuardedOnRequest)
    }
}
