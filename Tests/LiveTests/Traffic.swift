// What do clients see meanwhile? A steady stream of keep-alive requests that forgets no answer.

import Foundation
import Glibc
import Synchronization
import TestSupport

/// Clients on threads of their own, each with one connection, asking at a steady pace.
final class Traffic: Sendable {
    struct Tally: Sendable {
        /// Answers with status 200 by server.
        var served: [String: Int] = [:]
        /// Everything else.
        var failures: [String] = []

        var count: Int { served.values.reduce(0, +) }

        static func - (after: Tally, before: Tally) -> Tally {
            var rest = after
            for (server, count) in before.served { rest.served[server, default: 0] -= count }
            rest.served = rest.served.filter { $0.value > 0 }
            rest.failures.removeFirst(before.failures.count)
            return rest
        }
    }

    private let port: UInt16
    private let tally = Mutex(Tally())
    private let isStopped = Atomic(false)
    private let running = Atomic(0)

    private static let clients = 4
    /// Four clients every 20 ms: two hundred requests a second.
    private static let pauseMilliseconds: Int32 = 20

    init(port: UInt16) {
        self.port = port
        running.store(Self.clients, ordering: .relaxed)
        for _ in 0..<Self.clients {
            Thread.detachNewThread { [self] in
                ask()
                running.subtract(1, ordering: .releasing)
            }
        }
    }

    var seen: Tally { tally.withLock { $0 } }

    /// What is answered from now on until so many more requests have been.
    func next(_ count: Int) async throws -> Tally {
        let before = seen
        let isDone = await eventually(within: .seconds(30)) { (seen - before).count >= count }
        guard isDone else { throw HTTPConnection.Failure(description: "no traffic: \(seen)") }
        return seen - before
    }

    /// Ends the clients and tells what they saw.
    func stop() async -> Tally {
        isStopped.store(true, ordering: .relaxed)
        _ = await eventually(within: .seconds(30)) { running.load(ordering: .acquiring) == 0 }
        return seen
    }

    private func ask() {
        var connection: HTTPConnection?
        while !isStopped.load(ordering: .relaxed) {
            do {
                let current = try connection ?? HTTPConnection(port: port)
                connection = current
                let answer = try current.get()
                tally.withLock {
                    if answer.status == 200 {
                        $0.served[answer.server, default: 0] += 1
                    } else {
                        $0.failures.append("status \(answer.status): \(answer.text)")
                    }
                }
            } catch {
                connection = nil
                tally.withLock { $0.failures.append("\(error)") }
            }
            // The pace of the load, and not a wait for something.
            _ = poll(nil, 0, Self.pauseMilliseconds)
        }
    }
}
