// Which request is `"GET /status HTTP/1.0\r\nHost: app\r\n\r\n"`? Checks of older systems write it as it goes over the wire;
// muster writes its parts.

import Vocabulary

struct RequestText {
    private(set) var entries: [Tree.Entry] = []
    /// What a probe cannot be given.
    private(set) var left: [String] = []

    private static let reserved: Set<String> = [
        "connection", "content-length", "transfer-encoding", "upgrade",
    ]

    init(_ text: String) {
        let normal = text.replacing("\r\n", with: "\n")
        var lines = normal.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let first = lines.isEmpty ? "" : lines.removeFirst()
        let words = first.split(separator: " ").map(String.init)
        let method = words.first ?? "GET"
        entries.append(.init("path", .text(RequestPath.sent(words.count > 1 ? words[1] : "/"))))
        if HAProxyHTTPCheck.methods.contains(method) {
            if method != "GET" { entries.append(.init("method", .word(method))) }
        } else {
            left.append(first)
        }
        if words.count > 2, words[2] != "HTTP/1.1" { left.append(words[2]) }
        var headers: [Tree.Entry] = []
        for line in lines {
            if line.isEmpty { break }
            take(line, &headers)
        }
        if !headers.isEmpty { entries.append(.init("headers", .map(headers))) }
    }

    private mutating func take(_ line: String, _ headers: inout [Tree.Entry]) {
        let sides = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(sides[0])
        let value = sides.count > 1 ? String(sides[1].drop { $0 == " " || $0 == "\t" }) : ""
        let isValue = value.utf8.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }
        let key = name.lowercased()
        let isKnown = headers.contains { $0.key.lowercased() == key }
        guard HAProxyImport.isToken(name), sides.count > 1, isValue, !isKnown,
            !Self.reserved.contains(key), headers.count < HAProxyHTTPCheck.headersMax
        else {
            // A probe closes its connection anyway.
            if key != "connection" { left.append(line) }
            return
        }
        let isVisible = !value.isEmpty && value.utf8.allSatisfy { (0x21..<0x7F).contains($0) }
        switch key {
        case "host" where isVisible && !entries.contains { $0.key == "host" }:
            entries.append(.init("host", .text(value)))
        case "user-agent" where !value.isEmpty && !entries.contains { $0.key == "user-agent" }:
            entries.append(.init("user-agent", .text(value)))
        case "host", "user-agent": left.append(line)
        default: headers.append(.init(name, .text(value)))
        }
    }
}
