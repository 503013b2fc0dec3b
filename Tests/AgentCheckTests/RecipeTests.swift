// Does what docs/HAPROXY.md tells people to write really work? Its configurations are taken from the
// page as they are, with only the addresses of this machine put in.

import AgentCheck
import EventLoop
import Foundation
import Health
import TestSupport
import Testing
import Vocabulary

@Suite(.serialized, .enabled(if: HAProxy.isInstalled, "haproxy is not installed"))
struct RecipeTests {
    private static let root = "10.0.0."

    private struct MissingRecipe: Error { var name: String }

    private static func page() throws -> String { try text(of: "docs/HAPROXY.md") }

    private static func text(of name: String, _ file: String = #filePath) throws -> String {
        let project = URL(fileURLWithPath: file)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(
            contentsOf: project.appendingPathComponent(name),
            encoding: .utf8
        )
    }

    /// The block that begins with `# recipe: NAME`.
    private static func recipe(_ name: String) throws -> String {
        let blocks = try page().components(separatedBy: "```")
        guard let block = blocks.first(where: { $0.hasPrefix("haproxy\n# recipe: \(name)\n") })
        else { throw MissingRecipe(name: name) }
        return String(block.dropFirst("haproxy\n".count))
    }

    /// Faster, and with the ports of this run. Where no `timeout check` is set a check may take its
    /// interval: more than a busy machine sometimes gives.
    private static func haproxy(
        _ recipe: String,
        ports: [String: UInt16]
    ) async throws -> HAProxy {
        var text = recipe.replacing("inter 1s", with: "inter 100ms")
        for (name, port) in ports { text = text.replacing(name, with: "\(port)") }
        return try await HAProxy(
            """
            global
              stats socket SOCKET level admin
            defaults
              mode http
              timeout connect 1s
              timeout client 5s
              timeout server 5s
              timeout check 20s
            \(text)
            """
        )
    }

    private static func rig(
        _ ids: [String],
        slowStart: Nanoseconds = .zero,
        peerPorts: [String] = []
    ) async throws -> Rig {
        let rig = try await Rig(peers: ids.map { peer($0) }, slowStart: slowStart)
        for id in ids { await rig.say(.up, of: id) }
        try await rig.start(peerPorts: peerPorts)
        return rig
    }

    private static func port(_ rig: Rig, _ index: Int = 0) -> UInt16 {
        rig.addresses[index].port ?? 0
    }

    private static func holds(_ condition: () async throws -> Bool) async rethrows -> Bool {
        try await eventually(within: .seconds(30), condition)
    }

