// Do tools made for HAProxy's socket read muster? The same commands go to a real HAProxy and to muster, which watch the
// same servers, and where both show the same thing they have to say it alike.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

extension Live {
    @Suite struct LiveRuntimeSocketTests {
        /// All that comes until the other side ends, as `socat` prints it.
        private static func ask(_ command: String, at path: String) async throws -> String {
            try await blocking {
                let connection = try HTTPConnection(SocketAddress(.unix(path: path)))
                try connection.send(command)
                connection.finish()
                return connection.rest() ?? ""
            }
        }

        /// Rows by `proxy/server`, each a map of its columns.
        private static func rows(_ csv: String) -> [String: [String: String]] {
            let lines = csv.split(separator: "\n").map(String.init)
            guard let head = lines.first else { return [:] }
            let columns = head.dropFirst(2).split(separator: ",", omittingEmptySubsequences: false)
                .map(String.init)
            var rows: [String: [String: String]] = [:]
            for line in lines.dropFirst() {
                let values = line.split(separator: ",", omittingEmptySubsequences: false).map(
                    String.init
                )
                let row = Dictionary(zip(columns, values), uniquingKeysWith: { first, _ in first })
                rows["\(row["pxname"] ?? "")/\(row["svname"] ?? "")"] = row
            }
            return rows
        }

        /// What depends on time and traffic, or on how each of the two counts.
        private static let ownColumns: Set<String> = [
            "lastchg", "downtime", "check_duration", "chkfail", "chkdown", "iid", "smax", "slim",
            "rate_max",
            "last_chk", "conn_rate_max", "need_conn_est",
        ]

        @Test(.enabled(if: ChildProcess.find("haproxy") != nil, "haproxy is not installed"))
        func `it says what HAProxy says of the same servers`() async throws {
            let installation = try Installation()
            try installation.startServer(0)
            let folder = installation.folder
            let (alive, dead) = (installation.servers[0], installation.servers[1])
            let real = folder.path("real.sock")
            let haproxy = try folder.write(
                """
                global
                    stats socket \(real) level admin
                defaults
                    mode http
                    timeout connect 1s
                    timeout client 1s
                    timeout server 1s
                backend web
                    option httpchk GET /health
                    server a 127.0.0.1:\(alive) check inter 200ms weight 5
                    server b 127.0.0.1:\(dead) check inter 200ms backup
                    server c 127.0.0.1:\(alive) check inter 200ms disabled
                backend plain
                    balance leastconn
                    server x 127.0.0.1:\(alive)

                """,
                to: "haproxy.cfg"
            )
            let process = try ChildProcess("haproxy", ["-f", haproxy], in: folder)
            defer { process.end() }
            let own = folder.path("own.sock")
            try await installation.startMuster(
                """
                upstreams:
                  web:
                    panic-threshold: 0%
                    peers:
                      - { id: a, address: "127.0.0.1:\(alive)", weight: 5 }
                      - { id: b, address: "127.0.0.1:\(dead)", backup: true }
                      - { id: c, address: "127.0.0.1:\(alive)", down: true }
                    monitors:
                      - http: { path: /health, interval: 200ms, timeout: 200ms, rise: 2, fall: 3 }
                  plain:
                    balance: least-connections
                    peers:
                      - { id: x, address: "127.0.0.1:\(alive)" }
                admin:
                  bind: 127.0.0.1:\(installation.adminPort)
                  haproxy-socket: { bind: "unix:\(own)", mode: 0660 }

                """
            )
            let isSettled = {
                for path in [real, own] {
                    // HAProxy may not listen yet.
                    guard let text = try? await Self.ask("show stat\n", at: path) else {
                        return false
                    }
                    let rows = Self.rows(text)
                    guard rows["web/a"]?["status"] == "UP", rows["web/b"]?["status"] == "DOWN",
                        rows["web/a"]?["check_status"] == "L7OK"
                    else { return false }
                }
                return true
            }
            #expect(await eventually(within: .seconds(30), isSettled))
            try await compareStat(real, own)
            for command in [
                "show backend\n", "show servers state nope\n", "set server web/zz state ready\n",
                "set server nope/a state ready\n", "set server web\n", "set server web/a\n",
                "get weight web/a\n", "get weight web/#1\n", "get weight web/#9\n",
                "get weight #99/a\n", "set server web/#1 state ready\n",
                "set weight web/a 3\n", "get weight web/a\n", "set weight web/a x\n",
                "set weight web/a 300\n",
                "set server web/a weight 50.5%\n", "set server web/a weight 100%\n",
                "get weight web/a\n",
                "set server web/a agent up\n", "get weight web\n", "prompt;show backend\n",
                "show backend",
                "quit\n", "set server web/a state drain;get weight web/a\n",
                "set server web/a state ready\n",
                "show cli level\n", "show backend\nshow cli level\n",
                "set server web/a state drain\nset server web/b state drain\nshow backend\n",
                "set server web/a state ready\nquit\nset server web/b state ready\n",
                "get weight web/a\nshow ba", "set server web/b state ready\nget weight web/b\n",
            ] {
                let (theirs, ours) = (
                    try await Self.ask(command, at: real), try await Self.ask(command, at: own)
                )
                #expect(theirs == ours, "\(command)")
            }
            // Tools look for fields of `show info` by name.
            #expect(try await Self.fields(at: real) == Self.fields(at: own))
            var information = stat()
            #expect(stat(own, &information) == 0 && information.st_mode & 0o777 == 0o660)
        }

