// How does a test start somebody else's server? As an unprivileged child on a free port of loopback,
// with its files in a folder that goes with it.

import Checks
import DNS
import EventLoop
import Foundation
import Health
import TestSupport
import Vocabulary

/// A real server, ended with the value.
final class LiveServer: Sendable {
    let port: UInt16
    private let folder: TemporaryDirectory
    private let process: ChildProcess

    var address: Address { .host("127.0.0.1", port: port) }

    init(
        in folder: TemporaryDirectory,
        _ arguments: (UInt16) throws -> [String]
    ) throws {
        self.folder = folder
        port = try freePort()
        let words = try arguments(port)
        process = try ChildProcess(words[0], Array(words.dropFirst()), in: folder)
    }

    deinit { process.end() }

    func probe(
        _ kind: String,
        _ registry: CheckRegistry,
        _ settings: TestSetting = [:],
        timeout: Nanoseconds = .seconds(10)
    ) async throws -> Outcome {
        try await probeOnce(kind, settings, registry, at: address, timeout: timeout)
    }

    /// Probes a server that is starting until it passes, or until `isSettled`; the last outcome.
    func settled(
        _ kind: String,
        _ registry: CheckRegistry,
        _ settings: TestSetting = [:],
        _ isSettled: (Outcome) -> Bool = { $0.verdict == .pass }
    ) async throws -> Outcome {
        var outcome = try await probe(kind, registry, settings)
        let isThere = try await eventually(within: .seconds(30)) {
            if isSettled(outcome) { return true }
            guard process.isRunning else { throw ChildProcess.Failure(process.output) }
            outcome = try await probe(kind, registry, settings)
            return false
        }
        if !isThere { outcome.message += "; it said: \(process.output.suffix(1_000))" }
        return outcome
    }

    // MARK: Servers

    static func memcached() async throws -> LiveServer {
        try LiveServer(in: try TemporaryDirectory()) { port in
            ["memcached", "-l", "127.0.0.1", "-p", "\(port)", "-U", "0"] + asNobody("-u", "nobody")
        }
    }

    static func redis(_ more: [String] = []) async throws -> LiveServer {
        let folder = try TemporaryDirectory()
        return try LiveServer(in: folder) { port in
            [
                "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "",
                "--dir", folder.path, "--repl-diskless-sync-delay", "0",
            ] + more
        }
    }

    static func mariadb() async throws -> LiveServer {
        let folder = try TemporaryDirectory()
        let data = folder.path("data")
        let user = asNobody("--user=root")
        try await run(
            [
                "mariadb-install-db", "--no-defaults", "--datadir=\(data)", "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ] + user,
            in: folder
        )
        return try LiveServer(in: folder) { port in
            [
                "mariadbd", "--no-defaults", "--datadir=\(data)", "--bind-address=127.0.0.1",
                "--port=\(port)", "--socket=\(folder.path("socket"))", "--max-connect-errors=5",
                "--pid-file=\(folder.path("pid"))",
            ] + user
        }
    }

    /// Where Debian keeps the programs of a version.
    static func postgresProgram(_ name: String) -> String? {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return versions.sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }
            .compactMap { ChildProcess.find("\(root)/\($0)/bin/\(name)") }.first
    }

    /// A standby without a primary takes no connections, ever.
    static func postgres(isStandby: Bool = false) async throws -> LiveServer {
        let folder = try TemporaryDirectory()
        guard let initdb = postgresProgram("initdb"), let program = postgresProgram("postgres")
        else { throw ChildProcess.Failure("postgresql is not installed") }
        let prefix = try await stepDown(to: "postgres", in: folder)
        let data = folder.path("data")
        try await run(
            prefix + [initdb, "--no-sync", "--auth-local=trust", "--auth-host=reject", data],
            in: folder
        )
        if isStandby { try await run(prefix + ["touch", "\(data)/standby.signal"], in: folder) }
        return try LiveServer(in: folder) { port in
            prefix + [
                program, "-D", data, "-F", "-p", "\(port)", "-k", folder.path, "-h", "127.0.0.1",
                "-c", "hot_standby=off",
            ]
        }
    }

