// How does a word of ours go out that is no probe? Over the connections that probes have: names resolved on
// the loop, TLS with the same settings, programs in groups of their own, and a deadline over all of it.

import CLinux
import Curl
import EventLoop
import Glibc
import Health
import TLS
public import Vocabulary

/// What became of an attempt to tell somebody something.
public enum OutgoingEnd: Hashable, Sendable {
    case arrived
    /// Tried again it may well arrive; `later` is when the other side said to come again.
    case failed(String, later: Nanoseconds? = nil)
    /// The other side understood it, and will not have it.
    case refused(String)
}

/// What came back of something that was posted.
public struct WebAnswer: Sendable {
    /// Nil where no answer came.
    public var status: Int?
    /// When the other side said to come again.
    public var later: Nanoseconds?
    /// The beginning of it.
    public var body: [UInt8] = []
    /// Why none came; with a status, what it was beside what was expected.
    public var problem = ""
}

/// A URL that something is posted to, with what has to be shown there.
public struct WebPlace: Sendable {
    private let url: CurlURL
    private let headers: [String]
    private let tls: TLSSettings?

    /// What is kept of an answer.
    public static let answerBytesMax = 256
    public static let headersMax = 32

    /// Takes `url`, or the setting that `key` names, `headers` and `tls`.
    public init(
        options: inout Options,
        key: String = "url",
        defaultURL: String? = nil,
        suffix: String = ""
    ) throws(SettingError) {
        let setting = options.take(key)
        let path = "\(options.path).\(key)"
        guard let text = try setting?.string(at: path) ?? defaultURL else {
            throw options.missing(key)
        }
        let parts: WebAddress
        do throws(WebAddress.Problem) {
            parts = try WebAddress(text, suffix: suffix)
        } catch {
            throw SettingError(
                setting?.position ?? options.position,
                "\(path): expected \(error.expected)"
            )
        }
        url = parts.url
        let headers = try Self.headers(&options)
        if let login = parts.login {
            guard !headers.contains(where: { $0.lowercased().hasPrefix("authorization:") }) else {
                throw SettingError(
                    setting?.position ?? options.position,
                    "\(path): expected no user and password beside a header 'Authorization', saw both"
                )
            }
            self.headers = headers + ["Authorization: Basic \(login)"]
        } else {
            self.headers = headers
        }
        if url.scheme == "https" {
            tls = try TLSSettings.take(from: &options) ?? TLSSettings.standard
        } else {
            tls = nil
            if let setting = options.take("tls"), !setting.isNull {
                throw setting.expected("none beside a URL of http", at: "\(options.path).tls")
            }
        }
    }

    private static func headers(_ options: inout Options) throws(SettingError) -> [String] {
        guard let setting = options.take("headers") else { return [] }
        let path = "\(options.path).headers"
        let entries = try setting.entries(at: path)
        guard entries.count <= headersMax else {
            throw setting.expected("at most \(headersMax) headers", at: path)
        }
        var headers: [String] = []
        // All at once: whoever mends one would only be told of the next.
        var problems: [SettingError] = []
        let reserved = [
            "host", "content-length", "content-type", "connection", "transfer-encoding",
        ]
        for entry in entries {
            let place = "\(path).\(entry.key.printable)"
            guard !entry.key.isEmpty, entry.key.utf8.allSatisfy(HTTPRequest.isToken),
                !reserved.contains(entry.key.lowercased())
            else {
                problems.append(
                    SettingError(
                        entry.position,
                        "\(place): expected the name of a header that muster does not set itself"
                    )
                )
                continue
            }
            let value = try entry.value.string(at: place)
            guard !value.isEmpty, value.utf8.allSatisfy(HTTPRequest.isFieldValue) else {
                problems.append(
                    SettingError(
                        entry.position,
                        "\(place): expected text without control characters"
                    )
                )
                continue
            }
            headers.append("\(entry.key): \(value)")
        }
        if let first = problems.first {
            let words = problems.map(\.message).joined(separator: "; ")
            throw SettingError(first.position, words)
        }
        return headers
    }

    /// Where it goes, without what may be secret in it.
    public var label: String { "\(url.scheme)://\(url.authority)" }

