// Where do requests wait for which no peer has room? As defined.

public import Vocabulary

public struct QueueDefinition: Hashable, Sendable {
    /// How many may wait, for each worker thread; 0: none does.
    public var size = 0
    public var timeout = Nanoseconds.seconds(1)

    public init() {}
}
