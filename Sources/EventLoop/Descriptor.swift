// Who closes a descriptor? Its owner, exactly once: a descriptor is a value that cannot be copied
// and closes itself, until the loop takes it over and hands out a `Handle`.

import Glibc

/// An open descriptor, owned.
public struct Descriptor: ~Copyable {
    public let raw: Int32

    /// Takes over a descriptor that the kernel just handed out.
    public init(owning raw: Int32) {
        precondition(raw >= 0)
        self.raw = raw
    }

    /// Gives the number away; somebody else closes it now.
    public consuming func take() -> Int32 {
        let raw = raw
        discard self
        return raw
    }

    deinit { Glibc.close(raw) }
}

/// Names a descriptor that the loop watches. The generation tells apart two users of one number: an
/// event for a descriptor that was closed and reused meanwhile is recognised and dropped.
public struct Handle: BitwiseCopyable, Hashable, Sendable {
    public let descriptor: Int32
    let generation: UInt32

    /// Names nothing. Storage that is not optional holds it where there is no descriptor.
    public static let none = Handle(descriptor: -1, generation: 0)

    public var isNone: Bool { descriptor < 0 }
}
