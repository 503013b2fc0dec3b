// Which addresses has a name? c-ares asks the servers (and /etc/hosts) on the loop: it says which
// sockets to watch and how long to wait, and nothing blocks but the reading of small local files.

import CAres
public import EventLoop
import Glibc
public import Vocabulary

/// Resolves names on its loop's thread, and remembers the answers for their TTL.
public final class Resolver: EventSink {
    public typealias Answer = Result<Resolution, ResolverError>

    private let loop: EventLoop
    private let configuration: ResolverConfiguration
    private var channel: ares_channel?
    private var cache: [String: Entry] = [:]
    private var questions: [String: Question] = [:]
    /// Descriptors that c-ares owns and we watch.
    private var sockets: [Int32: Handle] = [:]
    private var channelTimer = TimerID.none
    private var waiterHosts: [Int: String] = [:]
    private var nextWaiter = Resolver.channelTag + 1
    /// The file of the name servers as it was when the channel was made, and when to look again.
    private var serversStamp: FileStamp?
    private var looksFrom: Instant
    /// Questions that the channel before left unanswered; nil while none is being replaced.
    private var leftOver: [Question]?
    /// Told of every answer that the servers give, before those who asked.
    public var onAnswer: ((_ host: String, Resolution) -> Void)?
    /// Told when other name servers are asked from now on.
    public var onOtherServers: (() -> Void)?

    /// The tag of the channel's own timer; every waiter has a larger one.
    private static let channelTag = 0
    private static let libraryCode = ares_library_init(ARES_LIB_INIT_ALL)

    private struct Entry {
        var answer: Answer
        var expires: Instant
        /// When to ask again beforehand, so that nobody waits for it.
        var refreshFrom: Instant
        /// The last addresses the name had, and until when they may stand in for fresh ones.
        var last: (resolution: Resolution, until: Instant)?
        /// Failures in a row.
        var failures = 0

        /// What stands in for a fresh answer while there is `trouble`.
        func standIn(at now: Instant, for trouble: ResolverError) -> Answer? {
            guard let last, last.until > now else { return nil }
            var resolution = last.resolution
            resolution.isCached = true
            // One lost answer is no trouble worth telling.
            resolution.trouble = failures > 1 ? trouble : nil
            return .success(resolution)
        }

        /// The answer while it needs no asking.
        func known(at now: Instant) -> Answer? {
            guard expires > now else { return nil }
            switch answer {
            case .success(var resolution):
                resolution.isCached = true
                return .success(resolution)
            case .failure(let error): return standIn(at: now, for: error) ?? answer
            }
        }
    }

    private struct Waiter {
        var id: Int
        var timer: TimerID
        var continuation: UnsafeContinuation<Answer, Never>
    }

    /// One name being asked for, by however many.
    private final class Question {
        unowned let resolver: Resolver
        let host: String
        let began: Instant
        var waiters: [Waiter] = []

        init(resolver: Resolver, host: String) {
            self.resolver = resolver
            self.host = host
            began = resolver.loop.instant
        }
    }

    public init(
        on loop: EventLoop,
        configuration: ResolverConfiguration = ResolverConfiguration()
    ) throws(ResolverError) {
        self.loop = loop
        self.configuration = configuration
        serversStamp = FileStamp(of: configuration.serversFile)
        looksFrom = loop.instant + configuration.serversFileAge
        super.init()
        channel = try openChannel()
    }

    deinit { assert(channel == nil, "a resolver must be closed") }

    /// Answers everybody who still waits and forgets everything.
    public func close() {
        guard let channel else { return }
        // Both call back: cancelled questions, sockets that close.
        ares_cancel(channel)
        ares_destroy(channel)
        self.channel = nil
        loop.cancel(channelTimer)
        channelTimer = .none
        cache = [:]
    }

    /// All addresses of `host` by `deadline`. An IP literal is its own answer.
    public func resolve(_ host: String, deadline: Instant) async -> Answer {
        if let answer = answerAtOnce(host) { return answer }
        let key = Self.key(host)
        let now = loop.instant
        var deadline = deadline
        if let entry = cache[key], let standIn = entry.standIn(at: now, for: trouble(key, entry)) {
            if let question = questions[key] {
                // Others have waited for this answer already.
                if now - question.began > configuration.staleWait { return standIn }
            } else if entry.failures > 0 {
                // The name is in trouble: it is asked for, and nobody waits.
                put(key)
                return standIn
            }
            let half = Nanoseconds((deadline - now).count / 2)
            deadline = now + min(half, configuration.staleWait)
        }
        let limit = deadline
        return await withUnsafeContinuation { ask(key, limit, $0) }
    }

