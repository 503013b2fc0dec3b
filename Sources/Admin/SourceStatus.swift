// Is what other systems keep heard of? One source of routes, as the API tells of it.

public import Vocabulary

/// A source of `sources`, and how its Redis is.
public struct SourceStatus: Hashable, Sendable {
    public var kind: String
    public var name: String
    /// Where it is read, without a password.
    public var url: String
    public var isConnected: Bool
    public var since: WallTime
    public var error: String?
    public var frontends: Int
    public var backends: Int
    /// Hosts whose marks wait to be written; nil where none are.
    public var marks: Int?

    public init(
        kind: String,
        name: String,
        url: String,
        isConnected: Bool,
        since: WallTime,
        error: String?,
        frontends: Int,
        backends: Int,
        marks: Int?
    ) {
        self.kind = kind
        self.name = name
        self.url = url
        self.isConnected = isConnected
        self.since = since
        self.error = error
        self.frontends = frontends
        self.backends = backends
        self.marks = marks
    }

    var json: JSON {
        .object([
            .init("kind", .string(kind)),
            .init("name", .string(name)),
            .init("url", .string(url)),
            .init("connected", .bool(isConnected)),
            .init("since", .string(since.description)),
            .init("error", JSON(error?.printable)),
            .init("frontends", JSON(frontends)),
            .init("backends", JSON(backends)),
            .init("marks", marks.map { JSON($0) } ?? .null),
        ])
    }
}

extension MetricsText {
    static func sources(_ sources: [SourceStatus]) -> String {
        if sources.isEmpty { return "" }
        var text = MetricsText(isPerPeer: false)
        text.family(
            "muster_source_connected",
            "gauge",
            "Whether the Redis of a source of routes is there."
        )
        for source in sources {
            text.sample(
                "muster_source_connected",
                [("source", source.name)],
                source.isConnected ? 1 : 0
            )
        }
        text.family(
            "muster_source_frontends",
            "gauge",
            "Hosts that a source of routes has, as far as they were read."
        )
        for source in sources {
            text.sample(
                "muster_source_frontends",
                [("source", source.name)],
                Double(source.frontends)
            )
        }
        return text.text
    }
}
