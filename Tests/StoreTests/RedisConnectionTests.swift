// Does one connection keep its promises? Every command is answered or fails, in order, in time.

import EventLoop
import Glibc
import Redis
import Synchronization
import TestSupport
import Testing
import Vocabulary

@Suite struct RedisConnectionTests {
    @Test(arguments: [Backend.redisUnix, .redisTCP])
    func `replies of every type arrive as they were sent`(backend: Backend) async throws {
        try await StoreRig.run(backend) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let replies = try await connection.pipeline(
                [
                    ["SET", "k", "v\u{0}\r\n"], ["GET", "k"], ["GET", "none"], ["INCR", "n"],
                    ["LPUSH", "l", "a", ""], ["LRANGE", "l", "0", "-1"], ["INCR", "k"],
                    ["ECHO", ""],
                ],
                timeout: patience
            )
            #expect(replies[0] == .status("OK"))
            #expect(replies[1] == .string(Array("v\u{0}\r\n".utf8)))
            #expect(replies[2] == .null)
            #expect(replies[3] == .integer(1))
            #expect(replies[4] == .integer(2))
            #expect(replies[5] == .array([.string([]), .string(Array("a".utf8))]))
            #expect(replies[6] == .error("ERR value is not an integer or out of range"))
            #expect(replies[7] == .string([]))
        }
    }

    /// By another name and line with each script, be the reason the same.
    @Test func `the error of a script is told as the same error elsewhere`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let script = "return redis.call('INCR', KEYS[1])"
            let replies = try await connection.pipeline(
                [
                    ["SET", "k", "v"], ["EVAL", script, "1", "k"],
                    ["EVAL", "return redis.error_reply('ERR no such script: x, on y')", "0"],
                    ["EVAL", "error('own words')", "0"],
                ],
                timeout: patience
            )
            #expect(replies[1] == .error("ERR value is not an integer or out of range"))
            #expect(replies[2] == .error("ERR no such script: x, on y"))
            #expect(replies[3] == .error("ERR user_script:1: own words"))
            // A server that knows no scripts repeats what it was sent.
            let unknown = try await connection.command(["FUNCTIONLESS", script], timeout: patience)
            #expect(unknown == .error("ERR unknown command 'FUNCTIONLESS'"))
        }
    }

    /// The first refuses, the second swallows what it is sent: an AAAA of a Redis on IPv4 only, a server that is gone.
    @Test func `of a name every address is asked in turn`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            guard case .host(let ip, let port) = server.url.address else { return }
            let silent = try HangingListener(ip: "127.0.0.8", port: port)
            let names = ["127.0.0.9", "127.0.0.9", "127.0.0.8", ip]
            func connect(
                _ url: RedisURL,
                _ count: Int,
                within timeout: Nanoseconds = .seconds(1)
            ) async throws(RedisError) -> RedisConnection {
                try await RedisConnection.connect(
                    to: url,
                    on: rig.loop,
                    timeout: timeout,
                    lookup: { name, _ in name == "redis.test" ? Array(names.prefix(count)) : [] }
                )
            }
            let url = RedisURL(address: .host("redis.test", port: port))
            let connection = try await connect(url, 4)
            #expect(connection.place == server.url.address)
            connection.close()
            // Each is named where none answers.
            do throws(RedisError) {
                try await connect(url, 3).close()
                Issue.record("nobody is there")
            } catch {
                #expect("\(error)".contains("connect 127.0.0.9:\(port): Connection refused; "))
                #expect("\(error)".contains("connect \(silent.address): no answer within 1s"))
            }
            // Whoever answers is the one that is meant, be it that it refuses.
            var other = url
            other.password = "x"
            await #expect(throws: RedisError.self) { try await connect(other, 4).close() }
            // A sentinel too: this one is none, and says so.
            let sentinels = try RedisURL(text: "redis+sentinel://redis.test:\(port)/m")
            do throws(RedisError) {
                try await connect(sentinels, 4).close()
                Issue.record("it is no sentinel")
            } catch {
                #expect("\(error)".contains("unknown command"), "\(error)")
            }
        }
    }

    @Test func `everything pending fails when Redis dies, and the owner hears of it once`()
        async throws
    {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            var failures: [RedisError] = []
            connection.onFailure = { failures.append($0) }
            let home = LoopBound(connection, on: rig.loop)
            let waiting = (1...3).map { _ in
                Task(executorPreference: rig.loop) { () async -> Bool in
                    do throws(RedisError) {
                        _ = try await home.value.command(
                            ["BLPOP", "k", "0"],
                            timeout: .seconds(300)
                        )
                        return false
                    } catch {
                        return true
                    }
                }
            }
            let blocked = await eventually(within: .seconds(30)) {
                let reply = try? await server.ask("INFO", "clients", on: rig.loop)
                return reply?.text?.contains("blocked_clients:1") == true
            }
            #expect(blocked)
            server.kill()
            for task in waiting { #expect(await task.value) }
            #expect(failures.count == 1)
            #expect(!connection.isOpen)
            await #expect(throws: RedisError.self) { try await connection.command(["PING"]) }
        }
    }

    @Test func `a command that takes too long ends the connection`() async throws {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            var failures: [RedisError] = []
            connection.onFailure = { failures.append($0) }
            await #expect(throws: RedisError.timedOut(after: .milliseconds(50))) {
                try await connection.command(["BLPOP", "k", "0"], timeout: .milliseconds(50))
            }
            #expect(!connection.isOpen)
            #expect(failures == [.timedOut(after: .milliseconds(50))], "its owner hears of it")
        }
    }

    @Test func `an answer that came in time counts, however late the loop looks at it`()
        async throws
    {
        try await StoreRig.run(.redisUnix) { rig in
            let server = try #require(rig.server)
            let connection = try await server.connect(on: rig.loop)
            defer { connection.close() }
            let descriptor = try #require(Self.descriptor(connectedTo: server.url.address))
            let home = LoopBound(connection, on: rig.loop)
            let isAnswered = await withCheckedContinuation {
                (waiter: CheckedContinuation<_, Never>) in
                // All of it in one turn: between two the loop would read the answer.
                rig.loop.execute {
                    let span = Nanoseconds.milliseconds(400)
                    home.value.post(["PING"], timeout: span) { reply in
                        waiter.resume(returning: reply != nil)
                    }
                    // Holds up the loop until the answer is there and the deadline is over, as a large piece
                    // of work would.
                    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                    _ = poll(&waiting, 1, 60_000)
                    usleep(500_000)
                }
            }
            #expect(isAnswered)
        }
    }

    /// Our end of the one connection to a unix socket that nobody else knows.
    private static func descriptor(connectedTo address: Address) -> Int32? {
        guard case .unix(let path) = address else { return nil }
        return (0..<65_536).first { raw in
            var peer = sockaddr_un()
            var length = socklen_t(MemoryLayout<sockaddr_un>.size)
            let code = withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    getpeername(raw, $0, &length)
                }
            }
            guard code == 0, peer.sun_family == sa_family_t(AF_UNIX) else { return false }
            return withUnsafeBytes(of: peer.sun_path) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) == path
            }
        }
    }

    @Test func `connecting to nobody says why`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let server = try #require(rig.server)
            server.kill()
            await #expect(
                throws: RedisError.disconnected("connect \(server.url.address): Connection refused")
            ) {
                try await RedisConnection.connect(
                    to: server.url,
                    on: rig.loop,
                    timeout: patience
                )
            }
            let nowhere = RedisURL(address: .unix(path: rig.folder.path("none.sock")))
            await #expect(throws: RedisError.self) {
                try await RedisConnection.connect(
                    to: nowhere,
                    on: rig.loop,
                    timeout: patience
                )
            }
            let named = RedisURL(address: .host("redis.example", port: 6_379))
            await #expect(throws: RedisError.self) {
                try await RedisConnection.connect(
                    to: named,
                    on: rig.loop,
                    timeout: patience
                )
            }
        }
    }

    @Test func `a Redis that accepts and says nothing is given up in time`() async throws {
        let silent = try ScriptedServer(.stall)
        defer { silent.stop() }
        try await StoreRig.run(.embedded, inRealTime: true) { rig in
            await #expect(throws: RedisError.timedOut(after: .milliseconds(100))) {
                try await RedisConnection.connect(
                    to: RedisURL(address: silent.address),
                    on: rig.loop,
                    timeout: .milliseconds(100)
                )
            }
        }
    }

    /// A reply may announce anything: room is made for what we asked for, not for what is announced.
    @Test func `a reply beyond every limit ends the connection and takes no memory`() async throws {
        let block = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        let lies: [([ScriptedServer.Step], String)] = [
            ([.send("*2147483647\r\n"), .stall], "memory"),
            ([.send("*65537\r\n"), .stall], "memory"),
            (
                [.send("+"), .endless(block, everyMilliseconds: 0)],
                "expected replies of at most 65536"
            ),
            ([.send("-ERR \(String(repeating: "e", count: 30_000))\r\n"), .stall], "ERR eee"),
            (
                [.send("$100000000\r\n"), .endless(block, everyMilliseconds: 0)],
                "expected replies of at most"
            ),
        ]
        for (steps, words) in lies {
            let liar = try ScriptedServer([[.expect("PING\r\n")] + steps])
            defer { liar.stop() }
            try await StoreRig.run(.embedded, inRealTime: true) { rig in
                do throws(RedisError) {
                    _ = try await RedisConnection.connect(
                        to: RedisURL(address: liar.address),
                        on: rig.loop,
                        timeout: patience
                    )
                    Issue.record("connected")
                } catch {
                    #expect("\(error)".contains(words), "\(error)")
                    #expect("\(error)".utf8.count < 2_000)
                }
            }
        }
    }

    private static let greeting: [ScriptedServer.Step] = [
        .expect("PING\r\n"), .send("+PONG\r\n"),
    ]
    private static let consent = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"

    /// What somebody hears who listens, or only asked to be greeted, and how that ends.
    private static func hear(
        _ steps: [ScriptedServer.Step],
        isListening: Bool
    ) async throws -> (failures: [RedisError], messages: [RedisReply]) {
        let gate = Gate()
        let server = try ScriptedServer([
            greeting + (isListening ? [.expect("SUBSCRIBE\r\n"), .send(consent)] : [])
                + [.wait(gate)] + steps
        ])
        defer { server.stop() }
        let failures = Mutex<[RedisError]>([])
        let messages = Mutex<[RedisReply]>([])
        try await StoreRig.run(.embedded, inRealTime: true) { rig in
            let connection = try await RedisConnection.connect(
                to: RedisURL(address: server.address),
                on: rig.loop,
                timeout: patience
            )
            connection.onFailure = { error in failures.withLock { $0.append(error) } }
            connection.onMessage = { _, reply in messages.withLock { $0.append(reply) } }
            if isListening { try await connection.subscribe(["c"], timeout: patience) }
            gate.open()
            #expect(await rig.comes { !connection.isOpen })
            connection.close()
        }
        return (failures.withLock { $0 }, messages.withLock { $0 })
    }

    /// The C library asserts that nobody says more than was asked for, and an assertion ends the process.
    @Test(arguments: [
        "+OK\r\n", ":1\r\n", "$-1\r\n", "*1\r\n$1\r\na\r\n", "*0\r\n", Self.consent,
    ])
    func `a reply that nobody asked for ends the connection`(reply: String) async throws {
        let (failures, _) = try await Self.hear(
            [.send(reply), .send(reply), .stall],
            isListening: false
        )
        #expect(failures.map { "\($0)" }.allSatisfy { $0.contains("saw one more") })
        let refused = try await Self.hear(
            [.send("-ERR max number of clients reached\r\n"), .stall],
            isListening: false
        )
        #expect("\(refused.failures)".contains("max number of clients"))
    }

    @Test func `a reply that comes twice ends the connection`() async throws {
        let server = try ScriptedServer([
            [.expect("PING\r\n"), .send("+PONG\r\n+PONG\r\n"), .stall]
        ])
        defer { server.stop() }
        try await StoreRig.run(.embedded, inRealTime: true) { rig in
            let connection = try? await RedisConnection.connect(
                to: RedisURL(address: server.address),
                on: rig.loop,
                timeout: patience
            )
            if let connection { #expect(await rig.comes { !connection.isOpen }) }
            connection?.close()
        }
    }

    @Test(arguments: [
        "+OK\r\n", ":1\r\n", "$-1\r\n", "$1\r\na\r\n", "*1\r\n$1\r\na\r\n", "*0\r\n", "*-1\r\n",
        "*3\r\n:1\r\n:2\r\n:3\r\n", "*3\r\n$7\r\nmessage\r\n*1\r\n:1\r\n$1\r\na\r\n",
        "*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\na\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n$1\r\na\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n+OK\r\n",
        "*3\r\n$12\r\npunsubscribe\r\n$1\r\nc\r\n:0\r\n+OK\r\n",
    ])
    func `whoever listens hears messages, and the end where something else comes`(
        reply: String
    ) async throws {
        let good = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n*2\r\n$1\r\na\r\n*1\r\n:7\r\n"
        let heard = try await Self.hear(
            [.send(good), .send(reply), .send(good), .stall],
            isListening: true
        )
        #expect(heard.failures.count == 1)
        #expect(
            heard.messages == [
                .array([.string(Array("a".utf8)), .array([.integer(7)])])
            ]
        )
    }

    @Test func `a password is given, and a wrong one refused`() async throws {
        let folder = try TemporaryDirectory()
        let server = try RedisServer(tcp: true, in: folder, extra: ["--requirepass", "s3cret"])
        defer { server.kill() }
        try await StoreRig.run(.embedded, inRealTime: true) { rig in
            var url = server.url
            url.password = "s3cret"
            url.database = 3
            let ready = await eventually {
                guard
                    let one = try? await RedisConnection.connect(
                        to: url,
                        on: rig.loop,
                        timeout: patience
                    )
                else {
                    return false
                }
                one.close()
                return true
            }
            #expect(ready)
            url.password = "wrong"
            await #expect(throws: RedisError.self) {
                try await RedisConnection.connect(
                    to: url,
                    on: rig.loop,
                    timeout: patience
                )
            }
        }
    }

    @Test(arguments: [
        ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
        ("redis://127.0.0.1:7000/2", "redis://127.0.0.1:7000/2"),
        ("redis://[::1]", "redis://[::1]:6379"),
        ("redis://[::1]:7000", "redis://[::1]:7000"),
        ("redis://:p%40ss@h:1", "redis://h:1"),
        ("redis://ann:p:q@h:1/0", "redis://ann@h:1"),
        ("rediss://:p%40ss@h:1/3", "rediss://h:1/3"),
        ("rediss+sentinel://ann:p@a,b:1/m", "rediss+sentinel://ann@a:26379,b:1/m"),
        ("unix:///run/r.sock", "unix:///run/r.sock"),
        ("unix:///run/r.sock?db=4", "unix:///run/r.sock?db=4"),
    ])
    func `a URL is read`(text: String, shown: String) throws {
        #expect("\(try RedisURL(text: text))" == shown)
    }

    @Test func `a URL's password is decoded and never shown`() throws {
        let url = try RedisURL(text: "redis://ann:p%40s%3As@h:1")
        #expect(url.user == "ann")
        #expect(url.password == "p@s:s")
        #expect(!"\(url)".contains("p@s"))
    }

    @Test(arguments: [
        "", "127.0.0.1:6379", "redisss://h", "redis://", "rediss://", "redis://h:0", "redis://h:x",
        "redis://h/x", "redis://h/-1", "redis://secret@h", "redis://:p%4@h", "redis://:%+4@h",
        "redis://h:1/0?password=secret", "rediss://:secret:h:1", "redis://:secret",
        "redis://h:secret",
        "redis+sentinel://:secret@h:1,:secret@i:1/m", "unix://rel", "unix:///p?x=1",
        "unix:///p?db=99999999",
    ])
    func `what is no URL is refused without repeating a password`(text: String) {
        let problem = #expect(throws: RedisURL.Problem.self) { try RedisURL(text: text) }
        #expect(problem?.description.contains("expected") == true)
        #expect(problem?.description.contains("secret") == false)
    }
}
