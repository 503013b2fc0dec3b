// How does a value of one loop pass through code of another thread? Wrapped, so that it can be
// carried anywhere and opened only at home.

/// Carries a value that must be touched on its loop only. Opening it elsewhere is a broken promise
/// and stops the process.
public struct LoopBound<Value>: @unchecked Sendable {
    private let held: Value
    public let loop: EventLoop

    public init(_ value: Value, on loop: EventLoop) {
        held = value
        self.loop = loop
    }

    public var value: Value {
        precondition(loop.isCurrent, "value of loop \(loop.name) opened on another thread")
        return held
    }
}

extension LoopBound {
    /// Opens the value at home and brings the answer back. Callable from any thread.
    public func call<Answer: Sendable>(
        _ body: @escaping @Sendable (Value) -> Answer
    ) async -> Answer {
        await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: body(held)) }
        }
    }
}
