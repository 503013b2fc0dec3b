// Does the resolver find every address, remember it as long as it may, and say why it cannot?

import DNS
import EventLoop
import Foundation
import Glibc
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct ResolverTests {
    private func prober(
        _ server: NameServer,
        _ change: (inout ResolverConfiguration) -> Void = { _ in }
    ) async throws -> Prober {
        var configuration = ResolverConfiguration()
        configuration.servers = ["127.0.0.1:\(server.port)"]
        // A question that is asked again because the machine is slow would be counted twice.
        configuration.tryTimeout = .seconds(10)
        configuration.tries = 2
        configuration.staleWait = .seconds(30)
        change(&configuration)
        return try await Prober(configuration)
    }

    private func resolve(
        _ host: String,
        on prober: Prober,
        within span: Nanoseconds = .seconds(30)
    ) async -> Resolver.Answer {
        let resolver = prober.resolver
        return await withTaskExecutorPreference(prober.loop) {
            await resolver.value.resolve(host, deadline: Clock.instant() + span)
        }
    }

    @Test func `a name has all its addresses of both families`() async throws {
        let server = try NameServer([
            "web.test": .records([
                .a("192.0.2.1", ttl: 30), .a("192.0.2.2", ttl: 20), .aaaa("2001:db8::1", ttl: 40),
            ])
        ])
        defer { server.stop() }
        let resolution = try await resolve("web.test", on: prober(server)).get()
        #expect(Set(resolution.addresses) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"])
        #expect(resolution.validity == .seconds(20))
        #expect(!resolution.isCached)
    }

    @Test func `each answer is told of to whoever wants to hear all of them`() async throws {
        let server = try NameServer(["web.test": .records([.a("192.0.2.1")])])
        defer { server.stop() }
        let prober = try await prober(server)
        let told = Told()
        await prober.resolver.call { resolver in
            resolver.onAnswer = { told.add("\($0) \($1.addresses.joined(separator: " "))") }
        }
        _ = try await resolve("WEB.test", on: prober).get()
        #expect(told.all == ["web.test 192.0.2.1"])
        // From the cache, and none at all.
        _ = try await resolve("web.test", on: prober).get()
        _ = await resolve("none.test", on: prober)
        #expect(told.all == ["web.test 192.0.2.1"])
    }

    @Test(arguments: ["127.0.0.1", "::1", "192.0.2.9"])
    func `an IP literal is its own answer`(literal: String) async throws {
        let server = try NameServer([:])
        defer { server.stop() }
        let resolution = try await resolve(literal, on: prober(server)).get()
        #expect(resolution.addresses == [literal])
        #expect(server.count(literal) == 0)
    }

    @Test func `the hosts file is honoured`() async throws {
        let server = try NameServer([:])
        defer { server.stop() }
        let resolution = try await resolve("localhost", on: prober(server)).get()
        #expect(resolution.addresses.contains("127.0.0.1"))
        #expect(resolution.validity == .seconds(1))
    }

    @Test func `an answer is asked for once while it is valid, and again when told to`()
        async throws
    {
        let server = try NameServer(["web.test": .records([.a("192.0.2.1")])])
        defer { server.stop() }
        let prober = try await prober(server)
        _ = try await resolve("web.test", on: prober).get()
        let asked = server.count("web.test")
        let again = try await resolve("WEB.test", on: prober).get()
        #expect(again.isCached)
        #expect(server.count("web.test") == asked)

        server.set("web.test", .records([.a("192.0.2.7")]))
        await prober.resolver.call { $0.invalidate("web.test") }
        let moved = try await resolve("web.test", on: prober).get()
        #expect(moved.addresses == ["192.0.2.7"])
    }

    @Test func `an answer ends with its time to live`() async throws {
        let server = try NameServer(["web.test": .records([.a("192.0.2.1", ttl: 0)])])
        defer { server.stop() }
        let prober = try await prober(server) { $0.validityMin = .milliseconds(1) }
        _ = try await resolve("web.test", on: prober).get()
        server.set("web.test", .records([.a("192.0.2.2")]))
        let moved = await eventually {
            (try? await resolve("web.test", on: prober).get())?.addresses == ["192.0.2.2"]
        }
        #expect(moved)
    }

    @Test func `those who ask at the same time share one question`() async throws {
        let server = try NameServer(["web.test": .records([.a("192.0.2.1")])])
        defer { server.stop() }
        let prober = try await prober(server)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask { _ = await self.resolve("web.test", on: prober) }
            }
        }
        // One of each family.
        #expect(server.count("web.test") <= 2)
    }

    @Test func `a failure says which`() async throws {
        let server = try NameServer([
            "empty.test": .records([]),
            "broken.test": .failure(code: 2),
        ])
        defer { server.stop() }
        let prober = try await prober(server)
        let expected: [(String, ResolverError)] = [
            ("gone.test", .notFound(host: "gone.test")),
            ("empty.test", .noAddress(host: "empty.test")),
        ]
        for (host, error) in expected {
            let answer = await resolve(host, on: prober)
            #expect(throws: error) { try answer.get() }
        }
        guard case .failure(.failed("broken.test", _)) = await resolve("broken.test", on: prober)
        else {
            Issue.record("a server's failure is none of the others")
            return
        }
    }

    @Test func `a server's failure is told as one`() async throws {
        let server = try NameServer(["broken.test": .failure(code: 2)])
        defer { server.stop() }
        let answer = try await resolve("broken.test", on: prober(server))
        let error = #expect(throws: ResolverError.self) { try answer.get() }
        #expect(
            error?.description
                == "resolve broken.test: expected an answer of name server 127.0.0.1:\(server.port), saw "
                + "only errors: SERVFAIL, REFUSED, NOTIMP or nobody at the port"
        )
    }

    /// Nobody is at these addresses, and the complaint names whom was asked: the file has no ports.
    @Test func `other name servers in the file are asked from then on`() async throws {
        let folder = try TemporaryDirectory()
        // Not there yet, as when muster starts before the network.
        let file = folder.path("resolv.conf")
        let nobody = try NameServer([:])
        defer { nobody.stop() }
        let prober = try await prober(nobody) {
            $0.servers = []
            $0.serversFile = file
            $0.serversFileAge = .zero
        }
        for server in ["127.0.0.201", "127.0.0.202"] {
            try folder.write("nameserver \(server)\n", to: "resolv.conf.new")
            #expect(rename(folder.path("resolv.conf.new"), file) == 0)
            let answer = await resolve("web.test", on: prober)
            let error = #expect(throws: ResolverError.self) { try answer.get() }
            #expect(error?.description.contains("name server \(server):53,") == true)
        }
    }

    @Test func `a name server that says nothing is asked as often as told`() async throws {
        let server = try NameServer(["mute.test": .silence])
        defer { server.stop() }
        let prober = try await prober(server) { $0.tryTimeout = .milliseconds(100) }
        let answer = await resolve("mute.test", on: prober)
        #expect(throws: ResolverError.timedOut(host: "mute.test")) { try answer.get() }
    }

    @Test func `a question ends by its deadline and leaves nothing behind`() async throws {
        let server = try NameServer(["mute.test": .silence])
        defer { server.stop() }
        let prober = try await prober(server) { $0.tryTimeout = .seconds(30) }
        let began = Clock.instant()
        let answer = await resolve("mute.test", on: prober, within: .milliseconds(50))
        #expect(throws: ResolverError.timedOut(host: "mute.test")) { try answer.get() }
        #expect(Clock.instant() - began < .seconds(5))
        await prober.resolver.call { $0.close() }
        let left = await prober.leftovers()
        #expect(left.descriptors == 0 && left.timers == 0)
    }

    @Test func `a dead name server is not asked for every probe`() async throws {
        let server = try NameServer(["broken.test": .failure(code: 3)])
        defer { server.stop() }
        let prober = try await prober(server) { $0.failureValidity = .seconds(600) }
        _ = await resolve("broken.test", on: prober)
        let asked = server.count("broken.test")
        _ = await resolve("broken.test", on: prober)
        #expect(server.count("broken.test") == asked)
    }

    // MARK: When no answer comes any more

    @Test(arguments: [NameServer.Answer.failure(code: 2), .failure(code: 3), .silence])
    func `a name that no longer resolves keeps its last addresses, and says why`(
        answer: NameServer.Answer
    ) async throws {
        let server = try NameServer(["web.test": .records([.a("192.0.2.1", ttl: 0)])])
        defer { server.stop() }
        let prober = try await prober(server) {
            $0.validityMin = .milliseconds(1)
            $0.failureValidity = .milliseconds(1)
            $0.staleWait = .milliseconds(10)
            $0.tryTimeout = .milliseconds(10)
            $0.tries = 1
        }
        _ = try await resolve("web.test", on: prober).get()
        server.set("web.test", answer)
        // Every answer on the way has the address; after some failures it says what is wrong.
        let isTold = await eventually {
            let resolution = try? await resolve("web.test", on: prober).get()
            #expect(resolution?.addresses == ["192.0.2.1"])
            return resolution?.trouble != nil
        }
        #expect(isTold)
        server.set("web.test", .records([.a("192.0.2.2", ttl: 0)]))
        let isNew = await eventually {
            let resolution = try? await resolve("web.test", on: prober).get()
            return resolution?.addresses == ["192.0.2.2"] && resolution?.trouble == nil
        }
        #expect(isNew)
    }

    @Test func `last addresses end too`() async throws {
        let server = try NameServer(["web.test": .records([.a("192.0.2.1", ttl: 0)])])
        defer { server.stop() }
        let prober = try await prober(server) {
            $0.validityMin = .milliseconds(1)
            $0.failureValidity = .milliseconds(1)
            $0.staleMax = .milliseconds(1)
        }
        _ = try await resolve("web.test", on: prober).get()
        server.set("web.test", .failure(code: 3))
        let hasEnded = await eventually {
            if case .failure(.notFound) = await resolve("web.test", on: prober) {
                true
            } else {
                false
            }
        }
        #expect(hasEnded)
    }

    @Test func `a name in trouble is not asked for each time its address fails`() async throws {
        let server = try NameServer(["web.test": .records([.a("192.0.2.1", ttl: 0)])])
        defer { server.stop() }
        let prober = try await prober(server) {
            $0.validityMin = .milliseconds(1)
            $0.failureValidity = .seconds(600)
        }
        _ = try await resolve("web.test", on: prober).get()
        server.set("web.test", .failure(code: 2))
        await prober.resolver.call { $0.invalidate("web.test") }
        _ = try await resolve("web.test", on: prober).get()
        let asked = server.count("web.test")
        for _ in 0..<10 {
            await prober.resolver.call { $0.invalidate("web.test") }
            _ = try await resolve("web.test", on: prober).get()
        }
        #expect(server.count("web.test") == asked)
    }

    // MARK: Probes by name

    @Test func `one live address among dead ones is enough`() async throws {
        let server = try NameServer([
            "web.test": .records([.a("127.0.0.2"), .a("127.0.0.3"), .a("127.0.0.1")])
        ])
        defer { server.stop() }
        let web = try ScriptedServer(.stall)
        defer { web.stop() }
        let (outcome, steps) = try await prober(server)
            .explain("tcp", at: .host("web.test", port: web.port))
        #expect(outcome.reason == .layer4OK)
        #expect(steps.contains { $0.text == "connected to 127.0.0.1:\(web.port)" })
    }

    @Test func `a name that has moved is found by the next probe`() async throws {
        let server = try NameServer(["web.test": .records([.a("127.0.0.2", ttl: 3_600)])])
        defer { server.stop() }
        let web = try ScriptedServer(.stall)
        defer { web.stop() }
        let prober = try await prober(server)
        let place = Address.host("web.test", port: web.port)
        let dead = try await prober.probe("tcp", at: place)
        #expect(dead.reason == .layer4Connect)
        #expect(dead.message == "Connection refused at 127.0.0.2:\(web.port)")
        server.set("web.test", .records([.a("127.0.0.1")]))
        let live = try await prober.probe("tcp", at: place)
        #expect(live.reason == .layer4OK)
    }
}

/// Lines from the resolver's thread.
private final class Told: @unchecked Sendable {
    private let lock = NSLock()
    private var lines: [String] = []
    var all: [String] { lock.withLock { lines } }
    func add(_ line: String) { lock.withLock { lines.append(line) } }
}
