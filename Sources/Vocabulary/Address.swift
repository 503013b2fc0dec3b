// Where is a peer? As written: a name or an IP with a port, or a unix socket. Turning a name into
// IPs is the resolver's work; turning an IP into a `sockaddr` is the loop's.

/// `host:port`, `[v6]:port` or `unix:/path`.
public enum Address: Hashable, Sendable {
    /// An IPv4 or IPv6 literal without brackets, or a host name.
    case host(String, port: UInt16)
    case unix(path: String)

    /// Longest host name DNS allows (RFC 1035, section 2.3.4).
    public static let hostBytesMax = 253
    /// `sun_path` holds 108 bytes with its terminating NUL (unix(7)).
    public static let unixPathBytesMax = 107

    /// Returns nil where the text is none of the three forms; `problem(in:)` says why.
    public init?(text: String) {
        guard Self.problem(in: text) == nil, let parsed = Self.split(text) else { return nil }
        self = parsed
    }

    /// What is wrong with `text` as an address, or nil when nothing is.
    public static func problem(in text: String) -> String? {
        if text.hasPrefix("unix:") {
            let path = text.dropFirst(5)
            if !path.hasPrefix("/") {
                return "expected unix: and an absolute path, saw '\(text.withoutPassword)'"
            }
            if path.utf8.count > unixPathBytesMax {
                return "expected a socket path of at most \(unixPathBytesMax) bytes, "
                    + "saw \(path.utf8.count)"
            }
            return nil
        }
        guard let (host, port) = pieces(of: text) else {
            return "expected host:port, [v6]:port or unix:/path, saw '\(text.withoutPassword)'"
        }
        guard let number = Int(port), port == "\(number)", (1...65_535).contains(number) else {
            return "expected a port from 1 to 65535, saw '\(port)'"
        }
        if host.isEmpty || host.utf8.count > hostBytesMax {
            return "expected a host of 1 to \(hostBytesMax) bytes, saw '\(host)'"
        }
        if text.hasPrefix("[") {
            guard isIPv6(host) else { return "expected an IPv6 address, saw '\(host)'" }
            guard !isLinkLocal(host) || host.contains("%") else {
                return "expected the interface of a link-local address, such as "
                    + "[\(host)%eth0]:\(port), saw '\(text)'"
            }
            return nil
        }
        if !host.utf8.allSatisfy(isHostByte) {
            return "expected a host name or IPv4 address, saw '\(host)'"
        }
        if isNumeric(host) {
            return isIPv4(host) ? nil : "expected an IPv4 address, saw '\(host)'"
        }
        return labelProblem(in: host)
    }

    /// Longest part of a name between two dots (RFC 1035, section 2.3.4).
    public static let labelBytesMax = 63

    /// Names that no DNS can hold, or that a program would take for an option. A dot at the end is the
    /// root.
    private static func labelProblem(in host: Substring) -> String? {
        var labels = host.split(separator: ".", omittingEmptySubsequences: false)
        if labels.count > 1, labels.last?.isEmpty == true { labels.removeLast() }
        for label in labels {
            if label.isEmpty { return "expected a name between two dots, saw none in '\(host)'" }
            if label.hasPrefix("-") || label.hasSuffix("-") {
                return "expected no '-' at the beginning or the end of a name, saw '\(host)'"
            }
            if label.utf8.count > labelBytesMax {
                return "expected at most \(labelBytesMax) bytes between two dots, saw "
                    + "\(label.utf8.count) in '\(host)'"
            }
        }
        return nil
    }

    /// The last label of a name is never a number (RFC 3696, section 2): it would be an address.
    private static func isNumeric(_ host: Substring) -> Bool {
        let label = host.split(separator: ".", omittingEmptySubsequences: false).last ?? host
        return !label.isEmpty && label.utf8.allSatisfy(isDigit)
    }

    private static func isIPv4(_ host: Substring) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.count) && part.utf8.allSatisfy(isDigit)
                    && Int(part).map { $0 <= 255 } == true
                    // Some read 010 as eight.
                    && (part.count == 1 || part.first != "0")
            }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func split(_ text: String) -> Address? {
        if text.hasPrefix("unix:") { return .unix(path: String(text.dropFirst(5))) }
        guard let (host, port) = pieces(of: text), let number = UInt16(port) else { return nil }
        return .host(zoneDecoded(host), port: number)
    }

    /// URLs write the `%` before a zone as `%25` (RFC 6874). A number is taken as it stands: `%251`
    /// is the interface 251.
    private static func zoneDecoded(_ host: Substring) -> String {
        guard let percent = host.firstIndex(of: "%") else { return String(host) }
        let zone = host[host.index(after: percent)...]
        guard zone.hasPrefix("25"), !zone.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return String(host)
        }
        return "\(host[..<percent])%\(zone.dropFirst(2))"
    }

    /// fe80::/10, which says nothing without an interface (RFC 4291, section 2.5.6).
    private static func isLinkLocal(_ host: Substring) -> Bool {
        guard let group = host.split(separator: ":", omittingEmptySubsequences: false).first,
            group.utf8.count == 4, let value = UInt16(group, radix: 16)
        else { return false }
        return value & 0xFFC0 == 0xFE80
    }

    /// `fe80::1` of `fe80::1%eth0`: what other hosts may hear of it.
    public static func withoutZone(_ host: String) -> String {
        guard host.contains(":"), let percent = host.firstIndex(of: "%") else { return host }
        return String(host[..<percent])
    }

    /// The interface in `fe80::1%eth0`, as written; nil where none is named.
    public static func zone(of host: String) -> String? {
        guard host.contains(":"), let percent = host.firstIndex(of: "%") else { return nil }
        return String(host[host.index(after: percent)...])
    }

    /// The same without the zone.
    public var withoutZone: Address {
        switch self {
        case .host(let host, let port): .host(Self.withoutZone(host), port: port)
        case .unix: self
        }
    }

    private static func pieces(of text: String) -> (host: Substring, port: Substring)? {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let port = text[text.index(after: colon)...]
        var host = text[..<colon]
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        return (host, port)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Roughly: whether it really is one, `inet_pton` decides. The zone after `%` names an interface.
    private static func isIPv6(_ host: Substring) -> Bool {
        let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        return parts[0].contains(":") && parts[0].utf8.allSatisfy(isIPv6Byte)
            && (parts.count == 1 || !parts[1].isEmpty && parts[1].utf8.allSatisfy(isHostByte))
    }

    private static func isIPv6Byte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// `text` as it is when it names a port or a socket, else with `port` after it.
    public static func completing(_ text: String, port: UInt16) -> String {
        if text.hasPrefix("unix:") { return text }
        let hasPort = text.hasPrefix("[") ? text.contains("]:") : text.contains(":")
        return hasPort ? text : "\(text):\(port)"
    }

    /// The same host on another port; a unix socket has none and stays as it is.
    public func with(port: UInt16) -> Address {
        switch self {
        case .host(let host, _): .host(host, port: port)
        case .unix: self
        }
    }
}

extension Address: CustomStringConvertible {
    public var description: String {
        switch self {
        case .host(let host, let port):
            // Added up, not interpolated: that reserves twice what it takes, and peers are named so.
            host.contains(":") ? "[" + host + "]:" + String(port) : host + ":" + String(port)
        case .unix(let path): "unix:\(path)"
        }
    }
}
