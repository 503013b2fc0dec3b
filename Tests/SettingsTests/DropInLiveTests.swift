// Are the drop-in kinds that come with muster right about real servers? Each is probed at a server of
// Debian's, and at a server of another kind, which must fail.

import Checks
import DNS
import EventLoop
import Foundation
import Health
import Settings
import TestSupport
import Testing
import Vocabulary

@Suite(.serialized) struct DropInLiveTests {
    private static let kinds = ChecksFolder.read(
        project.appendingPathComponent("checks.d").path,
        environment: [:]
    )

    @Test func `every file of checks.d defines a kind`() throws {
        #expect(Self.kinds.mistakes == [])
        let folder = project.appendingPathComponent("checks.d").path
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(!files.isEmpty)
        for file in files {
            #expect(file.hasSuffix(".yaml"))
            #expect(Self.kinds.registry.knows(String(file.dropLast(5))), "\(file)")
        }
    }

    @Test(.enabled(if: ChildProcess.find("memcached") != nil, "memcached is not installed"))
    func `memcached answers and another server does not`() async throws {
        let server = try await LiveServer.memcached()
        let outcome = try await server.settled("memcached", Self.kinds.registry)
        #expect(outcome.verdict == .pass, "\(outcome)")
        // It talks, but not as a database does.
        let other = try await server.probe("postgres", Self.kinds.registry, timeout: .seconds(1))
        #expect(other.verdict == .fail, "\(other)")
    }

    @Test(
        .enabled(if: LiveServer.postgresProgram("postgres") != nil, "postgresql is not installed")
    )
    func `postgres passes when it takes connections, whomever it refuses`() async throws {
        let server = try await LiveServer.postgres()
        let refused = try await server.settled("postgres", Self.kinds.registry)
        #expect(refused.verdict == .pass && refused.message.contains("28000"), "\(refused)")
        let other = try await server.probe("mysql", Self.kinds.registry, timeout: .seconds(1))
        #expect(other.verdict == .fail, "\(other)")

        let standby = try await LiveServer.postgres(isStandby: true)
        let closed = try await standby.settled("postgres", Self.kinds.registry) {
            $0.message.contains("57P03")
        }
        #expect(closed.verdict == .fail && closed.reason == .layer7Status, "\(closed)")
    }

    @Test(
        .enabled(if: ChildProcess.find("mariadbd") != nil, "mariadb-server-core is not installed")
    )
    func `mysql answers a login that it refuses, again and again`() async throws {
        let server = try await LiveServer.mariadb()
        let outcome = try await server.settled("mysql", Self.kinds.registry)
        #expect(outcome.verdict == .pass, "\(outcome)")
        // More than max_connect_errors, which is 5 here.
        for _ in 0..<20 {
            let again = try await server.probe("mysql", Self.kinds.registry)
            #expect(again.verdict == .pass, "\(again)")
        }
        let other = try await server.probe("smtp", Self.kinds.registry, timeout: .seconds(1))
        #expect(other.verdict == .fail, "\(other)")
    }

    @Test(.enabled(if: ChildProcess.find("exim4") != nil, "exim4-daemon-light is not installed"))
    func `smtp greets and is greeted`() async throws {
        let server = try await LiveServer.exim()
        let outcome = try await server.settled("smtp", Self.kinds.registry)
        #expect(outcome.verdict == .pass && outcome.message.contains("221 "), "\(outcome)")
        // The name that we give comes back in the greeting; a blank in it is a syntax error.
        let wrong = try await server.probe(
            "smtp",
            Self.kinds.registry,
            ["helo": "a b"],
            timeout: .seconds(1)
        )
        #expect(wrong.verdict == .fail && wrong.message.contains("501"), "\(wrong)")
    }

    @Test(.enabled(if: ChildProcess.find("sshd") != nil, "openssh-server is not installed"))
    func `ssh greets, and a mail server is none`() async throws {
        let server = try await LiveServer.sshd()
        let outcome = try await server.settled("ssh", Self.kinds.registry)
        #expect(outcome.verdict == .pass, "\(outcome)")
        let other = try await server.probe("smtp", Self.kinds.registry, timeout: .seconds(1))
        #expect(other.verdict == .fail, "\(other)")
    }

    @Test(.enabled(if: ChildProcess.find("redis-server") != nil, "redis-server is not installed"))
    func `redis-replica passes at a replica only`() async throws {
        let master = try await LiveServer.redis()
        let replica = try await LiveServer.redis(["--replicaof", "127.0.0.1", "\(master.port)"])
        let outcome = try await replica.settled("redis-replica", Self.kinds.registry)
        #expect(outcome.verdict == .pass, "\(outcome)")
        let wrong = try await master.probe("redis-replica", Self.kinds.registry)
        #expect(wrong.verdict == .fail, "\(wrong)")
    }

    @Test(.enabled(if: ChildProcess.find("openssl") != nil, "openssl is not installed"))
    func `certificate counts the days`() async throws {
        let server = try await LiveServer.tls(days: 30)
        let lenient: TestSetting = ["name": "tls.test", "verify": false]
        let outcome = try await server.settled("certificate", Self.kinds.registry, lenient)
        #expect(outcome.verdict == .pass, "\(outcome)")
        func verdict(_ settings: TestSetting) async throws -> Outcome.Verdict {
            try await server.probe("certificate", Self.kinds.registry, settings).verdict
        }
        #expect(try await verdict(["name": "tls.test", "verify": false, "warn": "60d"]) == .warn)
        let strict: TestSetting = [
            "name": "tls.test", "verify": false, "warn": "90d", "fail": "60d",
        ]
        #expect(try await verdict(strict) == .fail)
        // Nobody vouches for it.
        #expect(try await verdict(["name": "tls.test"]) == .fail)
    }

    private static let plugins = "/usr/lib/nagios/plugins"

    @Test(
        .enabled(
            if: access("\(plugins)/check_disk", X_OK) == 0
                && access("\(plugins)/check_load", X_OK) == 0,
            "monitoring-plugins-basic is not installed"
        )
    )
    func `disk and load weigh this machine by their parameters`() async throws {
        let nobody = Address.host("127.0.0.1", port: 1)
        func verdict(_ kind: String, _ settings: TestSetting) async throws -> Outcome.Verdict {
            try await probeOnce(kind, settings, Self.kinds.registry, at: nobody).verdict
        }
        #expect(try await verdict("disk", ["warn": "0%", "fail": "0%"]) == .pass)
        #expect(try await verdict("disk", ["warn": "100%", "fail": "100%"]) == .fail)
        #expect(
            try await verdict("load", ["warn": "9999,9999,9999", "fail": "9999,9999,9999"]) == .pass
        )
        #expect(try await verdict("load", ["warn": "0,0,0", "fail": "9999,9999,9999"]) == .warn)
    }
}