        private static func fields(at path: String) async throws -> [String] {
            try await ask("show info\n", at: path).split(separator: "\n")
                .map { String($0.prefix { $0 != ":" }) }.filter { $0 != "description" }
        }

        private func compareStat(_ real: String, _ own: String) async throws {
            let (theirs, ours) = (
                try await Self.ask("show stat -1 6 -1\n", at: real),
                try await Self.ask("show stat -1 6 -1\n", at: own)
            )
            #expect(theirs.split(separator: "\n").first == ours.split(separator: "\n").first)
            #expect(theirs.hasSuffix("\n\n") && ours.hasSuffix("\n\n"))
            let (left, right) = (Self.rows(theirs), Self.rows(ours))
            #expect(Set(left.keys) == Set(right.keys))
            for (name, row) in left {
                let other = right[name] ?? [:]
                for (column, value) in row where !Self.ownColumns.contains(column) {
                    // What is in maintenance is probed here, so that it is known when it comes back.
                    if name == "web/c", column.hasPrefix("check_") || column == "uweight" {
                        continue
                    }
                    // Counters of the connections to a socket of its own.
                    if column.hasPrefix("h1_") || column.hasPrefix("h2_") { continue }
                    #expect(other[column] == value, "\(name) \(column)")
                }
            }
            let states = (
                try await Self.ask("show servers state\n", at: real),
                try await Self.ask("show servers state\n", at: own)
            )
            let (known, shown) = (states.0.split(separator: "\n"), states.1.split(separator: "\n"))
            #expect(known.prefix(2) == shown.prefix(2) && known.count == shown.count)
            for (line, other) in zip(known, shown).dropFirst(2) {
                let (fields, others) = (line.split(separator: " "), other.split(separator: " "))
                try #require(fields.count == 25 && others.count == 25)
                // Who it is, how it is, what was asked, what it weighs, where it is.
                for index in [1, 2, 3, 4, 5, 6, 7, 8, 17, 18, 20] {
                    #expect(fields[index] == others[index], "\(line)\n\(other)")
                }
            }
        }

        @Test func `orders reach peers, and stand as orders do`() async throws {
            let folder = try TemporaryDirectory()
            let socket = folder.path("h.sock")
            let installation = try await Installation.start(
                replacing: [("admin:\n", "admin:\n  haproxy-socket: \(socket)\n")]
            )
            let peer = "127.0.0.1:\(installation.servers[0])"
            #expect(try await Self.ask("disable server web/\(peer)\n", at: socket) == "\n")
            #expect(try await installation.status(0) == "maint")
            let rows = Self.rows(try await Self.ask("show stat\n", at: socket))
            #expect(rows["web/\(peer)"]?["status"] == "MAINT")
            #expect(rows["proxy/FRONTEND"]?["status"] == "OPEN")
            #expect(try await installation.peer(0)["intent_by"] == "HAProxy's socket")
            #expect(try await Self.ask("set server web/\(peer) state ready\n", at: socket) == "\n")
            #expect(try await Self.ask("set weight web/\(peer) 0\n", at: socket) == "\n")
            let weightless = Self.rows(try await Self.ask("show stat\n", at: socket))
            #expect(weightless["web/\(peer)"]?["status"] == "DRAIN")
            #expect(
                try await Self.ask("get weight web/\(peer)\n", at: socket) == "0 (initial 1)\n\n"
            )
            let info = try await Self.ask("show info\n", at: socket)
            #expect(info.hasPrefix("Name: HAProxy\nVersion: 2.6.12-muster-"))
            // hatop ends where one of these is missing.
            for field in ["Release_date", "Maxpipes", "PipesUsed", "Tasks", "Run_queue", "CumReq"] {
                #expect(info.contains("\n\(field): "), "\(field)")
            }
            #expect(info.contains("\ndescription: muster "))
            let health = try await Self.ask("set server web/\(peer) health down\n", at: socket)
            #expect(health.contains("Monitors decide about health here"))
        }

        /// Somebody types, and goes on typing.
        @Test func `at the prompt a connection goes on, and no line is too long`() async throws {
            let folder = try TemporaryDirectory()
            let socket = folder.path("h.sock")
            let installation = try await Installation.start(
                replacing: [("admin:\n", "admin:\n  haproxy-socket: \(socket)\n")]
            )
            _ = installation
            let talk = try await Self.ask(
                "prompt\nshow backend\nbogus\nquit\nshow info\n",
                at: socket
            )
            #expect(talk.hasPrefix("\n> # name\nweb\n\n> Unknown command"))
            #expect(!talk.contains("Name:"))
            let long = try await Self.ask(String(repeating: "x", count: 40_000), at: socket)
            #expect(long == "A line has at most 16384 bytes; this one was not done.\n")
            let both = try await Self.ask("show backend\nshow cli level\n", at: socket)
            #expect(both == "# name\nweb\n\nadmin\n\n")
            for scope in ["0 7 -1", "nobody 4 -1", "9 4 -1"] {
                #expect(
                    try await Self.ask("show stat \(scope)\n", at: socket) == "No such proxy.\n\n"
                )
            }
            let row = Self.rows(try await Self.ask("show stat #3 6 -1\n", at: socket))
            #expect(row["web/BACKEND"] != nil && row["proxy/FRONTEND"] == nil)

        }
    }
}
