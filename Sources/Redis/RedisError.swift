// Why is there no Redis, or no answer of it?

public import Vocabulary

/// Why a connection ended or could not be had.
public enum RedisError: Error, Hashable, Sendable {
    /// We closed it ourselves.
    case closed
    /// No connection, or it broke.
    case disconnected(String)
    /// Somebody is there, and TLS with them did not come about, or broke.
    case tls(String)
    /// Redis took longer than the deadline allowed: it hangs, or the way to it does.
    case timedOut(after: Nanoseconds)
    /// Redis answered, and refused: `WRONGPASS …`.
    case refused(String)
    /// More came as one answer than is read.
    case tooLong(bytesMax: Int)
}

extension RedisError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .closed: "the connection was closed"
        case .disconnected(let why): why
        case .tls(let why): "TLS: \(why)"
        case .timedOut(let span): "no answer within \(span.rounded)"
        case .refused(let text): text
        case .tooLong(let limit): "expected replies of at most \(limit) bytes, saw a longer one"
        }
    }
}

extension RedisError {
    func connecting(to address: Address) -> RedisError {
        switch self {
        case .disconnected(let why): .disconnected("connect \(address): \(why)")
        case .tls(let why): .tls("connect \(address): \(why)")
        case .closed, .timedOut, .refused, .tooLong: self
        }
    }
}
