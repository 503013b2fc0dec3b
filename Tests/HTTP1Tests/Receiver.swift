// What does a connection make of its bytes, however they arrive?

import HTTP1

/// Reads requests and their bodies from a growing prefix of a message stream, as the proxy does,
/// and keeps everything that was decided in a form that two runs can be compared by.
struct Receiver: ~Copyable {
    /// One request with its fields and its body, positions relative to the stream.
    struct Request: Equatable {
        var head: RequestHead
        var fields: [Field]
        var body: [UInt8] = []
        var trailers: [String] = []
    }

    enum Ending: Equatable, CustomStringConvertible {
        /// At a message boundary, ready for more.
        case idle
        /// Inside a message.
        case unfinished
        /// After a request that ends the connection or the protocol.
        case closed
        /// `at` is the position in the stream; an error's own one is relative to the bytes that
        /// were at hand.
        case refused(HTTPError.Code, status: UInt16, seen: UInt8?, at: Int)

        var isRefused: Bool { if case .refused = self { true } else { false } }

        var description: String {
            switch self {
            case .idle: "idle"
            case .unfinished: "unfinished"
            case .closed: "closed"
            case .refused(let code, let status, _, let at): "\(status) \(code) at \(at)"
            }
        }
    }

    struct Transcript: Equatable {
        var requests: [Request] = []
        var ending = Ending.idle

        /// One line for the table of verdicts.
        var summary: String {
            let parts = requests.map { request in
                let body =
                    switch request.head.framing {
                    case .none: ""
                    case .length(let length): " length \(length)"
                    case .chunked: " chunked \(request.body.count)"
                    case .untilClose: " until close"
                    }
                return "\(request.head.method)\(body)"
            }
            return (parts + [ending.description]).joined(separator: ", ")
        }
    }

    private enum Phase {
        case head
        case body(UInt64)
        case chunks(ChunkedDecoder)
        case over
    }

    private let bytes: [UInt8]
    private var table = FieldTable()
    private var parser = HeadParser()
    private var phase = Phase.head
    private var consumed = 0
    private(set) var transcript = Transcript()

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Makes the first `count` bytes available and takes what can be taken of them.
    mutating func feed(_ count: Int) {
        do {
            while consumed < count, try step(count) {}
        } catch {
            precondition(Int(error.position) <= count - consumed, "an error past the input")
            transcript.ending = .refused(
                error.code,
                status: error.status,
                seen: error.seen,
                at: consumed + Int(error.position)
            )
            phase = .over
        }
        if transcript.ending.isRefused { return }
        switch phase {
        case .over: transcript.ending = .closed
        case .head: transcript.ending = consumed == count ? .idle : .unfinished
        case .body, .chunks: transcript.ending = .unfinished
        }
    }

    /// Returns whether there may be more to take.
    private mutating func step(_ count: Int) throws(HTTPError) -> Bool {
        // A local copy of the reference: the span must not hold on to `self` while it changes.
        let bytes = bytes
        let span = bytes.span.extracting(consumed..<count)
        switch phase {
        case .over:
            return false
        case .head:
            guard let head = try parser.parseRequest(span, fields: &table) else { return false }
            var fields: [Field] = []
            for index in 0..<table.count { fields.append(table[index]) }
            transcript.requests.append(Request(head: head, fields: fields))
            consumed += Int(head.end)
            switch head.framing {
            case .none: finish(head)
            case .length(let length): phase = .body(length)
            case .chunked: phase = .chunks(ChunkedDecoder(of: .request))
            case .untilClose: preconditionFailure("a request never ends by closing")
            }
        case .body(let length):
            let taken = Int(min(length, UInt64(count - consumed)))
            consumed += taken
            phase = .body(length - UInt64(taken))
            let last = transcript.requests.count - 1
            if length == UInt64(taken) { finish(transcript.requests[last].head) }
        case .chunks(var decoder):
            var position = 0
            let event = try decoder.next(in: span, at: &position)
            let last = transcript.requests.count - 1
            switch event {
            case .data(let range):
                transcript.requests[last].body += range.map { span[$0] }
            case .trailer(let name, let value):
                let name = String(decoding: name.map { span[$0] }, as: UTF8.self)
                let value = String(decoding: value.map { span[$0] }, as: UTF8.self)
                transcript.requests[last].trailers.append("\(name): \(value)")
            case .needMore:
                consumed += position
                phase = .chunks(decoder)
                return false
            case .end:
                consumed += position
                finish(transcript.requests[last].head)
                return true
            }
            consumed += position
            phase = .chunks(decoder)
        }
        return true
    }

    private mutating func finish(_ head: RequestHead) {
        let goesOn = head.isPersistent && !head.hasUpgrade && head.method != .connect
        phase = goesOn ? .head : .over
    }

    /// Feeds `bytes` cut at `cuts` and then whole.
    static func transcript(of bytes: [UInt8], cuts: some Sequence<Int> = []) -> Transcript {
        var receiver = Receiver(bytes)
        for cut in cuts { receiver.feed(cut) }
        receiver.feed(bytes.count)
        return receiver.transcript
    }
}
