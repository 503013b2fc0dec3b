// Which requests may a page of somebody else's make? None.

import Testing
import Vocabulary

@testable import Front

private let loopback = OriginRules(bind: .host("127.0.0.1", port: 7_000))
private let named = OriginRules(
    bind: .host("127.0.0.1", port: 7_000),
    hosts: ["Muster.Example"]
)
private let network = OriginRules(bind: .host("0.0.0.0", port: 7_000))
private let listed = OriginRules(bind: .host("0.0.0.0", port: 7_000), hosts: ["muster.example"])
private let unix = OriginRules(bind: .unix(path: "/run/admin.sock"))
private let secure = OriginRules(bind: .host("::1", port: 7_000), isSecure: true)

private let json = "application/json"

@Suite struct OriginRulesTests {
    /// Status of the refusal; 0 lets in.
    @Test(
        arguments: [
            (nil, 0), ("", 0), ("localhost", 0), ("LOCALHOST:1", 0), ("localhost.", 0),
            ("127.0.0.1", 0), ("127.8.9.1:7000", 0), ("[::1]", 0), ("[::1]:7000", 0),
            ("evil.example", 421), ("evil.example:7000", 421), ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example", 421), ("10.0.0.1", 421), ("127.0.0.256", 421),
            ("127.0.0", 421), ("[::2]", 421), ("muster.example", 421),
        ] as [(String?, Int)]
    )
    func `on loopback only names of this machine lead here`(host: String?, status: Int) {
        for method in ["GET", "HEAD", "POST", "PATCH"] {
            let visit = Visit(method, "/v1/upstreams", host: host)
            #expect(loopback.refusal(of: visit)?.status ?? 0 == status, "\(method)")
        }
    }

    @Test func `names of admin.hosts lead here too`() {
        for host in ["muster.example", "MUSTER.example:443", "localhost"] {
            #expect(named.refusal(of: Visit("GET", "/", host: host)) == nil, "\(host)")
        }
        #expect(named.refusal(of: Visit("GET", "/", host: "evil.example"))?.status == 421)
    }

    @Test func `elsewhere any name does, until admin.hosts says which`() {
        for host in ["muster.example", "evil.example", "10.0.0.1:7000", nil] {
            #expect(network.refusal(of: Visit("GET", "/", host: host)) == nil)
            #expect(unix.refusal(of: Visit("GET", "/", host: host)) == nil)
        }
        // No page is called by an address.
        for host in ["muster.example", "10.0.0.1:7000", "[fd00::1]", "localhost", nil] {
            #expect(listed.refusal(of: Visit("GET", "/", host: host)) == nil)
        }
        let refusal = listed.refusal(of: Visit("GET", "/", host: "evil.example"))
        #expect(refusal?.status == 421)
        #expect(
            refusal?.detail
                == "Host: expected localhost, a loopback address, muster.example, saw "
                + "'evil.example'; a name that is meant to lead here belongs in admin.hosts"
        )
    }

    @Test(arguments: [
        ("http://127.0.0.1:7000", "127.0.0.1:7000", 0),
        ("http://localhost", "localhost", 0), ("http://localhost:80", "localhost", 0),
        ("http://localhost", "localhost:80", 0), ("https://localhost", "localhost", 0),
        ("https://localhost:443", "localhost", 0), ("http://[::1]:7000", "[::1]:7000", 0),
        ("HTTP://LOCALHOST:7000", "localhost:7000", 0),
        ("null", "127.0.0.1:7000", 403), ("", "127.0.0.1:7000", 403),
        ("http://evil.example", "127.0.0.1:7000", 403),
        ("http://127.0.0.1:7001", "127.0.0.1:7000", 403),
        ("http://127.0.0.1", "127.0.0.1:7000", 403),
        ("https://127.0.0.1", "127.0.0.1:80", 403),
        ("http://localhost:7000", "127.0.0.1:7000", 403),
        ("file://", "localhost", 403), ("ftp://localhost", "localhost", 403),
        ("http://localhost:7000, http://localhost:7000", "localhost:7000", 403),
        ("chrome-extension://abc", "localhost:7000", 403),
    ])
    func `an origin is the address that was asked, or foreign`(
        origin: String,
        host: String,
        status: Int
    ) {
        for rules in [loopback, network] {
            for method in ["GET", "POST"] {
                let visit = Visit(method, "/", host: host, origin: origin, contentType: json)
                #expect(rules.refusal(of: visit)?.status ?? 0 == status)
            }
        }
    }

    @Test func `an origin without a host is foreign`() {
        #expect(loopback.refusal(of: Visit("GET", "/", origin: "http://localhost"))?.status == 403)
        let rules = unix
        let visit = Visit("GET", "/", host: "x", origin: "http://evil.example")
        #expect(rules.refusal(of: visit)?.status == 403)
    }

    @Test func `where TLS ends here a plain page is foreign`() {
        let plain = Visit("GET", "/", host: "[::1]:7000", origin: "http://[::1]:7000")
        #expect(secure.refusal(of: plain)?.status == 403)
        let ours = Visit("GET", "/", host: "[::1]:7000", origin: "https://[::1]:7000")
        #expect(secure.refusal(of: ours) == nil)
    }

    @Test(
        arguments: [
            ("GET", "cross-site", "navigate", 403), ("GET", "cross-site", "no-cors", 403),
            ("POST", "cross-site", "cors", 403), ("GET", "CROSS-SITE", nil, 403),
            ("GET", "same-site", "no-cors", 403), ("POST", "same-site", "navigate", 403),
            ("GET", "same-site", "navigate", 0), ("GET", "none", "navigate", 0),
            ("GET", "same-origin", "cors", 0), ("POST", "same-origin", "cors", 0),
        ] as [(String, String, String?, Int)]
    )
    func `a page of another site is refused everywhere`(
        method: String,
        site: String,
        mode: String?,
        status: Int
    ) {
        for rules in [loopback, network, unix] {
            let visit = Visit(
                method,
                "/v1/upstreams",
                host: "localhost",
                fetchSite: site,
                fetchMode: mode,
                contentType: json
            )
            #expect(rules.refusal(of: visit)?.status ?? 0 == status)
        }
    }

    @Test(
        arguments: [
            ("POST", "/v1/reload", nil, true, 415), ("POST", "/v1/reload", "text/plain", true, 415),
            ("PATCH", "/", "application/x-www-form-urlencoded", true, 415),
            ("POST", "/", "multipart/form-data", true, 415),
            ("POST", "/", "text/plain; application/json", true, 415),
            ("DELETE", "/", nil, true, 415), ("POST", "/", json, true, 0),
            ("POST", "/", "Application/JSON; charset=utf-8", true, 0),
            ("GET", "/", nil, true, 0), ("HEAD", "/", nil, true, 0),
            ("POST", "/config", "text/plain", true, 0), ("POST", "/configs", nil, true, 415),
            ("POST", "/v1/reload", nil, false, 0), ("PATCH", "/", "text/plain", false, 0),
        ] as [(String, String, String?, Bool, Int)]
    )
    func `a browser's write is JSON`(
        method: String,
        path: String,
        type: String?,
        isOfBrowser: Bool,
        status: Int
    ) {
        let visit = Visit(
            method,
            path,
            host: "localhost",
            contentType: type,
            isOfBrowser: isOfBrowser
        )
        #expect(loopback.refusal(of: visit)?.status ?? 0 == status)
    }
}
