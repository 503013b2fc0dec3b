// How does a source hear of changes in Redis? Three ways, the best that the server has: it tells whoever asks
// of every key that is written (client-side caching, Redis 6), it publishes what happens to keys where
// its administrator has told it to (keyspace notifications), or it has to be asked again and again. Nothing
// is ever set on the server for it.

import EventLoop
import Redis
import Vocabulary

/// One run of a server, and one history of data.
struct ServerIdentity: Hashable, Sendable {
    var run: String
    var history: String
}

/// The connections of one session. Used up by the first failure of any of them.
final class ForeignLink {
    let reader: RedisConnection
    let ears: RedisConnection
    private(set) var failure: RedisError?
    /// The server tells of every change.
    private(set) var isNotified = false
    /// By keyspace notifications.
    private var hearsByConfiguration = false

    private let base: ForeignBase
    /// Of this connection: a server that is started again closes it.
    private var run: String?
    private let onFailure: () -> Void

    static let timeout = Nanoseconds.seconds(1)
    /// Where Redis says what a client's cache holds no more.
    static let invalidations = "__redis__:invalidate"
    static let dead = "dead"

    /// Connects, and has the server tell what it can. `kinds` begin the keys that matter: of all of them, or
    /// where that is none, of those that are read.
    static func open(
        _ base: ForeignBase,
        kinds: [String],
        channels: [String],
        preferring preferred: Address? = nil,
        on loop: EventLoop,
        lookup: HostLookup?,
        onMessage: @escaping (String, RedisReply) -> Void,
        onFailure: @escaping () -> Void
    ) async throws(RedisError) -> ForeignLink {
        func connect() async throws(RedisError) -> RedisConnection {
            try await RedisConnection.connect(
                to: base.read,
                preferring: preferred,
                tls: base.tls,
                on: loop,
                lookup: lookup
            )
        }
        let ears = try await connect()
        let reader: RedisConnection
        do throws(RedisError) {
            reader = try await connect()
        } catch {
            ears.close()
            throw error
        }
        let link = ForeignLink(
            base,
            ears: ears,
            reader: reader,
            onFailure: onFailure
        )
        do throws(RedisError) {
            ears.onMessage = onMessage
            try await link.listen(kinds: kinds, channels: channels)
        } catch {
            link.close()
            throw error
        }
        return link
    }

    private init(
        _ base: ForeignBase,
        ears: RedisConnection,
        reader: RedisConnection,
        onFailure: @escaping () -> Void
    ) {
        self.base = base
        self.ears = ears
        self.reader = reader
        self.onFailure = onFailure
        ears.onFailure = { [weak self] in self?.fail($0) }
        reader.onFailure = { [weak self] in self?.fail($0) }
    }

    private func fail(_ error: RedisError) {
        if failure == nil { failure = error }
        onFailure()
    }

    private func listen(kinds: [String], channels: [String]) async throws(RedisError) {
        let id = try await ears.command(["CLIENT", "ID"]).integer
        // What stands before Redis may lead each connection to another server, where the id is nobody's or a stranger's.
        let isOneServer = try await Self.run(of: ears) == Self.run(of: reader)
        var patterns: [String] = []
        if let id, isOneServer {
            try await ears.subscribe(channels + [Self.invalidations])
            var command = ["CLIENT", "TRACKING", "ON", "REDIRECT", "\(id)"]
            if !kinds.isEmpty { command.append("BCAST") }
            for kind in kinds { command += ["PREFIX", base.prefix + kind] }
            if case .status = try await reader.command(command) {
                isNotified = true
                return
            }
        } else if !channels.isEmpty {
            try await ears.subscribe(channels)
        }
        let space = "__keyspace@\(base.read.database)__:\(Self.escaped(base.prefix))"
        patterns = kinds.isEmpty ? ["\(space)*"] : kinds.map { "\(space)\($0)*" }
        try await ears.subscribe([], patterns: patterns)
        guard isOneServer else { return }
        // It may not say: then nobody relies on it, and what comes is welcome all the same.
        hearsByConfiguration = true
        try await readConfiguration()
    }

    /// Whether the server publishes all that matters: somebody may set that otherwise at any time.
    private func readConfiguration() async throws(RedisError) {
        let reply = try await reader.command(["CONFIG", "GET", "notify-keyspace-events"])
        let flags = reply.array?.last?.text ?? ""
        isNotified = flags.contains("K") && (flags.contains("A") || Self.says(flags, "gl$hx"))
    }

    private static func says(_ flags: String, _ wanted: String) -> Bool {
        wanted.allSatisfy { flags.contains($0) }
    }

    /// As a pattern that means the text itself.
    static func escaped(_ text: String) -> String {
        var pattern = ""
        for letter in text {
            if "*?[]\\^".contains(letter) { pattern.append("\\") }
            pattern.append(letter)
        }
        return pattern
    }

    /// Which server answers, and of which history its data is: another run or another replication id may have lost
    /// what the one before had. Nil where the server does not say, for want of a right.
    func identity() async throws(RedisError) -> ServerIdentity? {
        if run == nil { run = try await Self.run(of: reader) }
        let text = try await reader.command(["INFO", "replication"], timeout: Self.timeout).text
        guard let run, let history = Self.field("master_replid", in: text) else { return nil }
        return ServerIdentity(run: run, history: history)
    }

    private static func run(of connection: RedisConnection) async throws(RedisError) -> String? {
        let text = try await connection.command(["INFO", "server"], timeout: timeout).text
        return field("run_id", in: text)
    }

    private static func field(_ name: String, in text: String?) -> String? {
        text?.split(whereSeparator: \.isNewline).first { $0.hasPrefix("\(name):") }
            .map { String($0.dropFirst(name.count + 1)) }
    }

    /// Finds out whether the connection that only listens is still there.
    func checkEars() async throws(RedisError) {
        try await ears.subscribe([Self.invalidations])
        if hearsByConfiguration { try await readConfiguration() }
    }

    func close() {
        ears.close()
        reader.close()
        if failure == nil { failure = .closed }
    }
}