    /// Posts once. No redirect is followed: who is told stands in the file.
    public func post(
        _ body: [UInt8],
        type: String,
        in context: ProbeContext
    ) async -> OutgoingEnd {
        let answer = await send(body, type: type, in: context)
        switch answer.status {
        case nil: return .failed(answer.problem)
        case .some(200..<300): return .arrived
        case .some(408), .some(425), .some(429), .some(500...):
            return .failed(answer.problem, later: answer.later)
        case .some: return .refused(answer.problem)
        }
    }

    /// The same, for whom it is not enough to know whether it arrived. Of the answer's body no more than `keeping`
    /// bytes are read.
    public func send(
        _ body: [UInt8],
        type: String,
        keeping answerMax: Int = answerBytesMax,
        in context: ProbeContext
    ) async -> WebAnswer {
        do throws(ProbeFailure) {
            return try await attempt(body, type, answerMax, context)
        } catch {
            return WebAnswer(problem: "\(label): \(error.message)")
        }
    }

    private func attempt(
        _ body: [UInt8],
        _ type: String,
        _ answerMax: Int,
        _ context: ProbeContext
    ) async throws(ProbeFailure) -> WebAnswer {
        var phases = Phases()
        let address = Address.host(url.host, port: url.port)
        let session: CurlSession
        do throws(SystemError) {
            session = try CurlSession(on: try CurlMulti.on(context.loop))
        } catch {
            throw ProbeFailure(.socketError, "\(error)", verdict: .neutral)
        }
        let stream = try await Dialer.dial(address, in: context, phases: &phases)
        defer { stream.reset() }
        var request = CurlRequest(url: url.text, method: "POST")
        request.body = body
        request.headers =
            ["Content-Type: \(type)", "User-Agent: \(HTTPRequest.userAgent)", "Connection: close"]
            + headers
        request.connectTo = Socket.remoteAddress(stream.descriptor).map { "\($0)" }
        if let tls {
            let (name, shown) = (tls.name(for: url.host), ShownCertificate())
            request.tls = CurlRequest.TLS(verifies: tls.context.configuration.verifies) { foreign in
                do throws(TLSError) {
                    try tls.context.lend(to: foreign, serverName: name, showing: shown)
                    return true
                } catch {
                    return false
                }
            }
        }
        var answer = Answer(bodyMax: answerMax, now: context.loop.wall)
        let result = await session.perform(
            request,
            over: stream.release(),
            deadline: context.deadline
        ) { piece, _ in
            answer.take(piece)
        }
        return end(answer, result, within: context.span)
    }

    private func end(
        _ answer: Answer,
        _ result: CurlResult,
        within span: Nanoseconds
    ) -> WebAnswer {
        guard let status = answer.status, status >= 200 else {
            switch result.end {
            case .timedOut:
                return WebAnswer(
                    problem: "\(label): expected an answer within \(span.rounded), saw none"
                )
            case .failed(let failure): return WebAnswer(problem: "\(label): \(failure.text)")
            case .complete, .enough:
                return WebAnswer(problem: "\(label): expected an HTTP status, saw none")
            }
        }
        let shown = answer.body.prefix(Self.answerBytesMax)
        let said = shown.isEmpty ? "" : " \(Excerpt.of(Array(shown)))"
        return WebAnswer(
            status: status,
            later: answer.later,
            body: answer.body,
            problem: "\(label): expected 2xx, saw \(status)\(said)"
        )
    }

    /// The head and the beginning of the body of what came back.
    private struct Answer {
        var status: Int?
        var later: Nanoseconds?
        var body: [UInt8] = []
        let bodyMax: Int
        let now: WallTime

        init(bodyMax: Int, now: WallTime) {
            self.bodyMax = bodyMax
            self.now = now
        }

        mutating func take(_ piece: CurlSession.Piece) -> Bool {
            switch piece {
            case .head(let bytes):
                let line = String(decoding: bytes, as: UTF8.self)
                if line.hasPrefix("HTTP/") {
                    status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) }
                } else if line.lowercased().hasPrefix("retry-after:") {
                    later = RetryAfter.wait(line.dropFirst(12), now: now)
                }
                return true
            case .body(let bytes), .rest(let bytes):
                body += bytes.prefix(bodyMax - body.count)
                return body.count < bodyMax
            }
        }
    }
}