    /// Why there is no fresh answer.
    private func trouble(_ host: String, _ entry: Entry) -> ResolverError {
        if case .failure(let error) = entry.answer { return error }
        return .timedOut(host: host)
    }

    /// Forgets what is known of `host`: the next question asks the servers. For callers whose
    /// connection to a resolved address failed. Not while the name is in trouble: asking each time
    /// would help nobody.
    public func invalidate(_ host: String) {
        let key = Self.key(host)
        guard let entry = cache[key], entry.failures == 0 else { return }
        cache[key]?.expires = loop.instant
    }

    /// What needs no asking: a literal, or an answer still valid.
    private func answerAtOnce(_ host: String) -> Answer? {
        if SocketAddress(ip: host, port: 0) != nil {
            return .success(Resolution(addresses: [host], validity: configuration.validityMax))
        }
        let key = Self.key(host)
        let now = loop.instant
        lookAtServers(at: now)
        guard let entry = cache[key], let answer = entry.known(at: now) else { return nil }
        if entry.refreshFrom <= now {
            // Once; the answer sets it anew.
            cache[key]?.refreshFrom = .distantFuture
            put(key)
        }
        return answer
    }

    private static func key(_ host: String) -> String { host.lowercased() }

    // MARK: Questions

    private func ask(
        _ host: String,
        _ deadline: Instant,
        _ continuation: UnsafeContinuation<Answer, Never>
    ) {
        guard channel != nil else {
            continuation.resume(
                returning: .failure(.failed(host: host, reason: "the resolver is closed"))
            )
            return
        }
        let waiter = Waiter(
            id: nextWaiter,
            timer: loop.schedule(at: deadline, sink: self, tag: nextWaiter),
            continuation: continuation
        )
        waiterHosts[waiter.id] = host
        nextWaiter += 1
        put(host, for: waiter)
    }

    /// Asks the servers, on behalf of `waiter` or of nobody yet. Whoever asks for the same name
    /// shares the question.
    private func put(_ host: String, for waiter: Waiter? = nil) {
        guard channel != nil else { return }
        let waiters = waiter.map { [$0] } ?? []
        if let question = questions[host] {
            question.waiters += waiters
            return
        }
        let question = Question(resolver: self, host: host)
        question.waiters = waiters
        guard questions.count < configuration.questionsMax else {
            release(
                waiters,
                .failure(.failed(host: host, reason: "too many names are being asked for"))
            )
            return
        }
        ask(again: question)
    }

    private func ask(again question: Question) {
        guard let channel else { return }
        questions[question.host] = question
        var hints = ares_addrinfo_hints()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        // Sorting would connect a socket to every address (RFC 6724); a prober tries them all.
        hints.ai_flags = ARES_AI_NOSORT
        ares_getaddrinfo(
            channel,
            question.host,
            nil,
            &hints,
            { context, status, _, result in
                guard let context else { return }
                let question = Unmanaged<Question>.fromOpaque(context).takeRetainedValue()
                question.resolver.finish(question, status, result)
                if let result { ares_freeaddrinfo(result) }
            },
            Unmanaged.passRetained(question).toOpaque()
        )
        moveChannelTimer()
    }

    private func finish(
        _ question: Question,
        _ status: Int32,
        _ result: UnsafeMutablePointer<ares_addrinfo>?
    ) {
        questions[question.host] = nil
        if leftOver != nil, status == ARES_ECANCELLED || status == ARES_EDESTRUCTION {
            leftOver?.append(question)
            return
        }
        var answer = read(question.host, status, result)
        if status != ARES_ECANCELLED, status != ARES_EDESTRUCTION {
            let now = loop.instant
            let entry = entry(for: answer, after: cache[question.host], now: now)
            keep(question.host, entry)
            if case .success(let resolution) = answer { onAnswer?(question.host, resolution) }
            answer = answer.flatMapError { entry.standIn(at: now, for: $0) ?? .failure($0) }
        }
        let waiters = question.waiters
        question.waiters = []
        release(waiters, answer)
    }

