// Where do spans go, and of what? As the configuration says it.

public import Checks
public import Spans
import Vocabulary

/// `tracing`.
public struct TracingSetting: Sendable {
    /// With `/v1/traces` at its end.
    public var place: WebPlace
    public var sampler = Sampler(share: Sampler.usualShare)
    /// What this process is called among others that are traced.
    public var service = "muster"
    /// Of all that is written of the place, secrets too: two that differ send differently.
    public var digest: UInt64 = 0

    public init(place: WebPlace) { self.place = place }

    public static func areSame(_ one: TracingSetting?, _ other: TracingSetting?) -> Bool {
        one?.digest == other?.digest && one?.sampler == other?.sampler
            && one?.service == other?.service
    }

    /// What one attempt may take.
    static let timeout = Nanoseconds.seconds(10)
    /// Of the receiver's answer, which says what it left out.
    static let answerBytesMax = 4_096
}
