// Where is Redis, and who are we there? `redis://[user:password@]host[:port][/db]` or
// `unix:///path[?db=N]`. One reader of it: what is refused at the start is refused by `validate` too.

public struct RedisURL: Hashable, Sendable {
    public var address: Address
    public var user: String?
    public var password: String?
    public var database: Int

    public static let portDefault: UInt16 = 6_379
    /// Redis is built with 16 by default; its configuration allows more.
    public static let databaseMax = 65_535

    public init(
        address: Address,
        user: String? = nil,
        password: String? = nil,
        database: Int = 0
    ) {
        self.address = address
        self.user = user
        self.password = password
        self.database = database
    }

    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        public var description: String
    }

    /// The errors never repeat what was given: it may hold a password.
    public init(text: String) throws(Problem) {
        if let rest = text.dropping(prefix: "unix://") {
            try self.init(unix: rest)
        } else if let rest = text.dropping(prefix: "redis://") {
            try self.init(tcp: rest)
        } else {
            // Only what stands before `://` is shown: the rest may hold a password.
            let scheme = text.firstRange(of: "://").map { "the scheme '\(text[..<$0.lowerBound])'" }
            throw Problem(
                description: "expected redis://[user:password@]host[:port][/db] or "
                    + "unix:///path[?db=N], saw \(scheme ?? "no scheme")"
            )
        }
    }

    private init(unix rest: Substring) throws(Problem) {
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts[0])
        if let problem = Address.problem(in: "unix:\(path)") {
            throw Problem(description: problem)
        }
        var database = 0
        if parts.count == 2 {
            guard let number = parts[1].dropping(prefix: "db=") else {
                throw Problem(description: "expected db=N after '?', saw something else")
            }
            database = try Self.database(number)
        }
        self.init(address: .unix(path: path), database: database)
    }

    private init(tcp rest: Substring) throws(Problem) {
        var user: String?
        var password: String?
        var rest = rest
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(
                separator: ":",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            guard parts.count == 2, let name = parts[0].percentDecoded,
                let secret = parts[1].percentDecoded
            else {
                throw Problem(description: "expected user:password before '@', saw neither")
            }
            user = name.isEmpty ? nil : name
            password = secret
            rest = rest[rest.index(after: at)...]
        }
        var database = 0
        if let slash = rest.firstIndex(of: "/") {
            let number = rest[rest.index(after: slash)...]
            if !number.isEmpty { database = try Self.database(number) }
            rest = rest[..<slash]
        }
        var host = String(rest)
        let hasPort = host.hasSuffix("]") ? false : host.contains(":")
        if !hasPort { host += ":\(Self.portDefault)" }
        guard let address = Address(text: host) else {
            throw Problem(description: Address.problem(in: host) ?? "expected host:port")
        }
        self.init(address: address, user: user, password: password, database: database)
    }

    private static func database(_ text: Substring) throws(Problem) -> Int {
        guard let number = Int(text), "\(number)" == text, (0...databaseMax).contains(number) else {
            throw Problem(
                description: "expected a database from 0 to \(databaseMax), saw '\(text)'"
            )
        }
        return number
    }
}

extension RedisURL: CustomStringConvertible {
    /// Without the password.
    public var description: String {
        switch address {
        case .unix(let path): "unix://\(path)\(database == 0 ? "" : "?db=\(database)")"
        case .host:
            "redis://\(user.map { "\($0)@" } ?? "")\(address)"
                + (database == 0 ? "" : "/\(database)")
        }
    }
}

extension StringProtocol {
    fileprivate func dropping(prefix: String) -> SubSequence? {
        hasPrefix(prefix) ? dropFirst(prefix.count) : nil
    }
}
