// What can be asked of definitions while muster runs, and what becomes of it? Words that both ends know: the
// API asks, and whoever has the catalogue decides.

public import Health
public import Vocabulary

/// Something to define, or to take away. Bodies are as the file would have them, as JSON.
public enum DefinitionOrder: Sendable {
    case addPeer(upstream: String, JSON)
    case removePeer(PeerKey)
    case addMonitor(upstream: String, JSON)
    case removeMonitor(upstream: String, id: String)
    case putUpstream(String, JSON)
    case removeUpstream(String)
    case putRoute(String, JSON)
    case removeRoute(String)

    /// The upstream that it is about; nil for a route.
    public var upstream: String? {
        switch self {
        case .addPeer(let name, _), .addMonitor(let name, _), .removeMonitor(let name, _),
            .putUpstream(let name, _), .removeUpstream(let name):
            name
        case .removePeer(let key): key.upstream
        case .putRoute, .removeRoute: nil
        }
    }
}

/// What an order comes to.
public struct DefinitionDecision: Sendable {
    public enum Outcome: String, Sendable { case made, changed, same, gone }

    public var outcome: Outcome
    /// What it is about.
    public var subject: LiveKey
    /// What is written; nil takes back what was. One write, so that nobody finds half of it.
    public var change: (key: LiveKey, definition: LiveDefinition?)?
    /// What counts no more after it, and is swept out when there is time.
    public var swept: [LiveKey] = []
    /// The configuration file has it too, and what it says there goes on.
    public var isInFile = false

    public init(
        _ outcome: Outcome,
        _ subject: LiveKey,
        _ change: (key: LiveKey, definition: LiveDefinition?)? = nil
    ) {
        self.outcome = outcome
        self.subject = subject
        self.change = change
    }
}

/// Why it comes to nothing.
public enum DefinitionRefusal: Error, Hashable, Sendable {
    /// One line each.
    case mistakes([String])
    /// Something else is there.
    case conflict(String)
    case nothing(String)
    /// The configuration file defines it, and only there it can be taken away.
    case inFile(LiveKey)
}

/// Decides about definitions. Confined to the control loop.
public protocol Definer: AnyObject {
    func decide(
        _ order: DefinitionOrder,
        by asker: String
    ) throws(DefinitionRefusal) -> DefinitionDecision
    /// Every route, those of the API first, as they are tried where two would fit.
    var routes: [DefinedRoute] { get }
    /// All that the API defines, by name.
    var definitions: [DefinedThing] { get }
    /// How many of them make no sense here, and are left out.
    var ignoredDefinitions: Int { get }
    /// Of an upstream's peers those that the file does not define as they are, and who does.
    func otherSources(of upstream: String) -> [String: String]
}

/// Something that the API defines, as readers see it.
public struct DefinedThing: Hashable, Sendable {
    public let key: LiveKey
    public let body: JSON
    /// Who defined it; empty where nobody said.
    public let by: String
    /// When it was asked for; nil where that is not known.
    public let since: WallTime?
    /// The configuration file has it too, and where they differ the API holds.
    public let isInFile: Bool
    /// What is wrong with it here, if anything is.
    public let problem: String?
    /// Because of that it is left out; otherwise it is in force all the same.
    public let isLeftOut: Bool

    public init(
        key: LiveKey,
        body: JSON,
        by: String,
        since: WallTime?,
        isInFile: Bool,
        problem: String?,
        isLeftOut: Bool
    ) {
        self.key = key
        self.body = body
        self.by = by
        self.since = since
        self.isInFile = isInFile
        self.problem = problem
        self.isLeftOut = isLeftOut
    }
}

/// A route as readers see it.
public struct DefinedRoute: Hashable, Sendable {
    /// Its name in the API; nil for one of the file.
    public let id: String?
    /// Nil where every HTTP listener has it.
    public let listener: String?
    public let host: String
    public let path: String
    public let stripPrefix: Bool
    public let upstream: String
    /// Why it is not followed, if it is not.
    public let problem: String?

    public init(
        id: String?,
        listener: String?,
        host: String,
        path: String,
        stripPrefix: Bool,
        upstream: String,
        problem: String? = nil
    ) {
        self.id = id
        self.listener = listener
        self.host = host
        self.path = path
        self.stripPrefix = stripPrefix
        self.upstream = upstream
        self.problem = problem
    }
}
