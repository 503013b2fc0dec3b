// What does a signal do to a muster that runs? None that is sent by habit or too early ends it, and as PID 1
// it buries whom others leave behind.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing

extension Live {
    @Suite struct LiveSignalTests {
        /// Whether `process` does not die of `signal`: it is ignored or caught.
        private func survives(_ process: ChildProcess, _ signal: Int32) -> Bool {
            let status = try? String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
            return (status ?? "").split(separator: "\n").contains { line in
                guard line.hasPrefix("SigIgn:") || line.hasPrefix("SigCgt:"),
                    let mask = UInt64(line.dropFirst(7).trimmingPrefix("\t"), radix: 16)
                else { return false }
                return mask >> UInt64(signal - 1) & 1 == 1
            }
        }

        @Test func `a SIGHUP in the first moments reloads, and strays end nothing`() async throws {
            let installation = try Installation()
            let file = try installation.folder.write(
                """
                upstreams: { web: { peers: ["127.0.0.1:\(installation.servers[0])"] } }
                admin: { bind: "127.0.0.1:\(installation.adminPort)" }
                """,
                to: "muster.yaml"
            )
            let muster = try Muster.start(["run", "-c", file], in: installation.folder)
            defer { muster.end() }
            let isReady = await eventually(within: .seconds(30)) {
                survives(muster, SIGHUP) && survives(muster, SIGUSR1)
            }
            #expect(isReady, "\(muster.output)")
            muster.signal(SIGHUP)
            let isReloaded = await eventually(within: .seconds(30)) {
                muster.output.contains("reloaded: nothing has changed")
            }
            #expect(isReloaded, "\(muster.output)")
            for (signal, name) in [
                (SIGUSR1, "SIGUSR1"), (SIGUSR2, "SIGUSR2"), (SIGALRM, "SIGALRM"),
            ] {
                let isTold = await eventually(within: .seconds(30)) {
                    muster.signal(signal)
                    return muster.output.contains("\(name) is ignored: ")
                }
                #expect(isTold, "\(muster.output)")
            }
            muster.signal(SIGPIPE)
            let answer = try await HTTPConnection.get("/health", port: installation.adminPort)
            #expect(answer.status == 200)
            muster.signal(SIGQUIT)
            #expect(await muster.exitCode(within: .seconds(60)) == 0, "\(muster.output)")
            #expect(muster.output.contains(" stopped"), "\(muster.output)")
        }

        @Test(.enabled(if: ChildProcess.find("python3") != nil))
        func `orphans of checks are buried where they come to muster`() async throws {
            let installation = try Installation()
            let folder = installation.folder
            let pids = folder.path("pids")
            // Its child outlives it, as a zombie at least: nobody waits for it.
            let program = try folder.write(
                "#!/bin/sh\nsh -c 'exit 0' &\necho $! >> \"$1\"\n",
                to: "leaves",
                mode: 0o755
            )
            let file = try folder.write(
                """
                upstreams:
                  web:
                    peers: ["127.0.0.1:\(installation.servers[0])"]
                    monitors: [command: { command: [\(program), \(pids)], interval: 1s, timeout: 1s }]
                admin: { bind: "127.0.0.1:\(installation.adminPort)" }
                """,
                to: "muster.yaml"
            )
            // PR_SET_CHILD_SUBREAPER, which stays over exec: orphans come as to PID 1.
            let muster = try ChildProcess(
                "python3",
                [
                    "-c",
                    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); "
                        + "os.execv(sys.argv[1], sys.argv[1:])",
                    Muster.binary, "run", "-c", file,
                ],
                in: folder
            )
            defer { muster.end() }
            let areGone = await eventually(within: .seconds(60)) {
                let text = (try? String(contentsOfFile: pids, encoding: .utf8)) ?? ""
                let first = text.split(separator: "\n").compactMap { pid_t($0) }.prefix(3)
                return first.count == 3 && first.allSatisfy { kill($0, 0) != 0 && errno == ESRCH }
            }
            #expect(areGone, "\(muster.output)")
            // The programs' own ends are not lost by it.
            let isUp = await eventually(within: .seconds(60)) {
                muster.output.contains(" is UP")
            }
            #expect(isUp, "\(muster.output)")
            muster.signal(SIGTERM)
            #expect(await muster.exitCode(within: .seconds(60)) == 0, "\(muster.output)")
        }
    }
}
