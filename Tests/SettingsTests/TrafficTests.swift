// Are listeners, routes and ports read as they are meant, and held against the upstreams?

import AgentCheck
import Health
import Proxy
import Settings
import Testing
import Vocabulary

private let upstreams = "upstreams: {web: {peers: ['127.0.0.1:1', 'unix:/a']}, api: {}}\n"

@Suite struct TrafficTests {
    @Test func `reads listeners with their routes`() throws {
        let proxy = try load(
            upstreams + """
                proxy:
                  threads: 3
                  listeners:
                    - bind: localhost:8080
                      routes:
                        - { host: WWW.Example.com, path: /static/, strip-prefix: true, upstream: web }
                        - { upstream: api }
                    - { bind: "[::1]:5432", mode: tcp, upstream: web }
                  timeouts: { connect: 300ms, drain: 5s }
                  limits: { tries: 2 }
                """
        ).proxy
        #expect(proxy.threads == 3)
        #expect(
            proxy.listeners == [
                ListenerConfiguration(
                    bind: .host("127.0.0.1", port: 8_080),
                    mode: .http(routes: [
                        RouteConfiguration(
                            host: "www.example.com",
                            path: "/static",
                            stripPrefix: true,
                            upstream: "web"
                        ),
                        RouteConfiguration(upstream: "api"),
                    ])
                ),
                ListenerConfiguration(bind: .host("::1", port: 5_432), mode: .tcp(upstream: "web")),
            ]
        )
        #expect(proxy.timeouts.connect == .milliseconds(300))
        #expect(proxy.timeouts.drain == .seconds(5))
        #expect(proxy.timeouts.response == ProxyTimeouts().response)
        #expect(proxy.limits.tries == 2)
    }

    @Test func `refuses routes that lead nowhere or twice`() throws {
        let found = try complaints(
            upstreams + """
                proxy:
                  listeners:
                    - bind: 127.0.0.1:80
                      routes:
                        - { host: "*", upstream: wbe }
                        - { host: "a.b:80", upstream: web }
                        - { host: "*", upstream: web }
                        - { path: /, upstream: api }
                        - { path: static, upstream: api }
                        - { host: a }
                """
        )
        #expect(
            found == [
                "muster.yaml:6:34: proxy.listeners[0].routes[0].upstream: expected one of web, api, saw "
                    + "'wbe'; did you mean 'web'?",
                "muster.yaml:7:19: proxy.listeners[0].routes[1].host: expected a host without port, such "
                    + "as www.example.com, *.example.com or *, saw 'a.b:80'",
                "muster.yaml:9:11: proxy.listeners[0].routes[3]: host '*' and path '/' are routed twice: "
                    + "first at muster.yaml:8:11",
                "muster.yaml:10:19: proxy.listeners[0].routes[4].path: expected a path that begins with "
                    + "'/', without query, saw 'static'",
                "muster.yaml:11:11: proxy.listeners[0].routes[5]: expected 'upstream', saw no such key",
            ]
        )
    }

    @Test func `refuses what does not belong to the mode`() throws {
        let found = try complaints(
            upstreams + """
                proxy:
                  listeners:
                    - { bind: "127.0.0.1:1", mode: tcp, routes: [] }
                    - { bind: "127.0.0.1:2", upstream: web }
                    - { bind: "127.0.0.1:3" }
                    - { bind: "127.0.0.1:4", routes: [] }
                """
        )
        #expect(
            found == [
                "muster.yaml:4:7: proxy.listeners[0]: expected 'upstream', saw no such key",
                "muster.yaml:4:49: proxy.listeners[0].routes: expected 'upstream' in mode tcp, saw routes",
                "muster.yaml:5:40: proxy.listeners[1].upstream: expected 'routes' in mode http, saw an "
                    + "upstream",
                "muster.yaml:6:7: proxy.listeners[2]: expected 'routes', saw no such key",
                "muster.yaml:7:38: proxy.listeners[3].routes: expected a list of at least one route, saw "
                    + "a list",
            ]
        )
    }

    @Test func `whoever takes planb's place says what it said`() throws {
        for isPlanb in [false, true] {
            let scratch = try Scratch([
                "muster.yaml":
                    "sources: [ hipache: { url: \"redis://127.0.0.1\", planb: \(isPlanb) } ]"
            ])
            let configuration = try scratch.load()
            let base = try #require(configuration.sources.first?.base)
            #expect(base.namesHosts == isPlanb)
            #expect(base.manners.namesHosts == isPlanb)
            #expect(base.manners.nobodyStatus == (isPlanb ? 503 : 502))
            #expect(base.manners.failedStatus == (isPlanb ? 503 : 0))
            #expect(base.upstream.eject.failures == (isPlanb ? 0 : 1))
            let manners = configuration.proxy.manners
            #expect(manners.absentStatus == 400)
            #expect(manners.pingAnswer == (isPlanb ? "OK" : "ok"))
            #expect(manners.texts[400] == (isPlanb ? "no such route" : nil))
            #expect(manners.texts[503] == (isPlanb ? "all backends are dead" : nil))
        }
    }

    @Test func `a source with a mistake is one mistake`() throws {
        let found = try complaints(
            """
            sources:
              - hipache: { url: "http://127.0.0.1" }
            proxy: { listeners: [ { bind: "127.0.0.1:1" } ] }
            """
        )
        #expect(found.count == 1)
        #expect(found.first?.contains("sources[0].hipache.url") == true)
    }

    @Test func `lets nobody listen where another does, nor on a name`() throws {
        let found = try complaints(
            upstreams + """
                proxy:
                  listeners:
                    - { bind: "127.0.0.1:8080", mode: tcp, upstream: web }
                    - { bind: "localhost:8080", mode: tcp, upstream: web }
                    - { bind: "example.com:80", mode: tcp, upstream: web }
                agent-check:
                  bind: 127.0.0.1:7070
                  ports: { 7000: "web/127.0.0.1:1", 7070: "web/unix:/a" }
                """
        )
        #expect(
            found == [
                "muster.yaml:5:15: proxy.listeners[1].bind: 127.0.0.1:8080 is taken already by "
                    + "proxy.listeners[0].bind at muster.yaml:4:15",
                "muster.yaml:6:15: proxy.listeners[2].bind: expected an IP address or unix:/path to "
                    + "listen on, saw 'example.com:80'",
                "muster.yaml:9:12: agent-check.ports.7000: 127.0.0.1:7000 is taken already by "
                    + "admin.bind, which is there unless it says otherwise",
                "muster.yaml:9:37: agent-check.ports.7070: 127.0.0.1:7070 is taken already by "
                    + "agent-check.bind at muster.yaml:8:9",
            ]
        )
    }

    @Test func `says what an address that covers all does beside one of them`() throws {
        let listeners =
            upstreams + """
                proxy:
                  listeners:
                    - { bind: "127.0.0.1:8080", mode: tcp, upstream: web }
                    - { bind: "0.0.0.0:8080", mode: tcp, upstream: web }
                    - { bind: "[::]:8080", mode: tcp, upstream: web }

                """
        #expect(
            try load(listeners).warnings.map(\.message).map {
                $0.replacing(/at [^ ]*muster.yaml/, with: "at muster.yaml")
            }.filter { $0.contains("stands beside") } == [
                "proxy.listeners[1].bind: 0.0.0.0:8080 stands beside 127.0.0.1:8080 of "
                    + "proxy.listeners[0].bind at muster.yaml:4:15: what comes to 127.0.0.1:8080 goes to that "
                    + "one alone; write one of them, or no address that covers all"
            ]
        )
        #expect(
            try complaints(listeners + "agent-check: { bind: \"127.0.0.2:8080\" }\n") == [
                "muster.yaml:7:22: agent-check.bind: 127.0.0.2:8080 stands beside 0.0.0.0:8080 of "
                    + "proxy.listeners[1].bind at muster.yaml:5:15, which takes the port of all addresses"
            ]
        )
    }

    @Test func `reads ports that stand for one peer each`() throws {
        let agentCheck = try load(
            upstreams + """
                agent-check:
                  bind: 0.0.0.0:7070
                  ports: { 7171: "web/unix:/a" }
                  admin-words: never
                  hold: 5s
                """
        ).agentCheck
        #expect(
            agentCheck?.ports == [
                AgentEndpoint.PeerPort(
                    bind: .host("0.0.0.0", port: 7_171),
                    peer: PeerKey(upstream: "web", peer: "unix:/a")
                )
            ]
        )
        #expect(agentCheck?.policy.adminWords == .never)
        #expect(agentCheck?.policy.hold == .seconds(5))
    }

    @Test func `refuses ports that name nobody`() throws {
        let found = try complaints(
            upstreams + """
                agent-check:
                  bind: 127.0.0.1:7070
                  ports: { 70000: web/x, 7171: web/127.0.0.1:2, 7172: wbe/x, 7173: x }
                """
        )
        #expect(
            found == [
                "muster.yaml:4:12: agent-check.ports: expected a port from 1 to 65535, saw '70000'",
                "muster.yaml:4:32: agent-check.ports.7171: peer of 'web': expected one of 127.0.0.1:1, "
                    + "unix:/a, saw '127.0.0.1:2'; did you mean '127.0.0.1:1'?",
                "muster.yaml:4:55: agent-check.ports.7172: upstream: expected one of web, api, saw "
                    + "'wbe'; did you mean 'web'?",
                "muster.yaml:4:68: agent-check.ports.7173: expected upstream/peer, saw 'x'",
            ]
        )
    }

    @Test(arguments: [
        ("0.0.0.0:7000", false), ("10.0.0.1:7000", false), ("'[::]:7000'", false),
        ("127.0.0.1:7000", true), ("127.1.2.3:7000", true), ("'[::1]:7000'", true),
        ("localhost:7000", true), ("unix:/run/muster.sock", true),
    ])
    func `wants a token where other machines reach the API`(bind: String, isLocal: Bool) throws {
        let found = try complaints("admin: { bind: \(bind) }\n")
        #expect(found.isEmpty == isLocal)
        #expect(
            found.allSatisfy { $0.hasPrefix("muster.yaml:1:16: admin.bind: expected admin.token") }
        )
        #expect(try complaints("admin: { bind: \(bind), token: correct-horse }\n").isEmpty)
    }

    @Test func `a certificate of the API has to be there, with its key`() throws {
        #expect(
            try complaints("admin: { tls: { certifcate: /none/a.pem } }\n") == [
                "muster.yaml:1:15: admin.tls: expected 'certificate', saw no such key",
                "muster.yaml:1:15: admin.tls: expected 'key', saw no such key",
                "muster.yaml:1:17: admin.tls has no setting 'certifcate'; did you mean 'certificate'?",
            ]
        )
        #expect(
            try complaints("admin: { tls: { certificate: /none/a.pem, key: /none/a.key } }\n") == [
                "muster.yaml:1:15: admin.tls: read a certificate from /none/a.pem: "
                    + "No such file or directory"
            ]
        )
        #expect(try complaints("admin: { tls: }\n").isEmpty)
    }
}
