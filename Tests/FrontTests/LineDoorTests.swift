// What may a client of a protocol of lines do, and for how long? One line, as many as are let, none too long, and no
// silence without an end.

import EventLoop
import TestSupport
import Testing
import Vocabulary

@testable import Front

@Suite struct LineDoorTests {
    private struct DoorRig: Sendable {
        let loop: EventLoop
        let door: LoopBound<LineDoor>
        let address: SocketAddress

        func advance(by span: Nanoseconds) async {
            let loop = loop
            await Task(executorPreference: loop) { await loop.advance(by: span) }.value
        }

        func client() throws -> Client { try Client(address) }
    }

    /// `more` keeps a connection open, all else ends it; both are told back.
    private static let echo: LineDoor.Handler = { line, wasOpen in
        var answer = LineAnswer(staysOpen: line == "more" || wasOpen && line != "end")
        answer.text = "\(line)!\n"
        answer.isLast = line == "end"
        return answer
    }

    private static func run(
        _ limits: LineLimits = LineLimits(),
        _ body: (DoorRig) async throws -> Void
    ) async throws {
        let loop = try EventLoop.spawn(virtual: "lines")
        defer { loop.stop() }
        let any = try #require(SocketAddress(ip: "127.0.0.1", port: 0))
        let (door, address) = try await Task(executorPreference: loop) {
            let door = try LineDoor(
                on: loop,
                at: any,
                access: SocketAccess(),
                limits: limits,
                name: "test",
                journal: .silent,
                answer: echo
            )
            return (LoopBound(door, on: loop), door.address)
        }.value
        try await body(DoorRig(loop: loop, door: door, address: address))
        await door.call { $0.close() }
        #expect(
            await eventually(within: .seconds(20)) {
                await door.call { _ in loop.watchedCount + loop.timerCount } == 0
            },
            "descriptors and timers left behind"
        )
    }

    @Test func `one line is one answer, however it is cut`() async throws {
        try await Self.run { rig in
            let client = try rig.client()
            client.send("hel")
            client.send("lo\n")
            #expect(await client.isLeft())
            #expect(client.text == "hello!\n")
            // Whoever ends without a line is told nothing.
            let silent = try rig.client()
            silent.send("half")
            silent.finish()
            #expect(await silent.isLeft())
            #expect(silent.text == "")
        }
    }

    @Test func `lines that were sent together are all answered`() async throws {
        try await Self.run { rig in
            let client = try rig.client()
            // More than is read at once.
            let lines = (0..<100).map { "line \($0) \(String(repeating: "x", count: 80))" }
            client.send(lines.map { "\($0)\n" }.joined())
            // Between many calls the door rests, for which the clock has to go on.
            let isLeft = await eventually(within: .seconds(60)) {
                await rig.advance(by: .milliseconds(1))
                return client.isOver
            }
            #expect(isLeft)
            #expect(client.text == lines.map { "\($0)!\n" }.joined())
            let cut = try rig.client()
            cut.send("a\nb")
            #expect(await cut.hears("a!\n"))
            cut.send("c\n")
            #expect(await cut.isLeft())
            #expect(cut.text == "a!\nbc!\n")
            let ended = try rig.client()
            ended.send("a\nend\nb\n")
            #expect(await ended.isLeft())
            #expect(ended.text == "a!\nend!\n")
        }
    }

    @Test func `a conversation goes on until it is ended`() async throws {
        try await Self.run { rig in
            let client = try rig.client()
            client.send("more\na\nb\nend\nc\n")
            #expect(await client.isLeft())
            #expect(client.text == "more!\na!\nb!\nend!\n")
        }
    }

    @Test func `whoever is silent is left, later where somebody types`() async throws {
        try await Self.run { rig in
            let (quick, typing) = (try rig.client(), try rig.client())
            typing.send("more\n")
            #expect(await typing.hears("more!\n"))
            await rig.advance(by: .seconds(11))
            #expect(await quick.isLeft())
            #expect(!typing.isOver)
            typing.send("a\n")
            #expect(await typing.hears("a!\n"))
            await rig.advance(by: .seconds(301))
            #expect(await typing.isLeft())
        }
    }

    @Test func `no line is longer than it may be`() async throws {
        var limits = LineLimits()
        limits.lineBytes = 64
        try await Self.run(limits) { rig in
            let client = try rig.client()
            client.send(String(repeating: "x", count: 5_000))
            await rig.advance(by: .seconds(1))
            #expect(await client.isLeft())
            #expect(client.text == "A line has at most 64 bytes; this one was not done.\n")
        }
    }

    @Test func `one more than there are places is closed, and none of the others`() async throws {
        var limits = LineLimits()
        limits.connections = 2
        try await Self.run(limits) { rig in
            let (first, second) = (try rig.client(), try rig.client())
            for client in [first, second] {
                client.send("more\n")
                #expect(await client.hears("more!\n"))
            }
            let third = try rig.client()
            #expect(await third.isLeft())
            first.send("end\n")
            #expect(await first.hears("end!\n"))
            await rig.advance(by: .seconds(1))
            #expect(await first.isLeft())
            let fourth = try rig.client()
            fourth.send("x\n")
            #expect(await fourth.hears("x!\n"))
            #expect(!second.isOver)
        }
    }
}
