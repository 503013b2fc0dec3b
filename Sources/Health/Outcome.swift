// What did one probe find? An outcome names the verdict, the layer that spoke, and what a person
// needs to see. It knows nothing of thresholds: what a run of outcomes means is `HealthCounter`'s.

public import Vocabulary

/// HAProxy's words for how a check ended. Operators already know where `L6TOUT` sends them.
public enum Reason: String, Sendable, CaseIterable {
    /// Never probed.
    case unknown = "UNK"
    /// No socket could be had here: our own limit, not the peer's fault.
    case socketError = "SOCKERR"
    case layer4OK = "L4OK"
    case layer4Timeout = "L4TOUT"
    /// Refused, unreachable or reset while connecting.
    case layer4Connect = "L4CON"
    case layer6OK = "L6OK"
    case layer6Timeout = "L6TOUT"
    /// The TLS handshake failed, or the certificate was refused.
    case layer6Response = "L6RSP"
    case layer7OK = "L7OK"
    /// Passed on condition: no new traffic, sessions stay (HAProxy's NOLB).
    case layer7Conditional = "L7OKC"
    case layer7Timeout = "L7TOUT"
    /// The answer could not be understood, or ended early.
    case layer7Response = "L7RSP"
    /// The answer was understood, and it was the wrong one.
    case layer7Status = "L7STS"
    case processError = "PROCERR"
    case processTimeout = "PROCTOUT"
    case processOK = "PROCOK"
    /// The name did not resolve. HAProxy has no word for it: it never probes by name.
    case resolver = "DNS"
    /// Said nothing about health, on purpose (an agent line without a health word).
    case checked = "CHECKED"

    /// Nothing came, or not in time.
    public var isTimeout: Bool {
        switch self {
        case .layer4Timeout, .layer6Timeout, .layer7Timeout, .processTimeout: true
        default: false
        }
    }

    /// `L4`, `L6`, `L7`, `PROC`, or nil where no layer of the peer is concerned.
    public var layer: String? {
        switch self {
        case .layer4OK, .layer4Timeout, .layer4Connect: "L4"
        case .layer6OK, .layer6Timeout, .layer6Response: "L6"
        case .layer7OK, .layer7Conditional, .layer7Timeout, .layer7Response, .layer7Status: "L7"
        case .processError, .processTimeout, .processOK: "PROC"
        case .unknown, .socketError, .resolver, .checked: nil
        }
    }
}

/// Where the time of one probe went. A phase that was not reached stays nil: a zero would poison
/// every percentile computed from it.
public struct Phases: Sendable, Hashable {
    public var resolve: Nanoseconds?
    public var connect: Nanoseconds?
    public var tls: Nanoseconds?
    public var firstByte: Nanoseconds?
    public var total: Nanoseconds

    public init(total: Nanoseconds = .zero) { self.total = total }
}

/// What a peer asked for beside up or down. Nil leaves what was asked before as it is.
public struct Hints: Sendable, Hashable {
    public enum Admin: String, Sendable { case ready, drain, maint }

    private var storedWeightPercent = PackedCount()
    private var storedMaxConnections = PackedCount()
    public var admin: Admin?

    public init(weightPercent: Int? = nil, maxConnections: Int? = nil, admin: Admin? = nil) {
        self.admin = admin
        self.weightPercent = weightPercent
        self.maxConnections = maxConnections
    }

    /// Per cent of the configured weight.
    public var weightPercent: Int? {
        get { storedWeightPercent.value }
        set { storedWeightPercent = PackedCount(newValue) }
    }

    public var maxConnections: Int? {
        get { storedMaxConnections.value }
        set { storedMaxConnections = PackedCount(newValue) }
    }

    public var isEmpty: Bool { weightPercent == nil && maxConnections == nil && admin == nil }

    /// The agent protocol is sticky: a word that is absent changes nothing.
    public mutating func merge(_ newer: Hints) {
        weightPercent = newer.weightPercent ?? weightPercent
        maxConnections = newer.maxConnections ?? maxConnections
        admin = newer.admin ?? admin
    }
}

/// One number that a check measured, as Nagios performance data has it.
public struct Measurement: Sendable, Hashable {
    /// What is said of a value beside it, as texts of performance data: ranges that call for
    /// attention, and the bounds of a scale. Empty where nothing is.
    public struct Scale: Sendable, Hashable {
        public var warn = ""
        public var fail = ""
        public var min = ""
        public var max = ""

        public init() {}
    }

    public var label: String
    public var value: Double
    public var unit: String
    public var scale: Scale?

    public init(label: String, value: Double, unit: String = "", scale: Scale? = nil) {
        self.label = label
        self.value = value
        self.unit = unit
        self.scale = scale
    }
}

/// What one probe found.
public struct Outcome: Sendable, Hashable {
    public enum Verdict: String, Sendable {
        case pass
        /// Well enough to serve, ill enough to say so.
        case warn
        case fail
        /// Says nothing about the peer; changes nothing, but is recorded.
        case neutral
    }

    public var verdict: Verdict
    public var reason: Reason
    /// The number that belongs to the reason: an HTTP status, an errno, an exit code.
    public var code: Int?
    /// One line for people: what was expected and what was seen.
    public var message: String
    public var phases: Phases
    public var hints: Hints
    public var measurements: [Measurement]
    /// Failing so plainly that `fall` need not be waited for.
    public var isImmediate: Bool
    /// It would have been a failure, had not this agent been late itself.
    public var isExcused = false

    /// What `message` keeps of a longer text.
    public static let messageBytesMax = 256

    public init(
        _ verdict: Verdict,
        _ reason: Reason,
        code: Int? = nil,
        message: String = "",
        phases: Phases = Phases(),
        hints: Hints = Hints(),
        measurements: [Measurement] = [],
        isImmediate: Bool = false
    ) {
        self.verdict = verdict
        self.reason = reason
        self.code = code
        self.message = Self.oneLine(message)
        self.phases = phases
        self.hints = hints
        self.measurements = measurements
        self.isImmediate = isImmediate
    }

    /// A message travels in logs, in agent lines, on pages and in Redis: neither a line break nor a
    /// character that steers what shows it may survive in it, nor the password of a URL.
    public static func oneLine(_ text: String) -> String {
        let isClean =
            text.utf8.count <= messageBytesMax
            && text.utf8.allSatisfy { (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: "@") }
        if isClean { return text }
        var kept = cut(text)
        for place in kept.unicodeScalars.indices.reversed() {
            let value = kept.unicodeScalars[place].value
            guard value < 0x20 || value == 0x7F else { continue }
            kept.unicodeScalars.replaceSubrange(place...place, with: [" "])
        }
        // Escapes and asterisks take more room than what they stand for.
        return cut(kept.withoutPasswordInURLs.printable)
    }

    private static func cut(_ text: String) -> String {
        if text.utf8.count <= messageBytesMax { return text }
        var bytes = 0
        var kept = ""
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            if bytes > messageBytesMax { break }
            kept.unicodeScalars.append(scalar)
        }
        return kept
    }
}
