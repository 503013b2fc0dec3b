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

/// A TCP port of 127.0.0.1 that nobody listens on. Below the ports that the kernel hands out (32768
/// and up on Linux), so no test that listens on port 0 and no connection takes it meanwhile. Never the
/// same twice: some servers share a port that is given to two of them, and either answers.
public func freePort() throws -> UInt16 {
    for _ in 0..<100 {
        let port = UInt16.random(in: 12_000...31_999)
        guard given.withLock({ $0.insert(port).inserted }) else { continue }
        guard let place = SocketAddress(ip: "127.0.0.1", port: port) else { continue }
        if let listener = try? Socket.listen(place) {
            _ = consume listener
            return port
        }
    }
    throw SystemError("bind", code: EADDRINUSE)
}

private let given = Mutex<Set<UInt16>>([])

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
