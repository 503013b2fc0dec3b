// Does a real HAProxy believe what muster says, keep it while muster is away, and keep what its own
// operator said? Read back through its stats socket.

import AgentCheck
import EventLoop
import Foundation
import Glibc
import Health
import Store
import TestSupport
import Testing
import Vocabulary

@testable import struct AgentCheck.AgentLine

@Suite(.serialized, .enabled(if: HAProxy.isInstalled, "haproxy is not installed"))
struct HAProxyLiveTests {
    /// As much as a backend needs; every server asks the same port and names itself.
    private static func configuration(
        port: UInt16,
        servers: [String] = ["s1"],
        options: String = "",
        interval: String = "50ms"
    ) -> String {
        let lines = servers.map { "  server \($0) 127.0.0.1:9 agent-send \"web/\($0)\\n\"\n" }
        return """
            global
              stats socket SOCKET level admin
            defaults
              mode http
              timeout connect 1s
              timeout client 5s
              timeout server 5s
              timeout check 20s
            backend web
              balance roundrobin
              default-server weight 100 agent-check agent-addr 127.0.0.1 agent-port \(port) \
            agent-inter \(interval) \(options)

            """ + lines.joined()
    }

    private static func pair(
        _ policy: AgentCheckPolicy = AgentCheckPolicy(),
        slowStart: Nanoseconds = .zero,
        isVirtual: Bool = false
    ) async throws -> (Rig, HAProxy) {
        let rig = try await Rig(
            peers: [peer("s1")],
            slowStart: slowStart,
            policy: policy,
            isVirtual: isVirtual
        )
        await rig.say(.up, of: "s1")
        try await rig.start()
        let haproxy = try await HAProxy(configuration(port: rig.addresses[0].port ?? 0))
        return (rig, haproxy)
    }

    private static func holds(_ condition: () async throws -> Bool) async rethrows -> Bool {
        try await eventually(within: .seconds(30), condition)
    }

    /// That nothing happens can only be watched: for as many questions as would have changed it.
    private static func stays(
        _ rig: Rig,
        through questions: Int = 10,
        _ condition: () throws -> Bool
    ) async throws -> Bool {
        let asked = await rig.counters.answers
        while await rig.counters.answers < asked + questions {
            if try !condition() { return false }
            await Task.yield()
        }
        return try condition()
    }

    // MARK: Health

