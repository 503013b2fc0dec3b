// Who gets in? With a token that is compared as a whole, and as far as its scope reaches.

import Testing

@testable import Admin

@Suite struct AccessTests {
    @Test(arguments: [
        ("Bearer abc", true), ("bearer abc", true), ("BEARER abc", true),
        ("Bearer abd", false), ("Bearer ab", false), ("Bearer abcd", false), ("Bearer ABC", false),
        ("", false), ("abc", false), ("Bearer", false), ("Bearer ", false), ("Basic abc", false),
    ])
    func `only the very token opens`(shown: String, opens: Bool) {
        #expect(Access.opens(shown, "abc") == opens)
    }

    /// Of the routes that there are.
    @Test(arguments: [
        ("GET", "/v1/upstreams", false, true), ("HEAD", "/", false, true),
        ("OPTIONS", "/metrics", false, true), ("GET", "/health", false, false),
        ("GET", "/ready", false, false), ("GET", "/health/", false, true),
        ("OPTIONS", "/health", false, false), ("HEAD", "/ready", false, false),
        ("GET", "/healthy", false, true), ("POST", "/health", true, true),
        ("PATCH", "/v1/upstreams/u/peers/p", true, true), ("FOO", "/", true, true),
        ("OPTIONS", "/v1/reload", false, true), ("DELETE", "/nothing", true, true),
    ])
    func `writing is guarded always, reading on request`(
        method: String,
        path: String,
        isGuarded: Bool,
        isGuardedOnRequest: Bool
    ) {
        let scope = Router(AdminTable.routes).find(method, path).scope(of: path)
        #expect((Access().need(method, scope) != .open) == isGuarded)
        #expect((Access(protectsReads: true).need(method, scope) != .open) == isGuardedOnRequest)
    }

    @Test func `a scope includes those before it, and no other`() {
        let access = Access(
            grants: [
                .init(token: "looker", scope: .read), .init(token: "hand", scope: .operate),
                .init(token: "root", scope: .admin),
            ],
            protectsReads: true
        )
        let needs: [Scope] = [.open, .read, .operate, .admin]
        func statuses(_ token: String?) -> [Int] {
            needs.map {
                access.refusal(of: token.map { "Bearer \($0)" }, needing: $0)?.status.code ?? 200
            }
        }
        #expect(statuses(nil) == [200, 401, 401, 401])
        #expect(statuses("nobody") == [200, 401, 401, 401])
        #expect(statuses("looker") == [200, 200, 403, 403])
        #expect(statuses("hand") == [200, 200, 200, 403])
        #expect(statuses("root") == [200, 200, 200, 200])
        let refusal = access.refusal(of: "Bearer looker", needing: .admin)
        #expect(
            refusal?.detail == "expected a token of scope admin or more, saw one of scope read"
        )
        #expect(
            access.refusal(of: nil, needing: .read)?.fields == [
                .init("WWW-Authenticate", "Bearer")
            ]
        )
    }

    @Test func `without a token nothing is guarded`() {
        #expect(Access().refusal(of: nil, needing: .admin) == nil)
    }
}
