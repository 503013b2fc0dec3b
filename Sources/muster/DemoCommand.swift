// What is muster good for? See it: three servers, traffic, one of them killed and started again, and
// not one request lost.

import ArgumentParser
import EventLoop
import Glibc
import Vocabulary

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Starts three small servers and a muster, sends traffic, and breaks a server.",
        discussion: """
            Goes on until Ctrl-C, which ends every process it started. With DEMO_SECONDS in the \
            environment it ends by itself: 0 when no request failed and the killed server came \
            back into rotation, else 2.
            """
    )

    @MainActor
    func run() async throws {
        let seconds = try Self.seconds()
        guard let story = DemoStory(seconds: seconds) else {
            Console.error(
                "DEMO_SECONDS: expected at least \(DemoStory.secondsMin), saw \(seconds ?? 0)"
            )
            throw ExitStatus.warning.code
        }
        // Before any thread: a thread that does not block them would get them in the old way.
        Signals.block([SIGINT, SIGTERM, SIGHUP])
        try Self.requireFreePorts()
        let loop = try EventLoop.spawn(name: "demo")
        let demo = try Demo(story: story, ends: seconds != nil, on: loop)
        let evidence: DemoEvidence
        do throws(DemoError) {
            evidence = try await demo.play()
        } catch {
            demo.endEverything()
            Console.error("muster demo: \(error)")
            throw ExitStatus.failing.code
        }
        demo.endEverything()
        if !demo.wasInterrupted || evidence.failures > 0 {
            for complaint in evidence.complaints { Console.error("muster demo: \(complaint)") }
            if !evidence.complaints.isEmpty { throw ExitStatus.failing.code }
            Console.line("no request failed; the killed server is back in rotation")
        }
    }

    private static func seconds() throws -> Int? {
        guard let text = AdminOptions.environment("DEMO_SECONDS") else { return nil }
        if let number = Int(text), number >= 0 { return number == 0 ? nil : number }
        Console.error("DEMO_SECONDS: expected a whole number of seconds, saw '\(text)'")
        throw ExitStatus.warning.code
    }

    private static func requireFreePorts() throws {
        var taken: [UInt16] = []
        for port in Demo.ports {
            guard let address = SocketAddress(ip: "127.0.0.1", port: port) else { continue }
            do throws(SystemError) { _ = try Socket.listen(address) } catch { taken.append(port) }
        }
        if taken.isEmpty { return }
        let list = taken.map { "\($0)" }.joined(separator: ", ")
        Console.error("muster demo: expected free ports on 127.0.0.1, saw \(list) taken")
        throw ExitStatus.warning.code
    }
}
