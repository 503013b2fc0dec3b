// Is the admin endpoint to be had over TLS? By muster's own commands and by a check, with a certificate
// that is renewed meanwhile.

import Foundation
import TestSupport
import Testing

extension Live {
    @Suite(.enabled(if: ChildProcess.find("openssl") != nil, "openssl is not installed"))
    struct LiveAdminTLSTests {
        /// Writes a certificate for 127.0.0.1 that signs itself, and its key.
        private func certify(_ name: String, in folder: TemporaryDirectory) async throws {
            let (certificate, key) = (folder.path("\(name).pem"), folder.path("\(name).key"))
            let openssl = try ChildProcess(
                "openssl",
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-subj", "/CN=\(name)", "-days", "2", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
                ],
                in: folder
            )
            guard await openssl.exitCode(within: .seconds(60)) == 0 else {
                throw ChildProcess.Failure("openssl: \(openssl.output)")
            }
        }

        private func start(_ installation: Installation) async throws -> ChildProcess {
            let folder = installation.folder
            let file = try folder.write(
                """
                upstreams:
                  web:
                    monitors: [tcp: { interval: 1h, timeout: 1s }]
                    peers: [127.0.0.1:\(installation.servers[0])]
                admin:
                  bind: 127.0.0.1:\(installation.adminPort)
                  tls: { certificate: one.pem, key: one.key }
                """,
                to: "muster.yaml"
            )
            let muster = try Muster.start(["run", "-c", file], in: folder)
            let isUp = await eventually(within: .seconds(30)) {
                !muster.isRunning || HTTPConnection.isAccepted(port: installation.adminPort)
            }
            guard isUp, muster.isRunning else {
                throw Installation.Failure(description: "muster does not start: \(muster.output)")
            }
            return muster
        }

        /// `muster status` by who believes only the authority in this file.
        private func status(
            _ installation: Installation,
            believing name: String?
        ) async throws -> Muster.Result {
            var words = ["status", "--admin", "https://127.0.0.1:\(installation.adminPort)"]
            if let name { words += ["--admin-ca", installation.folder.path("\(name).pem")] }
            return try await installation.command(arguments: words)
        }

        @Test func `commands and checks reach it, and nobody who distrusts it`() async throws {
            let installation = try Installation()
            try await certify("one", in: installation.folder)
            try await certify("two", in: installation.folder)
            let muster = try await start(installation)
            defer { muster.end() }

            let told = try await status(installation, believing: "one")
            #expect(told.output.contains("127.0.0.1:\(installation.servers[0])"), "\(told.output)")
            for name in ["two", nil] {
                let refused = try await status(installation, believing: name)
                #expect(refused.exitCode == 3, "\(refused.output)")
                #expect(refused.output.contains("self-signed certificate"), "\(refused.output)")
                // Whose it is.
                #expect(refused.output.contains(", of /CN=one for 127.0.0.1"), "\(refused.output)")
            }
            let peer = "web/127.0.0.1:\(installation.servers[0])"
            let checked = try await Muster.run(
                "check",
                "http",
                "https://127.0.0.1:\(installation.adminPort)/agent/\(peer)",
                "-o",
                "tls={ca: \(installation.folder.path("one.pem"))}",
                "-o",
                "expect=[200, 503]"
            )
            #expect(checked.exitCode == 0, "\(checked.output)")
            let plain = try? await HTTPConnection.get("/health", port: installation.adminPort)
            #expect(plain?.status != 200)
        }

        @Test func `a key of another certificate is refused before anything starts`() async throws {
            let installation = try Installation()
            let folder = installation.folder
            try await certify("one", in: folder)
            try await certify("two", in: folder)
            let file = try folder.write(
                "admin: { bind: '127.0.0.1:\(installation.adminPort)', "
                    + "tls: { certificate: one.pem, key: two.key } }",
                to: "muster.yaml"
            )
            let result = try await Muster.run("run", "-c", file)
            #expect(result.exitCode == 1)
            #expect(result.output.contains("admin.tls: "), "\(result.output)")
            #expect(result.output.contains("key"), "\(result.output)")
        }

        /// Those of `certify` are good for two days.
        @Test func `a certificate that ends soon, and one that cannot be used, are told of`()
            async throws
        {
            let installation = try Installation()
            let folder = installation.folder
            try await certify("one", in: folder)
            let muster = try await start(installation)
            defer { muster.end() }
            let soon = "it ends at "
            #expect(muster.output.contains(soon), "\(muster.output)")
            let validated = try await Muster.run("validate", "-c", folder.path("muster.yaml"))
            #expect(validated.exitCode == 0)
            #expect(validated.output.contains("warning: admin.tls: the certificate in"))
            #expect(validated.output.contains(soon), "\(validated.output)")
            #expect(try await status(installation, believing: "one").output.contains(soon))

            try folder.write("no certificate", to: "broken.pem")
            try FileManager.default.copyItem(
                atPath: folder.path("one.pem"),
                toPath: folder.path("ca.pem")
            )
            _ = rename(folder.path("broken.pem"), folder.path("one.pem"))
            let told = try await status(installation, believing: "ca")
            #expect(
                told.output.contains("cannot be used, the certificate before"),
                "\(told.output)"
            )
        }

        @Test func `a renewed certificate is served, and half a renewal is not`() async throws {
            let installation = try Installation()
            let folder = installation.folder
            try await certify("one", in: folder)
            try await certify("two", in: folder)
            try FileManager.default.copyItem(
                atPath: folder.path("one.pem"),
                toPath: folder.path("old.pem")
            )
            let muster = try await start(installation)
            defer { muster.end() }

            func replace(_ old: String, with new: String) throws {
                let copy = folder.path("\(new).copy")
                try FileManager.default.copyItem(atPath: folder.path(new), toPath: copy)
                _ = rename(copy, folder.path(old))
            }
            func expectServed(_ name: String, _ isServed: Bool) async throws {
                let result = try await status(installation, believing: name)
                #expect(
                    result.output.contains("UPSTREAM") == isServed,
                    "\(name): \(result.output)"
                )
            }
            try await expectServed("old", true)
            try replace("one.pem", with: "two.pem")
            try await expectServed("old", true)
            #expect(muster.output.contains("cannot be used, the one before is"))
            try replace("one.key", with: "two.key")
            try await expectServed("two", true)
            try await expectServed("old", false)
        }
    }
}
