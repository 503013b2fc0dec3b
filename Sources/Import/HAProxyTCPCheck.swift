// What does a `tcp-check` say to a server, and wait for? Steps of a dialogue, over one connection.

import Patterns
import Vocabulary

struct HAProxyTCPCheck {
    private let proxy: HAProxyProxy
    private let hasSocket: Bool
    private(set) var notes: [Note] = []
    private var steps: [(tree: Tree, line: HAProxyLine, isRejection: Bool)] = []
    private var own: [Tree.Entry] = []
    private var hasConnected = false

    static let stepsMax = 32
    private static let bytesMax = 16_384

    init(_ proxy: HAProxyProxy, hasSocket: Bool) {
        self.proxy = proxy
        self.hasSocket = hasSocket
    }

    private mutating func note(_ line: HAProxyLine, _ why: String, text: String? = nil) {
        notes.append(Note(place: line.place, text: text ?? line.raw, why: why))
    }

    mutating func entries(secured: [Tree.Entry]) -> [Tree.Entry] {
        var isOver = false
        for line in proxy.tcpChecks {
            if isOver {
                note(line, "one connection is made")
            } else if line.second == "connect", hasConnected || !steps.isEmpty {
                isOver = true
                note(line, "one connection is made")
            } else {
                rule(line)
            }
        }
        while let last = steps.last, last.isRejection {
            steps.removeLast()
            note(last.line, "nothing is expected after it, so nothing would be read")
        }
        var entries = own
        if !secured.isEmpty {
            entries.removeAll { $0.key == "tls" }
            entries += secured
        }
        if !steps.isEmpty { entries.append(.init("steps", .list(steps.map(\.tree)))) }
        return entries
    }

    private mutating func rule(_ line: HAProxyLine) {
        switch line.second {
        case "connect": connect(line)
        case "send": text("send", line.rest.dropFirst(), line)
        case "send-binary": hex("send-hex", line.rest.dropFirst(), line)
        case "expect": expect(line)
        case "comment": note(line, "a text for people")
        default: note(line, "no counterpart")
        }
    }

    private mutating func connect(_ line: HAProxyLine) {
        hasConnected = true
        var left: [String] = []
        var words = line.rest.dropFirst()
        var tls: [Tree.Entry]?
        while let word = words.popFirst() {
            switch word {
            case "default", "linger": break
            case "ssl": tls = tls ?? [.init("verify", .flag(false))]
            case "send-proxy": own.append(.init("proxy-protocol", .word("v1")))
            case "comment": words = words.dropFirst()
            case "sni":
                if let name = words.popFirst(), !name.isEmpty {
                    tls =
                        (tls ?? [.init("verify", .flag(false))]) + [
                            .init("server-name", .text(name))
                        ]
                }
            case "port":
                let text = words.popFirst() ?? ""
                if !hasSocket, let port = Int(text), (1...65_535).contains(port) {
                    own.append(.init("port", .number(port)))
                } else {
                    left += [word, text]
                }
            default: left.append(word)
            }
        }
        if let tls { own.append(.init("tls", .map(tls))) }
        if !left.isEmpty { note(line, "no counterpart", text: left.joined(separator: " ")) }
    }

    private mutating func add(_ key: String, _ value: String, _ line: HAProxyLine) {
        guard steps.count < Self.stepsMax else {
            note(line, "at most \(Self.stepsMax) steps")
            return
        }
        steps.append((.map([.init(key, .text(value))]), line, key.hasPrefix("reject")))
    }

    private mutating func text(_ key: String, _ words: ArraySlice<String>, _ line: HAProxyLine) {
        let text = words.first ?? ""
        guard (1...Self.bytesMax).contains(text.utf8.count) else {
            note(line, "expected 1 to \(Self.bytesMax) bytes")
            return
        }
        if words.count > 1 {
            note(line, "no counterpart", text: words.dropFirst().joined(separator: " "))
        }
        add(key, Escaped.text(text), line)
    }

    private mutating func hex(_ key: String, _ words: ArraySlice<String>, _ line: HAProxyLine) {
        let text = words.first ?? ""
        let isHex = text.allSatisfy { $0.isASCII && $0.isHexDigit } && text.utf8.count % 2 == 0
        guard isHex, (2...2 * Self.bytesMax).contains(text.utf8.count) else {
            note(line, "expected pairs of hexadecimal digits")
            return
        }
        add(key, text, line)
    }

    private mutating func expect(_ line: HAProxyLine) {
        let condition = HAProxyCondition(of: line)
        if !condition.skipped.isEmpty {
            note(line, "no counterpart", text: condition.skipped.joined(separator: " "))
        }
        let (words, isNot) = (condition.words, condition.isNot)
        let verb = isNot ? "reject" : "expect"
        switch condition.sort {
        case "string": text(verb, [words.joined(separator: " ")], line)
        case "binary": hex("\(verb)-hex", words, line)
        case "rstring":
            let pattern = words.joined(separator: " ")
            if pattern.isEmpty || (try? Pattern(pattern)) == nil {
                note(line, "no pattern that muster has")
            } else {
                add("\(verb)-pattern", pattern, line)
            }
        default: note(line, "no such condition here")
        }
    }
}
