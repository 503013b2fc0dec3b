// Is a gRPC health answer understood, frame by frame, and a wrong one named?

import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks
@testable import HTTP2

@Suite struct GRPCCheckTests {
    private static func frame(
        _ kind: UInt8,
        _ flags: UInt8,
        _ stream: UInt8,
        _ payload: [UInt8]
    ) -> [UInt8] {
        [0, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF), kind, flags, 0, 0, 0, stream]
            + payload
    }

    private static let settings = frame(4, 0, 0, [0, 3, 0, 0, 0, 100])
    /// `:status 200` by index, then a literal content type.
    private static let head = frame(
        1,
        4,
        1,
        [0x88] + HPACK.encode([("content-type", "application/grpc")])
    )
    private static func message(_ status: UInt8) -> [UInt8] {
        frame(0, 0, 1, status == 0 ? [0, 0, 0, 0, 0] : [0, 0, 0, 0, 2, 0x08, status])
    }
    private static func trailers(_ status: String, _ words: String? = nil) -> [UInt8] {
        let fields = [("grpc-status", status)] + (words.map { [("grpc-message", $0)] } ?? [])
        return frame(1, 5, 1, HPACK.encode(fields))
    }

    private static let shortFarewell =
        "the server went away before it took the call: NO_ERROR"

    private static let rows: [([UInt8], Outcome.Verdict, Reason, Int?, String)] = [
        (settings + head + message(1) + trailers("0"), .pass, .layer7OK, 0, "SERVING"),
        (
            settings + head + message(2) + trailers("0"), .fail, .layer7Status, 2,
            "expected SERVING, saw NOT_SERVING"
        ),
        (
            settings + head + message(0) + trailers("0"), .fail, .layer7Status, 0,
            "expected SERVING, saw UNKNOWN"
        ),
        (
            settings
                + frame(
                    1,
                    5,
                    1,
                    [0x88]
                        + HPACK.encode([("grpc-status", "5"), ("grpc-message", "unknown service")])
                ),
            .fail, .layer7Status, 5, "expected OK, saw NOT_FOUND: unknown service"
        ),
        (
            settings + frame(1, 5, 1, [0x8D]), .fail, .layer7Status, 404,
            "expected HTTP status 200, saw 404"
        ),
        (
            settings + frame(3, 0, 1, [0, 0, 0, 7]), .fail, .layer7Response, nil,
            "the server reset the call: REFUSED_STREAM"
        ),
        (
            frame(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 11]), .fail, .layer7Response, nil,
            "the server went away before it took the call: ENHANCE_YOUR_CALM"
        ),
        (
            settings + frame(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0] + Array("drain\n".utf8)), .fail,
            .layer7Response, nil,
            "the server went away before it took the call: NO_ERROR 'drain\\n'"
        ),
        // The call is taken still: by its number, and by the highest one of a server that drains.
        (
            settings + frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0]) + head + message(1) + trailers("0"),
            .pass, .layer7OK, 0, "SERVING"
        ),
        (
            settings + frame(7, 0, 0, [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]) + head + message(1)
                + trailers("0"),
            .pass, .layer7OK, 0, "SERVING"
        ),
        (
            settings + head + message(1) + frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 2]) + trailers("0"),
            .pass, .layer7OK, 0, "SERVING"
        ),
        (settings + frame(7, 0, 0, [0, 0]), .fail, .layer7Response, nil, shortFarewell),
        // 103 only announces an answer.
        (
            settings + frame(1, 4, 1, HPACK.encode([(":status", "103")])) + head + message(1)
                + trailers("0"),
            .pass, .layer7OK, 0, "SERVING"
        ),
        (
            settings + head + message(1) + trailers("14", "a%20b%0a"), .fail, .layer7Status, 14,
            #"expected OK, saw UNAVAILABLE: a b\n"#
        ),
        (
            settings + head + message(1) + trailers("8"), .fail, .layer7Status, 8,
            "expected OK, saw RESOURCE_EXHAUSTED"
        ),
        (
            Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), .fail, .layer7Response, nil,
            "expected a frame, saw 'HTTP/1.1 400 Bad Request\\r\\n\\r\\n': a server of HTTP/1, not 2"
        ),
        (
            settings + frame(1, 5, 1, [0xFE]), .fail, .layer7Response, nil,
            "expected header fields, saw field 126 of a table that was refused"
        ),
    ]

    @Test(arguments: rows.indices)
    func `an answer is judged by status, trailers and message`(row: Int) async throws {
        let (bytes, verdict, reason, code, message) = Self.rows[row]
        let server = try ScriptedServer(.expect("Health/Check"), .sendBytes(bytes), .stall)
        defer { server.stop() }
        let outcome = try await Prober().probe("grpc", ["service": "shop"], at: server.address)
        #expect(outcome.verdict == verdict)
        #expect(outcome.reason == reason)
        #expect(outcome.code == code)
        #expect(outcome.message == message)
    }

    @Test(arguments: [
        ([UInt8](), "none"), (head, "HTTP status 200 and nothing after it"),
        (head + message(1), "SERVING without a grpc-status after it"),
        (
            frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0]) + head,
            "HTTP status 200 and nothing after it, a server that goes away (NO_ERROR)"
        ),
    ])
    func `half an answer is told as far as it came`(bytes: [UInt8], seen: String) async throws {
        let server = try ScriptedServer(
            .expect("Health/Check"),
            .sendBytes(Self.settings + bytes),
            .close
        )
        defer { server.stop() }
        let outcome = try await Prober().probe("grpc", at: server.address)
        #expect(outcome.reason == .layer7Response)
        // The end or a reset: the server may not have read all of the call.
        let words = "expected an answer over HTTP/2, saw \(seen) and "
        #expect(outcome.message.hasPrefix(words), "\(outcome.message)")
    }

    @Test func `settings and pings are acknowledged`() async throws {
        let server = try ScriptedServer(
            .sendBytes(Self.settings),
            .expectBytes([0, 0, 0, 4, 1]),
            .sendBytes(Self.frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8])),
            .expectBytes([6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
            .sendBytes(Self.head + Self.message(1) + Self.trailers("0")),
            .stall
        )
        defer { server.stop() }
        let outcome = try await Prober().probe("grpc", at: server.address)
        #expect(outcome.verdict == .pass, "\(outcome)")
    }

    @Test func `the answer is the same however it is cut`() throws {
        let bytes = Self.settings + Self.head + Self.message(1) + Self.trailers("0")
        for cut in 0...bytes.count {
            var call = HTTP2Call()
            _ = try call.feed(bytes[..<cut])
            _ = try call.feed(bytes[cut...])
            #expect(call.isComplete)
            #expect(call.value(of: "grpc-status") == "0")
            #expect(HealthMessage.status(in: call.body) == 1)
        }
    }

    @Test func `no answer of any bytes breaks the reader`() {
        let good = Self.settings + Self.head + Self.message(1) + Self.trailers("0")
        var random = Dice(seed: 11)
        for _ in 0..<10_000 {
            var bytes = good
            for _ in 0...Int(random.next() % 5) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                    truncatingIfNeeded: random.next()
                )
            }
            var call = HTTP2Call()
            _ = try? call.feed(bytes)
            _ = HealthMessage.status(in: call.body)
        }
    }

    @Test(arguments: [0, 1, 127, 128, 1_024])
    func `a service name of any length is framed`(count: Int) {
        let request = HealthMessage.request(service: String(repeating: "s", count: count))
        let size = Int(request[3]) << 8 | Int(request[4])
        #expect(request.count == 5 + size)
        #expect(size == (count == 0 ? 0 : count + (count < 128 ? 2 : 3)))
    }
}
