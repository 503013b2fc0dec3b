// Where is Redis, and who are we there? `redis://[user:password@]host[:port][/db]`, `unix:///path[?db=N]`, or, where
// sentinels know which server is the master, `redis+sentinel://[user:password@]host[:port],…/NAME[/db]`; `rediss` in place
// of `redis` is over TLS. One reader of it: what is refused at the start is refused by `validate` too.

public struct RedisURL: Hashable, Sendable {
    public var address: Address
    public var user: String?
    public var password: String?
    public var database: Int
    /// Who knows where the master is; `address` is the first of them then.
    public var sentinels: Sentinels?
    /// Over TLS: the server, and the sentinels too.
    public var isSecure = false

    /// Several Redis servers of which one is the master, under a name.
    public struct Sentinels: Hashable, Sendable {
        public var name: String
        public var addresses: [Address]

        /// Has this one asked first.
        public mutating func prefer(_ address: Address?) {
            guard let address, let place = addresses.firstIndex(of: address) else { return }
            addresses.insert(addresses.remove(at: place), at: 0)
        }
    }

    public static let portDefault: UInt16 = 6_379
    public static let sentinelPortDefault: UInt16 = 26_379
    static let sentinelsMax = 16
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
        } else if let rest = text.dropping(prefix: "rediss://") {
            try self.init(tcp: rest)
            isSecure = true
        } else if let rest = text.dropping(prefix: "redis+sentinel://") {
            try self.init(sentinels: rest)
        } else if let rest = text.dropping(prefix: "rediss+sentinel://") {
            try self.init(sentinels: rest)
            isSecure = true
        } else {
            // Only what stands before `://` is shown: the rest may hold a password.
            let scheme = text.firstRange(of: "://").map { "the scheme '\(text[..<$0.lowerBound])'" }
            throw Problem(
                description: "expected redis://[user:password@]host[:port][/db], "
                    + "unix:///path[?db=N] or "
                    + "redis+sentinel://[user:password@]host[:port],…/NAME[/db], with rediss in place of redis "
                    + "over TLS, saw "
                    + "\(scheme ?? "no scheme")"
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
        var rest = rest
        let (user, password) = try Self.credentials(&rest)
        var database = 0
        if let slash = rest.firstIndex(of: "/") {
            let number = rest[rest.index(after: slash)...]
            if !number.isEmpty { database = try Self.database(number) }
            rest = rest[..<slash]
        }
        let address = try Self.address(rest, port: Self.portDefault)
        self.init(address: address, user: user, password: password, database: database)
    }

    private init(sentinels rest: Substring) throws(Problem) {
        var rest = rest
        if rest.count(where: { $0 == "@" }) > 1 {
            throw Problem(
                description:
                    "expected user:password once, before the first sentinel and with %40 for an @ of its own, saw "
                    + "more than one '@'"
            )
        }
        let (user, password) = try Self.credentials(&rest)
        let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, let name = parts[1].percentDecoded,
            !name.isEmpty
        else {
            throw Problem(
                description: "expected the name of the master behind the sentinels, as in "
                    + "redis+sentinel://host:26379/mymaster, saw none"
            )
        }
        var addresses: [Address] = []
        for text in parts[0].split(separator: ",", omittingEmptySubsequences: false) {
            addresses.append(try Self.address(text, port: Self.sentinelPortDefault))
        }
        guard let first = addresses.first, addresses.count <= Self.sentinelsMax else {
            throw Problem(
                description: "expected 1 to \(Self.sentinelsMax) sentinels, saw \(addresses.count)"
            )
        }
        let database = parts.count == 3 && !parts[2].isEmpty ? try Self.database(parts[2]) : 0
        self.init(address: first, user: user, password: password, database: database)
        sentinels = Sentinels(name: name, addresses: addresses)
    }

    private static func credentials(
        _ rest: inout Substring
    ) throws(Problem) -> (user: String?, password: String?) {
        guard let at = rest.lastIndex(of: "@") else { return (nil, nil) }
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
        rest = rest[rest.index(after: at)...]
        return (name.isEmpty ? nil : name, secret)
    }

    private static func address(_ text: Substring, port: UInt16) throws(Problem) -> Address {
        var host = String(text)
        let hasPort = host.hasSuffix("]") ? false : host.contains(":")
        if !hasPort { host += ":\(port)" }
        // What is no port may be a password, which is not repeated.
        if let colon = host.lastIndex(of: ":"), !host[colon...].dropFirst().allSatisfy(\.isNumber) {
            throw Problem(description: "expected a port from 1 to 65535, saw something else")
        }
        if !host.hasPrefix("["), host.count(where: { $0 == ":" }) > 1 {
            throw Problem(
                description:
                    "expected host:port, or user:password@ before it, saw more than one ':'; an IPv6 address "
                    + "stands in brackets"
            )
        }
        guard let address = Address(text: host), case .host = address else {
            throw Problem(description: Address.problem(in: host) ?? "expected host:port")
        }
        return address
    }

    private static func database(_ text: Substring) throws(Problem) -> Int {
        guard let number = Int(text), "\(number)" == text, (0...databaseMax).contains(number) else {
            throw Problem(
                description: "expected a database from 0 to \(databaseMax), saw "
                    + (text.allSatisfy { $0.isNumber || $0.isLetter }
                        ? "'\(text)'" : "something else")
            )
        }
        return number
    }
}

extension RedisURL: CustomStringConvertible {
    /// Without the password.
    public var description: String {
        let user = user.map { "\($0)@" } ?? ""
        let number = database == 0 ? "" : "/\(database)"
        let scheme = isSecure ? "rediss" : "redis"
        if let sentinels {
            let hosts = sentinels.addresses.map(\.description).joined(separator: ",")
            return "\(scheme)+sentinel://\(user)\(hosts)/\(sentinels.name)\(number)"
        }
        return switch address {
        case .unix(let path): "unix://\(path)\(database == 0 ? "" : "?db=\(database)")"
        case .host: "\(scheme)://\(user)\(address)\(number)"
        }
    }
}

extension StringProtocol {
    fileprivate func dropping(prefix: String) -> SubSequence? {
        hasPrefix(prefix) ? dropFirst(prefix.count) : nil
    }
}
