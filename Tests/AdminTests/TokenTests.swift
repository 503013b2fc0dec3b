// Is a token compared as a whole?

import Hummingbird
import Testing

@testable import Admin

@Suite struct TokenTests {
    @Test(arguments: [
        ("Bearer abc", "Bearer abc", true),
        ("Bearer abd", "Bearer abc", false),
        ("Bearer ab", "Bearer abc", false),
        ("Bearer abcd", "Bearer abc", false),
        ("", "Bearer abc", false),
        ("bearer abc", "Bearer abc", false),
    ])
    func `only the very token opens`(shown: String, wanted: String, opens: Bool) {
        #expect(TokenMiddleware<BasicRequestContext>.isSame(shown, wanted) == opens)
    }
}