    @Test func `a peer that dies is DOWN with our reason, and UP again`() async throws {
        let (rig, haproxy) = try await Self.pair()
        #expect(try await Self.holds { try haproxy.server().agentStatus == "L7OK" })
        await rig.say(.down, of: "s1", message: "Connection refused")
        #expect(try await Self.holds { try haproxy.server().status == "DOWN (agent)" })
        #expect(
            try await Self.holds {
                try haproxy.server().lastAgent.contains("L4CON Connection refused (http)")
            }
        )
        #expect(try haproxy.state("s1", "srv_op_state") == "0")
        await rig.say(.up, of: "s1")
        #expect(try await Self.holds { try haproxy.server().isUp })
    }

    @Test func `weight follows slow start`() async throws {
        let (rig, haproxy) = try await Self.pair(slowStart: .seconds(10), isVirtual: true)
        await rig.say(.down, of: "s1")
        #expect(try await Self.holds { try haproxy.server().status == "DOWN (agent)" })
        await rig.say(.up, of: "s1")
        var seen: [Int] = []
        for expected in stride(from: 10, through: 100, by: 10) {
            // The first second ends where it began: with the smallest share.
            if expected == 20 { await rig.pass(.seconds(1)) }
            if expected > 10 { await rig.pass(.seconds(1)) }
            let hasArrived = try await Self.holds {
                // One row, so that weight and status are of the same moment.
                let server = try haproxy.server()
                let (weight, isUp) = (Int(server.weight) ?? -1, server.isUp)
                if isUp, seen.last != weight { seen.append(weight) }
                return isUp && weight == expected
            }
            #expect(hasArrived, "\(expected): \(seen)")
        }
        #expect(seen == Array(stride(from: 10, through: 100, by: 10)))
        #expect(seen.last == 100)
        #expect(try haproxy.state("s1", "srv_uweight") == "100")
    }

    @Test func `a weight set by intent arrives`() async throws {
        let (rig, haproxy) = try await Self.pair()
        await rig.ask(.ready, of: "s1", weight: 25)
        #expect(try await Self.holds { try haproxy.server().weight == "25" })
        await rig.ask(nil, of: "s1")
        #expect(try await Self.holds { try haproxy.server().weight == "100" })
    }

    // MARK: Admin words

    @Test(arguments: [(Intent.Mode.drain, "DRAIN"), (.maint, "MAINT")])
    func `drain and maint appear and are lifted again`(
        mode: Intent.Mode,
        shown: String
    ) async throws {
        let (rig, haproxy) = try await Self.pair()
        await rig.ask(mode, of: "s1", reason: "deploy")
        #expect(try await Self.holds { try haproxy.server().status.hasPrefix(shown) })
        #expect(
            try await Self.holds {
                try haproxy.server().lastAgent.contains(
                    "operator asked for \(mode.rawValue): deploy"
                )
            }
        )
        await rig.ask(nil, of: "s1")
        #expect(try await Self.holds { try haproxy.server().isUp })
    }

    @Test(arguments: ["maint", "drain"])
    func `what the operator sets in HAProxy by hand survives`(state: String) async throws {
        var policy = AgentCheckPolicy()
        policy.hold = .milliseconds(100)
        let (rig, haproxy) = try await Self.pair(policy)
        _ = try haproxy.command("set server web/s1 state \(state)")
        let isAsSet = { try haproxy.server().status.hasPrefix(state.uppercased()) }
        #expect(try await Self.holds(isAsSet))
        #expect(try await Self.stays(rig, isAsSet))
        // Neither a failure, nor a recovery, nor a new weight, cancels it.
        await rig.say(.down, of: "s1")
        #expect(try await Self.stays(rig) { try haproxy.state("s1", "srv_admin_state") != "0" })
        await rig.say(.up, of: "s1", hints: Hints(weightPercent: 50))
        #expect(try await Self.holds(isAsSet))
        #expect(try await Self.stays(rig, isAsSet))
        // A drain of ours on top of it takes it over, as anybody's `ready` would.
        _ = try haproxy.command("set server web/s1 state ready")
        #expect(try await Self.holds { try haproxy.server().isUp })
    }

    @Test func `always cancels what the operator set, which is why it is not the default`()
        async throws
    {
        var policy = AgentCheckPolicy()
        policy.adminWords = .always
        let (rig, haproxy) = try await Self.pair(policy)
        #expect(try await Self.holds { try haproxy.server().agentStatus == "L7OK" })
        _ = try haproxy.command("set server web/s1 state maint")
        #expect(try await Self.holds { try haproxy.server().isUp })
        #expect(await rig.counters.answers > 0)
    }

    @Test func `never says drain as weight 0 and maint as down`() async throws {
        var policy = AgentCheckPolicy()
        policy.adminWords = .never
        let (rig, haproxy) = try await Self.pair(policy)
        await rig.ask(.drain, of: "s1")
        #expect(try await Self.holds { try haproxy.server().weight == "0" })
        await rig.ask(.maint, of: "s1")
        #expect(try await Self.holds { try haproxy.server().status == "DOWN (agent)" })
        await rig.ask(nil, of: "s1")
        #expect(try await Self.holds { try haproxy.server().isUp })
        #expect(try haproxy.server().weight == "100")
    }

    // MARK: Muster away

    @Test(arguments: ["down", "drain", "maint", "up"])
    func `states stay while the endpoint is away and are right after`(state: String) async throws {
        let (rig, haproxy) = try await Self.pair()
        switch state {
        case "down": await rig.say(.down, of: "s1")
        case "drain": await rig.ask(.drain, of: "s1")
        case "maint": await rig.ask(.maint, of: "s1")
        default: break
        }
        let isAsSaid = {
            let server = try haproxy.server()
            return state == "up" ? server.isUp : server.status.hasPrefix(state.uppercased())
        }
        #expect(try await Self.holds(isAsSaid))
        #expect(try await Self.holds { try haproxy.server().agentStatus.hasPrefix("L7") })
        await rig.stop()
        #expect(try await Self.holds { try haproxy.server().agentStatus == "L4CON" })
        #expect(try isAsSaid())
        try await rig.startAgain()
        #expect(try await Self.holds { try haproxy.server().agentStatus.hasPrefix("L7") })
        #expect(try await Self.stays(rig, isAsSaid))
        await rig.ask(nil, of: "s1")
        await rig.say(state == "up" ? .down : .up, of: "s1")
        #expect(try await Self.holds { try haproxy.server().isUp == (state != "up") })
    }

    @Test func `not knowing changes nothing`() async throws {
        let (rig, haproxy) = try await Self.pair()
        await rig.say(.down, of: "s1")
        #expect(try await Self.holds { try haproxy.server().status == "DOWN (agent)" })
        // Another process, which has not probed yet.
        await rig.stop()
        await rig.forgetEverything(peers: [peer("s1")])
        try await rig.startAgain()
        #expect(try await Self.stays(rig) { try haproxy.server().status == "DOWN (agent)" })
        #expect(try !haproxy.server().lastAgent.contains("error"))
        // And one that does not know the peer at all.
        await rig.define([])
        let unknown = await rig.counters.unknownPeers
        #expect(await Self.holds { await rig.counters.unknownPeers > unknown + 5 })
        #expect(try haproxy.server().status == "DOWN (agent)")
    }

    @Test func `a store that goes away changes nothing`() async throws {
        let (rig, haproxy) = try await Self.pair()
        await rig.ask(.drain, of: "s1")
        let isDrained = { try haproxy.server().status.hasPrefix("DRAIN") }
        #expect(try await Self.holds(isDrained))
        await rig.storeIs(connected: false)
        #expect(try await Self.stays(rig, through: 40, isDrained))
        await rig.storeIs(connected: true)
        #expect(try await Self.stays(rig, through: 40, isDrained))
        await rig.ask(nil, of: "s1")
        #expect(try await Self.holds { try haproxy.server().isUp })
    }

    // MARK: The grammar

    /// One server a line, each asking a scripted agent that answers that line for ever.
    @Test func `every line we can emit is taken without a complaint`() async throws {
        let lines = everyLine.map(\.text) + ["failed\n"]
        let agent = try LineAgent(lines: lines)
        let servers = lines.indices.map {
            "  server s\($0) 127.0.0.1:9 agent-send \"\($0)\\n\"\n"
        }
        let haproxy = try await HAProxy(
            Self.configuration(port: agent.port, servers: [], interval: "300ms")
                + servers.joined()
        )
        // While a question is under way HAProxy shows no description, so every row is taken when
        // its server has just been answered.
        var rows: [String: HAProxy.Server] = [:]
        let isDone = try await eventually(within: .seconds(90)) {
            for (name, server) in try haproxy.servers() where rows[name] == nil {
                if ["L7OK", "L7STS", "CHECKED"].contains(server["agent_status"]) {
                    rows[name] = server
                }
            }
            return rows.count == lines.count
        }
        #expect(isDone)
        #expect(rows.count == lines.count)
        for (index, line) in lines.enumerated().dropLast() {
            let row = rows["s\(index)"]?.values ?? [:]
            let told = [row["last_agt"], row["agent_desc"]].compactMap { $0 }.joined()
            #expect(!told.contains("error"), "\(line): \(told)")
            if line.contains("# L4CON") {
                #expect(row["last_agt"]?.contains("L4CON Connection refused") == true, "\(line)")
            }
            let status = row["status"] ?? ""
            if line.hasPrefix("maint") { #expect(status.hasPrefix("MAINT"), "\(line): \(status)") }
            if line.hasPrefix("down") { #expect(status == "DOWN (agent)", "\(line): \(status)") }
            if line.hasPrefix("drain up") {
                #expect(status.hasPrefix("DRAIN"), "\(line): \(status)")
            }
        }
        // The alarm works: this is what a line looks like that HAProxy does not take.
        let refused = rows["s\(lines.count - 1)"]?.values ?? [:]
        #expect(refused["last_agt"]?.contains("agent reports an error") == true, "\(refused)")
    }

    // MARK: Many

    /// A fleet's worth of peers behind one port: nobody times out, and the loop hardly notices.
    @Test(.timeLimit(.minutes(5)))
    func `two thousand peers at half a second are no burden`() async throws {
        let names = (0..<2_000).map { "s\($0)" }
        let rig = try await Rig(peers: names.map { peer($0) })
        for name in names { await rig.say(name.hasSuffix("7") ? .down : .up, of: name) }
        try await rig.start()
        let haproxy = try await HAProxy(
            Self.configuration(port: rig.addresses[0].port ?? 0, servers: names, interval: "500ms")
        )
        // Every row once: all of them at one moment would ask for a machine that never stalls.
        var right = Set<String>()
        let isDone = try await eventually(within: .seconds(90)) {
            for (name, server) in try haproxy.servers()
            where server.agentStatus == (name.hasSuffix("7") ? "L7STS" : "L7OK") {
                right.insert(name)
            }
            return right.count == names.count
        }
        #expect(isDone)
        let (asked, spent, begin) = (
            await rig.counters.answers, await rig.processorTime, ContinuousClock.now
        )
        _ = await eventually(within: .seconds(60)) { await rig.counters.answers >= asked + 20_000 }
        let answers = Double(await rig.counters.answers - asked)
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        let share = (await rig.processorTime - spent).seconds / seconds
        let rate = answers / seconds
        // Figures to look at, not to assert: they are the machine's as much as the endpoint's.
        print(
            "\(Int(rate)) answers/s, \(share * 100)% of a core, "
                + "\((share / rate) * 1e6) µs an answer, counters \(await rig.counters)"
        )
        var rows: [String: HAProxy.Server] = [:]
        let isNobodyTimedOut = try await Self.holds {
            rows = try haproxy.servers()
            return rows.values.allSatisfy { ["L7OK", "L7STS"].contains($0.agentStatus) }
        }
        #expect(isNobodyTimedOut)
        #expect(rows.values.count { $0.status == "DOWN (agent)" } == 200)
    }
}

/// Answers what it is told to, by number: a stand-in for muster that can say any line.
private final class LineAgent: @unchecked Sendable {
    let port: UInt16
    private let loop: EventLoop
    private let sink: Sink
    private let acceptor: LoopBound<Acceptor>

    private final class Sink: EventSink {
        let lines: [String]
        var handles: [Int: Handle] = [:]
        weak var loop: EventLoop?

        init(lines: [String]) { self.lines = lines }

        override func ready(_ readiness: Readiness, tag: Int) {
            guard let handle = handles[tag], let loop else { return }
            var bytes = [UInt8](repeating: 0, count: 100)
            let count = recv(handle.descriptor, &bytes, bytes.count, 0)
            if count < 0, errno == EAGAIN { return }
            let text = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
            if count > 0, let index = Int(text.dropLast()), lines.indices.contains(index) {
                let line = Array(lines[index].utf8)
                send(handle.descriptor, line, line.count, Int32(MSG_NOSIGNAL))
            }
            loop.close(handle)
            handles[tag] = nil
        }
    }

    init(lines: [String]) throws {
        let loop = try EventLoop(name: "lines")
        let sink = Sink(lines: lines)
        sink.loop = loop
        guard let any = SocketAddress(ip: "127.0.0.1", port: 0) else { throw SystemError("bind") }
        var next = 0
        let acceptor = try Acceptor(on: loop, at: any) { descriptor in
            next += 1
            sink.handles[next] = try? loop.register(descriptor, sink: sink, tag: next)
        }
        self.loop = loop
        self.sink = sink
        self.acceptor = LoopBound(acceptor, on: loop)
        port = acceptor.address.port ?? 0
        Thread.detachNewThread { loop.run() }
    }

    deinit {
        let (loop, acceptor, sink) = (loop, acceptor, LoopBound(sink, on: loop))
        loop.execute {
            acceptor.value.close()
            for handle in sink.value.handles.values { loop.close(handle) }
            loop.stop()
        }
    }
}
