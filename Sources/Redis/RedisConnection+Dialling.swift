// Who is meant by a URL? An address, each of those of a name, or the master that sentinels name.

public import EventLoop
public import Vocabulary

/// Turns a host name into IP literals; an empty answer means that there are none now.
public typealias HostLookup = @Sendable (_ host: String, _ deadline: Instant) async -> [String]

extension RedisConnection {
    /// Connects, authenticates and selects the database. A name may have several addresses, of which some lead nowhere
    /// or to nobody: each is asked in turn, and has `timeout` to be reached and to answer. With `dialled` only that address
    /// is, as what the URL names: a certificate has to be for the name. `preferred` is asked first, where it still is one of
    /// them. `tls` counts where the URL says so; without it the authorities of the system do.
    public static func connect(
        to url: RedisURL,
        at dialled: Address? = nil,
        preferring preferred: Address? = nil,
        tls: RedisTLS? = nil,
        on loop: EventLoop,
        timeout: Nanoseconds = timeoutDefault,
        lookup: HostLookup? = nil
    ) async throws(RedisError) -> RedisConnection {
        if let sentinels = url.sentinels {
            return try await connect(
                toMasterOf: sentinels,
                url,
                tls: tls,
                on: loop,
                timeout: timeout,
                lookup: lookup
            )
        }
        var places = [dialled].compactMap(\.self)
        if places.isEmpty {
            places = try await socketAddresses(
                of: url.address,
                deadline: loop.instant + timeout,
                lookup: lookup
            )
        }
        if let preferred, let found = places.firstIndex(of: preferred) { places.swapAt(0, found) }
        var failures: [(place: Address, error: RedisError)] = []
        for place in places {
            let connection = try RedisConnection(to: url, on: loop)
            do throws(RedisError) {
                try await connection.open(place, tls: tls, timeout: timeout)
                try await connection.greet(timeout: timeout)
                connection.place = place
                return connection
            } catch {
                connection.close()
                failures.append((place, error))
                // Somebody is there, and says why not: another address would be another server.
                if case .refused = error { break }
            }
        }
        throw error(of: failures)
    }

    /// Of several places all are named: which of them is the one that should answer is not known here.
    private static func error(of failures: [(place: Address, error: RedisError)]) -> RedisError {
        guard let last = failures.last else { return .disconnected("connect: no address") }
        if failures.count == 1 { return last.error }
        if case .refused = last.error { return last.error }
        return joined(failures.map { ($0.error, $0.place) })
    }

    /// The words of all, with what was dialled where they do not say so.
    private static func joined(_ errors: [(RedisError, place: Address?)]) -> RedisError {
        var isOfTLS = false
        let words = errors.map { error, place in
            var text = "\(error)"
            if case .tls(let why) = error { (text, isOfTLS) = (why, true) }
            guard let place, !text.contains("connect \(place)") else { return text }
            return "connect \(place): \(text)"
        }.joined(separator: "; ")
        return isOfTLS ? .tls(words) : .disconnected(words)
    }

    /// Asks one sentinel after the other where the master is. While a failover lasts they may still name the
    /// former one: it must say itself that it is the master.
    private static func connect(
        toMasterOf sentinels: RedisURL.Sentinels,
        _ url: RedisURL,
        tls: RedisTLS?,
        on loop: EventLoop,
        timeout: Nanoseconds,
        lookup: HostLookup?
    ) async throws(RedisError) -> RedisConnection {
        // Each is told of: which of them should have answered is not known here.
        var problems: [RedisError] = []
        for address in sentinels.addresses {
            do throws(RedisError) {
                var master = url
                master.sentinels = nil
                master.address = try await ask(
                    address,
                    for: sentinels.name,
                    url,
                    tls: tls,
                    on: loop,
                    timeout: timeout,
                    lookup: lookup
                )
                let connection = try await connect(
                    to: master,
                    tls: tls,
                    on: loop,
                    timeout: timeout,
                    lookup: lookup
                )
                let role = try? await connection.command(["ROLE"], timeout: timeout)
                if role?.array?.first?.text == "slave" {
                    connection.close()
                    throw .disconnected(
                        "expected \(master.address) to be the master of '\(sentinels.name)', as "
                            + "sentinel \(address) says, saw a replica"
                    )
                }
                connection.sentinel = address
                return connection
            } catch {
                if !problems.contains(error) { problems.append(error) }
            }
        }
        guard let last = problems.last else {
            throw .disconnected("expected a sentinel, saw none")
        }
        if problems.count == 1 { throw last }
        throw joined(problems.map { ($0, nil) })
    }

