// How far is one call over HTTP/2? Frames go in, cut anywhere; frames to send come out. A pure
// value with one stream, which is all that a probe needs (RFC 9113).

import Vocabulary

/// One request and its response on a fresh HTTP/2 connection with prior knowledge.
public struct HTTP2Call {
    public struct Failure: Error, Equatable {
        public var reason: String
        /// What was there instead of a frame, for whoever can tell a server by its first bytes.
        public var stranger: [UInt8]?
    }

    public private(set) var headers: [HPACK.Field] = []
    public private(set) var body: [UInt8] = []
    public private(set) var isComplete = false
    /// The server said that it goes, and that it has the call still: with which error and words.
    public private(set) var farewell: String?

    /// Read and not yet a whole frame.
    private var pending: [UInt8] = []
    /// A header block whose continuation is awaited.
    private var block: [UInt8] = []
    /// Of all header blocks: a server may send as many as it likes before the last one.
    private var blockBytes = 0
    private var blockEndsStream = false
    private var isInBlock = false

    /// What SETTINGS_MAX_FRAME_SIZE allows a server to send unless we ask for more.
    public static let frameBytesMax = 16_384
    public static let blockBytesMax = 16_384
    public static let bodyBytesMax = 65_536

    private enum Kind: UInt8 {
        case data = 0
        case headers = 1
        case reset = 3
        case settings = 4
        case ping = 6
        case goAway = 7
        case continuation = 9
    }
    private static let acknowledge: UInt8 = 0x1
    private static let endStream: UInt8 = 0x1
    private static let endHeaders: UInt8 = 0x4
    private static let padded: UInt8 = 0x8
    private static let priority: UInt8 = 0x20

    public init() {}

    // MARK: Sending

    /// The preface, our settings, and the request with its body.
    public static func opening(_ fields: [HPACK.Field], body: [UInt8]) -> [UInt8] {
        // No dynamic table (1 = 0) and no server push (2 = 0).
        let settings: [UInt8] = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]
        return Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
            + frame(.settings, stream: 0, settings)
            + frame(.headers, flags: endHeaders, stream: 1, HPACK.encode(fields))
            + frame(.data, flags: endStream, stream: 1, body)
    }

    private static func frame(
        _ kind: Kind,
        flags: UInt8 = 0,
        stream: UInt8,
        _ payload: [UInt8]
    ) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 0xFF), UInt8(count & 0xFF)]
            + [kind.rawValue, flags, 0, 0, 0, stream] + payload
    }

    // MARK: Receiving

    /// Takes bytes in and returns what is to be sent in answer.
    public mutating func feed(_ bytes: some Sequence<UInt8>) throws(Failure) -> [UInt8] {
        pending.append(contentsOf: bytes)
        var answer: [UInt8] = []
        while pending.count >= 9, !isComplete {
            let count = Int(pending[0]) << 16 | Int(pending[1]) << 8 | Int(pending[2])
            guard count <= Self.frameBytesMax else {
                let words = Excerpt.of(pending)
                throw Failure(reason: "expected a frame, saw \(words)", stranger: pending)
            }
            guard pending.count >= 9 + count else { break }
            let stream = pending[5..<9].reduce(0) { $0 << 8 | UInt32($1) } & 0x7FFF_FFFF
            let payload = Array(pending[9..<9 + count])
            answer += try take(pending[3], flags: pending[4], stream: stream, payload)
            pending.removeFirst(9 + count)
        }
        return answer
    }

    private mutating func take(
        _ kind: UInt8,
        flags: UInt8,
        stream: UInt32,
        _ payload: [UInt8]
    ) throws(Failure) -> [UInt8] {
        if isInBlock, kind != Kind.continuation.rawValue {
            throw Failure(reason: "expected the rest of the header fields, saw frame type \(kind)")
        }
        switch Kind(rawValue: kind) {
        case .settings where flags & Self.acknowledge == 0:
            return Self.frame(.settings, flags: Self.acknowledge, stream: 0, [])
        case .ping where flags & Self.acknowledge == 0:
            return Self.frame(.ping, flags: Self.acknowledge, stream: 0, payload)
        case .headers where stream == 1:
            let fragment = try Self.content(payload, flags: flags, hasPriority: true)
            try begin(fragment, flags: flags)
        case .continuation where stream == 1 && isInBlock: try extend(payload, flags: flags)
        case .data where stream == 1:
            body += try Self.content(payload, flags: flags, hasPriority: false)
            guard body.count <= Self.bodyBytesMax else {
                throw Failure(reason: "expected a body of at most \(Self.bodyBytesMax) bytes")
            }
            if flags & Self.endStream != 0 { isComplete = true }
        case .reset where stream == 1:
            throw Failure(
                reason: "the server reset the call: \(Self.errorWord(Self.code(payload[...])))"
            )
        case .goAway: try goAway(payload)
        // Anything else does not concern the call, or is unknown and to be ignored (section 4.1).
        default: break
        }
        return []
    }

    /// Calls up to the last one named are answered still; a server that drains names the highest
    /// number there is (section 6.8).
    private mutating func goAway(_ payload: [UInt8]) throws(Failure) {
        let last = Self.code(payload[...]) & 0x7FFF_FFFF
        let words = payload.dropFirst(8)
        let why =
            Self.errorWord(Self.code(payload.dropFirst(4)))
            + (words.isEmpty ? "" : " \(Excerpt.of(words))")
        guard payload.count >= 8, last >= 1 else {
            throw Failure(reason: "the server went away before it took the call: \(why)")
        }
        farewell = why
    }

    /// Section 7.
    private static func errorWord(_ code: UInt32) -> String {
        let words = [
            "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL",
            "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ]
        return code < words.count ? words[Int(code)] : "error \(code)"
    }

    private mutating func begin(_ fragment: [UInt8], flags: UInt8) throws(Failure) {
        block = []
        isInBlock = true
        blockEndsStream = flags & Self.endStream != 0
        try extend(fragment, flags: flags)
    }

    private mutating func extend(_ fragment: [UInt8], flags: UInt8) throws(Failure) {
        block += fragment
        blockBytes += fragment.count
        guard blockBytes <= Self.blockBytesMax else {
            throw Failure(reason: "expected header fields of at most \(Self.blockBytesMax) bytes")
        }
        guard flags & Self.endHeaders != 0 else { return }
        isInBlock = false
        do throws(HPACK.Malformed) {
            let fields = try HPACK.decode(block)
            // 1xx only announce an answer (RFC 9113, section 8.1).
            let status = fields.first { $0.name == ":status" }?.value ?? ""
            if !status.hasPrefix("1") || blockEndsStream { headers += fields }
        } catch {
            throw Failure(reason: "expected header fields, saw \(error.reason)")
        }
        if blockEndsStream { isComplete = true }
    }

    /// The payload without padding and priority.
    private static func content(
        _ payload: [UInt8],
        flags: UInt8,
        hasPriority: Bool
    ) throws(Failure) -> [UInt8] {
        var content = payload[...]
        var padding = 0
        if flags & padded != 0 { padding = Int(content.popFirst() ?? 0) }
        if hasPriority, flags & priority != 0 { content = content.dropFirst(5) }
        guard padding <= content.count else {
            throw Failure(reason: "expected a frame, saw more padding than bytes")
        }
        return Array(content.dropLast(padding))
    }

    private static func code(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// The last value of a field; trailers come after headers.
    public func value(of name: String) -> String? { headers.last { $0.name == name }?.value }
}
