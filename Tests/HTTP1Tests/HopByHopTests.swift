import HTTP1
import Testing

@Suite struct HopByHopTests {
    /// The fields of a request, and which of them go on to the next hop.
    @Test(arguments: [
        ("Connection: close\r\nX: 1\r\n", ["Host", "X"]),
        (
            "Keep-Alive: 1\r\nProxy-Connection: x\r\nTE: trailers\r\nUpgrade: x\r\nX: 1\r\n",
            ["Host", "X"]
        ),
        ("Transfer-Encoding: chunked\r\nTrailer: X\r\n", ["Host", "Trailer"]),
        ("Connection: Trailer\r\nTrailer: X\r\n", ["Host"]),
        (
            "Connection: x-one, , X-Two\r\nX-One: 1\r\nX-Three: 3\r\nx-two: 2\r\n",
            ["Host", "X-Three"]
        ),
        ("X-One: 1\r\nX-One: 2\r\nConnection: X-One\r\n", ["Host"]),
        ("X-One: 1\r\nConnection: a\r\nX-Two: 2\r\nConnection: x-one, x-two\r\n", ["Host"]),
        ("Connection: X-On, X-One2\r\nX-One: 1\r\n", ["Host", "X-One"]),
        ("Close: 1\r\nConnection: close\r\n", ["Host", "Close"]),
    ])
    func `drops what ends here`(fields: String, forwarded: [String]) throws {
        let text = "POST / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n"
        #expect(try #require(try request(text)).forwarded == forwarded)
    }

    /// A client that names what we or the upstream rely on does not get rid of it.
    @Test func `Connection cannot remove framing, routing or identity`() throws {
        let names = [
            "Host", "Content-Length", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
            "X-Real-IP", "Forwarded", "Via", "Cookie", "Authorization", "Content-Type",
            "Max-Forwards", "Cache-Control", "X-Request-ID",
        ]
        let fields = names.map { name in
            name == "Host" ? "Host: h\r\n" : "\(name): 1\r\n"
        }
        let text = """
            POST / HTTP/1.1\r
            Connection: \(names.joined(separator: ", "))\r
            \(fields.joined())\r

            """
        #expect(try #require(try request(text)).forwarded == names)
    }

    @Test func `a response is filtered alike`() throws {
        let text =
            "HTTP/1.1 200 OK\r\nConnection: X-A\r\nX-A: 1\r\nKeep-Alive: x\r\nServer: s\r\n\r\n"
        #expect(try #require(try response(text)).forwarded == ["Server"])
    }

    @Test func `every known name is recognised in any case, and only whole`() throws {
        let names: [(String, KnownField)] = [
            ("Host", .host), ("Connection", .connection), ("Content-Length", .contentLength),
            ("Transfer-Encoding", .transferEncoding), ("Upgrade", .upgrade), ("Expect", .expect),
            ("TE", .te), ("Keep-Alive", .keepAlive), ("Proxy-Connection", .proxyConnection),
            ("Trailer", .trailer), ("Via", .via), ("Forwarded", .forwarded),
            ("X-Forwarded-For", .xForwardedFor), ("X-Forwarded-Proto", .xForwardedProto),
            ("X-Forwarded-Host", .xForwardedHost), ("X-Forwarded-Port", .xForwardedPort),
            ("X-Real-IP", .xRealIP), ("X-Request-ID", .xRequestID),
            ("Max-Forwards", .maxForwards), ("Date", .date), ("Server", .server),
            ("Cookie", .cookie), ("Set-Cookie", .setCookie), ("Authorization", .authorization),
            ("Proxy-Authorization", .proxyAuthorization), ("User-Agent", .userAgent),
            ("Referer", .referer), ("Location", .location), ("Accept", .accept),
            ("Origin", .origin), ("Cache-Control", .cacheControl), ("Range", .range),
            ("Content-Type", .contentType), ("Content-Encoding", .contentEncoding),
            ("Content-Range", .contentRange),
        ]
        #expect(Set(names.map(\.1)).union([.other]) == Set(KnownField.allCases))
        for (name, known) in names {
            for spelling in [name, name.lowercased(), name.uppercased()] {
                // A response, so that no value has to make sense for the field.
                let text = "HTTP/1.1 304 X\r\n\(spelling): 1\r\n\r\n"
                let field = try #require(try response(text)).fields[0]
                #expect(field.known == known, "\(spelling)")
            }
            for stranger in ["\(name)x", "x\(name)", "\(name.dropLast())!"] {
                let field = try #require(try response("HTTP/1.1 304 X\r\n\(stranger): 1\r\n\r\n"))
                    .fields[0]
                #expect(field.known == .other, "\(stranger)")
            }
        }
    }
}
