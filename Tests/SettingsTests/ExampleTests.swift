// Do the examples load, and does `everything.yaml` hold every setting with its true default?

import Checks
import Foundation
import Health
import Proxy
import Testing
import Vocabulary

@testable import Settings

@Suite struct ExampleTests {
    static func path(_ name: String) -> String {
        project.appendingPathComponent("examples/\(name)").path
    }

    @Test func `quickstart.yaml says what it is meant to say`() throws {
        let configuration = try MusterConfiguration.load(
            Self.path("quickstart.yaml"),
            environment: [:]
        )
        let web = configuration.upstreams[0]
        #expect(
            web.definition.peers == [
                PeerDefinition(address: .host("127.0.0.1", port: 9_001)),
                PeerDefinition(address: .host("127.0.0.1", port: 9_002), weight: 2),
                PeerDefinition(
                    id: "spare",
                    address: .host("127.0.0.1", port: 9_003),
                    isBackup: true
                ),
            ]
        )
        #expect(web.definition.balance.name == "round-robin")
        #expect(web.definition.slowStart == .seconds(5))
        #expect(web.definition.panicThreshold == 0)
        #expect(web.monitors.map { $0.id } == ["http", "port"])
        #expect(web.monitors.map { $0.isRequired } == [true, false])
        #expect(
            web.monitors[0].schedule
                == Schedule(
                    interval: .seconds(1),
                    fastInterval: .milliseconds(200),
                    timeout: .milliseconds(500)
                )
        )
        #expect(web.monitors[0].thresholds == Thresholds(rise: 2, fall: 2))
        #expect(
            configuration.proxy.listeners == [
                ListenerConfiguration(
                    bind: .host("127.0.0.1", port: 8_080),
                    mode: .http(routes: [RouteConfiguration(upstream: "web")])
                )
            ]
        )
        #expect(
            configuration.agentCheck
                == AgentCheckConfiguration(bind: .host("127.0.0.1", port: 7_070))
        )
        #expect(configuration.admin == AdminConfiguration())
        #expect(configuration.store.kind == .embedded)
    }

    @Test(.enabled(if: hasAgentKinds, "needs the kinds that ask an agent"))
    func `fleet.yaml says what it is meant to say`() throws {
        let configuration = try MusterConfiguration.load(
            Self.path("fleet.yaml"),
            environment: [
                "AGENT": "a2", "REDIS_URL": "redis://10.0.0.1:6380/3", "TCP_PORT": "15432",
            ]
        )
        #expect(configuration.agent.id == "a2")
        #expect(configuration.store.kind == .redis(url: "redis://10.0.0.1:6380/3"))
        #expect(configuration.store.stateFile == "/tmp/muster-a2.json")
        #expect(configuration.upstreams.map { $0.definition.name } == ["web", "api", "db"])
        #expect(configuration.upstreams[0].monitors[0].confirm == Confirmation(agents: 2))
        #expect(configuration.upstreams[1].definition.balance.name == "consistent-hash")
        #expect(configuration.upstreams[2].definition.onDown == .closeAll)
        #expect(configuration.upstreams[2].definition.peers.map { $0.isBackup } == [false, true])
        let listeners = configuration.proxy.listeners
        #expect(listeners.map { $0.bind.description } == ["127.0.0.1:8080", "127.0.0.1:15432"])
        #expect(listeners[1].mode == .tcp(upstream: "db"))
        #expect(configuration.agentCheck?.ports.map { $0.peer.peer } == ["127.0.0.1:9001"])
    }

    private static let hasAgentKinds = CheckRegistry.builtin.kinds.contains {
        $0.kind == "http-agent"
    }

    @Test func `everything.yaml holds the defaults`() throws {
        let everything = try MusterConfiguration.load(
            Self.path("everything.yaml"),
            environment: [:]
        )
        let nothing = try load("")
        #expect(everything.agent == nothing.agent)
        #expect(everything.store == nothing.store)
        #expect(everything.admin == nothing.admin)
        #expect(everything.log == nothing.log)
        #expect(everything.proxy.threads == nothing.proxy.threads)
        #expect(everything.proxy.timeouts == nothing.proxy.timeouts)
        #expect(everything.proxy.limits == nothing.proxy.limits)

        let bare = try load(
            """
            upstreams:
              web:
                peers: [ 127.0.0.1:9001, { id: spare, address: "127.0.0.1:9002" } ]
                monitors: [ http: { confirm: { agents: 1 } } ]
            agent-check: { bind: "127.0.0.1:7070", ports: { 7171: web/spare } }
            """
        )
        var definition = everything.upstreams[0].definition
        definition.balance.position = bare.upstreams[0].definition.balance.position
        #expect(definition == bare.upstreams[0].definition)
        #expect(everything.agentCheck == bare.agentCheck)
        let monitor = everything.upstreams[0].monitors[0]
        let bareMonitor = bare.upstreams[0].monitors[0]
        #expect(monitor.id == bareMonitor.id)
        #expect(monitor.schedule == bareMonitor.schedule)
        #expect(monitor.thresholds == bareMonitor.thresholds)
        #expect(monitor.isRequired == bareMonitor.isRequired)
        #expect(monitor.observers == bareMonitor.observers)
        #expect(monitor.confirm == bareMonitor.confirm)
    }

    @Test func `everything.yaml holds every key`() throws {
        let path = Self.path("everything.yaml")
        let reading = Reading()
        _ = try MusterConfiguration.load(
            path,
            environment: [:],
            registry: .builtin,
            reading: reading
        )
        let file = SettingsFile(path: path, environment: [:], reading: Reading())
        let written = keys(in: try #require(file.read()))
        for (shape, keys) in reading.keys {
            let missing = keys.subtracting(written[shape] ?? [])
                // A second spelling of keys that are there.
                .subtracting(["max_fails", "fail_timeout"])
            #expect(missing.isEmpty, "\(shape)")
        }
    }
}

/// The keys of every map, by the shape of its place.
func keys(in setting: Setting, at shape: String = "") -> [String: Set<String>] {
    /// Maps whose keys are names of the user's choice.
    let named = ["upstreams", "agent-check.ports"]
    switch setting.value {
    case .scalar: return [:]
    case .list(let items):
        return items.reduce(into: [:]) { all, item in
            all.merge(keys(in: item, at: shape + "[]")) { $0.union($1) }
        }
    case .map(let entries):
        let isNamed = named.contains(shape)
        var all = [shape: Set(isNamed ? [] : entries.map { $0.key })]
        for entry in entries {
            let step = isNamed ? "*" : entry.key
            let inner = keys(in: entry.value, at: shape.isEmpty ? step : "\(shape).\(step)")
            all.merge(inner) { $0.union($1) }
        }
        return all
    }
}
