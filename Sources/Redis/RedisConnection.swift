// How does one talk to Redis on a loop? Commands go out as they are made, each reply belongs to the command
// that has waited longest, and each command has its deadline.
//
// A connection is used up by its first failure: everything pending fails with it, and whoever owns
// it makes another.

public import EventLoop
import TLS
public import Vocabulary

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

    init(to url: RedisURL, on loop: EventLoop) throws(RedisError) {
        self.loop = loop
        served = url
        reader = try RedisReader()
    }

    /// Where it leads: of the addresses of a name the one that answered.
    public internal(set) var place: Address?
    /// As what the server was asked for: the master, where a sentinel named it.
    public let served: RedisURL
    /// Which of the sentinels named it.
    public internal(set) var sentinel: Address?
    /// What is wrong with the files for TLS, which are newer than what this goes by.
    public private(set) var staleFiles: String?

    public var isOpen: Bool { socket != nil && failure == nil }

    // MARK: Life

    func open(_ address: Address, tls: RedisTLS?, timeout: Nanoseconds) async throws(RedisError) {
        do throws(RedisError) {
            var engine: TLSEngine?
            if served.isSecure {
                let (made, problem) = try Self.engine(for: served, tls)
                engine = made
                staleFiles = problem.map { "\($0)" }
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
            if case .tls(let why) = failure, let staleFiles {
                throw .tls(
                    "connect \(address): its files changed and cannot be used (\(staleFiles)), and by what was in "
                        + "them before: \(why)"
                )
            }
            if case .timedOut = failure, wasReached, served.isSecure {
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

    func greet(timeout: Nanoseconds) async throws(RedisError) {
        var commands: [[String]] = []
        if let password = served.password {
            commands.append(["AUTH"] + (served.user.map { [$0] } ?? []) + [password])
        }
        if served.database != 0 { commands.append(["SELECT", "\(served.database)"]) }
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
        if case .disconnected(let why) = error, isOpened, !hasHeard, !served.isSecure {
            return fail(.disconnected("\(why), before any reply: \(Self.secureHint)"))
        }
        fail(error)
    }

    private static let secureHint =
        "a Redis that speaks TLS is named by rediss:// in the URL, and sentinels by rediss+sentinel://"
}
