// How does the loop talk to Redis? hiredis speaks the protocol and tells through five hooks what it
// waits for; the loop watches its socket and calls back. Deadlines are ours: hiredis 0.14 has none.
//
// A connection is used up by its first failure: everything pending fails with it, and whoever owns
// it makes another.

import CHiredis
public import EventLoop
import Glibc
import Synchronization
public import Vocabulary

/// Why a connection ended or could not be had.
public enum RedisError: Error, Hashable, Sendable {
    /// We closed it ourselves.
    case closed
    /// No connection, or it broke.
    case disconnected(String)
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
    private var context: UnsafeMutablePointer<redisAsyncContext>?
    private var handle = Handle.none
    private var wantsRead = false
    private var wantsWrite = false
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
    public static let replyBytesMax = 8 << 20

    /// A timer that is late by so much was stopped with its process.
    private static let standstillMin = Nanoseconds.seconds(1)

    /// Until a command is answered, unless the caller says otherwise.
    public static let timeoutDefault = Nanoseconds.seconds(1)

    private init(loop: EventLoop) { self.loop = loop }

    /// Where it leads: of the addresses of a name the one that answered.
    public private(set) var place: Address?

    public var isOpen: Bool { context != nil && failure == nil }

    // MARK: Life

    /// Connects, authenticates and selects the database. A name may have several addresses, of which some lead nowhere
    /// or to nobody: each is asked in turn, and has `timeout` to be reached and to answer.
    public static func connect(
        to url: RedisURL,
        on loop: EventLoop,
        timeout: Nanoseconds = timeoutDefault,
        lookup: HostLookup? = nil
    ) async throws(RedisError) -> RedisConnection {
        _ = brokenPipesAreErrors
        if let sentinels = url.sentinels {
            return try await connect(
                toMasterOf: sentinels,
                url,
                on: loop,
                timeout: timeout,
                lookup: lookup
            )
        }
        let places = try await socketAddresses(
            of: url.address,
            deadline: loop.instant + timeout,
            lookup: lookup
        )
        var failures: [(place: Address, error: RedisError)] = []
        for place in places {
            let connection = RedisConnection(loop: loop)
            do throws(RedisError) {
                try await connection.open(place, timeout: timeout)
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
        let words = failures.map { place, error in
            let text = "\(error)"
            return text.hasPrefix("connect ") ? text : "connect \(place): \(text)"
        }
        return .disconnected(words.joined(separator: "; "))
    }

    /// Asks one sentinel after the other where the master is. While a failover lasts they may still name the
    /// former one: it must say itself that it is the master.
    private static func connect(
        toMasterOf sentinels: RedisURL.Sentinels,
        _ url: RedisURL,
        on loop: EventLoop,
        timeout: Nanoseconds,
        lookup: HostLookup?
    ) async throws(RedisError) -> RedisConnection {
        var problem = RedisError.disconnected("expected a sentinel, saw none")
        for address in sentinels.addresses {
            do throws(RedisError) {
                var master = url
                master.sentinels = nil
                master.address = try await ask(
                    address,
                    for: sentinels.name,
                    url,
                    on: loop,
                    timeout: timeout,
                    lookup: lookup
                )
                let connection = try await connect(
                    to: master,
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
                return connection
            } catch {
                problem = error
            }
        }
        throw problem
    }

    private static func ask(
        _ sentinel: Address,
        for name: String,
        _ url: RedisURL,
        on loop: EventLoop,
        timeout: Nanoseconds,
        lookup: HostLookup?
    ) async throws(RedisError) -> Address {
        let question = ["SENTINEL", "get-master-addr-by-name", name]
        // Sentinels have passwords of their own, or none: the one for Redis is tried where one is wanted.
        for hasPassword in url.password == nil ? [false] : [false, true] {
            var place = RedisURL(address: sentinel)
            if hasPassword { (place.user, place.password) = (url.user, url.password) }
            let connection: RedisConnection
            do throws(RedisError) {
                connection = try await connect(
                    to: place,
                    on: loop,
                    timeout: timeout,
                    lookup: lookup
                )
            } catch {
                if case .refused = error, !hasPassword, url.password != nil { continue }
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

    /// hiredis writes with `write`, which raises SIGPIPE where the other side is gone.
    private static let brokenPipesAreErrors: Bool = {
        signal(SIGPIPE, SIG_IGN)
        return true
    }()

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

    private func open(_ address: Address, timeout: Nanoseconds) async throws(RedisError) {
        let made: UnsafeMutablePointer<redisAsyncContext>? =
            switch address {
            case .host(let ip, let port): redisAsyncConnect(ip, Int32(port))
            case .unix(let path): redisAsyncConnectUnix(path)
            }
        guard let made else { throw .disconnected("connect: out of memory") }
        if made.pointee.err != 0 {
            let why = Self.text(of: made)
            redisAsyncFree(made)
            throw .disconnected("connect \(address): \(why)")
        }
        context = made
        do throws(SystemError) {
            handle = try loop.watch(
                made.pointee.c.fd,
                readable: false,
                writable: false,
                sink: self
            )
        } catch {
            close()
            throw .disconnected("\(error)")
        }
        install(on: made)
        openingTimer = setTimer(timeout)
        // Asked where the wait begins: on the way there it may have opened, or failed.
        await withCheckedContinuation { waiter in
            if isOpened || failure != nil { waiter.resume() } else { opening = waiter }
        }
        if let failure {
            if case .disconnected(let why) = failure {
                throw .disconnected("connect \(address): \(why)")
            }
            throw failure
        }
    }

    private static let bounds = Mutex(())

    private func install(on context: UnsafeMutablePointer<redisAsyncContext>) {
        // A reply that lies about its length gets no memory.
        Self.bounds.withLock { _ in muster_redis_bound(context.pointee.c.reader) }
        // The hooks hold on to this object until hiredis cleans up.
        context.pointee.ev.data = Unmanaged.passRetained(self).toOpaque()
        context.pointee.data = context.pointee.ev.data
        context.pointee.ev.addRead = { RedisConnection.from($0)?.want(read: true) }
        context.pointee.ev.delRead = { RedisConnection.from($0)?.want(read: false) }
        context.pointee.ev.addWrite = { RedisConnection.from($0)?.want(write: true) }
        context.pointee.ev.delWrite = { RedisConnection.from($0)?.want(write: false) }
        context.pointee.ev.cleanup = { RedisConnection.from($0)?.cleanUp() }
        redisAsyncSetConnectCallback(context) { context, status in
            guard let context else { return }
            RedisConnection.from(context.pointee.data)?.connected(context, status)
        }
        redisAsyncSetDisconnectCallback(context) { context, status in
            guard let context, status != REDIS_OK else { return }
            RedisConnection.from(context.pointee.data)?
                .fail(.disconnected(RedisConnection.text(of: context)))
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
        guard let context else { return }
        self.context = nil
        // Calls back everything that is pending, then `cleanUp`.
        redisAsyncFree(context)
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
        guard let context else { throw .closed }
        if commands.isEmpty { return [] }
        let tag = setTimer(timeout)
        // Cleared with the last answer, not when the caller goes on: on a busy loop the timer may be
        // due in between.
        let batch = Batch(count: commands.count) { [self] in clearTimer(tag) }
        for command in commands {
            let isTaken = Self.send(command, on: context, for: batch)
            if !isTaken { batch.fail() }
        }
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
        guard failure == nil, let context else { return done(nil) }
        let tag = setTimer(timeout)
        let batch = Batch(count: 1) { [self] in clearTimer(tag) }
        batch.onAnswer = done
        if !Self.send(arguments, on: context, for: batch) { batch.fail() }
    }

    private static func send(
        _ command: [String],
        on context: UnsafeMutablePointer<redisAsyncContext>,
        for batch: Batch
    ) -> Bool {
        let words = command.map { Array($0.utf8) }
        var pointers: [UnsafePointer<CChar>?] = []
        let joined = words.flatMap { $0 }
        let box = Unmanaged.passRetained(batch)
        let result = joined.withUnsafeBytes { bytes in
            // Even an empty word needs an address.
            let empty = UnsafeRawPointer(bitPattern: 1)
            var start = 0
            for word in words {
                let place = bytes.baseAddress.map { UnsafeRawPointer($0 + start) } ?? empty
                pointers.append(place?.assumingMemoryBound(to: CChar.self))
                start += word.count
            }
            return redisAsyncCommandArgv(
                context,
                { context, reply, box in
                    guard let box else { return }
                    let batch = Unmanaged<Batch>.fromOpaque(box).takeRetainedValue()
                    // No reply at all: the connection is going away.
                    guard let reply else { return batch.fail() }
                    batch.take(RedisReply(copying: reply.assumingMemoryBound(to: redisReply.self)))
                    guard let context, let reader = context.pointee.c.reader,
                        reader.pointee.pos < reader.pointee.len,
                        muster_redis_is_quiet(context) != 0,
                        RedisConnection.isUnasked(reader.pointee.buf[Int(reader.pointee.pos)])
                    else { return }
                    RedisConnection.from(context.pointee.data)?.heardUnasked()
                },
                box.toOpaque(),
                Int32(words.count),
                &pointers,
                words.map(\.count)
            )
        }
        if result != REDIS_OK { box.release() }
        return result == REDIS_OK
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
        guard let context else { throw .closed }
        let commands =
            channels.map { ["SUBSCRIBE", $0] } + patterns.map { ["PSUBSCRIBE", $0] }
        if commands.isEmpty { return }
        Self.bounds.withLock { _ in muster_redis_listen(context.pointee.c.reader) }
        consents += commands.count
        consentTimer = setTimer(timeout)
        for command in commands where !Self.send(listening: command, on: context) {
            throw .disconnected("the connection broke")
        }
        await withCheckedContinuation { waiter in
            if consents == 0 || failure != nil { waiter.resume() } else { subscribing = waiter }
        }
        if let failure { throw failure }
    }

    /// What comes for it comes as often as the server likes, and belongs to nobody who waits.
    private static func send(
        listening command: [String],
        on context: UnsafeMutablePointer<redisAsyncContext>
    ) -> Bool {
        let words = command.map { Array($0.utf8CString) }
        var pointers: [UnsafePointer<CChar>?] = []
        let joined = words.flatMap { $0 }
        return joined.withUnsafeBufferPointer { bytes in
            var start = 0
            for word in words {
                pointers.append(bytes.baseAddress.map { $0 + start })
                start += word.count
            }
            return redisAsyncCommandArgv(
                context,
                { context, reply, _ in
                    // No reply at all: the connection is going away, and says so elsewhere.
                    guard let context, let reply else { return }
                    let copy = RedisReply(copying: reply.assumingMemoryBound(to: redisReply.self))
                    RedisConnection.from(context.pointee.data)?.heard(copy)
                },
                nil,
                Int32(words.count),
                &pointers,
                words.map { $0.count - 1 }
            )
        } == REDIS_OK
    }

    private func heard(_ reply: RedisReply) {
        guard let items = reply.array, items.count >= 3, let kind = items[0].text else { return }
        switch kind {
        case "subscribe", "psubscribe":
            guard consents > 0 else { return }
            consents -= 1
            if consents > 0 { return }
            clearTimer(consentTimer)
            subscribing.take()?.resume()
        case "message": onMessage?(items[1].text ?? "", items[2])
        case "pmessage" where items.count >= 4: onMessage?(items[2].text ?? "", items[3])
        default: break
        }
    }

    // MARK: Hooks

    private static func from(_ data: UnsafeMutableRawPointer?) -> RedisConnection? {
        data.map { Unmanaged<RedisConnection>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func text(of context: UnsafePointer<redisAsyncContext>) -> String {
        guard let text = context.pointee.errstr, text.pointee != 0 else {
            return "the connection was closed by Redis"
        }
        return String(cString: text)
    }

    private func want(read: Bool? = nil, write: Bool? = nil) {
        let before = (wantsRead, wantsWrite)
        wantsRead = read ?? wantsRead
        wantsWrite = write ?? wantsWrite
        if before != (wantsRead, wantsWrite) {
            loop.rewatch(handle, readable: wantsRead, writable: wantsWrite)
        }
    }

    private func connected(_ context: UnsafePointer<redisAsyncContext>, _ status: Int32) {
        if status != REDIS_OK { fail(.disconnected(Self.text(of: context))) }
        clearTimer(openingTimer)
        isOpened = true
        opening.take()?.resume()
    }

    /// hiredis is about to free its context.
    private func cleanUp() {
        guard !handle.isNone else { return }
        loop.close(handle)
        handle = .none
        if failure == nil {
            failure = .disconnected(context.map { Self.text(of: $0) } ?? "the connection broke")
        }
        context = nil
        opening.take()?.resume()
        subscribing.take()?.resume()
        for timer in timers.values { loop.cancel(timer.id) }
        timers = [:]
        // Lets go of this object only when the event that led here has been dealt with.
        let keep = LoopBound(self, on: loop)
        Unmanaged.passUnretained(self).release()
        loop.execute { _ = keep }
    }

    private func fail(_ error: RedisError) {
        if failure == nil { failure = error }
        guard let tell = onFailure else { return }
        onFailure = nil
        tell(error)
    }

    /// A reply that nobody waits for, of a server or something before it that is out of step: whose the next one would
    /// be nobody knows, and hiredis ends the process over it.
    private func heardUnasked() {
        let error = RedisError.disconnected("expected one reply to each command, saw one more")
        fail(error)
        end(error)
    }

    private func hasUnasked(_ context: UnsafePointer<redisAsyncContext>) -> Bool {
        var byte: CChar = 0
        let count = recv(context.pointee.c.fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return count == 1 && Self.isUnasked(byte)
    }

    /// As the first byte of a reply. An error says why the server is about to close, which hiredis knows.
    private static func isUnasked(_ first: CChar) -> Bool { first != CChar(UInt8(ascii: "-")) }

    // MARK: Events

    public override func ready(_ readiness: Readiness, tag: Int) {
        let isBroken = !readiness.isDisjoint(with: [.failed, .hungUp])
        if let context, isBroken || readiness.contains(.readable) {
            if isOpened, muster_redis_is_quiet(context) != 0, hasUnasked(context) {
                return heardUnasked()
            }
            redisAsyncHandleRead(context)
        }
        if let context, let reader = context.pointee.c.reader,
            reader.pointee.len > Self.replyBytesMax
        {
            let error = RedisError.tooLong(bytesMax: Self.replyBytesMax)
            fail(error)
            return end(error)
        }
        // The first call may have ended the connection.
        if let context, isBroken || readiness.contains(.writable) {
            redisAsyncHandleWrite(context)
        }
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
        let error = RedisError.timedOut(after: span)
        fail(error)
        end(error)
    }
}

/// The answers to commands sent together.
private final class Batch {
    private(set) var replies: [RedisReply] = []
    private(set) var isFailed = false
    private var outstanding: Int
    private var waiter: CheckedContinuation<Void, Never>?
    private let onSettled: () -> Void
    /// Of one that nobody waits for.
    var onAnswer: ((RedisReply?) -> Void)?

    init(count: Int, onSettled: @escaping () -> Void) {
        outstanding = count
        self.onSettled = onSettled
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
        onSettled()
        waiter.take()?.resume()
        onAnswer.take()?(isFailed ? nil : replies.first)
    }
}

extension RedisReply {
    /// Copies what the C library will free as soon as its callback returns.
    init(copying reply: UnsafePointer<redisReply>) {
        let reply = reply.pointee
        let bytes = UnsafeBufferPointer(start: reply.str, count: reply.str == nil ? 0 : reply.len)
        switch reply.type {
        case REDIS_REPLY_STRING: self = .string(Array(UnsafeRawBufferPointer(bytes)))
        case REDIS_REPLY_STATUS: self = .status(Self.text(bytes))
        case REDIS_REPLY_ERROR: self = .error(Self.withoutScript(Self.text(bytes)))
        case REDIS_REPLY_INTEGER: self = .integer(reply.integer)
        case REDIS_REPLY_ARRAY:
            let elements = UnsafeBufferPointer(start: reply.element, count: reply.elements)
            self = .array(elements.map { $0.map { RedisReply(copying: $0) } ?? .null })
        default: self = .null
        }
    }

    private static func text(_ bytes: UnsafeBufferPointer<CChar>) -> String {
        String(decoding: UnsafeRawBufferPointer(bytes), as: UTF8.self)
    }

    /// Behind the error of a script Redis names that and the line: a puzzle for people, and another one with each script that
    /// is refused for one reason.
    static func withoutScript(_ text: String) -> String {
        guard let range = text.ranges(of: " script: ").last else { return text }
        let name = text[range.upperBound...].prefix { $0.isHexDigit }
        let isOne = name.count == 40 && text[name.endIndex...].hasPrefix(", on @user_script:")
        return isOne ? String(text[..<range.lowerBound]) : text
    }
}
