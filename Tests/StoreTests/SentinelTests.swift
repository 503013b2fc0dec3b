// Where several servers stand by, who is asked? The sentinels say which is the master, a failover is followed, and what
// the new master does not know is told to it. With real servers and a real sentinel.

import EventLoop
import Fleet
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Store

@Suite struct SentinelTests {
    @Test(arguments: [
        (
            "redis+sentinel://u:s%40x@10.0.0.1,10.0.0.2:5000,[::1]:7/mymaster/3",
            "redis+sentinel://u@10.0.0.1:26379,10.0.0.2:5000,[::1]:7/mymaster/3"
        ),
        ("redis+sentinel://host/m", "redis+sentinel://host:26379/m"),
        ("redis+sentinel://host", "expected the name of the master behind the sentinels"),
        ("redis+sentinel://host/", "expected the name of the master behind the sentinels"),
        ("redis+sentinel:///m", "expected"),
        ("redis+sentinel://a,,b/m", "expected"),
        ("redis+sentinel://a/m/x", "expected a database from 0 to 65535, saw 'x'"),
    ])
    func `sentinels are read, and what is wrong is said without the password`(
        _ text: String,
        _ expected: String
    ) {
        do throws(RedisURL.Problem) {
            let url = try RedisURL(text: text)
            #expect("\(url)" == expected)
        } catch {
            #expect("\(error)".hasPrefix(expected))
            #expect(!"\(error)".contains("s%40x"))
        }
    }

    @Test func `a failover is followed, and the new master is told everything`() async throws {
        try await StoreRig.run(.redisTCP) { rig in
            let master = try #require(rig.server)
            guard case .host(_, let port) = master.url.address else { return }
            let replica = try RedisServer(
                tcp: true,
                in: rig.folder,
                extra: ["--replicaof", "127.0.0.1 \(port)", "--repl-diskless-sync-delay", "0"]
            )
            defer { replica.kill() }
            #expect(await replica.isReady(on: rig.loop))
            #expect(
                await eventually(within: .seconds(60)) {
                    let role = try? await replica.ask("ROLE", on: rig.loop).array
                    return role.map { $0.count > 3 && $0[3].text == "connected" } ?? false
                }
            )
            let sentinel = try Sentinel(of: port, in: rig.folder)
            defer { sentinel.process.end() }
            #expect(await sentinel.isReady(on: rig.loop))

            let url = try RedisURL(text: "redis+sentinel://127.0.0.1:\(sentinel.port)/mymaster")
            let desk = FleetDesk(FleetDesk.Setting(agent: "a1"), on: rig.loop)
            let store = RedisStore(
                loop: rig.loop,
                url: url,
                agent: "a1",
                fleet: desk,
                commandTimeout: patience,
                journal: rig.lines.journal
            )
            let verdict = Verdict.sample()
            let pair = PairPlan(
                key: verdict.key,
                schedule: Schedule(interval: .seconds(60), timeout: .seconds(60))
            )
            let number = desk.define(pair)
            store.start(Listener())
            #expect(await rig.comes { store.status.isConnected })
            #expect(await rig.comes { desk.holds(number) })
            store.publish(verdict, isTransition: true)
            let field = verdict.key.field
            func isTold(_ server: RedisServer) async -> Bool {
                await eventually(within: .seconds(60)) {
                    let reply = try? await server.ask(
                        "HEXISTS",
                        "muster:verdicts",
                        field,
                        on: rig.loop
                    )
                    return reply == .integer(1)
                }
            }
            #expect(await isTold(master))
            let era = desk.member.membership.era
            master.kill()
            #expect(
                await eventually(within: .seconds(60)) {
                    let role = try? await replica.ask("ROLE", on: rig.loop).array?.first?.text
                    return role == "master"
                }
            )
            // As if the last writes had not reached it.
            _ = try await replica.ask("DEL", "muster:verdicts", on: rig.loop)
            #expect(await isTold(replica))
            #expect(await rig.comes { desk.member.membership.era > era && desk.holds(number) })
            #expect(await rig.comes { store.status.isConnected })
            await desk.leave()
            await store.stop()
        }
    }
}

private struct Sentinel {
    let process: ChildProcess
    let port: UInt16

    init(of master: UInt16, in folder: TemporaryDirectory) throws {
        port = try freePort()
        let text = """
            port \(port)
            bind 127.0.0.1
            dir \(folder.path)
            sentinel monitor mymaster 127.0.0.1 \(master) 1
            sentinel down-after-milliseconds mymaster 500
            sentinel failover-timeout mymaster 3000

            """
        let path = try folder.write(text, to: "sentinel.conf")
        process = try ChildProcess(
            "redis-server",
            [path, "--sentinel"],
            in: folder
        )
    }

    /// It knows the master and its replica.
    func isReady(on loop: EventLoop) async -> Bool {
        let url = RedisURL(address: .host("127.0.0.1", port: port))
        return await eventually(within: .seconds(60)) {
            guard
                let connection = try? await RedisConnection.connect(
                    to: url,
                    on: loop,
                    timeout: patience
                )
            else { return false }
            defer { connection.close() }
            let reply = try? await connection.command(
                ["SENTINEL", "replicas", "mymaster"],
                timeout: patience
            )
            return reply?.array?.count == 1
        }
    }
}
