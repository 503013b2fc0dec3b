// How is kept what somebody defined through the API? As the words that the configuration file would have for
// it, as JSON: an upstream with all that its definition names, and each peer, monitor or route by itself.
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

    /// Routes have an owner of their own, which is no upstream.
    public var owner: String? { group }

    public var group: String {
        switch self {
        case .upstream(let name), .monitor(let name, _): name
        case .peer(let key): key.upstream
        case .route: Self.routes
        }
    }

    /// The owner of all routes.
    public static let routes = ""

    public static func pattern(of owner: String) -> String? { Field.pattern(under: owner) }
}

/// Something that the API defined, or took away again.
public struct LiveDefinition: Wish {
    /// As the file would have it: an object, or a text where it takes one; null where it is taken away
    /// though the upstream's own body has it.
    public let body: JSON
    /// Who defined it, as far as that was said.
    public let by: String
    /// Of an upstream: counts how often it was defined as a whole, or taken away. Of a peer or a monitor: which of
    /// these it came after. What came after another one than the last counts no more: so one write replaces
    /// an upstream with all that hangs on it.
    public let generation: Int64

    /// The value of a field in Redis has to hold it beside its stamps, with its quotes written twice.
    public static let bytesMax = 7_000

    public init(_ body: JSON, by: String = "", generation: Int64 = 0) {
        self.body = body
        self.by = by
        self.generation = generation
    }

    public var isGone: Bool { body.isNull }

    public typealias Key = LiveKey
    /// Nil for what was written takes it back.
    public typealias Change = LiveDefinition?

    public static let sort = RecordSort(
        name: "definition",
        collection: "definitions",
        names: "definition",
        ledgerKind: LedgerKind.definition,
        rule: .merged([Register("body", ["by", "of"])])
    )

    /// Balancers, and numbers for names, go by the order of peers.
    public static let comesInOrder = true

    public var parts: [JSON] { Self.parts(of: self).map { $0 ?? .null } }

    public init?(parts: [JSON]) {
        guard let part = parts.first, let text = part["body"]?.string,
            text.utf8.count <= Self.bytesMax * 2,
            let body = try? JSON(parsing: Array(text.utf8))
        else { return nil }
        let generation = part["of"]?.integer ?? 0
        guard (0..<Self.generationMax).contains(generation) else { return nil }
        self.init(
            body,
            by: Believable.message(part["by"]?.string ?? ""),
            generation: generation
        )
    }

    /// Exact in a script of Redis, and more than anybody will count.
    private static let generationMax: Int64 = 1 << 52

    // A text of JSON: Redis's scripts cannot tell an empty list from an empty map.
    public static func parts(of change: LiveDefinition?) -> [JSON?] {
        guard let change else { return [.null] }
        let members = [
            JSON.Member("body", .string(change.body.text)),
            .init("by", change.by.isEmpty ? .null : .string(change.by)),
            .init("of", change.generation == 0 ? .null : .integer(change.generation)),
        ]
        return [JSON.object(members).withoutNulls()]
    }
}
