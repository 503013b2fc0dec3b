// Where is a backend that older systems name by a URL? hipache took host and port of it and nothing else,
// planb the same, also without a scheme; so what stands behind the port decides nothing.

public import Vocabulary

/// One backend of a list, as it can be reached.
public struct BackendPlace: Hashable, Sendable {
    /// The same for all spellings of one place: `10.0.0.1:8080`.
    public let id: String
    public let address: Address

    /// Nil where the text names no place; `problem(in:)` says why.
    public init?(_ text: String) {
        guard let place = Self.parse(text) else { return nil }
        self = place
    }

    private init(id: String, address: Address) {
        self.id = id
        self.address = address
    }

    private static let portDefault: UInt16 = 80

    private static func parse(_ text: String) -> BackendPlace? {
        var rest = text[...]
        // Whoever pipes a line has its end behind it.
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        rest = rest.drop { $0.isWhitespace }
        var hasScheme = false
        if let scheme = rest.firstRange(of: "://") {
            guard rest[..<scheme.lowerBound].lowercased() == "http" else { return nil }
            rest = rest[scheme.upperBound...]
            hasScheme = true
        }
        var authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }.lowercased()
        // Who it is to be asked as is no part of where it is.
        if hasScheme, let at = authority.lastIndex(of: "@") {
            authority = String(authority[authority.index(after: at)...])
        }
        guard !authority.contains("@") else { return nil }
        let hasPort =
            authority.hasSuffix("]")
            ? false : authority.split(separator: "]").last?.contains(":") ?? false
        // Free text is no backend: without a scheme only a port makes it one.
        guard hasScheme || hasPort else { return nil }
        var full = hasPort ? authority : "\(authority):\(portDefault)"
        if full.hasSuffix(":") { full += "\(portDefault)" }
        guard let address = Address(text: full) else { return nil }
        // The one name that is an address everywhere, whatever a resolver makes of it.
        if case .host("localhost", let port) = address {
            return BackendPlace(id: full, address: .host("127.0.0.1", port: port))
        }
        return BackendPlace(id: full, address: address)
    }

    /// What is wrong with a text, for people; nil where nothing is.
    public static func problem(in text: String) -> String? {
        if parse(text) != nil { return nil }
        let shown = Excerpt.of(Array(text.utf8))
        if text.lowercased().hasPrefix("https://") {
            return "expected http://host:port, saw \(shown): peers are not reached over TLS"
        }
        return "expected http://host:port or host:port, saw \(shown)"
    }
}
