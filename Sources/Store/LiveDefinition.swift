// How is kept what somebody defined through the API? As the words that the configuration file would have for
// it, as JSON, each thing by itself: an upstream without its peers and monitors, a peer, a monitor, a route.
// Whoever reads it reads it as a file is read, so an agent of another version takes what it knows.

public import Health
public import Vocabulary

/// What a definition is of.
public enum LiveKey: RecordKey {
    /// What holds of an upstream as a whole.
    case upstream(String)
    case peer(PeerKey)
    case monitor(upstream: String, id: String)
    /// By the name it has in the API.
    case route(String)

    /// `web|peer|127.0.0.1:9001`; a route, which has no upstream of its own: `|route|shop`.
    public var field: String {
        switch self {
        case .upstream(let name): Field.join([name, "upstream"])
        case .peer(let key): Field.join([key.upstream, "peer", key.peer])
        case .monitor(let upstream, let id): Field.join([upstream, "monitor", id])
        case .route(let id): Field.join(["", "route", id])
        }
    }

    public init?(field: String) {
        let parts = Field.split(field)
        let last = parts.last ?? ""
        switch (parts.count, parts.dropFirst().first) {
        case (2, "upstream") where !parts[0].isEmpty: self = .upstream(parts[0])
        case (3, "peer") where !parts[0].isEmpty && !last.isEmpty:
            self = .peer(PeerKey(upstream: parts[0], peer: last))
        case (3, "monitor") where !parts[0].isEmpty && !last.isEmpty:
            self = .monitor(upstream: parts[0], id: last)
        case (3, "route") where parts[0].isEmpty && !last.isEmpty: self = .route(last)
        default: return nil
        }
    }

    public var owner: String? {
        switch self {
        case .upstream(let name), .monitor(let name, _): name
        case .peer(let key): key.upstream
        case .route: nil
        }
    }

    public static func pattern(of owner: String) -> String? { Field.pattern(under: owner) }
}

/// Something that the API defined.
public struct LiveDefinition: Wish {
    /// As the file would have it: an object, or a text where it takes one.
    public let body: JSON
    /// Who defined it, as far as that was said.
    public let by: String

    /// The value of a field in Redis has to hold it beside its stamps, with its quotes written twice.
    public static let bytesMax = 7_000

    /// Nil for what holds takes it away.
    public struct Change: Hashable, Sendable {
        public let body: JSON?
        public let by: String

        public init(_ body: JSON?, by: String = "") {
            self.body = body
            self.by = body == nil ? "" : by
        }
    }

    public typealias Key = LiveKey

    public static let sort = RecordSort(
        name: "definition",
        collection: "definitions",
        names: "definition",
        ledgerKind: LedgerKind.definition,
        rule: .merged([Register("body", ["by"])])
    )

    // A text of JSON: Redis's scripts cannot tell an empty list from an empty map.
    public var parts: [JSON] { Self.parts(of: Change(body, by: by)).map { $0 ?? .null } }

    public init?(parts: [JSON]) {
        guard let text = parts.first?["body"]?.string, text.utf8.count <= Self.bytesMax * 2,
            let body = try? JSON(parsing: Array(text.utf8)), !body.isNull
        else { return nil }
        self.body = body
        by = Believable.message(parts.first?["by"]?.string ?? "")
    }

    public static func parts(of change: Change) -> [JSON?] {
        guard let body = change.body else { return [.null] }
        let members = [
            JSON.Member("body", .string(body.text)),
            .init("by", change.by.isEmpty ? .null : .string(change.by)),
        ]
        return [JSON.object(members).withoutNulls()]
    }
}