    /// The first peer fails and recovers, is drained and undrained; the second stays up.
    private static func walk(_ rig: Rig, _ ids: [String], _ haproxy: HAProxy) async throws {
        #expect(try await Self.holds { try haproxy.server("s2").agentStatus == "L7OK" })
        await rig.say(.down, of: ids[0], message: "Connection refused")
        #expect(try await Self.holds { try haproxy.server("s1").status == "DOWN (agent)" })
        #expect(
            try await Self.holds {
                try haproxy.server("s1").lastAgent.contains("L4CON Connection refused")
            }
        )
        await rig.say(.up, of: ids[0])
        #expect(try await Self.holds { try haproxy.server("s1").isUp })
        await rig.ask(.drain, of: ids[0], reason: "deploy")
        #expect(try await Self.holds { try haproxy.server("s1").status.hasPrefix("DRAIN") })
        await rig.ask(nil, of: ids[0])
        #expect(try await Self.holds { try haproxy.server("s1").isUp })
        #expect(try haproxy.server("s2").isUp)
    }

    @Test func `every configuration on the page has its test here`() throws {
        let names = try Self.page().components(separatedBy: "\n").filter {
            $0.hasPrefix("# recipe: ")
        }
        #expect(
            names.map { $0.dropFirst("# recipe: ".count) } == [
                "one port for all peers", "one port a peer", "over HTTP", "weights", "two agents",
            ]
        )
    }

    @Test func `one port for all peers`() async throws {
        let ids = ["10.0.0.1:8080", "10.0.0.2:8080"]
        let rig = try await Self.rig(ids)
        let haproxy = try await Self.haproxy(
            Self.recipe("one port for all peers"),
            ports: ["7070": Self.port(rig)]
        )
        try await Self.walk(rig, ids, haproxy)
    }

    @Test func `one port a peer`() async throws {
        let ids = ["10.0.0.1:8080", "10.0.0.2:8080"]
        let rig = try await Self.rig(ids, peerPorts: ids)
        let haproxy = try await Self.haproxy(
            Self.recipe("one port a peer"),
            ports: ["7171": Self.port(rig, 1), "7172": Self.port(rig, 2)]
        )
        try await Self.walk(rig, ids, haproxy)
    }

    @Test func `over HTTP`() async throws {
        let rig = try await Self.rig(["s1", "s2"])
        let haproxy = try await Self.haproxy(
            Self.recipe("over HTTP"),
            ports: ["7070": Self.port(rig)]
        )
        let checks = { (name: String) in
            try haproxy.server(name)["check_status"].trimmingPrefix("* ")
        }
        #expect(try await Self.holds { try checks("s1") == "L7OK" && checks("s2") == "L7OK" })
        await rig.say(.down, of: "s1")
        #expect(try await Self.holds { try haproxy.server().status == "DOWN" })
        #expect(try await Self.holds { try haproxy.server()["check_code"] == "503" })
        await rig.say(.up, of: "s1")
        #expect(try await Self.holds { try haproxy.server().isUp })
        await rig.ask(.drain, of: "s1")
        #expect(try await Self.holds { try haproxy.server().status == "NOLB" })
        await rig.ask(.maint, of: "s1")
        #expect(try await Self.holds { try haproxy.server().status == "DOWN" })
        await rig.ask(nil, of: "s1")
        #expect(try await Self.holds { try haproxy.server().status == "UP" })
        #expect(try await Self.holds { try haproxy.server("s2").isUp })
        // What the page warns of: here a muster that is away takes servers down.
        await rig.stop()
        #expect(try await Self.holds { try haproxy.server("s2").status == "DOWN" })
        try await rig.startAgain()
        #expect(try await Self.holds { try haproxy.server("s2").status == "UP" })
    }

    @Test func `weights, and why 1 is too small a one`() async throws {
        let ids = (1...3).map { "\(Self.root)\($0):8080" }
        let rig = try await Self.rig(ids)
        let haproxy = try await Self.haproxy(
            Self.recipe("weights"),
            ports: ["7070": Self.port(rig)]
        )
        for id in ids { await rig.say(.up, of: id, hints: Hints(weightPercent: 50)) }
        #expect(
            try await Self.holds {
                let servers = try haproxy.servers()
                return ["s1", "s2", "s3"].map { servers[$0]?.weight } == ["50", "100", "0"]
            }
        )
    }

    /// The example that ships, with quickstart.yaml's upstream behind it.
    @Test func `examples, haproxy.cfg`() async throws {
        let ids = ["127.0.0.1:9001", "127.0.0.1:9002", "spare"]
        let rig = try await Self.rig(ids)
        let text = try Self.text(of: "examples/haproxy.cfg")
            .replacing("/tmp/muster-haproxy.sock", with: "SOCKET")
            .replacing("127.0.0.1:8090", with: "127.0.0.1:\(try freePort())")
            .replacing("agent-port 7070", with: "agent-port \(Self.port(rig))")
            .replacing("\ndefaults\n", with: "\ndefaults\n  timeout check 20s\n")
        let haproxy = try await HAProxy(text)
        try await Self.walk(rig, ids, haproxy)
        #expect(try haproxy.servers().count == 3)
    }

    @Test func `two agents, one of which goes away`() async throws {
        let ids = ["10.0.0.1:8080", "10.0.0.2:8080"]
        let first = try await Self.rig(ids)
        let second = try await Self.rig(ids)
        let haproxy = try await Self.haproxy(
            Self.recipe("two agents")
                .replacing("10.1.0.1:7070", with: "127.0.0.1:\(Self.port(first))")
                .replacing("10.1.0.2:7070", with: "127.0.0.1:\(Self.port(second))"),
            ports: ["7070": try freePort()]
        )
        try await Self.walk(first, ids, haproxy)
        #expect(await second.counters.answers == 0)
        await first.stop()
        #expect(await Self.holds { await second.counters.answers > 0 })
        #expect(try haproxy.servers().values.allSatisfy(\.isUp))
        try await Self.walk(second, ids, haproxy)
    }
}
