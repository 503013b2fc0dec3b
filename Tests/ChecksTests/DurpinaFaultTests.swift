// durpina (https://github.com/slact/durpina) is an upstream balancer with monitors whose users muster
// invites over. Does muster keep what durpina promises and its code, at commit 6bf0bba, does not? The
// faults of its probes and of their settings are here, each named by what muster does instead.

import Checks
import DNS
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct DurpinaFaultTests {
    /// monitor/http.lua: the pattern for `header_*` finds only commas, so no header is ever sent;
    /// `port` changes the Host and not the connection; there is no timeout.
    @Test func `an HTTP check sends its headers, to its port, and waits only so long`() async throws
    {
        let peer = try ScriptedServer(.stall)
        defer { peer.stop() }
        let health = try ScriptedServer(
            .expect("\r\n\r\n"),
            .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            .stall
        )
        defer { health.stop() }
        let settings: TestSetting = [
            "path": "/health", "port": .text(health.port),
            "headers": ["X-One": "1", "Authorization": "Bearer a, b"],
        ]
        let prober = try await Prober()
        let outcome = try await prober.probe("http", settings, at: peer.address)
        #expect(outcome.verdict == .pass, "\(outcome)")
        #expect(peer.connectionCount == 0)
        let request = try #require(health.receivedText.first)
        #expect(request.contains("\r\nHost: 127.0.0.1:\(health.port)\r\n"))
        #expect(request.contains("\r\nX-One: 1\r\n"))
        #expect(request.contains("\r\nAuthorization: Bearer a, b\r\n"))

        let late = try await prober.probe("http", at: peer.address, timeout: .milliseconds(100))
        #expect(late.reason == .layer7Timeout)
    }

    /// monitor.lua: an interval in words ("5m", as documented) fails an assertion, one as a table
    /// raises an error of the language.
    @Test func `an interval is a duration, or a mistake with its place`() throws {
        let good: [(String, Nanoseconds)] = [
            ("250ms", .milliseconds(250)), ("1500ms", .milliseconds(1_500)), ("5s", .seconds(5)),
            ("5m", .seconds(300)), ("2h", .seconds(7_200)), ("1d", .seconds(86_400)),
        ]
        for (text, interval) in good {
            let setting: TestSetting = ["interval": .text(text)]
            let monitor = try MonitorDefinition.make("tcp", from: setting.options(path: "tcp"))
            #expect(monitor.schedule.interval == interval)
        }
        for wrong in [["5": "m"], [5], "5x", "", "-1s"] as [TestSetting] {
            let setting: TestSetting = ["interval": wrong]
            do throws(SettingError) {
                _ = try MonitorDefinition.make("tcp", from: setting.options(path: "tcp"))
                Issue.record("\(wrong) is taken")
            } catch {
                #expect("\(error)".hasPrefix("test.yaml:1:1: tcp.interval: expected a duration"))
            }
        }
    }

    /// upstream.lua: `peers` other than `all` is documented and fails an assertion. muster's monitors
    /// look at every peer, because one that is not looked at would never come back; a word that is
    /// not known is a mistake with a place, and never one of the language.
    @Test func `a setting that there is not is refused by name`() {
        for kind in ["http", "tcp", "haproxy-agent-check", "http-agent"] {
            let message = complaint(kind, ["peers": "down"]) ?? "nothing"
            #expect(message.contains("\(kind) has no setting 'peers'"), "\(message)")
        }
    }

    /// monitor/tcp.lua: a line is read after connecting, so a server that does not speak first
    /// fails, and all of HTTP with it.
    @Test func `a TCP check waits for nothing that it was not told to expect`() async throws {
        let server = try ScriptedServer(.expect("never"), .stall)
        defer { server.stop() }
        let outcome = try await Prober().probe("tcp", at: server.address)
        #expect(outcome.verdict == .pass && outcome.reason == .layer4OK, "\(outcome)")
        #expect(outcome.phases.firstByte == nil)
    }

    /// util.lua: the resolver is asked for the literal name "hostname", and a list of name servers
    /// is wrapped twice: no name is ever resolved.
    @Test func `a name is asked for by itself, of the next name server when one is dead`()
        async throws
    {
        let dead = try NameServer(["web.test": .silence])
        defer { dead.stop() }
        let live = try NameServer(["web.test": .records([.a("127.0.0.1")])])
        defer { live.stop() }
        var configuration = ResolverConfiguration()
        configuration.servers = ["127.0.0.1:\(dead.port)", "127.0.0.1:\(live.port)"]
        // The dead one takes all of it, and the living one must surely answer within it.
        configuration.tryTimeout = .seconds(2)
        configuration.tries = 2
        let server = try ScriptedServer(.stall)
        defer { server.stop() }
        let outcome = try await Prober(configuration).probe(
            "tcp",
            at: .host("web.test", port: server.port)
        )
        #expect(outcome.reason == .layer4OK, "\(outcome)")
        #expect(live.count("web.test") > 0 && live.count("hostname") == 0)
    }
}
