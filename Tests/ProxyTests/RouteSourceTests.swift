// Requests for hosts that no configuration knows: who waits, who is asked, and what is kept.

import EventLoop
import Foundation
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Proxy

@Suite struct HostBookTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)

    private static func key(_ host: String, _ book: HostBook) -> UInt64? {
        Array(host.utf8).withUnsafeBufferPointer { bytes in
            HostBook.host(bytes).flatMap { book.key(of: $0) }
        }
    }

    private static func ask(_ host: String, _ book: inout HostBook, at now: Instant = start) -> Bool
    {
        guard let key = key(host, book) else { return false }
        return Array(host.utf8).withUnsafeBufferPointer { bytes in
            HostBook.host(bytes).map { book.ask($0, at: key, now: now) } ?? false
        }
    }

    @Test func `a host is the same in any case, and with the dot at its end`() {
        var book = HostBook()
        #expect(Self.ask("A.test", &book))
        let key = Self.key("a.TEST.", book)
        #expect(key == Self.key("a.test", book))
        #expect(key != Self.key("b.test", book))
        #expect(Self.key("", book) == nil)
        #expect(Self.key(String(repeating: "a", count: 256), book) == nil)
        #expect(
            key.map { book.take(.upstream(3), at: $0, until: Self.start).answer } == .upstream(3)
        )
        #expect(key.map { book.answer(at: $0) } == .upstream(3))
    }

    @Test func `what is known serves while it is asked for again, and when nobody answers`() throws
    {
        var book = HostBook()
        #expect(Self.ask("a", &book))
        let key = try #require(Self.key("a", book))
        #expect(!book.isDue(at: key, now: Self.start), "asked for now")
        _ = book.take(.upstream(3), at: key, until: Self.start + .seconds(1))
        #expect(!book.isDue(at: key, now: Self.start))
        let later = Self.start + .seconds(1)
        #expect(book.isDue(at: key, now: later))
        #expect(Self.ask("a", &book, at: later))
        #expect(book.answer(at: key) == .upstream(3))
        #expect(book.take(nil, at: key, until: later + .seconds(1)).answer == .upstream(3))
        #expect(book.answer(at: key) == .upstream(3))
        book.forget(upstream: 3)
        #expect(book.answer(at: key) == .unknown)
        #expect(book.asked == 0)
    }

    @Test func `where all places are taken, somebody goes for a newcomer`() {
        var book = HostBook()
        for number in 0...HostBook.entriesMax {
            #expect(Self.ask("h\(number)", &book), "\(number)")
            guard let key = Self.key("h\(number)", book) else { continue }
            _ = book.take(.upstream(1), at: key, until: Self.start + .seconds(600))
        }
        #expect(book.entries.count <= HostBook.entriesMax)
        #expect(book.entries.count >= HostBook.entriesMax / 8 * 7)
        #expect(
            Self.key("h\(HostBook.entriesMax)", book).map { book.answer(at: $0) } == .upstream(1)
        )
    }

    @Test func `names that are made up find an end`() {
        var book = HostBook()
        for number in 0..<10_000 {
            guard Self.ask("h\(number)", &book), let key = Self.key("h\(number)", book) else {
                continue
            }
            _ = book.take(HostBook.Answer.none, at: key, until: Self.start + .seconds(10))
        }
        #expect(book.entries.count == HostBook.absentMax)
        for number in 0..<2_000 { _ = Self.ask("w\(number)", &book) }
        #expect(book.asked == HostBook.askedMax)
    }
}

@Suite struct RouteSourceTests {
    /// Answers when it is told to, and counts.
    private final class Source: @unchecked Sendable {
        private let lock = NSLock()
        private var asked: [String] = []
        private var findings: [String: RouteFinding] = [:]
        private var waiting:
            [(host: String, continuation: CheckedContinuation<RouteFinding, Never>)] = []

        var hosts: [String] { lock.withLock { asked } }

        func ask(_ host: String) async -> RouteFinding {
            await withCheckedContinuation { continuation in
                let finding: RouteFinding? = lock.withLock {
                    asked.append(host)
                    if let finding = findings[host] { return finding }
                    waiting.append((host, continuation))
                    return nil
                }
                if let finding { continuation.resume(returning: finding) }
            }
        }

