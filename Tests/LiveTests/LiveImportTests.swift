// What does somebody see who imports a configuration from a shell?

import Foundation
import TestSupport
import Testing

extension Live {
    @Suite struct LiveImportTests {
        private static func run(
            _ words: [String],
            in folder: TemporaryDirectory
        ) async throws -> Muster.Result {
            try await Muster.finish(
                try Muster.start(words, in: folder),
                "muster \(words.joined(separator: " "))"
            )
        }

        /// Runs it, and gives what was printed to `muster validate`.
        private static func validated(
            _ system: String,
            _ text: String,
            in folder: TemporaryDirectory
        ) async throws -> (code: Int32, printed: String, verdict: Muster.Result) {
            let file = try folder.write(text, to: "source.conf")
            let words =
                "'\(Muster.binary)' import \(system) '\(file)' > '\(folder.path("out.yaml"))' 2> '\(folder.path("err"))'"
            let process = try ChildProcess("sh", ["-c", words], in: folder)
            let code = await process.exitCode(within: .seconds(20)) ?? -1
            return (
                code, try String(contentsOfFile: folder.path("out.yaml"), encoding: .utf8),
                try await run(["validate", folder.path("out.yaml")], in: folder)
            )
        }

        @Test func `what is printed is a configuration, and the code says whether to read it`()
            async throws
        {
            let folder = try TemporaryDirectory()
            let plain = try await Self.validated(
                "haproxy",
                "backend web\n  server a 10.0.0.1:80 check weight 3\n",
                in: folder
            )
            #expect(plain.code == 0 && plain.verdict.exitCode == 0, "\(plain)")
            #expect(plain.printed.contains(#"{ id: a, address: "10.0.0.1:80", weight: 3 }"#))
            let more = try await Self.validated(
                "haproxy",
                "backend web\n  stick on src\n  server a 10.0.0.1:80 check\n",
                in: folder
            )
            #expect(more.code == 1 && more.verdict.exitCode == 0, "\(more)")
            #expect(more.printed.contains("stick on src"))
            // What was forbidden is not one comment among many.
            let open = try await Self.validated(
                "haproxy",
                "listen web\n  mode http\n  bind :1\n  http-request deny\n  server a 10.0.0.1:80\n",
                in: folder
            )
            #expect(open.code == 1 && open.printed.contains("OPEN HERE"))
            let told = try String(contentsOfFile: folder.path("err"), encoding: .utf8)
            #expect(told.contains("1 of them: OPEN HERE"), "\(told)")
        }

        @Test func `files that nginx includes are found beside it`() async throws {
            let folder = try TemporaryDirectory()
            try FileManager.default.createDirectory(
                atPath: folder.path("conf.d"),
                withIntermediateDirectories: true
            )
            try "upstream app { server 10.0.0.1:8080 weight=2; }\n"
                .write(toFile: folder.path("conf.d/app.conf"), atomically: true, encoding: .utf8)
            let result = try await Self.validated(
                "nginx",
                "http { include conf.d/*.conf; server { listen 80; proxy_set_header Host $host;"
                    + " location / { proxy_pass http://app; } } }\n",
                in: folder
            )
            #expect(result.code == 0 && result.verdict.exitCode == 0, "\(result)")
            #expect(result.printed.contains("- 10.0.0.1:8080 weight=2"))
        }

        @Test func `a folder of HAProxy's is its files by name`() async throws {
            let folder = try TemporaryDirectory()
            let place = folder.path("conf.d")
            try FileManager.default.createDirectory(
                atPath: place,
                withIntermediateDirectories: true
            )
            let empty = try await Self.run(["import", "haproxy", place], in: folder)
            #expect(empty.exitCode == 2 && empty.output.contains("saw none"), "\(empty)")
            for (name, text) in [
                ("20.cfg", "backend b\n server s 10.0.0.1:80\n"),
                ("10.cfg", "defaults\n balance leastconn\n"), (".x.cfg", "bogus\n"),
                ("x.txt", "bogus\n"),
            ] {
                try text.write(toFile: "\(place)/\(name)", atomically: true, encoding: .utf8)
            }
            let more = try folder.write("backend c\n server s 10.0.0.2:80\n", to: "more.cfg")
            let result = try await Self.run(["import", "haproxy", place, more], in: folder)
            #expect(result.exitCode == 0, "\(result)")
            #expect(
                result.output.contains("balance: least-connections")
                    && result.output.contains("\(place)/20.cfg:1: backend b")
                    && result.output.contains("10.0.0.2:80"),
                "\(result)"
            )
        }

        @Test func `a file that is not there is said so`() async throws {
            let folder = try TemporaryDirectory()
            for system in ["haproxy", "nginx"] {
                let result = try await Self.run(
                    ["import", system, folder.path("none")],
                    in: folder
                )
                #expect(result.exitCode == 2)
                #expect(
                    result.output.hasPrefix("Error: \(folder.path("none")): "),
                    "\(result.output)"
                )
            }
            let unknown = try await Self.run(["import", "hapoxy", "x"], in: folder)
            #expect(
                unknown.exitCode == 1 && unknown.output.contains("did you mean 'haproxy'?"),
                "\(unknown)"
            )
        }
    }
}
