// Does whoever reads events miss none, over an end of the stream and a restart of the process?

import Foundation
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveEventTests {
        private struct Event: Equatable, Sendable {
            var id: UInt64
            var to: String
        }

        /// Reads events after `id`, until `count` of them are there.
        private static func read(
            _ count: Int,
            after id: UInt64?,
            limit: Int? = nil,
            port: UInt16
        ) async throws -> (events: [Event], hasGap: Bool) {
            try await blocking {
                let connection = try HTTPConnection(port: port)
                let field = id.map { "Last-Event-ID: \($0)\r\n" } ?? ""
                let query = limit.map { "?limit=\($0)" } ?? ""
                try connection.send(
                    "GET /v1/events\(query) HTTP/1.1\r\nHost: localhost\r\n\(field)\r\n"
                )
                let text = try connection.text { parts($0).events.count >= count }
                #expect(text.hasPrefix("HTTP/1.1 200 "))
                #expect(text.contains("\r\nContent-Type: text/event-stream\r\n"))
                return parts(text)
            }
        }

        private static func parts(_ text: String) -> (events: [Event], hasGap: Bool) {
            var events: [Event] = []
            for block in text.components(separatedBy: "\n\n") {
                guard block.contains("event: transition\n"),
                    let id = block.components(separatedBy: "id: ").dropFirst().first?
                        .prefix(while: \.isNumber),
                    let data = block.components(separatedBy: "data: ").dropFirst().first,
                    let json = try? JSON(parsing: Array(data.utf8))
                else { continue }
                events.append(Event(id: UInt64(id) ?? 0, to: json["to"]?.string ?? ""))
            }
            return (events, text.contains("event: gap\n"))
        }

        private static func ask(_ intent: String, port: UInt16) async throws {
            let answer = try await blocking {
                let body = #"{"intent":"\#(intent)"}"#
                let connection = try HTTPConnection(port: port)
                try connection.send(
                    "PATCH /v1/upstreams/web/peers/spare HTTP/1.1\r\nHost: localhost\r\n"
                        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                )
                return try connection.answer()
            }
            #expect(answer.status == 200)
        }

        @Test func `readers come back over a restart and miss nothing`() async throws {
            let folder = try TemporaryDirectory()
            let state = folder.path + "/state.json"
            let installation = try await Installation.start(
                adding: "\nstore:\n  state-file: \(state)\n"
            )
            let port = installation.adminPort
            try await Self.ask("drain", port: port)
            let before = try await Self.read(1, after: nil, limit: 1, port: port)
            #expect(before.events.map(\.to) == ["drain"])
            let seen = try #require(before.events.last?.id)
            // Who has seen no event has a place to come back to as well.
            let empty = try await blocking {
                let connection = try HTTPConnection(port: port)
                try connection.send(
                    "GET /v1/events?limit=0&follow=false HTTP/1.1\r\nHost: localhost\r\n\r\n"
                )
                return try connection.text { $0.contains("\nid: ") }
            }
            #expect(empty.contains("retry: 1000\nid: \(seen)\n\n"))
            // Two who wait, with an eye on what comes next.
            async let one = Self.read(1, after: seen, port: port)
            async let other = Self.read(1, after: seen, port: port)
            try await Self.ask("maint", port: port)
            let (first, second) = try await (one, other)
            #expect(first.events == second.events)
            #expect(first.events.map(\.to) == ["maint"])
            #expect(!first.hasGap)

            let ending = try #require(installation.muster)
            ending.signal(SIGTERM)
            #expect(await eventually(within: .seconds(30)) { !ending.isRunning })
            try await installation.startMuster(
                try installation.quickstart(adding: "\nstore:\n  state-file: \(state)\n")
            )
            let again = try await Self.read(1, after: seen, port: port)
            #expect(again.events.first == first.events.first)
            #expect(!again.hasGap)
            // Nobody gave this id.
            let strange = try await Self.read(2, after: 7, port: port)
            #expect(strange.hasGap)
        }
    }
}
