// Are all readers told everything, in words that are made once, and in few pieces where much happens?

import EventLoop
import Health
import Testing
import Vocabulary

@testable import Admin
@testable import Store

@Suite struct EventFeedTests {
    private static let start = WallTime(milliseconds: 1_795_000_000_000)
    private static let peer = PeerKey(upstream: "web", peer: "a")

    /// One reader as the route reads, and what came to it.
    private final class Reader {
        var pieces: [(bytes: [UInt8], at: Instant)] = []
        var events: [UInt64] { Self.ids(in: pieces.map(\.bytes)) }

        func read(
            _ feed: EventFeed,
            after start: UInt64,
            until end: UInt64,
            on loop: EventLoop
        ) async {
            var place = start
            while place < end {
                let telling = await feed.next(after: place)
                pieces.append((telling.bytes, loop.instant))
                place = telling.last ?? place
            }
        }

        static func ids(in pieces: [[UInt8]]) -> [UInt64] {
            String(decoding: pieces.joined(), as: UTF8.self).split(separator: "\n")
                .filter { $0.hasPrefix("id: ") }.compactMap { UInt64($0.dropFirst(4)) }
        }
    }

    private func onLoop(
        _ body: @escaping @Sendable (EventLoop, Board, EventFeed) async throws -> Void
    ) async throws {
        let loop = try EventLoop.spawn(
            virtual: "feed",
            from: .init(instant: .init(nanoseconds: 0), wall: Self.start)
        )
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) {
            let board = Board(loop: loop, strangerTime: .zero) { loop.moment }
            board.define(
                [
                    UpstreamDefinition(
                        name: "web",
                        peers: [PeerDefinition(id: "a", address: .host("a", port: 80))]
                    )
                ],
                monitors: []
            )
            try await body(loop, board, EventFeed(of: board, by: "a1", on: loop))
            board.close()
        }
    }

    private static func turn(_ board: Board, _ times: Int) {
        for _ in 0..<times {
            let isDraining = board.intents[peer]?.mode == .drain
            board.set(intent: Intent(mode: isDraining ? .maint : .drain), for: peer)
        }
    }

    @Test func `a quiet peer's turn is told at once, and those right after it together`()
        async throws
    {
        try await onLoop { loop, board, feed in
            let start = feed.start(after: nil, limit: 0).after
            await loop.advance(by: .seconds(1))
            // Ids are times in microseconds, and one more where time stands.
            let end = UInt64((Self.start + .milliseconds(1_019)).milliseconds) * 1_000
            let reader = Reader()
            let home = LoopBound((reader, feed), on: loop)
            let reading = Task(executorPreference: loop) {
                await home.value.0.read(home.value.1, after: start, until: end, on: loop)
            }
            await loop.advance(by: .milliseconds(0))
            Self.turn(board, 1)
            await loop.advance(by: .milliseconds(0))
            #expect(reader.events.count == 1, "nobody waits for company")
            for _ in 0..<19 {
                await loop.advance(by: .milliseconds(1))
                Self.turn(board, 1)
            }
            #expect(reader.events.count == 1)
            await loop.advance(by: .milliseconds(1))
            await reading.value
            #expect(reader.pieces.count == 2)
            #expect(reader.events == board.events.events.map(\.id))
        }
    }

    /// However many come at once: in pieces of a size that does not hold the loop, none twice, none left out.
    @Test func `a thousand at once are told to all, in order and in bounded pieces`() async throws {
        try await onLoop { loop, board, feed in
            let start = feed.start(after: nil, limit: 0).after
            Self.turn(board, 1_000)
            let ids = board.events.events.map(\.id)
            #expect(ids.count == 1_000)
            let readers = (0..<3).map { _ in Reader() }
            let homes = readers.map { LoopBound(($0, feed), on: loop) }
            let reading = homes.map { home in
                Task(executorPreference: loop) {
                    await home.value.0.read(home.value.1, after: start, until: ids[999], on: loop)
                }
            }
            await loop.advance(by: .milliseconds(100))
            for task in reading { await task.value }
            for reader in readers {
                #expect(reader.events == ids)
                let most = reader.pieces.map { Reader.ids(in: [$0.bytes]).count }.max()
                #expect(most == EventFeed.atOnce)
            }
        }
    }

    @Test func `a reader who fell behind what is held hears of a gap`() async throws {
        try await onLoop { loop, board, feed in
            Self.turn(board, 1)
            let seen = try #require(board.events.events.last?.id)
            Self.turn(board, EventLog.capacityDefault * 2)
            let telling = feed.telling(after: seen)
            #expect(String(decoding: telling.bytes, as: UTF8.self).hasPrefix(EventRoutes.gap))
            #expect(Reader.ids(in: [telling.bytes]).first == board.events.events.first?.id)
            let next = feed.telling(after: try #require(telling.last))
            #expect(!String(decoding: next.bytes, as: UTF8.self).contains("gap"))
        }
    }

    @Test func `while nothing happens a comment shows that the stream lives`() async throws {
        try await onLoop { loop, _, feed in
            let start = feed.start(after: nil, limit: 0).after
            let reader = Reader()
            let home = LoopBound((reader, feed), on: loop)
            let reading = Task(executorPreference: loop) {
                let telling = await home.value.1.next(after: start)
                home.value.0.pieces.append((telling.bytes, loop.instant))
                return telling.last
            }
            await loop.advance(by: .milliseconds(4_999))
            #expect(reader.pieces.isEmpty)
            await loop.advance(by: .milliseconds(1))
            #expect(await reading.value == nil)
            #expect(reader.pieces.map(\.bytes) == [Array(":\n\n".utf8)])
        }
    }
}
