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
        #expect(TokenMiddleware<BasicRequestContext>.opens(shown, "abc") == opens)
    }
}