    private func entry(for answer: Answer, after before: Entry?, now: Instant) -> Entry {
        switch answer {
        case .success(let resolution):
            let validity = resolution.validity
            return Entry(
                answer: answer,
                expires: now + validity,
                refreshFrom: now + Nanoseconds(validity.count / 10 * 8),
                last: (resolution, now + validity + configuration.staleMax)
            )
        case .failure:
            let failures = (before?.failures ?? 0) + 1
            let wait = configuration.failureValidity * Int64(1 << min(failures - 1, 10))
            return Entry(
                answer: answer,
                expires: now
                    + min(
                        wait,
                        max(configuration.failureValidityMax, configuration.failureValidity)
                    ),
                refreshFrom: .distantFuture,
                last: before?.last,
                failures: failures
            )
        }
    }

    private func keep(_ host: String, _ entry: Entry) {
        if cache.count >= configuration.namesMax, cache[host] == nil {
            let now = loop.instant
            cache = cache.filter { $0.value.expires > now }
            if cache.count >= configuration.namesMax { cache = [:] }
        }
        cache[host] = entry
    }

    private func release(_ waiters: [Waiter], _ answer: Answer) {
        for waiter in waiters {
            loop.cancel(waiter.timer)
            waiterHosts[waiter.id] = nil
            waiter.continuation.resume(returning: answer)
        }
    }

    private func read(
        _ host: String,
        _ status: Int32,
        _ result: UnsafeMutablePointer<ares_addrinfo>?
    ) -> Answer {
        guard status == ARES_SUCCESS, let result else {
            return .failure(error(host, status))
        }
        var addresses: [String] = []
        var seconds = Int64(Int32.max)
        var node = result.pointee.nodes
        while let current = node {
            node = current.pointee.ai_next
            guard let address = current.pointee.ai_addr else { continue }
            let size = Int(current.pointee.ai_addrlen)
            let text = SocketAddress(filling: { target, length in
                guard size <= Int(length) else { return false }
                UnsafeMutableRawPointer(target).copyMemory(from: address, byteCount: size)
                length = socklen_t(size)
                return true
            })
            guard let text, !addresses.contains(text.host) else { continue }
            addresses.append(text.host)
            seconds = min(seconds, Int64(current.pointee.ai_ttl))
        }
        var alias = result.pointee.cnames
        while let current = alias {
            seconds = min(seconds, Int64(current.pointee.ttl))
            alias = current.pointee.next
        }
        guard !addresses.isEmpty else { return .failure(.noAddress(host: host)) }
        let validity = min(
            max(.seconds(max(seconds, 0)), configuration.validityMin),
            configuration.validityMax
        )
        return .success(Resolution(addresses: addresses, validity: validity))
    }

    private func error(_ host: String, _ status: Int32) -> ResolverError {
        switch status {
        case ARES_ENOTFOUND, ARES_ENONAME: .notFound(host: host)
        case ARES_ENODATA: .noAddress(host: host)
        case ARES_ETIMEOUT: .timedOut(host: host)
        // Its own words are "Could not contact DNS servers", whatever the servers said.
        case ARES_ECONNREFUSED, ARES_ESERVFAIL, ARES_EREFUSED, ARES_ENOTIMP:
            .failed(
                host: host,
                reason:
                    "expected an answer of \(servers), saw only errors: SERVFAIL, REFUSED, NOTIMP or "
                    + "nobody at the port"
            )
        default: .failed(host: host, reason: String(cString: ares_strerror(status)))
        }
    }

    // MARK: The channel

    /// The name servers asked, as c-ares has them.
    private var servers: String {
        var list: UnsafeMutablePointer<ares_addr_port_node>?
        guard let channel, ares_get_servers_ports(channel, &list) == ARES_SUCCESS else {
            return "a name server"
        }
        defer { ares_free_data(list) }
        var words: [String] = []
        var node = list
        while let server = node?.pointee {
            var address = server.addr
            var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            if inet_ntop(server.family, &address, &text, socklen_t(text.count)) != nil {
                let host = String(
                    decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
                    as: UTF8.self
                )
                let port = server.udp_port == 0 ? 53 : server.udp_port
                words.append(host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)")
            }
            node = server.next
        }
        return words.isEmpty ? "a name server" : "name server \(words.joined(separator: " or "))"
    }

