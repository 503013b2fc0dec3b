// Is docs/muster.schema.json true? What the readers take stands in it, what stands in it is taken, and
// its words and defaults are theirs.

import AgentCheck
import Checks
import Foundation
import Health
import Proxy
import Redis
import Testing
import Vocabulary

@testable import Settings

@Suite struct SchemaTests {
    let schema: JSON

    init() throws {
        let file = project.appendingPathComponent("docs/muster.schema.json")
        schema = try JSON(parsing: Array(try Data(contentsOf: file)))
    }

    /// Monitors and balancers take their own settings, which are held against the schema apart.
    private static let apart = ["upstreams.*.monitors[]", "upstreams.*.balance"]

    @Test func `has every key that is taken, and no other`() throws {
        let reading = Reading()
        _ = try MusterConfiguration.load(
            ExampleTests.path("everything.yaml"),
            environment: [:],
            registry: .builtin,
            reading: reading
        )
        var described: [String: Set<String>] = [:]
        collect(schema, at: "", into: &described)
        for shape in described.keys where Self.apart.contains(where: shape.hasPrefix) {
            described[shape] = nil
        }
        // Their files would have to be there.
        #expect(described.removeValue(forKey: "admin.tls") == Set(TLSIdentity.keys))
        // What has no default is written out apart.
        let compat = Reading()
        if let section = Section(
            Setting(["bind": "127.0.0.1:1", "upstream": "web"], place: "test"),
            at: Place(path: "admin.compat-config", shape: "admin.compat-config"),
            reading: compat
        ) {
            var binds = Binds(reading: compat)
            _ = CompatConfigSetting.read(section, &binds, UpstreamsReader(), hasToken: false)
        }
        let door = "admin.compat-config"
        #expect(described.removeValue(forKey: door) == compat.keys[door])
        #expect(described.removeValue(forKey: "admin.compat-durpina") == ["bind"])
        let socket = Reading()
        if var section = Section(
            Setting(["haproxy-socket": ["bind": "127.0.0.1:1"]], place: "test"),
            at: Place(path: "admin", shape: "admin"),
            reading: socket
        ) {
            var binds = Binds(reading: socket)
            _ = HAProxySocketSetting.read(&section, &binds)
        }
        let file = "admin.haproxy-socket"
        #expect(described.removeValue(forKey: file) == socket.keys[file])
        // A list of secrets is empty in an example.
        let tokens = Reading()
        if let admin = Section(
            Setting(["tokens": [["token": "12345678", "scope": "read"]]], place: "test"),
            at: Place(path: "admin", shape: "admin"),
            reading: tokens
        ) {
            var binds = Binds(reading: tokens)
            _ = AdminConfiguration.read(admin, &binds, beside: "test")
        }
        // Nothing goes over TLS in an example.
        let secure = Reading()
        if var store = Section(
            Setting(["tls": [:]], place: "test"),
            at: Place(path: "store", shape: "store"),
            reading: secure
        ) {
            _ = RedisTLS.read(&store, isSecure: true, beside: "test")
        }
        for place in ["store", "sources[].hipache", "sources[].redis-keys"] {
            #expect(described.removeValue(forKey: "\(place).tls") == secure.keys["store.tls"])
        }
        let shape = "admin.tokens[]"
        #expect(described.removeValue(forKey: shape) == tokens.keys[shape])
        for shape in Set(reading.keys.keys).union(described.keys) {
            #expect(reading.keys[shape] ?? [] == described[shape] ?? [], "at '\(shape)'")
        }
    }

