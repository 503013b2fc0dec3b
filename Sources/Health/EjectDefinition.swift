// When does this process take a peer out because its requests fail, and for how long? As defined.

public import Vocabulary

/// How an upstream judges its peers by their requests.
public struct EjectDefinition: Hashable, Sendable {
    /// A peer that fails more than the others do.
    public struct Rate: Hashable, Sendable {
        /// So many times the share of the others; 0: rates are not looked at.
        public var above = 3.0
        /// Fewer say nothing.
        public var minRequests = 20
        public var window = Nanoseconds.seconds(2)

        public init() {}
    }

    /// Nothing is ever ejected, whatever the rest says.
    public var isOff = false
    /// So many answers in a row with a status from 500 on; 0: these are not counted.
    public var failures = 5
    public var rate = Rate()
    /// A peer of which nothing is heard for so long, while requests wait, is probed at once; 0: never.
    public var silence = Nanoseconds.milliseconds(150)
    /// The first hold, which doubles as long as the peer falls again soon, up to the longest.
    public var time = Nanoseconds.seconds(10)
    public var maxTime = Nanoseconds.seconds(300)
    /// Of the peers that could serve.
    public var maxShare = 0.5

    public init() {}
}
