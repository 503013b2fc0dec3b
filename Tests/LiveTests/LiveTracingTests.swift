// Does whoever collects traces get them, well-formed and whole, and is nobody else worse off for it, whatever the
// collector does? Through the binary, with a receiver that checks each span against the protocol.

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite(.enabled(if: ChildProcess.find("python3") != nil, "python3 is not installed"))
    struct LiveTracingTests {
        private static let trace = "0af7651916cd43dd8448eb211c80319c"
        private static let parent = "b7ad6b7169203331"

        /// A muster in front of one server and of one port where nobody is, and a receiver.
        private final class Rig: @unchecked Sendable {
            let installation: Installation
            let receiverPort: UInt16
            private(set) var receiver: ChildProcess?

            init(share: String) async throws {
                installation = try Installation()
                receiverPort = try freePort()
                try installation.startServer(0)
                let server = installation.servers[0]
                let isUp = await eventually(within: .seconds(30)) {
                    HTTPConnection.isAccepted(port: server)
                }
                #expect(isUp)
                try await installation.startMuster(
                    """
                    admin: { bind: 127.0.0.1:\(installation.adminPort), metrics: { per-route: true } }
                    tracing: { otlp: "http://127.0.0.1:\(receiverPort)", sample: \(share), service: shop }
                    proxy:
                      listeners:
                        - bind: 127.0.0.1:\(installation.proxyPort)
                          routes:
                            - { path: /twice, upstream: twice }
                            - { path: /, upstream: web }
                    upstreams:
                      web: { peers: ["127.0.0.1:\(server)"] }
                      twice:
                        balance: first
                        eject: off
                        peers:
                          - { id: nobody, address: "127.0.0.1:\(installation.servers[1])", max-fails: 0 }
                          - { id: somebody, address: "127.0.0.1:\(server)" }
                      watched:
                        peers: ["127.0.0.1:\(server)"]
                        monitors: [{ tcp: { interval: 100ms, timeout: 90ms } }]

                    """
                )
            }

            func startReceiver(_ answers: String...) async throws {
                let receiver = try ChildProcess(
                    Self.program,
                    ["\(receiverPort)"] + answers,
                    in: installation.folder
                )
                self.receiver = receiver
                let isUp = await eventually(within: .seconds(30)) {
                    receiver.output.contains("listening")
                }
                #expect(isUp, "\(receiver.output)")
            }

            func endReceiver() { receiver?.end() }

            private static let program = URL(fileURLWithPath: #filePath)
                .resolvingSymlinksInPath().deletingLastPathComponent()
                .deletingLastPathComponent().deletingLastPathComponent()
                .appendingPathComponent("scripts/otlp-receiver").path

            /// What the receiver has taken; a line that it could not take is a fault.
            var spans: [JSON] {
                let lines = receiver?.output.split(separator: "\n") ?? []
                return lines.compactMap { line in
                    if line.hasPrefix("invalid:") { Issue.record("\(line)") }
                    return line.hasPrefix("{") ? try? JSON(parsing: Array(line.utf8)) : nil
                }
            }

            func spans(_ count: Int, _ isWanted: (JSON) -> Bool) async -> [JSON] {
                _ = await eventually(within: .seconds(30)) {
                    self.spans.filter(isWanted).count >= count
                }
                return spans.filter(isWanted)
            }

            func ask(_ path: String = "/", _ fields: String = "") async throws -> HTTPAnswer {
                let port = installation.proxyPort
                return try await blocking {
                    let connection = try HTTPConnection(port: port)
                    try connection.send(
                        "GET \(path) HTTP/1.1\r\nHost: shop.test\r\n\(fields)\r\n"
                    )
                    return try connection.answer()
                }
            }

            func metrics(_ accept: String) async throws -> String {
                let port = installation.adminPort
                return try await blocking {
                    let connection = try HTTPConnection(port: port)
                    try connection.send(
                        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: \(accept)\r\n\r\n"
                    )
                    return try connection.answer().text
                }
            }
        }

        private static func field(_ trace: String = trace, sampled: Bool = true) -> String {
            "traceparent: 00-\(trace)-\(parent)-\(sampled ? "01" : "00")\r\n"
        }

        @Test func `who asks for a trace gets it, with each try, and nobody else is recorded`()
            async throws
        {
            let rig = try await Rig(share: "0%")
            // It is busy at first, and says when to come again.
            try await rig.startReceiver("503", "429", "slow")
            #expect(try await rig.ask().status == 200)
            #expect(try await rig.ask("/", Self.field(sampled: false)).status == 200)
            #expect(try await rig.ask("/twice", Self.field()).status == 200)

            let spans = await rig.spans(3) { $0["trace"]?.string == Self.trace }
            try #require(spans.count == 3, "\(spans)")
            let request = try #require(spans.first { $0["kind"] == 2 })
            let tries = spans.filter { $0["kind"] == 3 }
            #expect(request["name"] == "GET /twice" && request["service"] == "shop")
            #expect(request["parent"]?.string == Self.parent && request["status"] == 0)
            #expect(request["attributes"]?["http.response.status_code"] == 200)
            #expect(request["attributes"]?["server.address"] == "shop.test")
            #expect(tries.allSatisfy { $0["parent"] == request["span"] })
            #expect(tries.map { $0["attributes"]?["muster.peer"] } == ["nobody", "somebody"])
            #expect(tries.map { $0["status"] } == [2, 0])
            #expect(tries[0]["attributes"]?["error.type"] == "refused")
            #expect(tries[1]["attributes"]?["http.request.resend_count"] == 1)
            // Neither the other requests nor probes, of which there have been many.
            #expect(rig.spans.count == 3)

            let readiness = try await rig.installation.json("/ready")
            #expect(readiness["tracing"]?["state"] == "ok", "\(readiness.text)")
            #expect(readiness["tracing"]?["sent"] == 3 && readiness["tracing"]?["dropped"] == [:])
            // The first failure of a sort is told at once, with the trace of that request.
            let muster = try #require(rig.installation.muster)
            let isTold = await eventually(within: .seconds(30)) {
                muster.output.split(separator: "\n").contains {
                    $0.contains("twice/nobody refused") && $0.contains("trace=\(Self.trace)")
                }
            }
            #expect(isTold, "\(muster.output)")
            #expect(muster.output.contains("tracing: spans do not arrive"))
            #expect(muster.output.contains("tracing: spans arrive again"))

            let open = try await rig.metrics("application/openmetrics-text")
            let exemplars = open.split(separator: "\n").filter {
                $0.contains(" # {trace_id=\"\(Self.trace)\"} ")
            }
            for family in ["muster_proxy_latency_seconds", "muster_proxy_route_latency_seconds"] {
                #expect(exemplars.contains { $0.hasPrefix("\(family)_bucket{") }, "\(exemplars)")
            }
            #expect(try await !rig.metrics("text/plain").contains("trace_id"))
        }

        @Test func `probes and changes are recorded too`() async throws {
            let rig = try await Rig(share: "100%")
            try await rig.startReceiver()
            let probes = await rig.spans(2) { $0["name"] == "probe tcp" }
            #expect(probes.count >= 2)
            for probe in probes {
                #expect(probe["kind"] == 3 && probe["parent"]?.isNull == true)
                #expect(probe["attributes"]?["muster.upstream"] == "watched")
                #expect(probe["attributes"]?["muster.verdict"] == "pass")
            }
            let port = rig.installation.adminPort
            let server = rig.installation.servers[0]
            let status = try await blocking {
                let connection = try HTTPConnection(port: port)
                let body = #"{"weight": 7}"#
                try connection.send(
                    "PATCH /v1/upstreams/web/peers/127.0.0.1:\(server) HTTP/1.1\r\nHost: localhost\r\n"
                        + "Content-Type: application/json\r\n\(Self.field())"
                        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                )
                return try connection.answer().status
            }
            #expect(status == 200)
            let writes = await rig.spans(1) { $0["trace"]?.string == Self.trace }
            let write = try #require(writes.first)
            #expect(write["name"] == "PATCH /v1/upstreams/{upstream}/peers/{peer}")
            #expect(write["kind"] == 2 && write["parent"]?.string == Self.parent)
            #expect(write["attributes"]?["http.response.status_code"] == 200)
            // Reading is none.
            #expect(rig.spans.allSatisfy { $0["name"]?.string?.hasPrefix("GET /v1") != true })

            // What is under way when it is told to stop is sent.
            #expect(try await rig.ask("/", Self.field("1" + Self.trace.dropFirst())).status == 200)
            let muster = try #require(rig.installation.muster)
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(20)) == 0, "\(muster.output)")
            let last = await rig.spans(2) { $0["trace"]?.string?.hasPrefix("1af765") == true }
            #expect(last.count == 2)
        }

        @Test func `while the receiver is away requests go on, and what is dropped is counted`()
            async throws
        {
            let rig = try await Rig(share: "0%")
            let port = rig.installation.proxyPort
            let count = 1_200
            let bad = try await blocking {
                let connection = try HTTPConnection(port: port)
                return try (0..<count).count { _ in
                    try connection.send(
                        "GET /twice HTTP/1.1\r\nHost: h\r\n\(Self.field())\r\n"
                    )
                    return try connection.answer().status != 200
                }
            }
            #expect(bad == 0)
            var tracing: JSON = .null
            let isSaid = try await eventually(within: .seconds(30)) {
                tracing = try await rig.installation.json("/ready")["tracing"] ?? .null
                return tracing["state"] == "failing" && tracing["made"]?.int == 3 * count
            }
            #expect(isSaid, "\(tracing.text)")
            let waiting = tracing["waiting"]?.int ?? 0
            let dropped = tracing["dropped"]?["queue"]?.int ?? 0
            #expect(waiting > 0 && waiting <= 2_560 && waiting + dropped == 3 * count)
            let status = try await rig.installation.command("status")
            #expect(status.output.contains("tracing: spans do not arrive since"))
            #expect(status.output.contains("\(dropped) from the queue, which was full"))
            let metrics = try await rig.metrics("text/plain")
            #expect(metrics.contains("muster_tracing_failing 1"))
            #expect(
                metrics.contains("muster_tracing_spans_dropped_total{reason=\"queue\"} \(dropped)")
            )

            try await rig.startReceiver()
            let isBack = try await eventually(within: .seconds(40)) {
                tracing = try await rig.installation.json("/ready")["tracing"] ?? .null
                return tracing["state"] == "ok" && tracing["waiting"] == 0
            }
            #expect(isBack, "\(tracing.text)")
            #expect(tracing["sent"]?.int == waiting)
            let arrived = await rig.spans(waiting) { $0["trace"]?.string == Self.trace }
            #expect(arrived.count == waiting)
        }
    }
}
