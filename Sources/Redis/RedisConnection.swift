// How does one talk to Redis on a loop? Commands go out as they are made, each reply belongs to the command
// that has waited longest, and each command has its deadline.
//
// A connection is used up by its first failure: everything pending fails with it, and whoever owns
// it makes another.

public import EventLoop
import TLS
public import Vocabulary

/// Why a connection ended or could not be had.
public enum RedisError: Error, Hashable, Sendable {
    /// We closed it ourselves.
    case closed
    /// No connection, or it broke.
    case disconnected(String)
    /// Somebody is there, and TLS with them did not come about, or broke.
    case tls(String)
    /// Redis took longer than the deadline allowed: it hangs, or the way to it does.
    case timedOut(after: Nanoseconds)
    /// Redis answered, and refused: `WRONGPASS …`.
    case refused(String)
    /// More came as one answer than is read.
    case tooLong(bytesMax: Int)
}

extension RedisError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .closed: "the connection was closed"
        case .disconnected(let why): why
        case .tls(let why): "TLS: \(why)"
        case .timedOut(let span): "no answer within \(span.rounded)"
        case .refused(let text): text
        case .tooLong(let limit): "expected replies of at most \(limit) bytes, saw a longer one"
        }
    }
}

/// Turns a host name into IP literals; an empty answer means that there are none now.
public typealias HostLookup = @Sendable (_ host: String, _ deadline: Instant) async -> [String]

/// One connection to Redis. Confined to its loop's thread.
public final class RedisConnection: EventSink {
    private let loop: EventLoop
    private let reader: RedisReader
    private var socket: RedisSocket?
    /// Who waits for a reply, one place for each command.
    private var waiting = Waiting()
    private var isListening = false
    /// Somebody took the connection, whatever became of TLS.
    private var wasReached = false
    private var isSecure = false
    private var hasHeard = false
    /// With which a server answers that wants TLS (RFC 8446, section 5.1).
    private static let alertRecord: UInt8 = 21
    private var opening: CheckedContinuation<Void, Never>?
    private var openingTimer = -1
    private var isOpened = false
    private var failure: RedisError?

    private var timers: [Int: (id: TimerID, span: Nanoseconds, deadline: Instant)] = [:]
    private var nextTag = 0

    /// Hears what is said on the channels that were subscribed to: where, and what.
    public var onMessage: ((_ channel: String, _ payload: RedisReply) -> Void)?
    /// The server's consents that are still to come, who waits for them, and until when.
    private var consents = 0
    private var subscribing: CheckedContinuation<Void, Never>?
    private var consentTimer = -1

    /// Called once, when the connection is over for whatever reason but `close`.
    public var onFailure: ((RedisError) -> Void)?

    /// Of one reply, kept until it is whole. We ask for some hundreds of small values at most.
    public static let replyBytesMax = RedisReader.replyBytesMax

    /// A timer that is late by so much was stopped with its process.
    private static let standstillMin = Nanoseconds.seconds(1)

    /// Until a command is answered, unless the caller says otherwise.
    public static let timeoutDefault = Nanoseconds.seconds(1)

    private init(to url: RedisURL, on loop: EventLoop) throws(RedisError) {
        self.loop = loop
        served = url
        reader = try RedisReader()
    }

    /// Where it leads: of the addresses of a name the one that answered.
    public private(set) var place: Address?
    /// As what the server was asked for: the master, where a sentinel named it.
    public private(set) var served: RedisURL
    /// Which of the sentinels named it.
    public private(set) var sentinel: Address?
    /// What is wrong with the files for TLS, which are newer than what this goes by.
    public private(set) var staleFiles: String?

    public var isOpen: Bool { socket != nil && failure == nil }

    // MARK: Life

