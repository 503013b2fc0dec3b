// What can come of asking for a name?

public import EventLoop
public import Vocabulary

/// Every address of a name, IPv4 and IPv6, in the order the servers gave them.
public struct Resolution: Sendable {
    /// IP literals; never empty.
    public var addresses: [String]
    /// How long the answer may be relied on, within the limits of the configuration.
    public var validity: Nanoseconds
    /// Taken from the cache rather than asked for now.
    public var isCached: Bool
    /// Set when these are the last addresses known, because the name was asked for again and again
    /// and there is no fresh answer.
    public var trouble: ResolverError?

    public init(addresses: [String], validity: Nanoseconds, isCached: Bool = false) {
        self.addresses = addresses
        self.validity = validity
        self.isCached = isCached
    }

    /// The addresses with a port, ready to connect to.
    public func socketAddresses(port: UInt16) -> [SocketAddress] {
        addresses.compactMap { SocketAddress(ip: $0, port: port) }
    }
}

/// Why a name has no addresses now. None of these says anything about the peer behind the name.
public enum ResolverError: Error, Hashable, Sendable {
    /// The servers say that there is no such name.
    case notFound(host: String)
    /// The name exists and has neither an IPv4 nor an IPv6 address.
    case noAddress(host: String)
    /// Nobody answered in time.
    case timedOut(host: String)
    /// The question could not be asked, or the answer could not be used.
    case failed(host: String, reason: String)
}

extension ResolverError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notFound(let host): "resolve \(host): no such name"
        case .noAddress(let host): "resolve \(host): the name has no address"
        case .timedOut(let host): "resolve \(host): no answer in time"
        case .failed(let host, let reason): "resolve \(host): \(reason)"
        }
    }
}

/// How to ask.
public struct ResolverConfiguration: Hashable, Sendable {
    /// `ip` or `ip:port` of name servers; empty means those of `serversFile`.
    public var servers: [String] = []
    /// Names the name servers where `servers` does not.
    public var serversFile = "/etc/resolv.conf"
    /// Looked at this often at most, and only before a question.
    public var serversFileAge = Nanoseconds.seconds(1)
    /// How long one server is waited for before the next is asked.
    public var tryTimeout = Nanoseconds.milliseconds(500)
    public var tries = 3
    /// An answer is kept at least so long, even if its TTL is zero.
    public var validityMin = Nanoseconds.seconds(1)
    /// An answer is kept at most so long, whatever its TTL.
    public var validityMax = Nanoseconds.seconds(300)
    /// A failure is kept so long: a dead name server must not be asked for every probe.
    public var failureValidity = Nanoseconds.seconds(1)
    /// After each further failure twice as long, up to this.
    public var failureValidityMax = Nanoseconds.seconds(5)
    /// While a name does not resolve any more, its last addresses are used for so long.
    public var staleMax = Nanoseconds.seconds(86_400)
    /// Whoever could have the last addresses waits no longer than this for fresh ones, and never
    /// longer than half of the time it has.
    public var staleWait = Nanoseconds.milliseconds(500)
    /// Names kept.
    public var namesMax = 10_000
    /// Names asked for at the same time.
    public var questionsMax = 1_024

    public init() {}
}
