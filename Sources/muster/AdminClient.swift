// How does a command ask a running muster? Over its admin endpoint, one plain HTTP request on a
// connection of its own.

import ArgumentParser
import Checks
import DNS
import EventLoop
import Glibc
import HTTP1
import TLS
import Vocabulary

/// Where the admin endpoint is.
struct AdminOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The admin endpoint, http(s)://host:port or unix:/path "
                + "(default: MUSTER_ADMIN, else http://127.0.0.1:7000).",
            valueName: "url"
        )
    )
    var admin: String?

    @Option(
        help: ArgumentHelp(
            "PEM file of the authorities believed of https "
                + "(default: MUSTER_ADMIN_CA, else the system's).",
            valueName: "file"
        )
    )
    var adminCa: String?

    func client() throws(AdminError) -> AdminClient {
        try AdminClient(
            admin ?? Self.environment("MUSTER_ADMIN") ?? "http://127.0.0.1:7000",
            authorities: adminCa ?? Self.environment("MUSTER_ADMIN_CA")
        )
    }

    static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }
}

struct AdminError: Error, CustomStringConvertible {
    var description: String
}

struct AdminClient {
    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]
    }

    let address: Address
    /// Set where the endpoint speaks TLS.
    private let context: TLSContext?
    /// Sent as a bearer token when set.
    private let token = AdminOptions.environment("MUSTER_TOKEN")

    static let timeout = Nanoseconds.seconds(5)
    /// A stream of events says something each five seconds, if only that it lives.
    static let silenceMax = Nanoseconds.seconds(15)
    /// Twenty thousand peers with all their checks take some twenty million bytes.
    static let answerBytesMax = 64 << 20

    init(_ url: String, authorities: String? = nil) throws(AdminError) {
        let isSecure = url.hasPrefix("https://")
        var text = url
        for scheme in ["http://", "https://"] where text.hasPrefix(scheme) {
            text.removeFirst(scheme.count)
        }
        if text.contains("://") {
            throw AdminError(
                description: "admin endpoint: expected http(s)://host:port or unix:/path, saw "
                    + "'\(url.printable)'"
            )
        }
        while text.hasSuffix("/") { text.removeLast() }
        text = Address.completing(text, port: isSecure ? 443 : 80)
        guard let address = Address(text: text) else {
            let problem = Address.problem(in: text) ?? "expected http(s)://host:port or unix:/path"
            throw AdminError(description: "admin endpoint: \(problem)")
        }
        self.address = address
        context = isSecure ? try Self.context(authorities) : nil
    }

    func get(_ path: String) async throws(AdminError) -> Answer { try await send("GET", path) }

    /// Sends one request, and reads the whole answer.
    func send(
        _ method: String,
        _ path: String,
        body: JSON? = nil,
        ifMatch revision: String? = nil,
        within limit: Nanoseconds = timeout
    ) async throws(AdminError) -> Answer {
        try await ask(request(method, path, body, revision), within: limit) {
            receive throws(StreamError) in
            try await read(receive)
        }
    }

    /// Hands what comes to `take`, piece by piece, for as long as it comes and `take` wants more. The answer
    /// is whole where it is no success.
    func follow(
        _ path: String,
        after event: String? = nil,
        _ take: @escaping @Sendable ([UInt8]) -> Bool
    ) async throws(AdminError) -> Answer? {
        var fields = "Accept: text/event-stream\r\n"
        if let event { fields += "Last-Event-ID: \(event)\r\n" }
        return try await ask(request("GET", path, nil, nil, fields), within: nil) {
            receive throws(StreamError) in
            try await readOn(receive, take)
        }
    }

    private typealias Receive = (UnsafeMutableRawBufferPointer) async throws(StreamError) -> Int

    private func ask<Value: Sendable>(
        _ request: [UInt8],
        within limit: Nanoseconds?,
        _ read: @escaping (Receive) async throws(StreamError) -> Value
    ) async throws(AdminError) -> Value {
        let loop: EventLoop
        do throws(SystemError) {
            loop = try EventLoop.spawn(name: "admin")
        } catch {
            throw AdminError(description: "\(error)")
        }
        defer { loop.stop() }
        let result: Result<Value, AdminError> = await withTaskExecutorPreference(loop) {
            do throws(AdminError) {
                return .success(try await exchange(request, on: loop, within: limit, read))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    // MARK: On the loop

    private func exchange<Value: Sendable>(
        _ request: [UInt8],
        on loop: EventLoop,
        within limit: Nanoseconds?,
        _ read: (Receive) async throws(StreamError) -> Value
    ) async throws(AdminError) -> Value {
        let deadline = loop.instant + (limit ?? Self.timeout)
        let socket = try await resolve(on: loop, deadline: deadline)
        do {
            let stream = try await ByteStream.connect(to: socket, on: loop, deadline: deadline)
            defer { stream.close() }
            guard let context, case .host(let name, _) = address else {
                try await stream.write(request)
                return try await read { (room) throws(StreamError) in
                    if limit == nil { stream.extend(to: loop.instant + Self.silenceMax) }
                    return try await stream.read(into: room)
                }
            }
            let secure = try await TLSStream.connect(
                over: stream,
                context: context,
                serverName: name
            )
            try await secure.write(request)
            return try await read { (room) throws(StreamError) in
                if limit == nil { stream.extend(to: loop.instant + Self.silenceMax) }
                return try await secure.read(into: room)
            }
        } catch {
            var text = "\(address): \(Self.text(error))"
            if context == nil, case StreamError.ended = error {
                text += "; where admin.tls is set, ask https://"
            }
            throw AdminError(description: text)
        }
    }

    private static func context(_ authorities: String?) throws(AdminError) -> TLSContext {
        var configuration = TLSConfiguration()
        configuration.authorityFile = authorities
        do throws(TLSError) {
            return try TLSContext(client: configuration)
        } catch {
            throw AdminError(description: "admin endpoint: \(error)")
        }
    }

    private func resolve(
        on loop: EventLoop,
        deadline: Instant
    ) async throws(AdminError) -> SocketAddress {
        if let socket = SocketAddress(address) { return socket }
        guard case .host(let host, let port) = address else {
            throw AdminError(description: "\(address): not a socket path")
        }
        do throws(ResolverError) {
            let resolver = try Resolver(on: loop)
            defer { resolver.close() }
            let resolution = try await resolver.resolve(host, deadline: deadline).get()
            if let first = resolution.socketAddresses(port: port).first { return first }
        } catch {
            throw AdminError(description: "\(error)")
        }
        throw AdminError(description: "\(host): no address")
    }

    private func request(
        _ method: String,
        _ path: String,
        _ body: JSON?,
        _ revision: String?,
        _ fields: String = "Accept: application/json\r\n"
    )
        -> [UInt8]
    {
        let content = body.map { Array($0.text.utf8) } ?? []
        var head = "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)"
        if let token { head += "Authorization: Bearer \(token)\r\n" }
        // Who it is stands in the log beside what was asked.
        head += "User-Agent: muster/\(Muster.configuration.version)\r\n"
        if let user = Self.user { head += "From: \(user)\r\n" }
        if let revision { head += "If-Match: \"\(revision)\"\r\n" }
        if body != nil {
            head += "Content-Type: application/json\r\nContent-Length: \(content.count)\r\n"
        }
        return Array((head + "Connection: close\r\n\r\n").utf8) + content
    }

    /// What an answer other than success says: RFC 9457 says it in `detail`, or at least in `title`.
    static func problem(in answer: Answer) -> String {
        let body = try? JSON(parsing: answer.body)
        var text = body?["detail"]?.string ?? body?["title"]?.string
        if answer.status == 401 {
            let isSet = AdminOptions.environment("MUSTER_TOKEN") != nil
            text =
                isSet
                ? "the token in MUSTER_TOKEN is not the one that the configuration asks for under "
                    + "admin"
                : "this needs the token that the configuration asks for under admin: set MUSTER_TOKEN "
                    + "in the environment"
        }
        // Several mistakes are a line each.
        let lines = text?.split(separator: "\n", omittingEmptySubsequences: false)
        return lines?.map { String($0).printable }.joined(separator: "\n")
            ?? "expected success and JSON, saw status \(answer.status)"
    }

    /// The login name of who runs the command; behind sudo, of who called it.
    private static var user: String? {
        let name =
            AdminOptions.environment("SUDO_USER")
            ?? getpwuid(geteuid()).flatMap { $0.pointee.pw_name.map { String(cString: $0) } }
        guard let name, name.utf8.count <= 64,
            name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
        return name
    }

    private var host: String {
        if case .unix = address { return "localhost" }
        return "\(address)"
    }

    private func read(
        _ receive: (UnsafeMutableRawBufferPointer) async throws(StreamError) -> Int
    ) async throws(StreamError) -> Answer {
        var bytes: [UInt8] = []
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { chunk.deallocate() }
        while bytes.count <= Self.answerBytesMax {
            let count = try await receive(chunk)
            bytes += chunk[..<count]
            // Asked to close, muster ends the connection with the answer. Whoever keeps it, a proxy in
            // between say, has answered too once the framing says so.
            if count == 0 || Self.mayBeWhole(bytes),
                let answer = Self.answer(in: bytes, isEnded: count == 0)
            {
                return answer
            }
            if count == 0 { break }
        }
        throw .ended
    }

    /// Nil when muster has ended what it began, or nobody wants more.
    private func readOn(
        _ receive: Receive,
        _ take: ([UInt8]) -> Bool
    ) async throws(StreamError) -> Answer? {
        var bytes: [UInt8] = []
        var decoder: ChunkedDecoder?
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { chunk.deallocate() }
        while bytes.count <= Self.answerBytesMax {
            let count = try await receive(chunk)
            bytes += chunk[..<count]
            if decoder == nil {
                if let answer = Self.answer(in: bytes, isEnded: count == 0) {
                    if answer.status != 200 { return answer }
                    _ = take(answer.body)
                    return nil
                }
                guard let begin = Self.beginning(of: bytes) else {
                    if count == 0 { throw .ended }
                    continue
                }
                decoder = ChunkedDecoder(of: .response)
                bytes.removeFirst(begin)
            }
            var position = 0
            var body: [UInt8] = []
            var isOver = count == 0
            decoding: while let event = try? decoder?.next(in: bytes.span, at: &position) {
                switch event {
                case .data(let range): body += bytes[range]
                case .trailer: continue
                case .end:
                    isOver = true
                    break decoding
                case .needMore: break decoding
                }
            }
            bytes.removeFirst(position)
            if !body.isEmpty, !take(body) { return nil }
            if isOver { return nil }
        }
        throw .ended
    }

    /// Where the body of a success in chunks begins, once its head is there.
    private static func beginning(of bytes: [UInt8]) -> Int? {
        var parser = HeadParser()
        var fields = FieldTable()
        guard let head = try? parser.parseResponse(bytes.span, to: .get, fields: &fields),
            head.status == 200, case .chunked = head.framing
        else { return nil }
        return Int(head.end)
    }

    /// Cheap to ask after each piece: millions of bytes in chunks are read through once, at their end.
    private static func mayBeWhole(_ bytes: [UInt8]) -> Bool {
        let blank = Array("\r\n\r\n".utf8)
        let head = bytes.prefix(65_536)
        let isChunked = String(decoding: head, as: UTF8.self).lowercased().contains("chunked")
        return !isChunked || bytes.suffix(blank.count) == blank[...]
    }

    /// Nil unless `bytes` is one whole answer.
    private static func answer(in bytes: [UInt8], isEnded: Bool) -> Answer? {
        var parser = HeadParser()
        var fields = FieldTable()
        let head = try? parser.parseResponse(bytes.span, to: .get, fields: &fields)
        guard let head, !head.isInterim else { return nil }
        var position = Int(head.end)
        let status = Int(head.status)
        switch head.framing {
        case .none: return Answer(status: status, body: [])
        case .untilClose:
            return isEnded ? Answer(status: status, body: Array(bytes[position...])) : nil
        case .length(let length):
            guard bytes.count - position >= length else { return nil }
            return Answer(status: status, body: Array(bytes[position...].prefix(Int(length))))
        case .chunked:
            var decoder = ChunkedDecoder(of: .response)
            var body: [UInt8] = []
            while let event = try? decoder.next(in: bytes.span, at: &position) {
                switch event {
                case .data(let range): body += bytes[range]
                case .trailer: continue
                case .end: return Answer(status: status, body: body)
                case .needMore: return nil
                }
            }
            return nil
        }
    }

    private static func text(_ error: any Error) -> String {
        switch error {
        case StreamError.timedOut, TLSError.stream(.timedOut): "no answer within \(timeout)"
        case StreamError.ended: "the connection ended before the answer did"
        case StreamError.failed(let error): "\(error)"
        default: "\(error)"
        }
    }
}
