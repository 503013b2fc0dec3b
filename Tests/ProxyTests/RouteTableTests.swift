// Exact host before the longest wildcard before `*`; then the longest path prefix.

import Testing

@testable import Proxy

@Suite struct RouteTableTests {
    private static let routes = [
        RouteConfiguration(host: "*", path: "/", upstream: "any"),
        RouteConfiguration(host: "*", path: "/health", upstream: "any-health"),
        RouteConfiguration(host: "*.example.com", path: "/", upstream: "wild"),
        RouteConfiguration(host: "*.deep.example.com", path: "/", upstream: "deep"),
        RouteConfiguration(host: "www.example.com", path: "/static", upstream: "static"),
        RouteConfiguration(host: "www.example.com", path: "/static/img/", upstream: "images"),
        RouteConfiguration(host: "api.example.com", path: "/", upstream: "api"),
        RouteConfiguration(host: "Upper.Example.org", path: "/", upstream: "upper"),
        RouteConfiguration(host: "[::1]", path: "/", upstream: "six"),
        RouteConfiguration(host: "lost.example.com", path: "/", upstream: "undefined"),
    ]

    private static func find(
        _ host: String,
        _ path: String,
        in routes: [RouteConfiguration] = routes
    ) -> (name: String, strip: Int)? {
        let names = Array(Set(routes.map(\.upstream)).subtracting(["undefined"])).sorted()
        let indices = Dictionary(
            uniqueKeysWithValues: names.enumerated().map { ($1, Int32($0)) }
        )
        let table = RouteTable(routes, upstreams: indices)
        let match = Array(host.utf8).withUnsafeBufferPointer { host in
            Array(path.utf8).withUnsafeBufferPointer { table.match(host: host, path: $0) }
        }
        return match.map {
            ($0.upstream < 0 ? "nowhere" : names[Int($0.upstream)], Int($0.stripBytes))
        }
    }

    @Test(arguments: [
        ("api.example.com", "/x", "api"),
        ("API.Example.COM", "/x", "api"),
        ("api.example.com.", "/x", "api"),
        ("upper.example.org", "/", "upper"),
        ("[::1]", "/", "six"),
        // A wildcard stands for one label or more, and not for none.
        ("shop.example.com", "/", "wild"),
        ("a.b.example.com", "/", "wild"),
        ("a.deep.example.com", "/", "deep"),
        ("a.b.deep.example.com.", "/", "deep"),
        ("deep.example.com", "/", "wild"),
        ("example.com", "/", "any"),
        ("notexample.com", "/", "any"),
        ("", "/", "any"),
        (".", "/", "any"),
        // The longest prefix that ends where a segment does.
        ("www.example.com", "/static", "static"),
        ("www.example.com", "/static/", "static"),
        ("www.example.com", "/static/x", "static"),
        ("www.example.com", "/static/img", "images"),
        ("www.example.com", "/static/img/x", "images"),
        ("www.example.com", "/static/imgs", "static"),
        // A host without a route for the path leaves it to the less specific.
        ("www.example.com", "/statics", "wild"),
        ("www.example.com", "/", "wild"),
        ("www.example.com", "/Static", "wild"),
        ("other.org", "/health", "any-health"),
        ("other.org", "/healthy", "any"),
        // A route to an upstream that is not there leads nowhere, and not where the next one would.
        ("lost.example.com", "/", "nowhere"),
    ])
    func `a host and a path lead to an upstream`(host: String, path: String, upstream: String) {
        #expect(Self.find(host, path)?.name == upstream)
    }

    @Test func `without a catch-all an unknown host has no route`() {
        let routes = [RouteConfiguration(host: "a.example", path: "/", upstream: "a")]
        #expect(Self.find("a.example", "/", in: routes)?.name == "a")
        #expect(Self.find("b.example", "/", in: routes) == nil)
        #expect(Self.find("a.example", "/", in: []) == nil)
    }

    @Test func `of two routes with one prefix the first written wins`() {
        let routes = [
            RouteConfiguration(path: "/x/", upstream: "first"),
            RouteConfiguration(path: "/x", upstream: "second"),
        ]
        #expect(Self.find("h", "/x", in: routes)?.name == "first")
    }

    @Test func `a prefix is stripped without its trailing slash`() {
        let routes = [
            RouteConfiguration(path: "/api/", stripPrefix: true, upstream: "api"),
            RouteConfiguration(path: "/", stripPrefix: true, upstream: "root"),
        ]
        #expect(Self.find("h", "/api/x", in: routes)?.strip == 4)
        #expect(Self.find("h", "/x", in: routes)?.strip == 0)
    }

    @Test func `ten thousand hosts are all found`() {
        let routes = (0..<10_000).map {
            RouteConfiguration(host: "host-\($0).example", upstream: "u\($0 % 7)")
        }
        let indices = Dictionary(uniqueKeysWithValues: (0..<7).map { ("u\($0)", Int32($0)) })
        let table = RouteTable(routes, upstreams: indices)
        let path: [UInt8] = [0x2F]
        for number in 0..<10_000 {
            let found = Array("host-\(number).example".utf8).withUnsafeBufferPointer { host in
                path.withUnsafeBufferPointer { table.match(host: host, path: $0)?.upstream }
            }
            #expect(found == Int32(number % 7))
        }
    }
}
