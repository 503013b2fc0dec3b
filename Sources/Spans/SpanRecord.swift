// What is known of something that was done, when it is over? Plain values, as they go to whoever collects them.

/// One span of a trace, ended.
public struct SpanRecord: Hashable, Sendable {
    /// The numbers are OTLP's.
    public enum Kind: Int, Sendable {
        case `internal` = 1
        case server = 2
        case client = 3
        case producer = 4
        case consumer = 5
    }

    public enum Status: Hashable, Sendable {
        case unset
        case ok
        case error(String)
    }

    public enum Value: Hashable, Sendable {
        case text(String)
        case integer(Int64)
        case number(Double)
        case bool(Bool)
        case texts([String])
    }

    public struct Attribute: Hashable, Sendable {
        public var key: String
        public var value: Value

        public init(_ key: String, _ value: Value) {
            self.key = key
            self.value = value
        }
        public init(_ key: String, _ text: String) { self.init(key, .text(text)) }
        public init(_ key: String, _ number: Int) { self.init(key, .integer(Int64(number))) }
    }

    public struct Event: Hashable, Sendable {
        public var name: String
        public var at: Int64
        public var attributes: [Attribute]

        public init(name: String, at: Int64, attributes: [Attribute] = []) {
            self.name = name
            self.at = at
            self.attributes = attributes
        }
    }

    public var trace: TraceID
    public var span: SpanID
    /// Nil where a trace begins.
    public var parent: SpanID?
    /// What came as `tracestate`, unread.
    public var state = ""
    public var name: String
    public var kind: Kind
    /// Nanoseconds since 1970.
    public var begun: Int64
    public var ended: Int64
    public var attributes: [Attribute] = []
    public var events: [Event] = []
    public var status = Status.unset

    public init(
        trace: TraceID,
        span: SpanID,
        parent: SpanID?,
        name: String,
        kind: Kind,
        begun: Int64,
        ended: Int64
    ) {
        self.trace = trace
        self.span = span
        self.parent = parent
        self.name = name
        self.kind = kind
        self.begun = begun
        self.ended = ended
    }

    /// What of a text is kept: a URL may be long.
    public static let textBytesMax = 512

    public static func shortened(_ text: String) -> String {
        guard text.utf8.count > textBytesMax else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: textBytesMax)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text[..<end])
    }
}
