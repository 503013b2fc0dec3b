// How does an answer reach its client? Piece by piece, each when the client has taken those before it,
// framed as the head says. Written from any thread; the bytes leave from the front's loop.

public import EventLoop
import Glibc
import HTTP1
import Vocabulary

/// What comes before an answer's body.
public struct AnswerHead: Hashable, Sendable {
    public var status: Int
    /// Without those of the connection and the framing, which are the front's.
    public var fields: [FrontRequest.Field]
    /// Nil where it is not known before the end.
    public var length: Int?
    /// A stream of events: it has no end, and is only cut where nobody reads it.
    public var isEndless = false

    public init(status: Int, fields: [FrontRequest.Field], length: Int?) {
        self.status = status
        self.fields = fields
        self.length = length
    }
}

/// Given to whoever answers a request.
public struct AnswerWriter: Sendable {
    let answer: LoopBound<Answer>

    public func begin(_ head: AnswerHead) async {
        await answer.call { $0.begin(head) }
    }

    /// Comes back when the client's side has taken it. Throws when the client is gone, or reads too
    /// slowly.
    public func write(_ bytes: [UInt8]) async throws(StreamError) {
        let answer = answer
        let result = await Task(executorPreference: answer.loop) {
            () -> Result<Void, StreamError> in
            do throws(StreamError) {
                return .success(try await answer.value.write(bytes))
            } catch {
                return .failure(error)
            }
        }.value
        try result.get()
    }
}

/// One answer on its way. Confined to the front's loop.
final class Answer {
    private enum Framing {
        case none
        case length(Int)
        case chunked
        case untilClose
    }

    private let line: Line
    private let loop: EventLoop
    private let limits: FrontLimits
    private let isHead: Bool
    private let isModern: Bool
    /// Whether another request may follow on the connection.
    private(set) var keepsOpen: Bool
    private(set) var hasBegun = false
    private var framing = Framing.none
    private var isEndless = false
    /// Told when the answer that begins is a stream without end.
    private let onEndless: () -> Void
    private var deadline = Instant.distantFuture
    /// The head goes out with the first piece of the body.
    private var waiting: [UInt8] = []

    /// Written at once, so that a reader that takes some of it is seen to.
    private static let pieceBytes = 65_536

    init(
        to request: FrontRequest,
        over line: Line,
        on loop: EventLoop,
        limits: FrontLimits,
        keepsOpen: Bool,
        onEndless: @escaping () -> Void
    ) {
        self.line = line
        self.loop = loop
        self.limits = limits
        self.keepsOpen = keepsOpen
        self.onEndless = onEndless
        isHead = request.method == "HEAD"
        isModern = request.isModern
    }

    func begin(_ head: AnswerHead) {
        hasBegun = true
        isEndless = head.isEndless
        if isEndless { onEndless() }
        deadline = isEndless ? .distantFuture : loop.instant + limits.answer
        let hasNoBody = isHead || head.status == 204 || head.status == 304
        var text = "HTTP/1.1 \(head.status) \(ReasonPhrase.of(head.status))\r\n"
        text += "Date: \(HTTPDate.now(loop.wall))\r\n"
        for field in head.fields {
            text += "\(field.name): \(Self.oneLine(field.value))\r\n"
        }
        if let length = head.length, head.status != 204 {
            text += "Content-Length: \(length)\r\n"
            framing = hasNoBody ? .none : .length(length)
        } else if hasNoBody {
            framing = .none
        } else if isModern {
            text += "Transfer-Encoding: chunked\r\n"
            framing = .chunked
        } else {
            framing = .untilClose
            keepsOpen = false
        }
        if !keepsOpen {
            text += "Connection: close\r\n"
        } else if !isModern {
            text += "Connection: keep-alive\r\n"
        }
        waiting = Array((text + "\r\n").utf8)
    }

    /// A line break would begin another field, or the body. Looked for in scalars: as a character,
    /// CR and LF together are neither of the two.
    private static func oneLine(_ value: String) -> String {
        var text = String.UnicodeScalarView()
        for scalar in value.unicodeScalars where scalar != "\r" && scalar != "\n" {
            text.append(scalar)
        }
        return String(text)
    }

    func write(_ bytes: [UInt8]) async throws(StreamError) {
        guard !bytes.isEmpty else { return }
        switch framing {
        case .none: return
        case .untilClose: try await send(waiting + bytes)
        case .chunked:
            let size = Array((String(bytes.count, radix: 16) + "\r\n").utf8)
            try await send(waiting + size + bytes + Array("\r\n".utf8))
        case .length(let left):
            // More than was announced would be taken for the next answer.
            let piece = bytes.count <= left ? bytes : Array(bytes.prefix(left))
            framing = .length(left - piece.count)
            try await send(waiting + piece)
        }
    }

    /// Sends what is left. Whether the connection can go on.
    func finish() async throws(StreamError) -> Bool {
        var rest = waiting
        if case .chunked = framing { rest += Array("0\r\n\r\n".utf8) }
        try await send(rest)
        // An answer that ends early can only be ended with its connection.
        if case .length(let left) = framing, left > 0 { return false }
        return keepsOpen
    }

    private func send(_ bytes: [UInt8]) async throws(StreamError) {
        waiting = []
        var start = 0
        while start < bytes.count {
            line.extend(to: min(loop.instant + limits.stall, deadline))
            let end = min(start + Self.pieceBytes, bytes.count)
            try await line.write(
                start == 0 && end == bytes.count ? bytes : Array(bytes[start..<end])
            )
            start = end
        }
    }
}

/// A date as HTTP writes it (RFC 9110 5.6.7).
enum HTTPDate {
    static func now(_ time: WallTime) -> String {
        var seconds = time_t(time.milliseconds / 1_000)
        var parts = tm()
        guard gmtime_r(&seconds, &parts) != nil else { return "Thu, 01 Jan 1970 00:00:00 GMT" }
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let (day, month) = (days[Int(parts.tm_wday)], months[Int(parts.tm_mon)])
        let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        return "\(day), \(two(parts.tm_mday)) \(month) \(parts.tm_year + 1_900) \(clock) GMT"
    }
}