    private static func ask(
        _ sentinel: Address,
        for name: String,
        _ url: RedisURL,
        tls: RedisTLS?,
        on loop: EventLoop,
        timeout: Nanoseconds,
        lookup: HostLookup?
    ) async throws(RedisError) -> Address {
        let question = ["SENTINEL", "get-master-addr-by-name", name]
        // Sentinels have passwords of their own, or none: the one for Redis is tried where one is wanted.
        for hasPassword in url.password == nil ? [false] : [false, true] {
            var place = RedisURL(address: sentinel)
            place.isSecure = url.isSecure
            if hasPassword { (place.user, place.password) = (url.user, url.password) }
            let connection: RedisConnection
            do throws(RedisError) {
                connection = try await connect(
                    to: place,
                    tls: tls,
                    on: loop,
                    timeout: timeout,
                    lookup: lookup
                )
            } catch {
                if case .refused = error, !hasPassword, url.password != nil { continue }
                if case .tls(let why) = error { throw .tls("sentinel \(sentinel): \(why)") }
                throw .disconnected("sentinel \(sentinel): \(error)")
            }
            let reply = try await connection.command(question, timeout: timeout)
            connection.close()
            if case .error(let text) = reply {
                if !hasPassword, url.password != nil { continue }
                throw .disconnected("sentinel \(sentinel): \(text)")
            }
            guard let parts = reply.array, parts.count == 2, let host = parts[0].text,
                let port = parts[1].text.flatMap(UInt16.init)
            else {
                throw .disconnected("sentinel \(sentinel) knows no master of the name '\(name)'")
            }
            return .host(host, port: port)
        }
        throw .disconnected("sentinel \(sentinel) wants another password")
    }

    private static func socketAddresses(
        of address: Address,
        deadline: Instant,
        lookup: HostLookup?
    ) async throws(RedisError) -> [Address] {
        guard case .host(let host, let port) = address, SocketAddress(address) == nil else {
            return [address]
        }
        // The one name that is an address everywhere.
        if host == "localhost" { return ["127.0.0.1", "::1"].map { .host($0, port: port) } }
        guard let lookup else {
            throw .disconnected("resolve \(host): expected an IP address, saw a name")
        }
        var places: [Address] = []
        for ip in await lookup(host, deadline) {
            let place = Address.host(ip, port: port)
            if !places.contains(place), places.count < placesMax { places.append(place) }
        }
        if places.isEmpty { throw .disconnected("resolve \(host): no address") }
        return places
    }

    /// Of one name: each that is silent takes its time.
    private static let placesMax = 8

    // MARK: Masters

    /// Another server may take what this one refuses: it is a replica, or a master that others have left.
    public static func isOfReplication(_ refusal: String) -> Bool {
        ["READONLY", "NOREPLICAS", "MASTERDOWN"].contains { refusal.contains($0) }
    }

    /// So often somebody else is looked for while it refuses.
    public static let seekEvery = Nanoseconds.seconds(5)

    /// Where by this URL a server takes `write`, which is to change nothing: another address of its name first, and then whoever
    /// answers by now at `held`, which may be a balancer's or one that moves. Nil where none does.
    public static func writable(
        by write: [String],
        of url: RedisURL,
        besides held: Address,
        tls: RedisTLS? = nil,
        on loop: EventLoop,
        timeout: Nanoseconds = timeoutDefault,
        lookup: HostLookup? = nil
    ) async -> Address? {
        guard url.sentinels == nil,
            let places = try? await socketAddresses(
                of: url.address,
                deadline: loop.instant + timeout,
                lookup: lookup
            )
        else { return nil }
        let isHeld = places.contains(held)
        for place in places.filter({ $0 != held }) + (isHeld ? [held] : []) {
            let found = try? await connect(to: url, at: place, tls: tls, on: loop, timeout: timeout)
            guard let found else { continue }
            defer { found.close() }
            if await found.takes(write, timeout: timeout) { return place }
        }
        return nil
    }

    /// Of all sentinels one that names a master which takes `write`, beside the one at `held`, and that master: one that is cut
    /// off with the former master goes on to name it.
    public static func sentinel(
        namingWritable write: [String],
        of url: RedisURL,
        besides held: Address,
        tls: RedisTLS? = nil,
        on loop: EventLoop,
        timeout: Nanoseconds = timeoutDefault,
        lookup: HostLookup? = nil
    ) async -> (sentinel: Address, master: Address)? {
        guard let sentinels = url.sentinels else { return nil }
        for address in sentinels.addresses {
            let named = try? await ask(
                address,
                for: sentinels.name,
                url,
                tls: tls,
                on: loop,
                timeout: timeout,
                lookup: lookup
            )
            guard let named else { continue }
            var master = url
            (master.sentinels, master.address) = (nil, named)
            let found = try? await connect(
                to: master,
                tls: tls,
                on: loop,
                timeout: timeout,
                lookup: lookup
            )
            guard let found else { continue }
            defer { found.close() }
            guard let place = found.place, place != held else { continue }
            if await found.takes(write, timeout: timeout) { return (address, place) }
        }
        return nil
    }

    /// It takes it, and does not say that it is a replica: one that can be written (`replica-read-only no`) loses what it was
    /// told.
    private func takes(_ write: [String], timeout: Nanoseconds) async -> Bool {
        let questions = [write, ["ROLE"], ["INFO", "replication"]]
        guard let replies = try? await pipeline(questions, timeout: timeout), replies.count == 3
        else { return false }
        if case .error = replies[0] { return false }
        // A user may be allowed neither.
        return replies[1].array?.first?.text != "slave"
            && replies[2].text?.contains("role:slave") != true
    }
}
