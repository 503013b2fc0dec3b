// Is every address of a name probed? Each with its own outcome, at the same time, and only where the
// check connects by itself.

import DNS
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Checks

@Suite struct AddressSweepTests {
    private func prober(_ server: NameServer) async throws -> Prober {
        var configuration = ResolverConfiguration()
        configuration.servers = ["127.0.0.1:\(server.port)"]
        return try await Prober(configuration)
    }

    private func sweep(
        _ check: any Check,
        at address: Address,
        on prober: Prober
    ) async -> Findings {
        let target = Target(upstream: "web", peer: "p", address: address)
        let (loop, resolver) = (prober.loop, prober.resolver)
        return await withTaskExecutorPreference(loop) {
            let now = Clock.instant()
            let context = ProbeContext(
                loop: loop,
                resolver: resolver,
                started: now,
                deadline: now + .seconds(30)
            )
            return await check.sweep(target, in: context)
        }
    }

    private static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    @Test func `each address has its own outcome, and the host stays the name`() async throws {
        let web = try ScriptedServer(.expect("\r\n\r\n"), .send(Self.answer), .stall)
        defer { web.stop() }
        let six: [NameServer.Record] = hasIPv6Loopback ? [.aaaa("::1")] : []
        let server = try NameServer([
            "web.test": .records([.a("127.0.0.2"), .a("127.0.0.1")] + six)
        ])
        defer { server.stop() }
        let prober = try await prober(server)
        let check = try CheckRegistry.builtin.make(
            "http",
            from: ([:] as TestSetting).options(path: "http")
        )
        let place = Address.host("web.test", port: web.port)
        guard case .each(let found, isOneMachine: false) = await sweep(check, at: place, on: prober)
        else {
            Issue.record("expected an outcome an address")
            return
        }
        let byAddress = Dictionary(uniqueKeysWithValues: found.map { ($0.address, $0.outcome) })
        #expect(byAddress.count == 2 + six.count)
        #expect(byAddress["127.0.0.1:\(web.port)"]?.reason == .layer7OK)
        #expect(byAddress["127.0.0.2:\(web.port)"]?.reason == .layer4Connect)
        if hasIPv6Loopback {
            #expect(byAddress["[::1]:\(web.port)"]?.reason == .layer4Connect)
        }
        #expect(byAddress.values.allSatisfy { $0.phases.resolve != nil && $0.phases.total > .zero })
        #expect(web.receivedText.allSatisfy { $0.contains("\r\nHost: web.test:\(web.port)\r\n") })
        let (outcome, _) = try await prober.explain("http", at: place)
        #expect(outcome.verdict == .warn)
        #expect(outcome.message.hasPrefix("\(1 + six.count) of \(2 + six.count) addresses down: "))
        #expect(await prober.leftovers() == (0, 0))
    }

    @Test func `an address that hangs takes nothing from the others`() async throws {
        let web = try ScriptedServer(.stall)
        defer { web.stop() }
        // Of 127.0.0.1 the port answers, of 127.0.0.2 it takes no more connections.
        let hanging = try HangingListener(ip: "127.0.0.2", port: web.port)
        defer { withExtendedLifetime(hanging) {} }
        let server = try NameServer([
            "web.test": .records([.a("127.0.0.2"), .a("127.0.0.1")])
        ])
        defer { server.stop() }
        let prober = try await prober(server)
        let place = Address.host("web.test", port: web.port)
        // The one that hangs takes all of it; the other must surely have answered by then.
        let outcome = try await prober.probe("tcp", at: place, timeout: .seconds(5))
        #expect(outcome.verdict == .warn)
        #expect(outcome.reason == .layer4OK)
        #expect(outcome.message.contains("127.0.0.2"))
    }

    @Test func `a failed connect makes the next probe ask for the name again`() async throws {
        let server = try NameServer(["web.test": .records([.a("127.0.0.2")])])
        defer { server.stop() }
        let prober = try await prober(server)
        let place = Address.host("web.test", port: try freePort())
        _ = try await prober.probe("tcp", at: place)
        let asked = server.count("web.test")
        let outcome = try await prober.probe("tcp", at: place)
        #expect(outcome.reason == .layer4Connect)
        #expect(server.count("web.test") > asked)
    }

    @Test func `a resolver failure is neutral and no address is blamed`() async throws {
        let server = try NameServer(["web.test": .failure(code: 2)])
        defer { server.stop() }
        let prober = try await prober(server)
        let check = try CheckRegistry.builtin.make(
            "tcp",
            from: ([:] as TestSetting).options(path: "tcp")
        )
        guard
            case .one(let outcome) = await sweep(
                check,
                at: .host("web.test", port: 80),
                on: prober
            )
        else {
            Issue.record("expected one outcome")
            return
        }
        #expect(outcome.verdict == .neutral)
        #expect(outcome.reason == .resolver)
    }

    @Test func `localhost is one machine, whichever of its addresses answers`() async throws {
        let web = try ScriptedServer(.stall)
        defer { web.stop() }
        let server = try NameServer(["app.localhost": .records([.a("127.0.0.2"), .a("127.0.0.1")])])
        defer { server.stop() }
        let prober = try await prober(server)
        let check = try CheckRegistry.builtin.make(
            "tcp",
            from: ([:] as TestSetting).options(path: "tcp")
        )
        let place = Address.host("app.localhost", port: web.port)
        guard case .each(let found, isOneMachine: true) = await sweep(check, at: place, on: prober)
        else {
            Issue.record("expected an outcome an address of one machine")
            return
        }
        let outcome = AddressStates.outcome(of: found, isOneMachine: true)
        #expect(outcome.verdict == .pass)
        #expect(AddressStates.outcome(of: found, isOneMachine: false).verdict == .warn)
    }

    @Test(arguments: ["command", "heartbeat", "service"])
    func `what asks no address is asked once`(kind: String) {
        let types: [String: any Check.Type] = [
            "command": CommandCheck.self, "heartbeat": HeartbeatCheck.self,
            "service": ServiceCheck.self,
        ]
        #expect(types[kind]?.probesEachAddress == false)
    }

    @Test func `a literal address is probed as it is`() async throws {
        let server = try NameServer([:])
        defer { server.stop() }
        let prober = try await prober(server)
        let check = try CheckRegistry.builtin.make(
            "tcp",
            from: ([:] as TestSetting).options(path: "tcp")
        )
        let place = Address.host("127.0.0.1", port: try freePort())
        guard case .one(let outcome) = await sweep(check, at: place, on: prober) else {
            Issue.record("expected one outcome")
            return
        }
        #expect(outcome.message == "Connection refused")
    }
}
