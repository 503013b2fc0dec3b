// How does the control plane set a timer? With a closure, where a sink of its own would be noise.

public import Vocabulary

/// Closures at deadlines, on one loop. The closures run on the loop's thread.
public final class Timers: EventSink {
    private let loop: EventLoop
    private var bodies: [Int: (TimerID, () -> Void)] = [:]
    private var nextTag = 0

    public init(loop: EventLoop) { self.loop = loop }

    deinit {
        assert(bodies.isEmpty || !loop.isCurrent)
    }

    /// Names a scheduled closure.
    public struct Token: Hashable, Sendable { fileprivate let tag: Int }

    @discardableResult
    public func schedule(at deadline: Instant, _ body: @escaping () -> Void) -> Token {
        let tag = nextTag
        nextTag += 1
        bodies[tag] = (loop.schedule(at: deadline, sink: self, tag: tag), body)
        return Token(tag: tag)
    }

    @discardableResult
    public func schedule(after span: Nanoseconds, _ body: @escaping () -> Void) -> Token {
        schedule(at: loop.instant + span, body)
    }

    public func cancel(_ token: Token) {
        guard let (id, _) = bodies.removeValue(forKey: token.tag) else { return }
        loop.cancel(id)
    }

    public func cancelAll() {
        for (id, _) in bodies.values { loop.cancel(id) }
        bodies = [:]
    }

    public override func due(tag: Int) {
        bodies.removeValue(forKey: tag)?.1()
    }
}
