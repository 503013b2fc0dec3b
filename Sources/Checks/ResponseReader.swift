// What has the server answered so far? Fed with bytes as they come, cut anywhere; holds the head
// and as much of the body as somebody wants to see.

import HTTP1
import Vocabulary

/// Reads one final HTTP/1.1 response.
struct ResponseReader: ~Copyable {
    /// A head larger than this is no answer to a probe.
    static let headBytesMax = 16_384
    /// Fields that a head may have.
    static let fieldsMax = HeadLimits().fields
    /// 1xx answers before the final one.
    static let interimMax = 8

    private(set) var head: ResponseHead?
    /// The decoded body, or its beginning.
    private(set) var body: [UInt8] = []
    /// Nothing more will come, or nothing more is wanted.
    private(set) var isComplete = false
    /// The body was longer than `bodyBytesMax`.
    private(set) var isCut = false
    private(set) var bytesSeen = 0

    private let method: HTTP1.Method
    /// Zero when the body is of no interest: the response is then complete with its head.
    private let bodyBytesMax: Int
    private let limits: HeadLimits
    private var parser = HeadParser()
    private var fields: FieldTable
    /// The head, which the fields are ranges of; while it is incomplete, all bytes so far.
    private var raw: [UInt8] = []
    private var decoder = ChunkedDecoder(of: .response)
    /// A trailer line that is not complete yet: the decoder wants it again with its end.
    private var undecoded: [UInt8] = []
    private var remaining: UInt64 = 0
    private var interims = 0

    init(method: HTTP1.Method, bodyBytesMax: Int) {
        self.method = method
        self.bodyBytesMax = bodyBytesMax
        var limits = HeadLimits()
        limits.responseHeadBytes = Self.headBytesMax
        self.limits = limits
        fields = FieldTable(capacity: limits.fields)
    }

    enum Failure: Error, Equatable {
        case malformed(HTTPError)
        case tooManyInterims
        /// The connection ended inside the head or inside the announced body.
        case endedEarly
    }

    /// Takes the next bytes in.
    mutating func feed(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        bytesSeen += bytes.count
        guard !isComplete else { return }
        if head != nil { return try takeBody(bytes) }
        raw.append(contentsOf: bytes)
        while head == nil {
            guard let parsed = try parseHead() else { return }
            let rest = Array(raw[Int(parsed.end)...])
            if parsed.isInterim {
                interims += 1
                guard interims <= Self.interimMax else { throw .tooManyInterims }
                raw = rest
                guard !raw.isEmpty else { return }
                continue
            }
            raw.removeSubrange(Int(parsed.end)...)
            begin(parsed)
            if !isComplete, !rest.isEmpty {
                try rest.span.bytes.withUnsafeBytes { (rest) throws(Failure) in
                    try takeBody(rest)
                }
            }
        }
    }

    private mutating func parseHead() throws(Failure) -> ResponseHead? {
        // A second name for the array, not a copy: the parser changes while the bytes are lent.
        let bytes = raw
        do throws(HTTPError) {
            return try parser.parseResponse(bytes.span, to: method, fields: &fields, limits: limits)
        } catch {
            throw .malformed(error)
        }
    }

    private mutating func begin(_ parsed: ResponseHead) {
        head = parsed
        switch parsed.framing {
        case .none: isComplete = true
        case .length(let length): remaining = length
        case .chunked, .untilClose: break
        }
        if bodyBytesMax == 0 { isComplete = true }
    }

    private mutating func takeBody(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        switch head?.framing {
        case .length:
            let taken = min(UInt64(bytes.count), remaining)
            remaining -= taken
            keep(bytes[..<Int(taken)])
            if remaining == 0 { isComplete = true }
        case .chunked: try takeChunks(bytes)
        default: keep(bytes[...])
        }
    }

    private mutating func takeChunks(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        undecoded.append(contentsOf: bytes)
        let pending = undecoded
        var position = 0
        do throws(HTTPError) {
            decoding: while !isComplete {
                switch try decoder.next(in: pending.span, at: &position) {
                case .data(let range): keep(pending[range])
                case .trailer: break
                case .needMore: break decoding
                case .end: isComplete = true
                }
            }
        } catch {
            throw .malformed(error)
        }
        undecoded = Array(pending[position...])
    }

    private mutating func keep(_ bytes: some Collection<UInt8>) {
        let room = bodyBytesMax - body.count
        body.append(contentsOf: bytes.prefix(room))
        if bytes.count > room {
            isCut = true
            isComplete = true
        }
    }

    /// The other side has closed. Fine where the body ends that way, and nowhere else.
    mutating func end() throws(Failure) {
        guard !isComplete else { return }
        guard let head, head.framing == .untilClose else { throw .endedEarly }
        isComplete = true
    }

    /// All bytes of a head that is incomplete, to be shown.
    var incomplete: [UInt8] { head == nil ? raw : [] }

    /// `gzip`: in what the body is wrapped; nil where it is plain.
    var coding: String? {
        withValues(of: "content-encoding") { values in
            let codings = values.map { Excerpt.text($0) }.filter { $0.lowercased() != "identity" }
            return codings.isEmpty ? nil : codings.joined(separator: ", ")
        }
    }

    // MARK: What a condition may ask of the head

    var status: Int { Int(head?.status ?? 0) }

    /// `503 Service Unavailable`.
    var statusText: String {
        guard let head else { return "nothing" }
        let phrase = Excerpt.text(raw[head.reasonRange.range])
        return phrase.isEmpty ? "\(head.status)" : "\(head.status) \(phrase)"
    }

    /// Calls `body` with every value of the field `name`, letters of either case.
    func withValues<Result>(
        of name: String,
        _ body: ([UnsafeRawBufferPointer]) -> Result
    ) -> Result {
        raw.withUnsafeBytes { raw in
            var values: [UnsafeRawBufferPointer] = []
            for index in 0..<(head == nil ? 0 : fields.count) {
                let field = fields[index]
                if Self.isSame(raw[field.name], name) {
                    values.append(UnsafeRawBufferPointer(rebasing: raw[field.value]))
                }
            }
            return body(values)
        }
    }

    private static func isSame(_ bytes: Slice<UnsafeRawBufferPointer>, _ name: String) -> Bool {
        bytes.count == name.utf8.count
            && zip(bytes, name.utf8).allSatisfy { ASCII.lowercase($0) == ASCII.lowercase($1) }
    }
}