    /// Asks those that the file names now: whoever changes the network replaces the file, and expects
    /// that nobody need be started anew. What was being asked is asked of them anew, what failed is
    /// asked at the next probe, and what is known at the next one too, while it goes on serving.
    private func lookAtServers(at now: Instant) {
        guard configuration.servers.isEmpty, looksFrom <= now, let old = channel else { return }
        looksFrom = now + configuration.serversFileAge
        let stamp = FileStamp(of: configuration.serversFile)
        // A file that is gone says nothing: it is about to be replaced, or the network is down.
        guard let stamp, stamp != serversStamp else { return }
        // Should it fail, those before are asked, and the file is looked at again.
        guard let new = try? openChannel() else { return }
        serversStamp = stamp
        leftOver = []
        ares_cancel(old)
        ares_destroy(old)
        channel = new
        let again = leftOver ?? []
        leftOver = nil
        for (host, entry) in cache {
            if entry.failures > 0 { cache[host]?.expires = now }
            cache[host]?.refreshFrom = now
        }
        for question in again { ask(again: question) }
        moveChannelTimer()
        onOtherServers?()
    }

    private func openChannel() throws(ResolverError) -> ares_channel {
        var channel: ares_channel?
        var code = Self.libraryCode
        var options = ares_options()
        options.timeout = Int32(clamping: max(configuration.tryTimeout.milliseconds, 1))
        options.tries = Int32(clamping: max(configuration.tries, 1))
        options.sock_state_cb = { context, descriptor, readable, writable in
            guard let context else { return }
            Unmanaged<Resolver>.fromOpaque(context).takeUnretainedValue()
                .watch(descriptor, readable: readable != 0, writable: writable != 0)
        }
        options.sock_state_cb_data = Unmanaged.passUnretained(self).toOpaque()
        let mask =
            ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF
        if code == ARES_SUCCESS {
            code = configuration.serversFile.withCString { file in
                // Copied, not changed.
                options.resolvconf_path = UnsafeMutablePointer(mutating: file)
                return ares_init_options(&channel, &options, mask)
            }
        }
        if code == ARES_SUCCESS, !configuration.servers.isEmpty {
            code = ares_set_servers_ports_csv(
                channel,
                configuration.servers.joined(separator: ",")
            )
        }
        guard code == ARES_SUCCESS, let channel else {
            if let channel { ares_destroy(channel) }
            throw .failed(
                host: configuration.servers.joined(separator: ","),
                reason: "c-ares: \(String(cString: ares_strerror(code)))"
            )
        }
        return channel
    }

    /// c-ares says what a socket of its own is waiting for; nothing means that it closes it now.
    private func watch(_ descriptor: Int32, readable: Bool, writable: Bool) {
        if let handle = sockets[descriptor] {
            if readable || writable {
                loop.rewatch(handle, readable: readable, writable: writable)
            } else {
                loop.close(handle)
                sockets[descriptor] = nil
            }
        } else if readable || writable {
            // Should the loop refuse, the question ends by its deadline.
            sockets[descriptor] = try? loop.watch(
                descriptor,
                readable: readable,
                writable: writable,
                sink: self,
                tag: Int(descriptor)
            )
        }
    }

    private func moveChannelTimer() {
        guard let channel else { return }
        var wait = timeval()
        guard ares_timeout(channel, nil, &wait) != nil else {
            loop.cancel(channelTimer)
            channelTimer = .none
            return
        }
        let span = Nanoseconds(Int64(wait.tv_sec) * 1_000_000_000 + Int64(wait.tv_usec) * 1_000)
        let deadline = loop.instant + span
        if !loop.move(channelTimer, to: deadline) {
            channelTimer = loop.schedule(at: deadline, sink: self, tag: Self.channelTag)
        }
    }

    // MARK: Events

    public override func ready(_ readiness: Readiness, tag: Int) {
        guard let channel else { return }
        let isBroken = !readiness.isDisjoint(with: [.failed, .hungUp])
        ares_process_fd(
            channel,
            isBroken || readiness.contains(.readable) ? Int32(tag) : ARES_SOCKET_BAD,
            readiness.contains(.writable) ? Int32(tag) : ARES_SOCKET_BAD
        )
        moveChannelTimer()
    }

    public override func due(tag: Int) {
        if tag == Self.channelTag {
            channelTimer = .none
            if let channel { ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD) }
            moveChannelTimer()
            return
        }
        guard let host = waiterHosts[tag], let question = questions[host],
            let index = question.waiters.firstIndex(where: { $0.id == tag })
        else { return }
        // The question goes on: its answer will serve the next probe.
        let trouble = ResolverError.timedOut(host: host)
        let standIn = cache[host]?.standIn(at: loop.instant, for: trouble)
        release([question.waiters.remove(at: index)], standIn ?? .failure(trouble))
    }
}