    static func exim() async throws -> LiveServer {
        let folder = try TemporaryDirectory()
        let configuration = try folder.write(
            """
            primary_hostname = mail.test
            spool_directory = \(folder.path)
            log_file_path = \(folder.path("%slog"))
            pid_file_path = \(folder.path("pid"))
            local_interfaces = 127.0.0.1
            exim_user = \(geteuid())
            exim_group = \(getegid())
            never_users =
            acl_smtp_helo = accept
            """,
            to: "exim.conf"
        )
        return try LiveServer(in: folder) { port in
            ["exim4", "-C", configuration, "-bdf", "-oX", "127.0.0.1.\(port)"]
        }
    }

    static func sshd() async throws -> LiveServer {
        let folder = try TemporaryDirectory()
        let key = folder.path("key")
        try await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], in: folder)
        let prefix = try await stepDown(to: "nobody", in: folder)
        return try LiveServer(in: folder) { port in
            prefix + [
                "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "\(port)",
                "-o", "ListenAddress=127.0.0.1", "-o", "HostKey=\(key)", "-o", "PidFile=none",
                "-o", "MaxStartups=100",
            ]
        }
    }

    /// With a certificate of its own signing that ends in `days`.
    static func tls(days: Int) async throws -> LiveServer {
        let folder = try TemporaryDirectory()
        let (key, certificate) = (folder.path("key.pem"), folder.path("certificate.pem"))
        try await run(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=tls.test",
                "-days", "\(days)", "-keyout", key, "-out", certificate,
            ],
            in: folder
        )
        return try LiveServer(in: folder) { port in
            [
                "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-quiet", "-key", key,
                "-cert", certificate,
            ]
        }
    }

    /// For servers that refuse root unless told whom to be.
    private static func asNobody(_ words: String...) -> [String] { geteuid() == 0 ? words : [] }

    /// What to put before a server that will not run as root, or as root wants more of the machine.
    private static func stepDown(
        to user: String,
        in folder: TemporaryDirectory
    ) async throws -> [String] {
        guard geteuid() == 0 else { return [] }
        try await run(["chown", "-R", user, folder.path], in: folder)
        return ["setpriv", "--reuid=\(user)", "--clear-groups"]
    }

    private static func run(_ words: [String], in folder: TemporaryDirectory) async throws {
        let process = try ChildProcess(words[0], Array(words.dropFirst()), in: folder)
        let code = await process.exitCode(within: .seconds(60))
        guard code == 0 else {
            throw ChildProcess.Failure("\(words): \(code ?? -1): \(process.output)")
        }
    }
}

/// Probes as `muster check` does, on a loop of its own.
func probeOnce(
    _ kind: String,
    _ settings: TestSetting,
    _ registry: CheckRegistry,
    at address: Address,
    timeout: Nanoseconds = .seconds(10)
) async throws -> Outcome {
    let check = try registry.make(kind, from: settings.options(path: kind))
    return try await probeOnce(check, at: address, timeout: timeout)
}

func probeOnce(
    _ check: any Check,
    at address: Address,
    timeout: Nanoseconds = .seconds(10)
) async throws -> Outcome {
    let loop = try EventLoop.spawn(name: "probe")
    defer { loop.stop() }
    let resolver = try await withTaskExecutorPreference(loop) {
        LoopBound(try Resolver(on: loop), on: loop)
    }
    let (outcome, _) = await runProbe(
        check,
        Target(upstream: "web", peer: "\(address)", address: address),
        timeout: timeout,
        loop: loop,
        resolver: resolver,
        explain: false
    )
    await resolver.call { $0.close() }
    return outcome
}
