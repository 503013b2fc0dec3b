// How does the demo go? Second by second: traffic, a line of what happened, and the story's turns.

import EventLoop
import Glibc
import Synchronization
import Vocabulary

@MainActor
final class Demo {
    private let story: DemoStory
    private let ends: Bool
    private let loop: EventLoop
    private let traffic: LoopBound<DemoTraffic>
    private let folder: String
    private var servers: [UInt16: DemoProcess] = [:]
    private var muster: DemoProcess?
    private var evidence = DemoEvidence()
    private var before = DemoTraffic.Counts()
    private var servedBeforeRestart = 0
    private let interrupted = Atomic<Bool>(false)
    private var signals: LoopBound<Signals>?

    nonisolated static let serverPorts: [UInt16] = [9_001, 9_002, 9_003]
    nonisolated static let proxyPort: UInt16 = 8_080
    nonisolated static let adminPort: UInt16 = 7_000
    nonisolated static let ports = serverPorts + [proxyPort, 7_070, adminPort]
    private static let victim: UInt16 = 9_001
    private static let readyWithin = 10

    var wasInterrupted: Bool { interrupted.load(ordering: .relaxed) }

    init(story: DemoStory, ends: Bool, on loop: EventLoop) throws {
        self.story = story
        self.ends = ends
        self.loop = loop
        guard let target = SocketAddress(ip: "127.0.0.1", port: Self.proxyPort) else {
            throw DemoError("127.0.0.1: no such address")
        }
        traffic = LoopBound(DemoTraffic(to: target, on: loop), on: loop)
        folder = try Self.makeFolder()
    }

    private static func makeFolder() throws(DemoError) -> String {
        var template = Array("/tmp/muster-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw DemoError("/tmp: \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    // MARK: The story

    func play() async throws(DemoError) -> DemoEvidence {
        await listenForSignals()
        for port in Self.serverPorts { try startServer(port) }
        let configuration = "\(folder)/quickstart.yaml"
        try write(DemoConfiguration.quickstart, to: configuration)
        muster = try DemoProcess(["run", "-c", configuration], log: "\(folder)/muster.log")
        try await waitUntilReady()
        Console.line(
            "three servers on 9001, 9002 (weight 2) and 9003 (backup); muster routes to them"
        )
        Console.line("  proxy      http://127.0.0.1:\(Self.proxyPort)/")
        Console.line("  dashboard  http://127.0.0.1:\(Self.adminPort)/")
        Console.line("  API        http://127.0.0.1:\(Self.adminPort)/v1/upstreams")
        Console.line("  log        \(folder)/muster.log")
        let traffic = traffic
        loop.execute { traffic.value.start() }
        var second = 0
        while !wasInterrupted, !(ends && second >= story.toldAt) {
            if second == story.killAt { killVictim() }
            if second == story.restartAt { try await restartVictim() }
            if second == story.toldAt, !ends { announceOpenEnd() }
            await Self.pause(seconds: 1)
            second += 1
            await report(second)
            if muster?.hasEnded == true {
                throw DemoError("muster ended: see \(folder)/muster.log")
            }
        }
        return evidence
    }

    private func killVictim() {
        Console.line("      kill -9 the server on \(Self.victim)")
        servers.removeValue(forKey: Self.victim)?.kill()
    }

    private func restartVictim() async throws(DemoError) {
        Console.line("      start the server on \(Self.victim) again")
        servedBeforeRestart = await counts().served["\(Self.victim)"] ?? 0
        try startServer(Self.victim)
    }

    private func announceOpenEnd() {
        for complaint in evidence.complaints { Console.line("      \(complaint)") }
        Console.line("      traffic goes on, and so does the line a second; Ctrl-C ends everything")
    }

    private func startServer(_ port: UInt16) throws(DemoError) {
        servers[port] = try DemoProcess(
            ["demo-server", "--port", "\(port)"],
            log: "\(folder)/servers.log"
        )
    }

    private func waitUntilReady() async throws(DemoError) {
        for _ in 0..<Self.readyWithin * 10 {
            if let answer = try? await admin().get("/ready"), answer.status == 200 { return }
            if muster?.hasEnded == true { break }
            await Self.pause(milliseconds: 100)
        }
        throw DemoError(
            "muster was not ready within \(Self.readyWithin)s: see \(folder)/muster.log"
        )
    }

    // MARK: A line a second

    private func report(_ second: Int) async {
        let now = await counts()
        let peers = await states()
        var line = pad("\(second)s", 5)
        for port in Self.serverPorts {
            let name = "\(port)"
            line += "  \(name) \(pad("\((now.served[name] ?? 0) - (before.served[name] ?? 0))", 3))"
        }
        line += "   failed \(now.failed)   "
        line += peers.map { "\($0.name) \($0.status)" }.joined(separator: ", ")
        Console.line(line)
        note(now, peers)
        before = now
    }

    private func note(_ now: DemoTraffic.Counts, _ peers: [PeerState]) {
        evidence.failures = now.failed
        guard let victim = peers.first(where: { $0.name == "\(Self.victim)" }) else { return }
        if victim.status == "down" {
            if !evidence.wasSeenDown {
                Console.line("      muster says of \(Self.victim): \(victim.reason)")
            }
            evidence.wasSeenDown = true
            evidence.isUpAgain = false
        }
        guard evidence.wasSeenDown, servers[Self.victim] != nil else { return }
        if victim.status == "up" || victim.status == "starting" { evidence.isUpAgain = true }
        if (now.served["\(Self.victim)"] ?? 0) > servedBeforeRestart { evidence.servedAgain = true }
    }

    private struct PeerState {
        var name: String
        var status: String
        var reason: String
    }

    private func states() async -> [PeerState] {
        guard let answer = try? await admin().get("/v1/upstreams/web"),
            let body = try? JSON(parsing: answer.body)
        else { return [] }
        return (body["peers"]?.items ?? []).map { peer in
            let address = peer["address"]?.string ?? ""
            return PeerState(
                name: String(address.split(separator: ":").last ?? ""),
                status: peer["status"]?.string ?? "unknown",
                reason: peer["reason"]?.string ?? ""
            )
        }
    }

    private func counts() async -> DemoTraffic.Counts { await traffic.call { $0.counts } }

    private func admin() throws(AdminError) -> AdminClient {
        try AdminClient("http://127.0.0.1:\(Self.adminPort)")
    }

    private func pad(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func pause(seconds: Int64 = 0, milliseconds: Int64 = 0) async {
        try? await Task.sleep(for: .milliseconds(seconds * 1_000 + milliseconds))
    }

    // MARK: The end

    private func listenForSignals() async {
        let loop = loop
        signals = await withCheckedContinuation { continuation in
            loop.execute { [self] in
                let signals = try? Signals(on: loop, [SIGINT, SIGTERM, SIGHUP]) { [self] _ in
                    interrupted.store(true, ordering: .relaxed)
                }
                continuation.resume(returning: signals.map { LoopBound($0, on: loop) })
            }
        }
    }

    func endEverything() {
        let traffic = traffic
        loop.execute { traffic.value.stop() }
        muster?.end()
        for server in servers.values { server.kill() }
        servers = [:]
        if evidence.complaints.isEmpty || wasInterrupted { removeFolder() }
    }

    private func removeFolder() {
        for name in ["quickstart.yaml", "muster.log", "servers.log"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    private func write(_ text: String, to path: String) throws(DemoError) {
        guard let file = fopen(path, "w") else {
            throw DemoError("\(path): \(String(cString: strerror(errno)))")
        }
        fputs(text, file)
        fclose(file)
    }
}
