// Does every kind keep the contract? A new kind is covered by being registered.

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct CheckKindTests {
    /// The least that a kind must be told, where it must be told anything.
    static func settings(of kind: String) -> TestSetting {
        switch kind {
        case "command": ["command": "true"]
        case "dialogue": ["send": "hello", "expect": "hello"]
        case "service": ["service": "true"]
        case "dns": ["name": "web.test", "transport": "tcp"]
        default: [:]
        }
    }

    static let kinds = CheckRegistry.builtin.kinds.map { $0.kind }

    /// Those that connect to the peer themselves.
    static let connecting = kinds.filter { !["command", "heartbeat", "service"].contains($0) }

    @Test(arguments: kinds)
    func `a kind has a summary of one line`(kind: String) throws {
        let summary = try #require(CheckRegistry.builtin.kinds.first { $0.kind == kind }?.summary)
        #expect((10...80).contains(summary.count))
        #expect(!summary.contains("\n"))
    }

    @Test(arguments: kinds)
    func `a setting that nobody knows is refused by name`(kind: String) {
        guard case .map(let entries) = Self.settings(of: kind) else { return }
        let message = complaint(kind, .map(entries + [("frobnicate", "1")]))
        #expect(
            message?.contains("\(kind) has no setting 'frobnicate'") == true,
            "\(message ?? "")"
        )
    }

    @Test(arguments: connecting)
    func `a setting that is nearly right is named`(kind: String) {
        guard case .map(let entries) = Self.settings(of: kind) else { return }
        let message = complaint(kind, .map(entries + [("prot", "1")])) ?? ""
        #expect(
            message.contains("has no setting 'prot'; did you mean 'port'?")
                || message.contains("expected one of"),
            "\(message)"
        )
    }

    @Test(arguments: connecting)
    func `a refused connection is L4CON`(kind: String) async throws {
        let port = try freePort()
        let prober = try await Prober()
        let outcome = try await prober.probe(
            kind,
            Self.settings(of: kind),
            at: .host("127.0.0.1", port: port)
        )
        #expect(outcome.reason == .layer4Connect)
        #expect(outcome.message == "Connection refused")
        #expect(outcome.phases.total > .zero)
        #expect(outcome.phases.connect == nil)
        let left = await prober.leftovers()
        #expect(left.descriptors == 0 && left.timers == 0)
    }

    @Test(arguments: connecting)
    func `a peer that stalls is left by the deadline`(kind: String) async throws {
        let server = try ScriptedServer(.stall)
        defer { server.stop() }
        let prober = try await Prober()
        let outcome = try await prober.probe(
            kind,
            Self.settings(of: kind),
            at: server.address,
            timeout: .milliseconds(100)
        )
        if kind == "tcp" {
            #expect(outcome.reason == .layer4OK)
        } else {
            #expect(outcome.reason == .layer7Timeout || outcome.reason == .layer6Timeout)
            #expect(outcome.phases.total >= .milliseconds(100))
        }
        #expect(outcome.phases.total < .seconds(5))
        let left = await prober.leftovers()
        #expect(left.descriptors == 0 && left.timers == 0)
    }

    @Test(arguments: connecting)
    func `a name that does not resolve is no news of the peer`(kind: String) async throws {
        let names = try NameServer([:])
        defer { names.stop() }
        let outcome = try await ConformanceTests.prober(names).probe(
            kind,
            Self.settings(of: kind),
            at: .host("no-such-host.invalid", port: 1)
        )
        #expect(outcome.verdict == .neutral)
        #expect(outcome.reason == .resolver)
        #expect(outcome.message.hasPrefix("resolve no-such-host.invalid: "))
    }
}