    @Test(arguments: CheckRegistry.builtin.kinds.map { $0.kind })
    func `has every setting of a kind, and no other`(kind: String) throws {
        let definition = try #require(
            schema["$defs"]?[kind],
            "docs/muster.schema.json has no $defs.\(kind)"
        )
        #expect(
            schema["$defs"]?["monitor-item"]?["oneOf"]?[1]?["properties"]?[kind] != nil,
            "docs/muster.schema.json has no \(kind) in $defs.monitor-item"
        )
        let own = definition["properties"]?.members ?? []
        let common = schema["$defs"]?["monitor"]?["properties"]?.members ?? []
        #expect(Set((own + common).map { $0.key }) == (try settings(of: kind)))
    }

    @Test func `has the words that are taken`() {
        let properties = schema["properties"]
        let upstream = schema["$defs"]?["upstream"]?["properties"]
        #expect(words(schema["$defs"]?["balancer"]) == Set(BalancerRegistry.names))
        #expect(words(upstream?["on-down"]) == words(of: UpstreamDefinition.OnDown.self))
        #expect(words(upstream?["all-down"]) == words(of: UpstreamDefinition.AllDown.self))
        let log = properties?["log"]?["properties"]
        #expect(words(log?["level"]) == words(of: LogConfiguration.Level.self))
        #expect(words(log?["format"]) == words(of: LogConfiguration.Format.self))
        #expect(
            words(properties?["agent-check"]?["properties"]?["admin-words"])
                == words(of: AgentCheckPolicy.AdminWords.self)
        )
    }

    @Test func `has the defaults of everything.yaml`() throws {
        let file = SettingsFile(
            path: ExampleTests.path("everything.yaml"),
            environment: [:],
            reading: Reading()
        )
        let written = scalars(in: try #require(file.read()), at: "")
        var defaults: [String: String] = [:]
        collectDefaults(schema, at: "", into: &defaults)
        #expect(defaults.count > 30)
        for (shape, text) in defaults where !shape.hasPrefix("upstreams.*.monitors[]") {
            #expect(written[shape]?.contains(text) == true, "\(shape): \(text)")
        }
    }

    // MARK: Walking

    private func resolved(_ node: JSON) -> JSON {
        guard let name = node["$ref"]?.string?.split(separator: "/").last else { return node }
        return schema["$defs"]?[String(name)] ?? node
    }

    private func collect(_ node: JSON, at shape: String, into found: inout [String: Set<String>]) {
        visit(node, at: shape) { node, shape in
            if let members = node["properties"]?.members {
                found[shape, default: []].formUnion(members.map { $0.key })
            }
        }
    }

    private func collectDefaults(
        _ node: JSON,
        at shape: String,
        into found: inout [String: String]
    ) {
        visit(node, at: shape) { node, shape in
            switch node["default"] {
            case .some(.string(let text)): found[shape] = text
            case .some(.integer(let number)): found[shape] = "\(number)"
            case .some(.bool(let bool)): found[shape] = "\(bool)"
            default: break
            }
        }
    }

    /// Every node of the schema with the shape of the settings it describes.
    private func visit(_ node: JSON, at shape: String, _ body: (JSON, String) -> Void) {
        body(node, shape)
        let target = resolved(node)
        if target != node { body(target, shape) }
        func step(_ key: String) -> String { shape.isEmpty ? key : "\(shape).\(key)" }
        for member in target["properties"]?.members ?? [] {
            visit(member.value, at: step(member.key), body)
        }
        for choice in target["oneOf"]?.items ?? [] { visit(choice, at: shape, body) }
        if let items = target["items"] { visit(items, at: shape + "[]", body) }
        if let rest = target["additionalProperties"], rest.bool == nil {
            visit(rest, at: step("*"), body)
        }
    }

    private func scalars(in setting: Setting, at shape: String) -> [String: Set<String>] {
        let named = ["upstreams", "agent-check.ports"]
        switch setting.value {
        case .scalar(let text, _): return [shape: [text]]
        case .list(let items):
            return items.reduce(into: [:]) { all, item in
                all.merge(scalars(in: item, at: shape + "[]")) { $0.union($1) }
            }
        case .map(let entries):
            return entries.reduce(into: [:]) { all, entry in
                let step = named.contains(shape) ? "*" : entry.key
                let place = shape.isEmpty ? step : "\(shape).\(step)"
                all.merge(scalars(in: entry.value, at: place)) { $0.union($1) }
            }
        }
    }

    private func words(_ node: JSON?) -> Set<String> {
        Set(node?["enum"]?.items?.compactMap { $0.string } ?? [])
    }

    private func words<Word: RawRepresentable<String> & CaseIterable>(of: Word.Type) -> Set<String>
    {
        Set(Word.allCases.map { $0.rawValue })
    }

    /// What a kind takes, out of its own complaint about a setting that nobody could have meant.
    private func settings(of kind: String) throws -> Set<String> {
        let stray = String(repeating: "z", count: 60)
        let found = try complaints(
            "upstreams:\n  web:\n    monitors:\n      - \(kind): { \(needed[kind] ?? "")\(stray): 1 }\n"
        )
        let words = try #require(found.first?.components(separatedBy: "expected one of ").last)
        return Set(words.components(separatedBy: ", "))
    }

    /// Settings without which a kind would complain of something else first.
    private let needed = [
        "command": "command: /bin/true, ", "dialogue": "expect: x, ", "dns": "name: a.example, ",
        "service": "service: /bin/true, ",
    ]
}
