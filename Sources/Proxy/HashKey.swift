// What of a request decides its peer, where a balancer hashes?

/// The part of a request whose hash chooses the peer. A request that has no such part goes anywhere.
enum HashKey: Equatable {
    /// The client's address.
    case ip
    case path
    /// What stands at `{…}` of a path that begins as this one does: `/tenants/{id}`.
    case capture([UInt8])
    /// A request field, in lower case.
    case header([UInt8])
    case cookie([UInt8])
    /// All that stands behind the question mark.
    case query
    /// One parameter of it.
    case parameter([UInt8])

    static let expected =
        "ip, path, path:/PREFIX/{}, query, query:NAME, header:NAME or cookie:NAME, NAME being a field's, "
        + "a cookie's or a parameter's"

    /// RFC 9110, 5.6.2.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// What is no token is no field's name and no cookie's: it would never match.
    static func isToken(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy(isToken)
    }

    init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            switch text {
            case "ip": self = .ip
            case "path": self = .path
            case "query": self = .query
            default: return nil
            }
            return
        }
        let name = Array(parts[1].utf8)
        switch parts[0] {
        case "header" where Self.isToken(parts[1]):
            self = .header(Array(parts[1].lowercased().utf8))
        case "cookie" where Self.isToken(parts[1]): self = .cookie(name)
        // As it stands in a request, where these would end it.
        case "query"
        where !name.isEmpty
            && name.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"&=#".utf8.contains($0) }:
            self = .parameter(name)
        case "path" where Self.isPattern(name): self = .capture(name)
        default: return nil
        }
    }

    /// Segments, one of which is `{…}`.
    private static func isPattern(_ pattern: [UInt8]) -> Bool {
        guard pattern.first == UInt8(ascii: "/"),
            pattern.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"?#".utf8.contains($0) })
        else { return false }
        let segments = pattern.split(separator: UInt8(ascii: "/"))
        let isCapture = { (segment: ArraySlice<UInt8>) in
            segment.first == UInt8(ascii: "{") && segment.last == UInt8(ascii: "}")
        }
        let braces = pattern.count { $0 == UInt8(ascii: "{") || $0 == UInt8(ascii: "}") }
        return segments.count(where: isCapture) == 1 && braces == 2
    }
}

/// Whether a word names a part of a request, for whoever reads settings.
public enum RequestField {
    public static func isKey(_ text: String) -> Bool { HashKey(text) != nil }
    public static func isCookie(_ name: String) -> Bool { HashKey.isToken(name) }
}
