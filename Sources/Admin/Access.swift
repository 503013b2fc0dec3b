// Who may ask for what? Whoever shows a token that reaches so far, as soon as there is one. Reading is
// free, whoever can reach the address may look, unless the configuration says otherwise.

public struct Access: Sendable {
    public struct Grant: Sendable {
        var token: String
        var scope: Scope

        init(token: String, scope: Scope) {
            self.token = token
            self.scope = scope
        }

        /// `scope`: `read`, `operate` or `admin`; another word lets nobody in.
        public init?(token: String, scope: String) {
            guard let scope = Scope.all.first(where: { "\($0)" == scope }) else { return nil }
            self.init(token: token, scope: scope)
        }
    }

    /// None on an address that only this machine can reach.
    var grants: [Grant] = []
    /// Looking takes a token too.
    var protectsReads = false

    private static let reads: Set<String> = ["GET", "HEAD", "OPTIONS"]

    /// What it takes to ask with `method` for what takes `scope`.
    func need(_ method: String, _ scope: Scope) -> Scope {
        guard Self.reads.contains(method) else { return max(scope, .read) }
        // Nobody has to know a token to look, where looking is free.
        return scope == .read && !protectsReads ? .open : scope
    }

    /// `shown`: the field `Authorization`. Nil where nothing speaks against it.
    func refusal(of shown: String?, needing need: Scope) -> Problem? {
        if grants.isEmpty || need == .open { return nil }
        guard let scope = scope(of: shown ?? "") else {
            return Problem(
                .unauthorized,
                "expected 'Authorization: Bearer <token>'",
                fields: [.init("WWW-Authenticate", "Bearer")]
            )
        }
        if scope >= need { return nil }
        return Problem(
            .forbidden,
            "expected a token of scope \(need) or more, saw one of scope \(scope)"
        )
    }

    /// Every token is looked at, whichever fits: time must not tell which.
    private func scope(of shown: String) -> Scope? {
        grants.reduce(nil) { found, grant in
            Self.opens(shown, grant.token) ? max(found ?? grant.scope, grant.scope) : found
        }
    }

    /// Whether an `Authorization` field shows the token. The scheme is case-insensitive: RFC 9110,
    /// section 11.1.
    static func opens(_ shown: String, _ token: String) -> Bool {
        let scheme = shown.prefix("Bearer ".count)
        return scheme.lowercased() == "bearer "
            && isSame(String(shown.dropFirst(scheme.count)), token)
    }

    /// Takes as long for a near miss as for a far one: time must not tell the token.
    private static func isSame(_ left: String, _ right: String) -> Bool {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var difference = left.count ^ right.count
        for index in 0..<min(left.count, right.count) {
            difference |= Int(left[index] ^ right[index])
        }
        return difference == 0
    }
}
