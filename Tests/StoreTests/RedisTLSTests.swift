// Is a Redis over TLS reached where it is the one that is meant, and told apart where it is not?

import EventLoop
import Foundation
import Redis
import TLS
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite(.enabled(if: ChildProcess.find("openssl") != nil, "openssl is not installed"))
struct RedisTLSTests {
    private static func tls(
        _ authority: Authority?,
        leaf: Authority.Leaf? = nil,
        as name: String? = nil,
        verifies: Bool = true
    ) throws -> RedisTLS {
        var configuration = TLSConfiguration()
        configuration.authorityFile = authority?.file
        configuration.certificateFile = leaf?.certificate
        configuration.keyFile = leaf?.key
        configuration.verifies = verifies
        return try RedisTLS(configuration, serverName: name)
    }

    /// Why nobody is reached; nil where somebody is.
    private static func problem(
        _ url: RedisURL,
        _ tls: RedisTLS?,
        at place: Address? = nil,
        on loop: EventLoop,
        within timeout: Nanoseconds = patience
    ) async -> String? {
        do throws(RedisError) {
            try await RedisConnection.connect(
                to: url,
                at: place,
                tls: tls,
                on: loop,
                timeout: timeout
            ).close()
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// A server with a certificate for `names`, that answers whoever believes it.
    private static func run(
        names: String = "DNS:localhost",
        asksClients: Bool = false,
        _ body: @escaping @Sendable (StoreRig, Authority, RedisServer) async throws -> Void
    ) async throws {
        try await StoreRig.run(.embedded, inRealTime: true) { rig in
            let authority = try Authority()
            let leaf = try authority.leaf(days: 30, names: names)
            let mine = try authority.leaf(days: 30)
            let server = try RedisServer(
                authority,
                leaf: leaf,
                asksClients: asksClients,
                in: rig.folder,
                tls: try tls(authority, leaf: mine, verifies: false)
            )
            defer { server.kill() }
            #expect(await server.isReady(on: rig.loop))
            try await body(rig, authority, server)
        }
    }

    @Test func `what is long goes over TLS as it was, both ways`() async throws {
        try await Self.run { rig, authority, server in
            let connection = try await RedisConnection.connect(
                to: server.url,
                tls: try Self.tls(authority),
                on: rig.loop,
                timeout: patience
            )
            defer { connection.close() }
            let long = String(repeating: "abcdefgh\r\n", count: 400_000)
            let commands =
                [["SET", "k", long], ["GET", "k"]] + (0..<5_000).map { ["ECHO", "\($0)"] }
            let replies = try await connection.pipeline(commands, timeout: patience)
            #expect(replies[0] == .status("OK"))
            #expect(replies[1].bytes?.count == long.utf8.count)
            #expect(replies[1].text == long)
            #expect(replies.dropFirst(2).map(\.text) == (0..<5_000).map { "\($0)" })
        }
    }

    @Test func `a server is believed by its authority and its name`() async throws {
        try await Self.run { rig, authority, server in
            let loop = rig.loop
            let right = try Self.tls(authority)
            guard case .host(_, let port) = server.url.address else { return }
            #expect(await Self.problem(server.url, right, on: loop) == nil)
            // The name is of the URL, wherever it leads.
            let place = Address.host("127.0.0.1", port: port)
            #expect(await Self.problem(server.url, right, at: place, on: loop) == nil)
            var bare = server.url
            bare.address = place
            let wrongName = await Self.problem(bare, right, on: loop)
            #expect(wrongName?.contains("TLS: connect \(place): ") == true, "\(wrongName ?? "")")
            #expect(wrongName?.contains("mismatch") == true, "\(wrongName ?? "")")
            #expect(wrongName?.contains("expected a certificate for 127.0.0.1, saw") == true)
            let named = try Self.tls(authority, as: "localhost")
            #expect(await Self.problem(bare, named, on: loop) == nil)
            let other = try Authority()
            let strange = try Self.tls(other)
            let wrongAuthority = await Self.problem(server.url, strange, on: loop)
            #expect(wrongAuthority?.hasPrefix("TLS: connect ") == true, "\(wrongAuthority ?? "")")
            #expect(wrongAuthority?.contains("self-signed") == true, "\(wrongAuthority ?? "")")
            // What is replaced by nothing of use leaves what was, and is told of where that fails.
            try FileManager.default.removeItem(atPath: other.file)
            let stale = await Self.problem(server.url, strange, on: loop)
            #expect(stale?.contains("changed and cannot be used (read") == true, "\(stale ?? "")")
            #expect(stale?.contains("self-signed") == true, "\(stale ?? "")")
            // The authorities of the system know nothing of it.
            let unset = await Self.problem(server.url, nil, on: loop)
            #expect(unset?.hasPrefix("TLS: ") == true, "\(unset ?? "")")
            let blind = try Self.tls(nil, verifies: false)
            #expect(await Self.problem(bare, blind, on: loop) == nil)
        }
    }

    @Test func `whoever is asked for a certificate shows it, or hears that one is wanted`()
        async throws
    {
        try await Self.run(asksClients: true) { rig, authority, server in
            let mine = try authority.leaf(days: 30)
            let shown = try Self.tls(authority, leaf: mine)
            #expect(await Self.problem(server.url, shown, on: rig.loop) == nil)
            let hidden = await Self.problem(server.url, try Self.tls(authority), on: rig.loop)
            #expect(hidden?.hasPrefix("TLS: ") == true, "\(hidden ?? "")")
            #expect(hidden?.contains("certificate required") == true, "\(hidden ?? "")")
            // Whoever believes anybody is told no tales about certificates.
            let blind = try Self.tls(nil, verifies: false)
            let unknown = await Self.problem(server.url, blind, on: rig.loop)
            #expect(unknown?.contains("certificate required") == true, "\(unknown ?? "")")
        }
    }

    @Test func `a certificate that is over is refused`() async throws {
        try await StoreRig.run(.embedded, inRealTime: true) { rig in
            let authority = try Authority()
            let server = try RedisServer(
                authority,
                leaf: try authority.leaf(days: -1),
                in: rig.folder,
                tls: try Self.tls(nil, verifies: false)
            )
            defer { server.kill() }
            #expect(await server.isReady(on: rig.loop))
            let over = await Self.problem(server.url, try Self.tls(authority), on: rig.loop)
            #expect(over?.contains("expired") == true, "\(over ?? "")")
        }
    }

    @Test func `TLS and the clear are told apart`() async throws {
        try await Self.run { rig, authority, server in
            var clear = server.url
            clear.isSecure = false
            let problem = await Self.problem(clear, nil, on: rig.loop)
            #expect(problem?.contains("rediss://") == true, "\(problem ?? "")")
        }
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            var secure = server.url
            secure.isSecure = true
            let tls = try Self.tls(nil, verifies: false)
            let problem = await Self.problem(secure, tls, on: rig.loop, within: .seconds(1))
            #expect(problem?.contains("tls-port") == true, "\(problem ?? "")")
        }
        let silent = try ScriptedServer(.stall)
        defer { silent.stop() }
        try await StoreRig.run(.embedded, inRealTime: true) { rig in
            var secure = RedisURL(address: silent.address)
            secure.isSecure = true
            let tls = try Self.tls(nil, verifies: false)
            let problem = await Self.problem(
                secure,
                tls,
                on: rig.loop,
                within: .milliseconds(200)
            )
            #expect(
                problem?.contains("no end of the TLS handshake within 200ms") == true,
                "\(problem ?? "")"
            )
        }
    }