/// Programs that are told something.
public enum OutgoingCommand {
    /// Takes `command` and `environment`, as of a check.
    public static func take(
        from options: inout Options
    ) throws(SettingError) -> (words: [String], environment: [String]) {
        guard let setting = options.take("command") else { throw options.missing("command") }
        let environment = try CommandCheck.environment(&options)
        return (try CommandCheck.words(setting, at: "\(options.path).command"), environment)
    }

    /// What is wrong with the program; nil where nothing is.
    public static func problem(with words: [String]) -> String? {
        words.first.flatMap { Program.problem(with: CommandCheck.find($0)) }
    }

    /// Runs it once, with `input` on its standard input. It is killed with its children at the deadline.
    public static func run(
        _ words: [String],
        environment: [String],
        input: [UInt8],
        in context: ProbeContext
    ) async -> OutgoingEnd {
        let program = CommandCheck.find(words.first ?? "")
        let run: CommandRun?
        do throws(SystemError) {
            let file = try Self.file(of: input)
            run = try CommandRun.start(
                [program] + words.dropFirst(),
                environment: environment,
                input: file.raw,
                on: context.loop
            )
        } catch {
            return .failed(Program.complaint(program, error))
        }
        guard let run else {
            return .failed("expected at most \(CommandRun.runsMax) programs at a time")
        }
        let complaint = { Excerpt.text(run.errors.prefix { $0 != 0x0A }) }
        switch await run.finish(by: context.deadline) {
        case .exited(0): return .arrived
        case .exited(let code):
            let said = complaint()
            return .failed(
                "\(program): expected exit code 0, saw \(code)\(said.isEmpty ? "" : ": \(said)")"
            )
        case .killed(let signal): return .failed("\(program): killed by signal \(signal)")
        case .timedOut:
            return .failed("\(program): expected an end within \(context.span.rounded), saw none")
        }
    }

    /// In memory, to be read from its beginning: a pipe would need somebody who writes while it is read.
    private static func file(of bytes: [UInt8]) throws(SystemError) -> Descriptor {
        let raw = muster_memory_file()
        if raw < 0 { throw SystemError("memfd_create") }
        let file = Descriptor(owning: raw)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file.raw, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { throw SystemError("write") }
            rest = rest.dropFirst(count)
        }
        lseek(file.raw, 0, SEEK_SET)
        return file
    }
}

/// A connection on which lines are spoken.
public final class OutgoingLine {
    private var transport: any Transport
    private let stream: ByteStream
    private let context: ProbeContext
    private let host: String

    private init(_ stream: ByteStream, _ context: ProbeContext, _ host: String) {
        transport = stream
        self.stream = stream
        self.context = context
        self.host = host
    }

    public struct Failure: Error, Sendable { public let text: String }

    public static func open(
        _ address: Address,
        in context: ProbeContext
    ) async throws(Failure) -> OutgoingLine {
        var phases = Phases()
        do throws(ProbeFailure) {
            let stream = try await Dialer.dial(address, in: context, phases: &phases)
            return OutgoingLine(stream, context, address.hostName)
        } catch {
            throw Failure(text: "\(address): \(error.message)")
        }
    }

    /// From here on all is under TLS.
    public func secure(_ tls: TLSSettings) async throws(Failure) {
        var phases = Phases()
        do throws(ProbeFailure) {
            transport = try await tls.open(over: stream, to: host, in: context, phases: &phases)
        } catch {
            throw Failure(text: error.message)
        }
    }

    public func write(_ text: String) async throws(Failure) {
        do throws(StreamError) { try await transport.write(Array(text.utf8)) } catch {
            throw failure(error)
        }
    }

    /// Empty at the end.
    public func read() async throws(Failure) -> [UInt8] {
        let buffer = ReadBuffer()
        do throws(StreamError) {
            let count = try await transport.read(into: buffer.room)
            return Array(buffer.prefix(count))
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ error: StreamError) -> Failure {
        switch error {
        case .timedOut:
            Failure(text: "expected an answer within \(context.span.rounded), saw none")
        case .ended: Failure(text: "expected an answer, saw the end")
        case .failed(let error): Failure(text: "\(error.reason)")
        }
    }

    public func close() { transport.reset() }
}
