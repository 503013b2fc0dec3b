// What else does a test on a real machine need? A folder of its own, a port nobody uses, and a way
// to wait for something without guessing how long it takes.

import EventLoop
import Foundation
import Glibc
import Synchronization
import Vocabulary

/// A folder that goes when the value goes.
public final class TemporaryDirectory: Sendable {
    public let path: String

    public init() throws {
        var template = Array("/tmp/muster-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError("mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    public func path(_ name: String) -> String { "\(path)/\(name)" }

    @discardableResult
    public func write(_ text: String, to name: String, mode: mode_t = 0o644) throws -> String {
        let file = path(name)
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        chmod(file, mode)
        return file
    }
}

/// A TCP port of 127.0.0.1 that nobody listens on, and that no other test gets.
public func freePort() throws -> UInt16 {
    try withFreshPort { port throws(SystemError) in
        guard let place = SocketAddress(ip: "127.0.0.1", port: port) else {
            throw SystemError("bind", code: EADDRINUSE)
        }
        // Bound and not listened on: a child that is being started may hold a copy for a while.
        try Socket.requireFree(place)
        return port
    }
}

/// Calls `body` with one port after another until one is free. Outside the ports that the kernel
/// hands out, so no test that listens on port 0 and no connection takes it meanwhile. Never the same
/// twice: some servers share a port that is given to two of them, and either answers.
public func withFreshPort<Answer>(
    _ body: (UInt16) throws(SystemError) -> Answer
) throws(SystemError) -> Answer {
    for _ in 0..<Ports.attemptsMax {
        let port = UInt16.random(in: Ports.range)
        guard Ports.given.withLock({ $0.insert(port).inserted }) else { continue }
        do throws(SystemError) { return try body(port) } catch {
            if error.code != EADDRINUSE { throw error }
        }
    }
    throw SystemError("bind", code: EADDRINUSE)
}

private enum Ports {
    static let given = Mutex<Set<UInt16>>([])
    static let attemptsMax = 1_000
    /// So few would be used up before the tests are done.
    private static let countMin = 4_000

    /// Where the kernel chooses none: below its own (32768 and up unless told otherwise), if need be
    /// down to those that anybody may bind, or above.
    static let range: ClosedRange<UInt16> = {
        let file = "/proc/sys/net/ipv4/ip_local_port_range"
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        let ends = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        let (first, last) = ends.count == 2 ? (ends[0], ends[1]) : (32_768, 60_999)
        let rooms = [(12_000, first - 1), (1_024, first - 1), (last + 1, 65_535)]
        let (lowest, highest) =
            rooms.first { $0.1 - $0.0 >= countMin } ?? (12_000, 31_999)
        return UInt16(lowest)...UInt16(highest)
    }()
}

/// Whether this machine has ::1: many containers have IPv6 switched off.
public let hasIPv6Loopback: Bool = {
    guard let place = SocketAddress(ip: "::1", port: 0) else { return false }
    return (try? Socket.listen(place).raw) != nil
}()

/// Asks again until `condition` holds. False when it does not within `limit`.
public func eventually(
    within limit: Duration = .seconds(10),
    _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(5))
    }
    return try await condition()
}
