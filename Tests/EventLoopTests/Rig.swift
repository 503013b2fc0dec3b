// How does a test get a loop? Either one that runs on the test's own thread until the test stops it,
// or one on a thread of its own for linear code. Both must end with nothing left behind.

import EventLoop
import Glibc
import TestSupport
import Testing
import Vocabulary

/// Runs `setUp` and then the loop, both on this thread, until something calls `stop`.
func runLoop(_ setUp: (EventLoop) throws -> Void) throws {
    let loop = try EventLoop(name: "test")
    loop.adopt()
    let watchdog = Recorder()
    let hung = loop.schedule(at: Clock.instant() + .seconds(20), sink: watchdog)
    watchdog.onDue = { _ in loop.stop() }
    try setUp(loop)
    loop.run()
    try #require(watchdog.dues.isEmpty, "nothing stopped the loop")
    loop.cancel(hung)
    #expect(loop.watchedCount == 0)
    #expect(loop.timerCount == 0)
}

/// Runs linear code on a loop's thread, and looks for what it left behind.
func onLoop<Answer: Sendable>(
    _ body: @escaping @Sendable (EventLoop) async throws -> Answer
) async throws -> Answer {
    let loop = try EventLoop.spawn(name: "test")
    defer { loop.stop() }
    let answer = try await Task(executorPreference: loop) { try await body(loop) }.value
    let left = await LoopBound((), on: loop).call { _ in [loop.watchedCount, loop.timerCount] }
    #expect(left == [0, 0], "descriptors and timers left behind")
    return answer
}

/// Comes back in the loop's next turn, after descriptors and timers. `Task.yield` promises less: it
/// goes through another thread and may come back before the loop did anything.
func turn(of loop: EventLoop) async { await LoopBound((), on: loop).call { _ in } }

/// A sink that writes down what it hears.
final class Recorder: EventSink {
    private(set) var readies: [Int] = []
    private(set) var foretold: [Int] = []
    private(set) var dues: [Int] = []
    var onReady: (Int) -> Void = { _ in }
    var onDue: (Int) -> Void = { _ in }

    override func ready(_ readiness: Readiness, tag: Int) {
        readies.append(tag)
        onReady(tag)
    }

    override func foretold(_ readiness: Readiness, tag: Int) { foretold.append(tag) }

    override func due(tag: Int) {
        dues.append(tag)
        onDue(tag)
    }
}

/// A pair of connected sockets: what is written to one can be read from the other.
struct Pair {
    let near: Int32
    let far: Int32

    init() throws {
        var raw: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        try #require(socketpair(AF_UNIX, kind | Int32(SOCK_CLOEXEC.rawValue), 0, &raw) == 0)
        (near, far) = (raw[0], raw[1])
    }

    func poke(_ count: Int = 1) {
        _ = Glibc.write(far, [UInt8](repeating: 1, count: count), count)
    }

    /// How many bytes were there, at most `limit`; -1 for none.
    @discardableResult
    func take(_ limit: Int = 64) -> Int {
        var bytes = [UInt8](repeating: 0, count: limit)
        return Glibc.read(near, &bytes, limit)
    }

    func close() {
        Glibc.close(near)
        Glibc.close(far)
    }
}

/// The number, still open; `#expect` cannot look into a value that cannot be copied.
func number(of descriptor: consuming Descriptor?) -> Int32? {
    guard let descriptor else { return nil }
    return descriptor.take()
}

/// 127.0.0.1 with a port the kernel chooses.
func loopback(_ port: UInt16 = 0) throws -> SocketAddress {
    try #require(SocketAddress(ip: "127.0.0.1", port: port))
}

extension Instant {
    static func after(_ span: Nanoseconds) -> Instant { Clock.instant() + span }
}
