// What do the paths and bodies of a script that manages a durpina mean in muster's words? Pure.

import Health
import Store
import Vocabulary

/// What a path asks for.
enum DurpinaRequest: Equatable, Sendable {
    case ready
    case action(upstream: String, String)
    /// The weight in the path; nil where the body has it.
    case weight(upstream: String, peer: String, String?)
    case none

    /// `segments` are decoded.
    init(_ segments: [String]) {
        switch (segments.first ?? "", segments.count) {
        case ("ready", 1): self = .ready
        case ("upstream", 4) where segments[2] == "action":
            self = .action(upstream: segments[1], segments[3])
        case ("set_peer_weight", 2): self = .action(upstream: segments[1], "set_peer_weights")
        case ("set_upstream_peer_weight", 3):
            self = .weight(upstream: segments[1], peer: segments[2], nil)
        case ("set_upstream_peer_weight", 4):
            self = .weight(upstream: segments[1], peer: segments[2], segments[3])
        default: self = .none
        }
    }
}

/// What durpina calls the state of a peer, and which of them a selector means.
enum DurpinaState: String, Sendable {
    case up, failing
    case temporarilyDown = "temp_down"
    case down

    init(_ peer: PeerReport) {
        switch peer.view.status {
        // By order, and until another: nothing of its own brings it back.
        case .maint, .drain: self = .down
        case .down: self = .down
        case .ejected: self = .temporarilyDown
        // Its name has no address: nobody can be asked there, and that may change.
        case .unknown where peer.view.isNowhere: self = .temporarilyDown
        case .up, .degraded, .starting, .unknown:
            let isDoubted = peer.verdicts.contains { $0.status == .up && !$0.isAtItsBest }
            self = isDoubted || peer.view.status == .degraded ? .failing : .up
        }
    }

    /// Nil where there is no such selector.
    static func selected(by selector: String?, _ peer: PeerReport) -> Bool? {
        let state = DurpinaState(peer)
        switch selector ?? "all" {
        case "all": return true
        case "failing": return state == .failing
        case "down": return state == .down || state == .temporarilyDown
        // What comes back by itself, and what waits for somebody.
        case "temporary_down":
            return state == .temporarilyDown || state == .down && peer.view.status == .down
        case "permanent_down": return peer.view.status == .maint || peer.view.status == .drain
        default: return nil
        }
    }
}

/// Bodies of durpina's in muster's words.
enum DurpinaBody {
    struct Problem: Error, Equatable {
        let text: String
    }

    /// `"host:port weight=…"`, or a table with `name`, or `host` and `port`.
    static func peer(_ json: JSON) throws(Problem) -> JSON {
        if let text = json.string {
            var words = text.split(separator: " ").map(String.init)
            guard let first = words.first else {
                throw Problem(text: "expected a peer, saw nothing")
            }
            if !first.contains(":") { words[0] = "\(first):80" }
            if !words.contains(where: { $0.hasPrefix("max_fails=") }) {
                words.append("max_fails=3")
            }
            return .string(words.joined(separator: " "))
        }
        guard json.members != nil else {
            throw Problem(
                text: "expected a peer as a text or an object, saw \(Excerpt.of(json.text.utf8))"
            )
        }
        let port = json["port"]?.int ?? 80
        guard let name = json["name"]?.string ?? json["address"]?.string ?? json["host"]?.string
        else {
            throw Problem(text: "expected 'name' or 'host', saw neither")
        }
        let host = json["host"]?.string
        let address =
            host.map { "\($0):\(port)" } ?? (name.contains(":") ? name : "\(name):\(port)")
        var members: [JSON.Member] = [.init("address", .string(address))]
        members.append(.init("max-fails", json["max_fails"] ?? .integer(3)))
        if let weight = json["weight"] ?? json["initial_weight"] {
            members.append(.init("weight", weight))
        }
        if let span = json["fail_timeout"] {
            let text = span.int.map { "\($0)s" } ?? span.string ?? span.text
            members.append(.init("fail-timeout", .string(text)))
        }
        return .object(members)
    }

    private static let kinds = [
        "http": "http", "tcp": "tcp", "haproxy-agent-check": "haproxy-agent-check",
        "http-haproxy-agent-check": "http-agent",
    ]

    static func name(ofKind kind: String) -> String {
        kinds.first { $0.value == kind }?.key ?? kind
    }

    /// `{"name": "http", "id": …, "uri": …}`.
    static func monitor(_ json: JSON) throws(Problem) -> JSON {
        guard let name = json["name"]?.string else {
            throw Problem(text: "expected the monitor's 'name', saw none")
        }
        guard let kind = kinds[name] else { throw Problem(text: "unknown monitor \(name)") }
        var settings: [JSON.Member] = []
        var headers: [JSON.Member] = []
        let isOverHTTP = name.hasPrefix("http")
        var hasInterval = false
        for member in json.members ?? [] {
            let value = member.value
            switch member.key {
            case "name": continue
            case "id": settings.append(.init("id", .string(value.string ?? value.text)))
            case "port":
                settings.append(.init("port", value.int.map { .integer(Int64($0)) } ?? value))
            case "interval":
                hasInterval = true
                settings.append(.init("interval", .string(try span(value, unit: "s"))))
            case "timeout": settings.append(.init("timeout", .string(try span(value, unit: "ms"))))
            case "peers":
                // All are probed, at a pace of their own where they fail.
                guard value.string == "all" else {
                    throw Problem(text: "peers: expected all, saw \(Excerpt.of(value.text.utf8))")
                }
            case "uri" where isOverHTTP, "url" where isOverHTTP:
                settings.append(.init("path", value))
            case "ok_codes" where isOverHTTP: settings.append(.init("expect", value))
            case "method" where isOverHTTP, "body" where isOverHTTP:
                settings.append(.init(member.key, value))
            case _ where isOverHTTP && member.key.hasPrefix("header_"):
                let field = String(member.key.dropFirst(7)).replacing("_", with: "-")
                if field.lowercased() == "host" {
                    settings.append(.init("host", value))
                } else {
                    headers.append(.init(field, value))
                }
            default: throw Problem(text: "unknown option \(member.key)")
            }
        }
        if !headers.isEmpty { settings.append(.init("headers", .object(headers))) }
        if !hasInterval { settings.append(.init("interval", .string("5s"))) }
        if kind != "http", kind != "tcp" { settings.append(.init("on-error", .string("fail"))) }
        return .object([.init(kind, .object(settings))])
    }

    /// A number in `unit`, or a text with one of its own.
    private static func span(_ value: JSON, unit: String) throws(Problem) -> String {
        if let number = value.int { return "\(number)\(unit)" }
        guard let text = value.string, !text.isEmpty else {
            throw Problem(text: "expected a time, saw \(Excerpt.of(value.text.utf8))")
        }
        return text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? text + unit : text
    }

    /// A positive whole number, as its README says: neither nothing nor a part.
    static func weight(_ text: String) -> Int? {
        let number = text.drop { $0 == " " || $0 == "\n" || $0 == "\r" }
        let digits = number.prefix { $0.isASCII && $0.isNumber }
        let rest = number.dropFirst(digits.count)
        guard rest.allSatisfy({ $0 == " " || $0 == "\n" || $0 == "\r" || $0 == "\r\n" }),
            let weight = Int(digits),
            (1...PeerDefinition.weightMax).contains(weight)
        else { return nil }
        return weight
    }
}
