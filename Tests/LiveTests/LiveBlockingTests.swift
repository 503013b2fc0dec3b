// Can anything stop the threads that probe and route? A log that nobody reads, a disk that is full and a
// Redis that hangs may stop the thread that has to do with them, and no other. Told by the kernel: which
// call each thread sleeps in.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing

/// What the kernel says of one thread.
private struct ThreadState: Equatable {
    var name: String
    /// The number of the call that it sleeps in and its arguments, or `running`.
    var call: String
    /// How often it has slept: the same call after more of them is another one.
    var sleeps: String

    var number: Int? { call.split(separator: " ").first.flatMap { Int($0) } }

    static func all(of pid: pid_t) -> [String: ThreadState] {
        let folder = "/proc/\(pid)/task"
        let ids = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return Dictionary(
            uniqueKeysWithValues: ids.map { id in
                func text(_ file: String) -> String {
                    (try? String(contentsOfFile: "\(folder)/\(id)/\(file)", encoding: .utf8)) ?? ""
                }
                let sleeps = text("status").split(separator: "\n").filter {
                    $0.contains("ctxt_switches")
                }
                let state = ThreadState(
                    name: text("comm").trimmingCharacters(in: .whitespacesAndNewlines),
                    call: text("syscall").trimmingCharacters(in: .whitespacesAndNewlines),
                    sleeps: sleeps.joined()
                )
                return (id, state)
            }
        )
    }

    #if arch(x86_64)
        static let write = 1
        /// epoll_wait, epoll_pwait, epoll_pwait2
        static let waits: Set = [232, 281, 441]
    #else
        static let write = 64
        static let waits: Set = [22, 441]
    #endif
}

extension Live {
    @Suite struct LiveBlockingTests {
        enum Fault: String, CaseIterable {
            case stalledLog = "a log that nobody reads"
            case fullDisk = "a log on a full disk"
            case hungRedis = "a Redis that hangs"
        }

        /// Threads that may never sleep in anything but the wait for events.
        private func isLoop(_ name: String) -> Bool {
            name == "control" || name.hasPrefix("worker")
        }

        /// Calls other than the wait for events that a loop was found asleep in twice, without having
        /// slept in between.
        private func stuck(_ pid: pid_t, looks: Int = 40) async -> [String] {
            var found: [String] = []
            var before = ThreadState.all(of: pid)
            for _ in 0..<looks {
                try? await Task.sleep(for: .milliseconds(10))
                let now = ThreadState.all(of: pid)
                for (id, state) in now where isLoop(state.name) && before[id] == state {
                    if let number = state.number, !ThreadState.waits.contains(number) {
                        found.append("\(state.name): \(state.call)")
                    }
                }
                before = now
            }
            return found
        }

        @Test(arguments: Fault.allCases)
        func `no loop ever waits for anything but events, and everything goes on`(
            fault: Fault
        ) async throws {
            let installation = try Installation()
            for index in installation.servers.indices { try installation.startServer(index) }
            let folder = installation.folder
            let log = folder.path("log")
            try #require(mkfifo(log, 0o600) == 0)
            // Held open and never read from.
            let reader = open(log, O_RDWR | O_NONBLOCK | O_CLOEXEC)
            try #require(reader >= 0)
            defer { close(reader) }
            var sections = "\nlog: { level: debug }\n"
            let redis = try LiveRedis(in: folder)
            defer { redis.kill() }
            if fault == .hungRedis {
                try await redis.start()
                sections += "store: { url: \"redis://127.0.0.1:\(redis.port)\" }\n"
            }
            let text = try installation.quickstart(
                replacing: [
                    ("interval: 1s, timeout: 500ms", "interval: 20ms, timeout: 20ms"),
                    ("fast-interval: 200ms", "fast-interval: 20ms"),
                ],
                adding: sections
            )
            let file = try folder.write(text, to: "muster.yaml")
            let output =
                switch fault {
                case .stalledLog: log
                case .fullDisk: "/dev/full"
                case .hungRedis: folder.path("muster.log")
                }
            let muster = try ChildProcess(
                "/bin/sh",
                ["-c", "exec \"$0\" run -c \"$1\" >\"$2\" 2>&1", Muster.binary, file, output],
                in: folder
            )
            let isReady = await eventually(within: .seconds(60)) {
                (try? await HTTPConnection.get("/ready", port: installation.adminPort))?.status
                    == 200
            }
            #expect(isReady)
            switch fault {
            case .stalledLog:
                // The log's own thread is where everybody else would be.
                let isStalled = await eventually(within: .seconds(60)) {
                    ThreadState.all(of: muster.pid).values.contains {
                        $0.name == "log" && $0.number == ThreadState.write
                    }
                }
                #expect(isStalled)
            case .fullDisk: break
            case .hungRedis: redis.signal(SIGSTOP)
            }
            #expect(await stuck(muster.pid) == [])

            installation.killServer(0)
            _ = try await installation.waits(for: "down", of: 0)
            #expect(await stuck(muster.pid) == [])
            let served = try await installation.serve(20)
            #expect(served == ["\(installation.servers[1])": 20])
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(30)) == 0)
            redis.signal(SIGCONT)
        }
    }
}
