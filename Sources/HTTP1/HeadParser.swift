/// Is the head complete, and if so, what does it say?
///
/// The parser goes line by line. A line is judged when its end has arrived and by its own bytes
/// alone; what depends on several lines (Host, body length) is judged once, at the end of the head.
/// So the answer is a function of the bytes and not of how they were cut: every split of a message
/// is accepted or refused alike, with the same code at the same position.
///
/// A head that arrives whole is parsed in one pass. One that does not is checked as it comes, each
/// byte once, and parsed a second time when its end is there: the field table belongs to a worker
/// and has served other connections in between. What a connection keeps is these twelve bytes.
public struct HeadParser: Sendable, BitwiseCopyable {
    /// Where the first line begins that has not been judged yet.
    private var lineStart: UInt32 = 0
    /// Up to where that line is known to have neither an end nor an illegal byte.
    private var scanned: UInt32 = 0
    private var fieldCount: UInt16 = 0
    private var hasStartLine = false
    /// Whether an earlier call ran out of bytes.
    private var isResuming = false

    /// Some line ended with LF alone.
    private var isRagged = false

    public init() {}

    /// Parses the request head that `bytes` begins with. Returns `nil` when more bytes are needed:
    /// call again with the same bytes and what follows them. Throws as soon as a line is wrong;
    /// the connection is then beyond repair. After a head the parser is ready for the next one.
    /// `isLenient` takes what old proxies took of a client: lines that end with LF only, and a target with a
    /// fragment, which is left out. Its fields say of themselves what has to be written anew.
    public mutating func parseRequest(
        _ bytes: Span<UInt8>,
        fields: inout FieldTable,
        limits: HeadLimits = HeadLimits(),
        isLenient: Bool = false
    ) throws(HTTPError) -> RequestHead? {
        try unsafe bytes.withUnsafeBufferPointer { (buffer) throws(HTTPError) in
            guard let window = unsafe ByteWindow(buffer) else { return nil }
            return try request(in: window, fields: &fields, limits: limits, isLenient: isLenient)
        }
    }

    @inline(__always)
    private mutating func request(
        in window: ByteWindow,
        fields: inout FieldTable,
        limits: HeadLimits,
        isLenient: Bool
    ) throws(HTTPError) -> RequestHead? {
        repeat {
            var head = RequestHead()
            if !hasStartLine {
                let line = try requestLine(
                    in: window,
                    limits: limits,
                    head: &head,
                    isLenient: isLenient
                )
                guard let end = line else { return nil }
                finishStartLine(before: Self.next(after: end, window, isLenient: isLenient))
            }
            guard
                let end = try fieldLines(
                    in: window,
                    of: .request,
                    fields: &fields,
                    maxFields: limits.fields,
                    maxBytes: limits.headBytes,
                    isLenient: isLenient
                )
            else { return nil }
            let isRagged = isRagged
            if !startAgain() {
                if isRagged { fields.markAllToBeWrittenAnew() }
                head.end = UInt32(truncatingIfNeeded: end)
                head.fieldCount = UInt16(truncatingIfNeeded: fields.count)
                try RequestRules.conclude(&head, fields: fields, in: window)
                return head
            }
        } while true
    }

    /// Parses the response head that `bytes` begins with, as `parseRequest` does. `method` is that
    /// of the request it answers: a response to HEAD has no body whatever its fields say. `isLenient`
    /// takes what other proxies take of a server: lines that end with LF only, equal lengths said twice,
    /// and chunks from HTTP/1.0. Its fields say of themselves what has to be written anew.
    public mutating func parseResponse(
        _ bytes: Span<UInt8>,
        to method: Method,
        fields: inout FieldTable,
        limits: HeadLimits = HeadLimits(),
        isLenient: Bool = false
    ) throws(HTTPError) -> ResponseHead? {
        try unsafe bytes.withUnsafeBufferPointer { (buffer) throws(HTTPError) in
            guard let window = unsafe ByteWindow(buffer) else { return nil }
            return try response(
                in: window,
                to: method,
                fields: &fields,
                limits: limits,
                isLenient: isLenient
            )
        }
    }

    @inline(__always)
    private mutating func response(
        in window: ByteWindow,
        to method: Method,
        fields: inout FieldTable,
        limits: HeadLimits,
        isLenient: Bool
    ) throws(HTTPError) -> ResponseHead? {
        repeat {
            var head = ResponseHead()
            if !hasStartLine {
                let end = try lineEnd(
                    in: window,
                    of: .response,
                    limit: limits.responseHeadBytes,
                    isLenient: isLenient
                )
                guard let end else { return nil }
                try StatusLine.parse(window, Int(lineStart), end, into: &head)
                finishStartLine(before: Self.next(after: end, window, isLenient: isLenient))
            }
            guard
                let end = try fieldLines(
                    in: window,
                    of: .response,
                    fields: &fields,
                    maxFields: limits.fields,
                    maxBytes: limits.responseHeadBytes,
                    isLenient: isLenient
                )
            else { return nil }
            let isRagged = isRagged
            if !startAgain() {
                if isRagged { fields.markAllToBeWrittenAnew() }
                head.end = UInt32(truncatingIfNeeded: end)
                head.fieldCount = UInt16(truncatingIfNeeded: fields.count)
                try ResponseRules.conclude(
                    &head,
                    to: method,
                    fields: fields,
                    in: window,
                    isLenient: isLenient
                )
                return head
            }
        } while true
    }