        func set(_ host: String, _ finding: RouteFinding) {
            let due = lock.withLock {
                findings[host] = finding
                defer { waiting.removeAll { $0.host == host } }
                return waiting.filter { $0.host == host }
            }
            for each in due { each.continuation.resume(returning: finding) }
        }
    }

    private static func get(_ host: String) -> String { "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n" }

    private static func rig(
        _ peer: TestPeer,
        _ source: Source,
        patience: Nanoseconds = .seconds(60)
    ) async throws -> ProxyRig {
        var timeouts = ProxyRig.patient
        timeouts.route = patience
        let other = try TestPeer("other")
        return try await ProxyRig(
            [
                UpstreamDefinition(name: "fixed", peers: [PeerDefinition(address: other.address)]),
                UpstreamDefinition(name: "found", peers: [PeerDefinition(address: peer.address)]),
            ],
            modes: [.http(routes: [RouteConfiguration(host: "fixed.test", upstream: "fixed")])],
            timeouts: timeouts,
            lookup: { await source.ask($0) }
        )
    }

    @Test func `requests wait for the route of their host, which is asked for once`() async throws {
        let (peer, source) = (try TestPeer("found"), Source())
        let rig = try await Self.rig(peer, source)
        let clients = try (0..<5).map { _ in try rig.client() }
        for client in clients { try client.send(Self.get("New.test:80") + Self.get("new.test")) }
        #expect(await eventually { source.hosts == ["new.test"] })
        // Others are served meanwhile, and whoever leaves is not waited for.
        let gone = try rig.client()
        try gone.send(Self.get("new.test"))
        gone.close()
        source.set("new.test", .upstream("found", for: .seconds(600)))
        for client in clients {
            for _ in 0..<2 { #expect(try client.reply().text == "found") }
        }
        try clients[0].send(Self.get("new.test."))
        #expect(try clients[0].reply().text == "found")
        #expect(source.hosts == ["new.test"])
        #expect(await rig.report().requests >= 11)
        for client in clients { client.close() }
        await rig.expectNothingHeld()
    }

    @Test func `a host that nobody has is 404, and not asked for again`() async throws {
        let (peer, source) = (try TestPeer("found"), Source())
        let rig = try await Self.rig(peer, source)
        source.set("none.test", RouteFinding.none(for: .seconds(600)))
        for _ in 0..<3 {
            let client = try rig.client()
            try client.send(Self.get("none.test"))
            #expect(try client.reply().status == 404)
        }
        #expect(source.hosts == ["none.test"])
        source.set("away.test", .unavailable)
        source.set("lost.test", .upstream("nowhere", for: .seconds(600)))
        for host in ["away.test", "lost.test"] {
            let client = try rig.client()
            try client.send(Self.get(host))
            #expect(try client.reply().status == 503)
        }
        #expect(peer.requests.isEmpty)
        await rig.expectNothingHeld()
    }

    @Test func `a host that may be there by now is waited for, and not refused for what it was`()
        async throws
    {
        let (peer, source) = (try TestPeer("found"), Source())
        let rig = try await Self.rig(peer, source)
        source.set("late.test", RouteFinding.none(for: .zero))
        let client = try rig.client()
        try client.send(Self.get("late.test"))
        #expect(try client.reply().status == 404)
        source.set("late.test", .upstream("found", for: .seconds(600)))
        let other = try rig.client()
        try other.send(Self.get("late.test"))
        #expect(try other.reply().text == "found")
    }

    @Test func `a source that says nothing is waited for a second, and its answer serves later`()
        async throws
    {
        let (peer, source) = (try TestPeer("found"), Source())
        let rig = try await Self.rig(peer, source, patience: .seconds(1))
        let client = try rig.client()
        try client.send(Self.get("slow.test"))
        let reply = try client.reply()
        #expect(reply.status == 503)
        #expect(reply["Retry-After"] == "1")
        source.set("slow.test", .upstream("found", for: .seconds(600)))
        let isServed = await eventually {
            let client = try? rig.client()
            try? client?.send(Self.get("slow.test"))
            return (try? client?.reply().text) == "found"
        }
        #expect(isServed)
        await rig.expectNothingHeld()
    }
}
