// Has anybody changed this upstream since I looked? Its revision says so: what is defined, and what was
// asked for, but not how it is. See docs/decisions/0013-revisions.md.

import Health

/// The same on all agents with the same definition that heard the same orders, over restarts too.
public struct Revision: Hashable, Sendable, CustomStringConvertible {
    /// Below 2^53: a program in a browser counts in doubles.
    public let number: UInt64

    /// `stamps` is the store's `stampSum`.
    public init(definition: UInt64, stamps: UInt64) {
        var hash = StableHash()
        hash.combine(definition)
        hash.combine(stamps)
        number = hash.value & (1 << 53 - 1)
    }

    public var description: String { "\(number)" }
}

/// What a write expects to find: otherwise it changes nothing.
public enum Precondition: Hashable, Sendable {
    case anything
    /// One of these.
    case revisions([String])

    func holds(for revision: Revision) -> Bool {
        switch self {
        case .anything: true
        case .revisions(let wanted): wanted.contains(revision.description)
        }
    }
}
