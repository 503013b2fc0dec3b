// Does the server call itself healthy over gRPC? One unary call of grpc.health.v1.Health/Check,
// over HTTP/2 with prior knowledge, in clear or over TLS.

import EventLoop
import HTTP2
public import Health
public import Vocabulary

/// Passes when the service answers SERVING.
public struct GRPCCheck: Check {
    public static let kind = "grpc"
    public static let summary = "call grpc.health.v1.Health/Check and want SERVING"

    private let destination: Destination
    private let tls: TLSSettings?
    private let service: String
    private let authority: String?

    /// What is hardly meant as it is taken.
    private let doubts: [SettingError]

    public static let serviceBytesMax = 1_024

    public init(options: inout Options) throws(SettingError) {
        destination = try Destination(options: &options)
        tls = try TLSSettings.take(from: &options, protocols: ["h2"])
        let setting = options.take("service")
        service = try setting?.string(at: "\(options.path).service") ?? ""
        authority = try options.string("authority")
        if let setting, service == "grpc.health.v1.Health" {
            doubts = [
                SettingError(
                    setting.position,
                    "\(options.path).service: '\(service)' is the service that is asked; servers know the "
                        + "health of the services they offer, and of themselves without a name"
                )
            ]
        } else {
            doubts = []
        }
        if let setting, service.utf8.count > Self.serviceBytesMax {
            throw setting.expected(
                "at most \(Self.serviceBytesMax) bytes",
                at: "\(options.path).service"
            )
        }
    }

    public func warnings(on schedule: Schedule) -> [SettingError] { doubts }

    public func problem(probing peer: Address) -> SettingError? {
        destination.problem(probing: peer)
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        do throws(ProbeFailure) {
            let address = destination.address(for: target.address)
            let plain = try await Dialer.dial(address, in: context, phases: &phases)
            defer { plain.reset() }
            let host = authority ?? "\(address.withoutZone)"
            guard let tls else {
                var outcome = try await call(
                    "http",
                    host,
                    over: plain,
                    in: context,
                    phases: &phases
                )
                outcome.phases = phases
                return outcome
            }
            let secure = try await tls.open(
                over: plain,
                to: address.hostName,
                in: context,
                phases: &phases
            )
            var outcome: Outcome
            do throws(ProbeFailure) {
                outcome = try await call("https", host, over: secure, in: context, phases: &phases)
            } catch {
                var failure = error
                // Many servers speak HTTP/2 only where it was agreed on.
                if secure.session.chosenProtocol == nil, failure.verdict == .fail {
                    failure.message += "; in the handshake it did not choose h2 (ALPN)"
                }
                throw failure
            }
            outcome.phases = phases
            return tls.weigh(outcome, until: secure.session.firstToEnd, now: context.loop.wall)
        } catch {
            return error.outcome(phases)
        }
    }