    /// Connects, authenticates and selects the database. A name may have several addresses, of which some lead nowhere
    /// or to nobody: each is asked in turn, and has `timeout` to be reached and to answer. With `dialled` only that address
    /// is, as what the URL names: a certificate has to be for the name. `tls` counts where the URL says so; without it
    /// the authorities of the system do.
    public static func connect(
        to url: RedisURL,
        at dialled: Address? = nil,
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
        var failures: [(place: Address, error: RedisError)] = []
        for place in places {
            let connection = try RedisConnection(to: url, on: loop)
            do throws(RedisError) {
                try await connection.open(place, as: url, tls: tls, timeout: timeout)
                try await connection.greet(url, timeout: timeout)
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

    private func open(
        _ address: Address,
        as url: RedisURL,
        tls: RedisTLS?,
        timeout: Nanoseconds
    ) async throws(RedisError) {
        isSecure = url.isSecure
        var stale: TLSError?
        do throws(RedisError) {
            var engine: TLSEngine?
            if url.isSecure {
                (engine, stale) = try Self.engine(for: url, tls)
                staleFiles = stale.map { "\($0)" }
            }
            socket = try RedisSocket.connect(to: address, engine: engine, on: loop, for: self)
        } catch {
            throw error.connecting(to: address)
        }
        openingTimer = setTimer(timeout)
        // Asked where the wait begins: on the way there it may have opened, or failed.
        await withCheckedContinuation { waiter in
            if isOpened || failure != nil { waiter.resume() } else { opening = waiter }
        }
        if let failure {
            // What was in them before may be why it fails.
            if case .tls(let why) = failure, let stale {
                throw .tls(
                    "connect \(address): its files changed and cannot be used (\(stale)), and by what was in "
                        + "them before: \(why)"
                )
            }
            if case .timedOut = failure, wasReached, isSecure {
                throw .disconnected(
                    "connect \(address): no end of the TLS handshake within \(timeout.rounded): it hangs, or that is not its "
                        + "port for TLS (tls-port)"
                )
            }
            throw failure.connecting(to: address)
        }
    }

    private static func engine(
        for url: RedisURL,
        _ tls: RedisTLS?
    ) throws(RedisError) -> (TLSEngine, TLSError?) {
        guard case .host(let host, _) = url.address else {
            throw .tls("expected a host, saw \(url.address)")
        }
        do throws(TLSError) {
            if let tls { return try tls.engine(for: host) }
            return try RedisTLS.standard.get().engine(for: host)
        } catch {
            throw .tls("\(error)")
        }
    }

    private func greet(_ url: RedisURL, timeout: Nanoseconds) async throws(RedisError) {
        var commands: [[String]] = []
        if let password = url.password {
            commands.append(["AUTH"] + (url.user.map { [$0] } ?? []) + [password])
        }
        if url.database != 0 { commands.append(["SELECT", "\(url.database)"]) }
        commands.append(["PING"])
        for reply in try await pipeline(commands, timeout: timeout) {
            if case .error(let text) = reply { throw .refused(text) }
        }
    }

    /// Ends the connection; commands that wait for an answer fail.
    public func close() {
        onFailure = nil
        end(.closed)
    }

    private func end(_ error: RedisError) {
        if failure == nil { failure = error }
        guard let socket = socket.take() else { return }
        wasReached = socket.isReached
        socket.close()
        for timer in timers.values { loop.cancel(timer.id) }
        timers = [:]
        // Those who hear of it may come back here: nothing is left for them to find.
        let unanswered = waiting.takeAll()
        opening.take()?.resume()
        subscribing.take()?.resume()
        for batch in unanswered { batch.fail() }
    }

    // MARK: Commands

    /// Sends one command and waits for its answer. An error that Redis answers is a reply.
    public func command(
        _ arguments: [String],
        timeout: Nanoseconds = timeoutDefault
    ) async throws(RedisError) -> RedisReply {
        try await pipeline([arguments], timeout: timeout).first ?? .null
    }

    /// Sends many commands in one go and waits for all answers, which come in the same order.
    public func pipeline(
        _ commands: [[String]],
        timeout: Nanoseconds = timeoutDefault
    ) async throws(RedisError) -> [RedisReply] {
        if let failure { throw failure }
        guard let socket else { throw .closed }
        if commands.isEmpty { return [] }
        let batch = Batch(count: commands.count)
        send(commands, on: socket, for: batch, timeout)
        await withCheckedContinuation { batch.wait($0) }
        if batch.isFailed {
            throw failure ?? .disconnected("the connection broke")
        }
        return batch.replies
    }

    /// Sends one command and goes on; `done` hears of the answer, or nil where the connection is over before
    /// one came. What is posted goes out in the order of the calls.
    public func post(
        _ arguments: [String],
        timeout: Nanoseconds = timeoutDefault,
        _ done: @escaping (RedisReply?) -> Void
    ) {
        guard failure == nil, let socket else { return done(nil) }
        let batch = Batch(count: 1)
        batch.onAnswer = done
        send([arguments], on: socket, for: batch, timeout)
    }

    private func send(
        _ commands: [[String]],
        on socket: RedisSocket,
        for batch: Batch,
        _ timeout: Nanoseconds
    ) {
        let tag = setTimer(timeout)
        // Cleared with the last answer, not when the caller goes on: on a busy loop the timer may be
        // due in between.
        batch.onSettled = { [self] in clearTimer(tag) }
        for _ in commands { waiting.append(batch) }
        socket.send(Self.wire(commands))
    }

    /// Each command as an array of strings, as the protocol has it (RESP, "Sending commands to a Redis server").
    private static func wire(_ commands: [[String]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for words in commands {
            bytes += "*\(words.count)\r\n".utf8
            for word in words {
                bytes += "$\(word.utf8.count)\r\n".utf8
                bytes += word.utf8
                bytes += "\r\n".utf8
            }
        }
        return bytes
    }

    // MARK: Subscribing

    /// Hears of these channels, and of those like these patterns, from now on. The connection takes nothing
    /// else afterwards. Returns when the server has agreed to each; to subscribe once more to the same is how
    /// to find out whether it is still there.
    public func subscribe(
        _ channels: [String],
        patterns: [String] = [],
        timeout: Nanoseconds = timeoutDefault
    ) async throws(RedisError) {
        if let failure { throw failure }
        guard let socket else { throw .closed }
        let commands =
            channels.map { ["SUBSCRIBE", $0] } + patterns.map { ["PSUBSCRIBE", $0] }
        if commands.isEmpty { return }
        isListening = true
        consents += commands.count
        consentTimer = setTimer(timeout)
        socket.send(Self.wire(commands))
        await withCheckedContinuation { waiter in
            if consents == 0 || failure != nil { waiter.resume() } else { subscribing = waiter }
        }
        if let failure { throw failure }
    }

    /// Whether it is something that a listener may be told: where, and what, or a consent.
    private func heard(_ reply: RedisReply) -> Bool {
        guard let items = reply.array, items.count >= 3, case .string = items[0],
            case .string = items[1]
        else { return false }
        switch items[0].text {
        case "subscribe", "psubscribe":
            guard case .integer = items[2] else { return false }
            guard consents > 0 else { return true }
            consents -= 1
            if consents > 0 { return true }
            clearTimer(consentTimer)
            subscribing.take()?.resume()
        case "message": onMessage?(items[1].text ?? "", items[2])
        case "pmessage":
            guard items.count >= 4 else { return false }
            onMessage?(items[2].text ?? "", items[3])
        default: return false
        }
        return true
    }

    // MARK: Events

    private func fail(_ error: RedisError) {
        if failure == nil { failure = error }
        if let tell = onFailure.take() { tell(error) }
        end(error)
    }

    private func take(_ reply: RedisReply) {
        if isListening {
            if heard(reply) { return }
            // Of a refusal its words say more than that it came.
            if case .error(let text) = reply { return fail(.disconnected(text)) }
            return fail(.disconnected("expected a message, saw something else"))
        }
        if let batch = waiting.popFirst() { return batch.take(reply) }
        // An error says why the server is about to close. Anything else is of one that is out of step: whose the next
        // reply would be nobody knows.
        if case .error(let text) = reply { return fail(.disconnected(text)) }
        fail(.disconnected("expected one reply to each command, saw one more"))
    }

    private func setTimer(_ span: Nanoseconds) -> Int {
        let tag = nextTag
        nextTag += 1
        let deadline = loop.instant + span
        timers[tag] = (loop.schedule(at: deadline, sink: self, tag: tag), span, deadline)
        return tag
    }

    private func clearTimer(_ tag: Int) {
        if let timer = timers.removeValue(forKey: tag) { loop.cancel(timer.id) }
    }

    /// A command waited too long. Whatever comes after it would wait too: the connection is over.
    public override func due(tag: Int) {
        guard let (_, span, deadline) = timers.removeValue(forKey: tag) else { return }
        let now = loop.instant
        if now - deadline > Self.standstillMin {
            // This process stood still: the answer may have come, and nobody read it yet.
            let again = now + span
            timers[tag] = (loop.schedule(at: again, sink: self, tag: tag), span, again)
            return
        }
        fail(.timedOut(after: span))
    }
}

extension RedisConnection: RedisSocketOwner {
    func opened() {
        clearTimer(openingTimer)
        isOpened = true
        opening.take()?.resume()
    }

    func received(_ bytes: UnsafeRawBufferPointer) {
        if !hasHeard, bytes.first == Self.alertRecord {
            return fail(.disconnected("expected a reply, saw TLS: \(Self.secureHint)"))
        }
        hasHeard = true
        reader.feed(bytes)
        do throws(RedisError) {
            while socket != nil, let reply = try reader.next() { take(reply) }
        } catch {
            fail(error)
        }
    }

    func ended(_ error: RedisError) {
        if case .disconnected(let why) = error, isOpened, !hasHeard, !isSecure {
            return fail(.disconnected("\(why), before any reply: \(Self.secureHint)"))
        }
        fail(error)
    }

    private static let secureHint = "a Redis that speaks TLS is named by rediss:// in the URL"
}

extension RedisError {
    fileprivate func connecting(to address: Address) -> RedisError {
        switch self {
        case .disconnected(let why): .disconnected("connect \(address): \(why)")
        case .tls(let why): .tls("connect \(address): \(why)")
        case .closed, .timedOut, .refused, .tooLong: self
        }
    }
}

/// Those who wait for replies, which come in the order of the commands.
private struct Waiting {
    private var batches: [Batch] = []
    private var answered = 0
    /// So many answered places are kept before the others move up.
    private static let answeredMax = 1_024

    mutating func append(_ batch: Batch) { batches.append(batch) }

    mutating func popFirst() -> Batch? {
        guard answered < batches.count else { return nil }
        let first = batches[answered]
        answered += 1
        if answered == batches.count || answered == Self.answeredMax {
            batches.removeFirst(answered)
            answered = 0
        }
        return first
    }

    mutating func takeAll() -> ArraySlice<Batch> {
        defer { self = Waiting() }
        return batches[answered...]
    }
}

/// The answers to commands sent together.
private final class Batch {
    private(set) var replies: [RedisReply] = []
    private(set) var isFailed = false
    private var outstanding: Int
    private var waiter: CheckedContinuation<Void, Never>?
    var onSettled: (() -> Void)?
    /// Of one that nobody waits for.
    var onAnswer: ((RedisReply?) -> Void)?

    init(count: Int) {
        outstanding = count
        replies.reserveCapacity(count)
    }

    func take(_ reply: RedisReply) {
        replies.append(reply)
        settle()
    }

    func fail() {
        isFailed = true
        settle()
    }

    func wait(_ continuation: CheckedContinuation<Void, Never>) {
        if outstanding == 0 { continuation.resume() } else { waiter = continuation }
    }

    private func settle() {
        outstanding -= 1
        guard outstanding == 0 else { return }
        onSettled.take()?()
        waiter.take()?.resume()
        onAnswer.take()?(isFailed ? nil : replies.first)
    }
}
