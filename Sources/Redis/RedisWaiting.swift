// Whose is the next reply? Those of one connection come in the order of its commands.

/// Those who wait for replies, which come in the order of the commands.
struct Waiting {
    private var batches: [Batch] = []
    private var answered = 0
    /// So many answered places are kept before the others move up.
    private static let answeredMax = 1_024

    mutating func append(_ batch: Batch) { batches.append(batch) }

    mutating func popFirst() -> Batch? {
        guard answered < batches.count else { return nil }
        let first = batches[answered]
        answered += 1
        if answered == batches.count || answered == Self.answeredMax {
            batches.removeFirst(answered)
            answered = 0
        }
        return first
    }

    mutating func takeAll() -> ArraySlice<Batch> {
        defer { self = Waiting() }
        return batches[answered...]
    }
}

/// The answers to commands sent together.
final class Batch {
    private(set) var replies: [RedisReply] = []
    private(set) var isFailed = false
    private var outstanding: Int
    private var waiter: CheckedContinuation<Void, Never>?
    var onSettled: (() -> Void)?
    /// Of one that nobody waits for.
    var onAnswer: ((RedisReply?) -> Void)?

    init(count: Int) {
        outstanding = count
        replies.reserveCapacity(count)
    }

    func take(_ reply: RedisReply) {
        replies.append(reply)
        settle()
    }

    func fail() {
        isFailed = true
        settle()
    }

    func wait(_ continuation: CheckedContinuation<Void, Never>) {
        if outstanding == 0 { continuation.resume() } else { waiter = continuation }
    }

    private func settle() {
        outstanding -= 1
        guard outstanding == 0 else { return }
        onSettled.take()?()
        waiter.take()?.resume()
        onAnswer.take()?(isFailed ? nil : replies.first)
    }
}
