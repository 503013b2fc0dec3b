// How shall the proxy listen and route? Plain values, filled by the configuration or by a test.

public import Vocabulary

/// One host and path that lead to an upstream.
public struct RouteConfiguration: Hashable, Sendable {
    /// `www.example.com`, `*.example.com` or `*`. Lower case.
    public var host: String
    /// A path prefix that ends at a segment: `/static` matches `/static` and `/static/x`.
    public var path: String
    /// Takes the prefix off before forwarding.
    public var stripPrefix: Bool
    public var upstream: String

    public init(host: String = "*", path: String = "/", stripPrefix: Bool = false, upstream: String)
    {
        self.host = host
        self.path = path
        self.stripPrefix = stripPrefix
        self.upstream = upstream
    }
}

/// One address to listen on.
public struct ListenerConfiguration: Hashable, Sendable {
    public enum Mode: Hashable, Sendable {
        case http(routes: [RouteConfiguration])
        case tcp(upstream: String)
    }

    public var bind: Address
    public var mode: Mode

    public init(bind: Address, mode: Mode) {
        self.bind = bind
        self.mode = mode
    }
}

/// How long each thing may take. Every one is finite.
public struct ProxyTimeouts: Hashable, Sendable {
    /// Until a peer has accepted the connection; then the next peer is tried.
    public var connect = Nanoseconds.seconds(1)
    /// From the first byte of a request to the end of its head: 408 after that.
    public var requestHead = Nanoseconds.seconds(10)
    /// Between two requests of a client connection.
    public var clientIdle = Nanoseconds.seconds(60)
    /// Between two bytes of a body, either way.
    public var bodyIdle = Nanoseconds.seconds(30)
    /// From the request's end to the response's head: 504 after that.
    public var response = Nanoseconds.seconds(60)
    /// How long an unused connection to a peer is kept. Short: most servers close after 5 s.
    public var peerIdle = Nanoseconds.seconds(4)
    /// Between two bytes of an upgraded or TCP connection.
    public var tunnelIdle = Nanoseconds.seconds(3_600)
    /// What SIGTERM waits for.
    public var drain = Nanoseconds.seconds(30)
    /// How long a client between two requests may still send one after SIGTERM. Not a setting.
    public var drainGrace = Nanoseconds.seconds(1)
    /// How long a request waits for a source that is asked for the route of its host: 503 after that. Not a setting.
    public var route = Nanoseconds.seconds(1)

    public init() {}
}

/// How much of each thing there may be, for each worker thread.
public struct ProxyLimits: Hashable, Sendable {
    public var clientConnections = 10_000
    /// Unused connections kept to one peer.
    public var idlePeerConnections = 64
    /// Peers tried for one request, the first included.
    public var tries = 5

    public init() {}

    /// Clients that `descriptors` are enough for: two each, and a tenth for idle connections to peers.
    func clients(within descriptors: Int?) -> Int {
        guard let descriptors else { return clientConnections }
        return max(min(clientConnections, (descriptors - descriptors / 10) / 2), 1)
    }
}

/// What older proxies did otherwise, where their data is a source of routes.
public struct ProxyManners: Hashable, Sendable {
    /// For a host that neither a listener nor a source has.
    public var absentStatus: UInt16 = 404
    /// A request for the host `__ping__` is answered 200, for whoever watches over this process.
    public var answersPing = false
    public var pingAnswer = "ok"
    /// Takes heads of clients whose lines end with LF alone. What goes on to peers stays strict.
    public var isLenientToClients = false
    /// Bodies, by status, of answers where a host is nobody's, or nobody of its is well.
    public var texts: [Int: String] = [:]
    /// HTML for answers of our own, by status; under 0 for all others.
    public var errorPages: [Int: String] = [:]

    /// More of one would not fit beside what else waits to be sent.
    public static let errorPageBytesMax = 8_192

    public init() {}
}

public struct ProxyConfiguration: Hashable, Sendable {
    /// Worker threads; nil means one a core.
    public var threads: Int?
    public var listeners: [ListenerConfiguration]
    public var timeouts = ProxyTimeouts()
    public var limits = ProxyLimits()
    public var manners = ProxyManners()
    public var trustedProxies = TrustedProxies()
    /// Where this process stands: requests go first to peers of the same zone.
    public var zone: String?
    /// Descriptors that all workers together may take; nil where nobody counts them. A client takes one
    /// and its peer another, so that less than half of them is the most clients there can be.
    public var descriptors: Int?

    public init(threads: Int? = nil, listeners: [ListenerConfiguration] = []) {
        self.threads = threads
        self.listeners = listeners
    }

    /// With fewer for its connections a worker is of no use.
    private static let descriptorsPerWorkerMin = 28
    /// A worker's loop has an epoll and an eventfd; then there is one a listener.
    private var ownDescriptors: Int { 2 + listeners.count }

    /// What is set and cannot be had within so many descriptors.
    public func warnings(within descriptors: Int?) -> [String] {
        guard let descriptors, !listeners.isEmpty else { return [] }
        var counted = self
        counted.descriptors = descriptors
        let remedy = "raise the limit of open files (LimitNOFILE, ulimit -n)"
        let workers = counted.workers(cores: cores())
        var lines: [String] = []
        if let threads, workers < threads {
            lines.append(
                "proxy.threads: expected at most \(workers) where the proxy may have \(descriptors) "
                    + "descriptors, saw \(threads): \(workers) run; \(remedy)"
            )
        }
        let clients = limits.clients(within: counted.descriptorsEach(of: workers))
        if limits.clientConnections != ProxyLimits().clientConnections,
            clients < limits.clientConnections
        {
            lines.append(
                "proxy.limits.client-connections: expected at most \(clients) for each of \(workers) "
                    + "workers where the proxy may have \(descriptors) descriptors, two a client, saw "
                    + "\(limits.clientConnections): \(clients) hold; \(remedy)"
            )
        }
        return lines
    }

    /// How many workers there can be: each needs descriptors of its own.
    func workers(cores: Int) -> Int {
        let wanted = threads ?? cores
        guard let descriptors else { return wanted }
        return max(min(wanted, descriptors / (Self.descriptorsPerWorkerMin + ownDescriptors)), 1)
    }

    /// What one of `workers` has for its connections; nil where nobody counts.
    func descriptorsEach(of workers: Int) -> Int? {
        descriptors.map { max($0 / workers - ownDescriptors, 1) }
    }
}
