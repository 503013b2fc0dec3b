// What of a request decides its peer, where a balancer hashes?

/// The part of a request whose hash chooses the peer.
enum HashKey: Equatable {
    /// The client's address.
    case ip
    case path
    /// A request field, in lower case. A request without it is hashed as if it were empty.
    case header([UInt8])

    /// RFC 9110, 5.6.2.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    init?(_ text: String) {
        switch text {
        case "ip": self = .ip
        case "path": self = .path
        default:
            // What is no token is no field's name: it would never match.
            guard text.hasPrefix("header:"), text.utf8.count > 7,
                text.utf8.dropFirst(7).allSatisfy(Self.isToken)
            else { return nil }
            self = .header(Array(text.dropFirst(7).lowercased().utf8))
        }
    }
}

/// Whether a word names a part of a request, for whoever reads settings.
public enum RequestField {
    public static func isKey(_ text: String) -> Bool { HashKey(text) != nil }
}
