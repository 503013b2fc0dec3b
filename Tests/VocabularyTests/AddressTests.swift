// Which texts are addresses, and does an address print as what was read?

import Testing
import Vocabulary

@Suite struct AddressTests {
    @Test(
        arguments: [
            ("127.0.0.1:80", Address.host("127.0.0.1", port: 80)),
            ("web-1.internal:8080", .host("web-1.internal", port: 8_080)),
            ("under_score:1", .host("under_score", port: 1)),
            ("a--b.c_.example.:80", .host("a--b.c_.example.", port: 80)),
            ("LOCALHOST:65535", .host("LOCALHOST", port: 65_535)),
            ("[::1]:443", .host("::1", port: 443)),
            ("[2001:DB8::1]:1", .host("2001:DB8::1", port: 1)),
            ("[::ffff:10.0.0.7]:80", .host("::ffff:10.0.0.7", port: 80)),
            ("[fe80::1%eth0]:80", .host("fe80::1%eth0", port: 80)),
            ("unix:/run/muster/admin.sock", .unix(path: "/run/muster/admin.sock")),
            ("unix:/with:colon", .unix(path: "/with:colon")),
        ] as [(String, Address)]
    )
    func `the three forms are read, and print as they were written`(
        text: String,
        address: Address
    ) {
        #expect(Address(text: text) == address)
        #expect(address.description == text)
        #expect(Address.problem(in: text) == nil)
    }

    @Test(arguments: [
        ("", "expected host:port, [v6]:port or unix:/path, saw ''"),
        ("localhost", "expected host:port, [v6]:port or unix:/path, saw 'localhost'"),
        ("::1:80", "expected host:port, [v6]:port or unix:/path, saw '::1:80'"),
        ("[::1:80", "expected host:port, [v6]:port or unix:/path, saw '[::1:80'"),
        ("web:", "expected a port from 1 to 65535, saw ''"),
        ("web:0", "expected a port from 1 to 65535, saw '0'"),
        ("web:65536", "expected a port from 1 to 65535, saw '65536'"),
        ("web:+80", "expected a port from 1 to 65535, saw '+80'"),
        ("web:8o", "expected a port from 1 to 65535, saw '8o'"),
        ("web:٨٠", "expected a port from 1 to 65535, saw '٨٠'"),
        ("web:99999999999999999999", "expected a port from 1 to 65535, saw '99999999999999999999'"),
        (":80", "expected a host of 1 to 253 bytes, saw ''"),
        ("[]:80", "expected a host of 1 to 253 bytes, saw ''"),
        ("http://web:80", "expected host:port, [v6]:port or unix:/path, saw 'http://web:80'"),
        ("a b:80", "expected a host name or IPv4 address, saw 'a b'"),
        ("bücher:80", "expected a host name or IPv4 address, saw 'bücher'"),
        ("[web]:80", "expected an IPv6 address, saw 'web'"),
        // Every letter is a hexadecimal digit, and still it is no IPv6 address.
        ("[cafe]:80", "expected an IPv6 address, saw 'cafe'"),
        ("[fe80::1%]:80", "expected an IPv6 address, saw 'fe80::1%'"),
        ("[fe80::1%a/b]:80", "expected an IPv6 address, saw 'fe80::1%a/b'"),
        (
            "[fe80::1]:80",
            "expected the interface of a link-local address, such as [fe80::1%eth0]:80, saw "
                + "'[fe80::1]:80'"
        ),
        ("web:080", "expected a port from 1 to 65535, saw '080'"),
        ("a..b:80", "expected a name between two dots, saw none in 'a..b'"),
        (".a:80", "expected a name between two dots, saw none in '.a'"),
        (".:80", "expected a name between two dots, saw none in '.'"),
        ("-x:80", "expected no '-' at the beginning or the end of a name, saw '-x'"),
        ("a.b-.c:80", "expected no '-' at the beginning or the end of a name, saw 'a.b-.c'"),
        (
            String(repeating: "x", count: 64) + ".a:80",
            "expected at most 63 bytes between two dots, saw 64 in '"
                + String(repeating: "x", count: 64) + ".a'"
        ),
        ("unix:relative", "expected unix: and an absolute path, saw 'unix:relative'"),
        ("unix:", "expected unix: and an absolute path, saw 'unix:'"),
    ])
    func `anything else is refused, and the problem named`(text: String, problem: String) {
        #expect(Address(text: text) == nil)
        #expect(Address.problem(in: text) == problem)
    }

    @Test(arguments: [
        ("[fe80::1%25eth0]:80", "fe80::1%eth0"), ("[fe80::1%1]:80", "fe80::1%1"),
        ("[fe80::1%25]:80", "fe80::1%25"), ("[fe80::1%251]:80", "fe80::1%251"),
        ("[febf::1%25a]:80", "febf::1%a"), ("[fec0::1]:80", "fec0::1"),
    ])
    func `a zone is read as written, and as URLs write it`(text: String, host: String) {
        #expect(Address(text: text) == .host(host, port: 80))
    }

    @Test func `others hear of an address without its zone`() {
        #expect(Address.host("fe80::1%eth0", port: 8).withoutZone == .host("fe80::1", port: 8))
        #expect(Address.host("web", port: 8).withoutZone == .host("web", port: 8))
        #expect(Address.withoutZone("100%") == "100%")
        #expect(Address.zone(of: "fe80::1%eth0") == "eth0")
        #expect(Address.zone(of: "fe80::1") == nil)
    }

    @Test func `the longest host and the longest path`() {
        let label = String(repeating: "x", count: Address.labelBytesMax)
        let host = [label, label, label, String(label.dropLast(2))].joined(separator: ".")
        #expect(host.utf8.count == Address.hostBytesMax)
        #expect(Address(text: "\(host):1") == .host(host, port: 1))
        #expect(Address(text: "\(host)x:1") == nil)
        let path = "/" + String(repeating: "x", count: Address.unixPathBytesMax - 1)
        #expect(Address(text: "unix:\(path)") == .unix(path: path))
        #expect(
            Address.problem(in: "unix:\(path)x")
                == "expected a socket path of at most 107 bytes, saw 108"
        )
    }

    @Test func `another port leaves the host, and a unix socket as it is`() {
        #expect(Address.host("::1", port: 1).with(port: 2) == .host("::1", port: 2))
        #expect(Address.unix(path: "/x").with(port: 2) == .unix(path: "/x"))
    }
}
