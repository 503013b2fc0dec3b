// Among how many load balancers is a connection limit divided? Among the addresses that asked of
// this upstream lately. Two HAProxy on one machine count as one; the policy can fix the number.

import Vocabulary

struct AskerCount {
    private var lastAsked: [String: Instant] = [:]

    /// An asker that was silent for so long has gone, or asks less often than any checker does.
    static let window = Nanoseconds.seconds(30)
    /// More than this is a scan, not load balancers.
    static let askersMax = 1_024

    var count: Int { max(lastAsked.count, 1) }

    mutating func note(_ address: String, at now: Instant) {
        guard lastAsked[address] != nil || lastAsked.count < Self.askersMax else { return }
        lastAsked[address] = now
    }

    mutating func forgetSilent(at now: Instant) {
        if lastAsked.contains(where: { now - $0.value > Self.window }) {
            lastAsked = lastAsked.filter { now - $0.value <= Self.window }
        }
    }
}
