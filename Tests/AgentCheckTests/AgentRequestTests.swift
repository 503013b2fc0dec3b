// Is a request understood, however it is written and however it is split?

import Testing
import Vocabulary

@testable import AgentCheck

@Suite struct AgentRequestTests {
    private static func read(_ text: String, isEnded: Bool = false) -> AgentRequest {
        AgentRequest(Array(text.utf8).span, isEnded: isEnded)
    }

    @Test(arguments: [
        ("web/10.0.0.1:8080\n", "web/10.0.0.1:8080"),
        ("web/10.0.0.1:8080\r\n", "web/10.0.0.1:8080"),
        ("  web/s1 \t \n", "web/s1"),
        ("web/unix:/run/a b.sock\nrest", "web/unix:/run/a b.sock"),
        ("web/[::1]:80\n", "web/[::1]:80"),
        ("\n", ""),
        ("GETAWAY/s1\n", "GETAWAY/s1"),
        ("HEADS/s1\n", "HEADS/s1"),
        ("G/s1\n", "G/s1"),
    ])
    func `the first line names the peer`(text: String, name: String) {
        #expect(Self.read(text) == .peer(name: name))
    }

    @Test(arguments: [
        ("GET /agent/web/s1 HTTP/1.0\r\n\r\n", "/agent/web/s1", false),
        ("HEAD /agent/web/s1 HTTP/1.1\r\nhost: x\r\n\r\n", "/agent/web/s1", true),
        ("GET /agent/web/127.0.0.1%3A80?x=1 HTTP/1.1\n\n", "/agent/web/127.0.0.1:80", false),
        ("GET / HTTP/1.1\r\n\r\n", "/", false),
    ])
    func `GET and HEAD ask for a page`(text: String, path: String, isHead: Bool) {
        #expect(Self.read(text) == .page(path: path, isHead: isHead))
    }

    @Test(arguments: ["\u{16}\u{3}\u{1}", "web\0/s1\n", "\u{1}\n", "GET %zz x\n\n", "GET /%ff\n\n"])
    func `what cannot be meant for us is garbage`(text: String) {
        #expect(Self.read(text) == .garbage)
    }

    @Test(arguments: ["", "web/s1", "G", "GE", "HEAD"])
    func `the beginning of a request waits for the rest`(text: String) {
        let isHTTP = "GET".hasPrefix(text) || "HEAD".hasPrefix(text)
        #expect(Self.read(text) == .incomplete(isHTTP: isHTTP))
    }

    @Test func `an end of sending finishes a line`() {
        #expect(Self.read("web/s1", isEnded: true) == .peer(name: "web/s1"))
        #expect(
            Self.read("GET /agent/web/s1", isEnded: true)
                == .page(path: "/agent/web/s1", isHead: false)
        )
    }

    @Test func `no request is longer than the limit`() {
        let long = String(repeating: "a", count: AgentRequest.bytesMax)
        #expect(Self.read(long) == .garbage)
        #expect(Self.read(String(long.dropLast())) == .incomplete(isHTTP: false))
        let path = "GET /agent/web/s1 HTTP/1.1\r\nx: "
        let head = path + String(repeating: "b", count: AgentRequest.bytesMax - path.utf8.count)
        #expect(Self.read(head) == .page(path: "/agent/web/s1", isHead: false))
    }

    /// No prefix of a whole request may be mistaken for another one.
    @Test(arguments: [
        "web/10.0.0.1:8080\n", "GET /agent/web/s1 HTTP/1.0\r\nhost: a\r\n\r\n",
        "HEAD /agent/web/s1 HTTP/1.1\r\n\r\n",
    ])
    func `every proper prefix is incomplete`(text: String) {
        for count in 0..<(text.utf8.count - 1) {
            let prefix = String(decoding: Array(text.utf8).prefix(count), as: UTF8.self)
            guard case .incomplete = Self.read(prefix) else {
                Issue.record("prefix of \(count) bytes: \(Self.read(prefix))")
                continue
            }
        }
    }

    /// Any bytes, any split: never a trap, and the same answer as from the whole.
    @Test func `random bytes are answered alike however they are split`() {
        var generator = Dice(seed: 42)
        let alphabet = Array("GETHAD /web%41:\r\n\t\0\u{7F}".utf8) + [0xFF, 0xC3]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                alphabet.randomElement(using: &generator) ?? 0
            }
            let whole = AgentRequest(bytes.span, isEnded: false)
            if case .incomplete = whole { continue }
            // The first prefix that is enough must stay the answer when more comes, except that
            // more of HTTP is waited for until its empty line.
            let first = (0...bytes.count).lazy
                .map { AgentRequest(Array(bytes.prefix($0)).span, isEnded: false) }
                .first { if case .incomplete = $0 { false } else { true } }
            #expect(first == whole, "\(bytes)")
        }
    }
}