    /// Forgets everything, for a connection that begins anew. Returns whether the head, complete
    /// by now, still has to be parsed in one pass.
    private mutating func startAgain() -> Bool {
        defer { self = HeadParser() }
        return isResuming
    }

    @inline(__always)
    private mutating func finishStartLine(before next: Int) {
        hasStartLine = true
        lineStart = UInt32(truncatingIfNeeded: next)
        scanned = lineStart
    }

    /// Returns where the request line ends. One empty line before it is skipped: old clients send
    /// one after a body (RFC 9112 2.2).
    @inline(__always)
    private mutating func requestLine(
        in window: ByteWindow,
        limits: HeadLimits,
        head: inout RequestHead,
        isLenient: Bool
    ) throws(HTTPError) -> Int? {
        if lineStart == 0, window[0] == ASCII.carriageReturn {
            guard window.count >= 2 else {
                isResuming = true
                return nil
            }
            guard window[1] == ASCII.lineFeed else {
                throw HTTPError(.bareCarriageReturn, .request, at: 0, seen: window[1])
            }
            lineStart = 2
            scanned = 2
        }
        let start = Int(lineStart)
        // The two limits meet in one window; whichever ends first names the error.
        let lineLimit = start &+ limits.requestLineBytes &+ 2
        let end: Int?
        if lineLimit <= limits.headBytes {
            end = try lineEnd(
                in: window,
                of: .request,
                limit: lineLimit,
                excess: .requestLineTooLong,
                isLenient: isLenient
            )
        } else {
            end = try lineEnd(
                in: window,
                of: .request,
                limit: limits.headBytes,
                isLenient: isLenient
            )
        }
        guard let end else { return nil }
        try RequestLine.parse(window, start, end, into: &head, isLenient: isLenient)
        return end
    }

    /// Judges field lines until the empty one. Returns the offset of the first byte after it.
    @inline(__always)
    private mutating func fieldLines(
        in window: ByteWindow,
        of side: HTTPError.Side,
        fields: inout FieldTable,
        maxFields: Int,
        maxBytes: Int,
        isLenient: Bool = false
    ) throws(HTTPError) -> Int? {
        let most = min(maxFields, fields.capacity)
        let bound = min(window.count, maxBytes)
        var kinds: UInt64 = 0
        var notableCount = 0
        var start = Int(lineStart)
        var known = Int(scanned)
        var count = Int(fieldCount)
        while true {
            var end = window.firstControl(from: known, to: bound)
            var next = end &+ 2
            if next > bound || window.word(at: end, as: UInt16.self) != ASCII.lineEnd {
                lineStart = UInt32(truncatingIfNeeded: start)
                scanned = UInt32(truncatingIfNeeded: known)
                fieldCount = UInt16(truncatingIfNeeded: count)
                let found = try lineEnd(in: window, of: side, limit: maxBytes, isLenient: isLenient)
                guard let found else { return nil }
                end = found
                next = Self.next(after: end, window, isLenient: isLenient)
            }
            if start == end {
                fields.count = count
                fields.kinds = kinds
                fields.notableCount = notableCount
                return next
            }
            guard count < most else {
                throw HTTPError(.tooManyFields, side, at: start)
            }
            let field = try FieldLine.parse(window, start, end, of: side, isFirst: count == 0)
            fields.put(field, at: count)
            kinds |= field.known.bit
            if field.isNotable {
                fields.putNotable(count, at: notableCount)
                notableCount &+= 1
            }
            count &+= 1
            start = next
            known = next
        }
    }

    /// Where the next line begins. Only a lenient reader has lines that end with LF alone.
    @inline(__always)
    private static func next(after end: Int, _ window: ByteWindow, isLenient: Bool) -> Int {
        isLenient && window[end] == ASCII.lineFeed ? end &+ 1 : end &+ 2
    }

    /// Returns where the line that begins at `lineStart` ends: the offset of its CR, when the LF
    /// is there too. CR LF is the only line end: a parser that takes a bare LF or CR for one and a
    /// parser that does not see two different messages (RFC 9112 2.2 allows either reading).
    /// `limit` is how many bytes may come up to and including the LF.
    @inline(never)
    private mutating func lineEnd(
        in window: ByteWindow,
        of side: HTTPError.Side,
        limit: Int,
        excess: HTTPError.Code = .headTooLarge,
        isLenient: Bool = false
    ) throws(HTTPError) -> Int? {
        // The CR has to leave room for its LF below the limit.
        let room = limit &- 1
        let stop = window.firstControl(from: Int(scanned), to: min(window.count, room))
        if stop >= room { throw HTTPError(excess, side, at: room) }
        if stop < window.count {
            guard window[stop] == ASCII.carriageReturn else {
                let isLineFeed = window[stop] == ASCII.lineFeed
                if isLenient, isLineFeed {
                    isRagged = true
                    return stop
                }
                throw HTTPError(
                    isLineFeed ? .bareLineFeed : .controlByte,
                    side,
                    at: stop,
                    seen: window[stop]
                )
            }
            if stop &+ 1 < window.count {
                guard window[stop &+ 1] == ASCII.lineFeed else {
                    throw HTTPError(
                        .bareCarriageReturn,
                        side,
                        at: stop,
                        seen: window[stop &+ 1]
                    )
                }
                return stop
            }
        }
        scanned = UInt32(truncatingIfNeeded: stop)
        isResuming = true
        return nil
    }
}
