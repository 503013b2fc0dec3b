// What of a request decides its peer, where a balancer hashes?

/// The part of a request whose hash chooses the peer.
enum HashKey: Equatable {
    /// The client's address.
    case ip
    case path
    /// A request field, in lower case. A request without it is hashed as if it were empty.
    case header([UInt8])

    init?(_ text: String) {
        switch text {
        case "ip": self = .ip
        case "path": self = .path
        default:
            guard text.hasPrefix("header:"), text.utf8.count > 7 else { return nil }
            self = .header(Array(text.dropFirst(7).lowercased().utf8))
        }
    }
}
