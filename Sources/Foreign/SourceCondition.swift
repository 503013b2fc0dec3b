// Is the Redis of a source there? What people are told of it, beside the log.

public import Vocabulary

/// How a source is now.
public struct SourceCondition: Sendable {
    public private(set) var isConnected = false
    /// Since when it is there, or away.
    public private(set) var since: WallTime
    public private(set) var readError: String?
    /// Why the Redis that is written to cannot be, where that is another one.
    public var writeError: String?

    init(at now: WallTime) { since = now }

    mutating func connected(at now: WallTime) {
        if !isConnected { since = now }
        isConnected = true
        readError = nil
    }

    mutating func away(_ error: String, at now: WallTime) {
        if isConnected { since = now }
        isConnected = false
        readError = error
    }

    public var error: String? { readError ?? writeError }
}