    private func call(
        _ scheme: String,
        _ host: String,
        over stream: any Transport,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> Outcome {
        let opening = HTTP2Call.opening(
            [
                (":method", "POST"), (":scheme", scheme),
                (":path", "/grpc.health.v1.Health/Check"), (":authority", host),
                ("te", "trailers"), ("content-type", "application/grpc"),
                ("user-agent", HTTPRequest.userAgent),
            ],
            body: HealthMessage.request(service: service)
        )
        context.trace?.note("send", "grpc.health.v1.Health/Check of '\(service)' to \(host)")
        context.trace?.note("expect", "SERVING")
        var call = HTTP2Call()
        let buffer = ReadBuffer()
        let began = context.loop.instant
        do throws(StreamError) {
            try await stream.write(opening)
        } catch {
            throw failure(error, call, over: stream, in: context)
        }
        while !call.isComplete {
            let count: Int
            do throws(StreamError) {
                count = try await stream.read(into: buffer.room)
                if count == 0 { throw .ended }
            } catch {
                throw failure(error, call, over: stream, in: context)
            }
            if phases.firstByte == nil { phases.firstByte = context.loop.instant - began }
            let answer: [UInt8]
            do throws(HTTP2Call.Failure) {
                answer = try call.feed(buffer.prefix(count))
            } catch {
                let reason = error.stranger.map {
                    "expected a frame, saw \(Stranger.words(for: $0, wanted: .http2))"
                }
                throw ProbeFailure(.layer7Response, reason ?? error.reason)
            }
            // A server that takes no more may have said all that is needed: reading on will tell.
            if !answer.isEmpty, !call.isComplete { try? await stream.write(answer) }
        }
        return judge(call)
    }

    private func failure(
        _ error: StreamError,
        _ call: HTTP2Call,
        over stream: any Transport,
        in context: ProbeContext
    ) -> ProbeFailure {
        ProbeFailure.exchanging(
            error,
            over: stream,
            expected: "an answer over HTTP/2",
            within: context.span,
            seen: Self.progress(call)
        )
    }

    /// How far an answer has come that is not whole.
    private static func progress(_ call: HTTP2Call) -> String {
        var words = "none"
        if let serving = HealthMessage.status(in: call.body) {
            words = "\(word(for: serving)) without a grpc-status after it"
        } else if let status = call.value(of: ":status") {
            words = "HTTP status \(Excerpt.text(status.utf8)) and nothing after it"
        }
        return words + (call.farewell.map { ", a server that goes away (\($0))" } ?? "")
    }

    private static func word(for serving: Int) -> String {
        words.indices.contains(serving) ? words[serving] : "status \(serving)"
    }

    private func judge(_ call: HTTP2Call) -> Outcome {
        func wrong(_ reason: Reason, _ code: Int?, _ message: String) -> Outcome {
            Outcome(.fail, reason, code: code, message: message)
        }
        let status = call.value(of: ":status").map { Excerpt.text($0.utf8) } ?? "none"
        guard status == "200" else {
            return wrong(.layer7Status, Int(status), "expected HTTP status 200, saw \(status)")
        }
        guard let code = call.value(of: "grpc-status").flatMap({ Int($0) }) else {
            return wrong(.layer7Response, nil, "expected a grpc-status, saw none")
        }
        guard code == 0 else {
            let message = call.value(of: "grpc-message").map(Self.decoded) ?? ""
            let words = message.isEmpty ? "" : ": \(message)"
            return wrong(.layer7Status, code, "expected OK, saw \(Self.codeWord(code))\(words)")
        }
        guard let serving = HealthMessage.status(in: call.body) else {
            return wrong(.layer7Response, nil, "expected a health message, saw another")
        }
        let word = Self.word(for: serving)
        guard serving == 1 else {
            return wrong(.layer7Status, serving, "expected SERVING, saw \(word)")
        }
        return Outcome(.pass, .layer7OK, code: 0, message: word)
    }

    private static let words = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]

    private static let codes = [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
        "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
        "UNAUTHENTICATED",
    ]

    private static func codeWord(_ code: Int) -> String {
        codes.indices.contains(code) ? codes[code] : "grpc-status \(code)"
    }

    /// The server's words, which come with `%41` for an `A` where they like (gRPC over HTTP/2,
    /// Responses), as one printable line.
    private static func decoded(_ message: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(message.utf8)[...]
        while let byte = rest.popFirst(), bytes.count <= Excerpt.bytesMax {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                rest.removeFirst(2)
                bytes.append(value)
            } else {
                bytes.append(byte)
            }
        }
        return Excerpt.utf8(bytes)
    }
}

/// The two messages of the health protocol, in protobuf's wire format.
enum HealthMessage {
    /// `HealthCheckRequest { string service = 1 }` with gRPC's frame: not compressed, length.
    static func request(service: String) -> [UInt8] {
        let name = Array(service.utf8)
        // Field 1, length-delimited. An empty text is left out; a length is a varint.
        var message: [UInt8] = name.isEmpty ? [] : [0x0A]
        if !name.isEmpty {
            if name.count >= 128 { message.append(UInt8(name.count & 0x7F) | 0x80) }
            message.append(UInt8(name.count >> (name.count >= 128 ? 7 : 0)))
        }
        message += name
        let count = message.count
        return [0, 0, 0, UInt8(count >> 8), UInt8(count & 0xFF)] + message
    }

    /// `HealthCheckResponse { ServingStatus status = 1 }`: nil where the bytes are none.
    static func status(in body: [UInt8]) -> Int? {
        guard body.count >= 5, body[0] == 0 else { return nil }
        let count = body[1..<5].reduce(0) { $0 << 8 | Int($1) }
        guard body.count == 5 + count else { return nil }
        var rest = body[5...]
        var status = 0
        while let key = varint(&rest) {
            switch key & 7 {
            case 0:
                guard let value = varint(&rest) else { return nil }
                if key >> 3 == 1 { status = Int(clamping: value) }
            case 2:
                guard let length = varint(&rest), length <= UInt64(rest.count) else { return nil }
                rest = rest.dropFirst(Int(length))
            default: return nil
            }
        }
        return rest.isEmpty ? status : nil
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }
}
