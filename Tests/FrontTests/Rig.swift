// What does a test of the front stand on? A front on a loop of its own, whose time stands still where
// the test moves it, and clients that are as rude as they like.

import EventLoop
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Front

/// Opened once; those who wait for it go on.
final class Signal: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

struct Rig: Sendable {
    let loop: EventLoop
    let front: LoopBound<Front>
    let address: SocketAddress
    let tally: FrontTally
    let isVirtual: Bool

    /// Says what was asked, and sends the body back.
    static let echo: Front.Handler = { request, writer in
        let text = Array("\(request.method) \(request.target) ".utf8) + request.body
        await writer.begin(
            AnswerHead(status: 200, fields: [], length: text.count)
        )
        try await writer.write(text)
    }

    /// Runs `body` with a front at a port of loopback, and looks for what it left behind.
    static func run(
        _ limits: FrontLimits = FrontLimits(),
        isVirtual: Bool = false,
        journal: Journal = .silent,
        handler: @escaping Front.Handler = Rig.echo,
        _ body: (Rig) async throws -> Void
    ) async throws {
        let loop =
            isVirtual ? try EventLoop.spawn(virtual: "front") : try EventLoop.spawn(name: "front")
        defer { loop.stop() }
        let tally = FrontTally()
        let any = try #require(SocketAddress(ip: "127.0.0.1", port: 0))
        let (front, address) = try await Task(executorPreference: loop) {
            let front = Front(
                on: loop,
                rules: OriginRules(bind: .host("127.0.0.1", port: 0)),
                limits: limits,
                tally: tally,
                journal: journal,
                handler: handler
            )
            return (LoopBound(front, on: loop), try front.open(at: any))
        }.value
        let rig = Rig(
            loop: loop,
            front: front,
            address: address,
            tally: tally,
            isVirtual: isVirtual
        )
        do {
            try await body(rig)
        } catch {
            await rig.close(within: .zero)
            throw error
        }
        await rig.close(within: .zero)
        let left = await front.call { _ in [loop.watchedCount, loop.timerCount] }
        #expect(left == [0, 0], "descriptors and timers left behind")
    }

    func close(within span: Nanoseconds) async {
        let (front, loop) = (front, loop)
        let closing = Task(executorPreference: loop) { await front.value.close(within: span) }
        if isVirtual { await advance(by: span) }
        await closing.value
    }

    func advance(by span: Nanoseconds) async {
        let loop = loop
        await Task(executorPreference: loop) { await loop.advance(by: span) }.value
    }

    /// Lets time pass, a second at a time, until something has come about.
    func pass(until isThere: @Sendable () -> Bool) async -> Bool {
        await eventually(within: .seconds(60)) {
            if isThere() { return true }
            await advance(by: .seconds(1))
            return isThere()
        }
    }

    func client() throws -> Client { try Client(address) }
}

/// A client's end of a connection.
final class Client: @unchecked Sendable {
    private let raw: Int32
    private let seen = Mutex<(bytes: [UInt8], isOver: Bool)>(([], false))

    init(_ address: SocketAddress) throws {
        raw = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0, address.withSockaddr({ connect(raw, $0, $1) }) == 0 else {
            throw SystemError("connect")
        }
    }

    deinit { Glibc.close(raw) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    func finish() { shutdown(raw, Int32(SHUT_WR)) }

    /// What has come so far.
    var text: String {
        take()
        return seen.withLock { String(decoding: $0.bytes, as: UTF8.self) }
    }

    /// Whether the other side has ended it, in whatever way.
    var isOver: Bool {
        take()
        return seen.withLock { $0.isOver }
    }

    private func take() {
        seen.withLock { seen in
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while !seen.isOver {
                let count = recv(raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                if count < 0, errno == EAGAIN { return }
                if count <= 0 { seen.isOver = true } else { seen.bytes += buffer[..<count] }
            }
        }
    }

    func hears(_ end: String) async -> Bool {
        await eventually(within: .seconds(60)) { text.hasSuffix(end) }
    }

    func isLeft() async -> Bool { await eventually(within: .seconds(60)) { isOver } }
}