    @Test func `a server that dies fails what waits, and the store comes back over TLS`()
        async throws
    {
        try await Self.run { rig, authority, server in
            let store = RedisStore(
                loop: rig.loop,
                url: server.url,
                tls: try Self.tls(authority),
                agent: "a1",
                commandTimeout: patience
            )
            let listener = Listener()
            store.start(listener)
            #expect(await rig.comes { store.status.isConnected })
            #expect("\(store.url)".hasPrefix("rediss://localhost:"))
            server.kill()
            #expect(await rig.comes { !store.status.isConnected })
            try server.restart()
            #expect(await rig.comes { store.status.isConnected })
            await store.stop()
        }
    }

    @Test func `files that are no use are refused at once`() throws {
        #expect(throws: TLSError.self) {
            try Self.tls(nil, leaf: .init(certificate: "/none", key: "/none"))
        }
        for name in ["", ".test", "a b"] {
            #expect(throws: TLSError.self, "\(name)") { try Self.tls(nil, as: name) }
        }
        let authority = try Authority()
        let sealed = try authority.sealed(authority.leaf(days: 1))
        let words =
            "expected a key without a passphrase in \(sealed.key), saw one that wants it: nobody could type it at a start"
        #expect(throws: TLSError.failed(words)) { try Self.tls(nil, leaf: sealed) }
        var onlyKey = TLSConfiguration()
        onlyKey.keyFile = "/none"
        #expect(throws: TLSError.failed("expected a 'certificate' beside the 'key', saw none")) {
            try RedisTLS(onlyKey)
        }
    }
}
