// Who takes what a source writes, where that is another server than the one it reads? A master that is away keeps nobody
// from reading, and a replica that is away nobody from writing: each has a connection of its own, and a life.

import EventLoop
import Redis
import Vocabulary

/// Confined to its loop's thread.
final class MasterLink {
    private let url: RedisURL
    private let tls: RedisTLS?
    private let loop: EventLoop
    private let lookup: HostLookup?
    private var connection: RedisConnection?
    private var triedAt = Instant(nanoseconds: .min)
    /// Why nobody can write, as of the last attempt.
    private(set) var error: RedisError?

    /// Of several servers by one name the one that took writes when that was tried.
    private var preferred: Address?

    private static let tryAgain = Nanoseconds.seconds(1)

    init(_ url: RedisURL, tls: RedisTLS?, on loop: EventLoop, lookup: HostLookup?) {
        self.url = url
        self.tls = tls
        self.loop = loop
        self.lookup = lookup
    }

    /// As it is; nil where there is none.
    var open: RedisConnection? {
        guard let connection, connection.isOpen else { return nil }
        return connection
    }

    /// Connects where that has not been tried just now. Nil while it is away.
    func writing() async -> RedisConnection? {
        if let open { return open }
        if loop.instant - triedAt < Self.tryAgain { return nil }
        triedAt = loop.instant
        do throws(RedisError) {
            connection = try await RedisConnection.connect(
                to: url,
                preferring: preferred,
                tls: tls,
                on: loop,
                lookup: lookup
            )
            error = nil
        } catch {
            connection = nil
            self.error = error
        }
        return connection
    }

    /// It takes writes, and whoever is connected does not.
    func leave(for place: Address) {
        preferred = place
        close()
        triedAt = Instant(nanoseconds: .min)
    }

    func close() {
        connection?.close()
        connection = nil
    }
}
