/// What does the first line of a request say?
///
///     method SP request-target SP HTTP-version        (RFC 9112 3)
///
/// One space, no tab, nothing before or after: RFC 9112 3 lets recipients split on any whitespace
/// and warns that it is exploited where the next recipient does not.
enum RequestLine {
    /// Parses the line `start..<end`, whose CR, or LF of a lenient reader, is at `end`. It holds no control byte
    /// but HTAB.
    @inline(__always)
    static func parse(
        _ window: ByteWindow,
        _ start: Int,
        _ end: Int,
        into head: inout RequestHead,
        isLenient: Bool = false
    ) throws(HTTPError) {
        guard start < end else { throw HTTPError(.emptyRequestLine, .request, at: start) }

        // What is at `end` is no token byte, so the loop needs no other bound.
        assert(window[end] == ASCII.carriageReturn || window[end] == ASCII.lineFeed)
        var cursor = start
        if end &- start > 4, window.reads("GET ", at: start) {
            cursor = start &+ 3
        } else {
            while ASCII.isToken(window[cursor]) { cursor &+= 1 }
        }
        guard cursor < end else { throw HTTPError(.missingTarget, .request, at: cursor) }
        guard window[cursor] == ASCII.space, cursor > start else {
            throw HTTPError(.method, .request, at: cursor, seen: window[cursor])
        }
        guard cursor &- start <= HeadLimits.methodBytes else {
            throw HTTPError(.methodTooLong, .request, at: start)
        }
        head.methodRange = ByteRange(start, cursor)
        head.method = .recognise(window, at: start, length: cursor &- start)

        let target = cursor &+ 1
        cursor = window.firstOutsideTarget(from: target, to: end)
        guard cursor > target else {
            throw HTTPError(
                .missingTarget,
                .request,
                at: cursor,
                seen: cursor < end ? window[cursor] : nil
            )
        }
        let targetEnd = cursor
        if isLenient { cursor = endOfFragment(window, from: cursor, to: end) }
        guard cursor < end else { throw HTTPError(.missingVersion, .request, at: cursor) }
        guard window[cursor] == ASCII.space else {
            let isFragment = window[cursor] == UInt8(ascii: "#")
            throw HTTPError(
                isFragment ? .fragment : .target,
                .request,
                at: cursor,
                seen: window[cursor]
            )
        }
        head.targetRange = ByteRange(target, targetEnd)
        head.minorVersion = try Version.parse(window, cursor &+ 1, end, of: .request)
        guard end == cursor &+ 9 else {
            throw HTTPError(.version, .request, at: cursor &+ 9, seen: window[cursor &+ 9])
        }
        try Target.parse(window, into: &head)
    }

    /// What stands behind a `#` is nobody's but the client's (RFC 9110 7.1): it ends with the target.
    private static func endOfFragment(_ window: ByteWindow, from start: Int, to end: Int) -> Int {
        var cursor = start
        while cursor < end, window[cursor] == UInt8(ascii: "#") {
            cursor = window.firstOutsideTarget(from: cursor &+ 1, to: end)
        }
        return cursor
    }
}

/// Which HTTP/1 is it?
enum Version {
    /// Reads the eight bytes of `HTTP/1.x` at `start`; what follows them is the caller's question.
    @inline(__always)
    static func parse(
        _ window: ByteWindow,
        _ start: Int,
        _ end: Int,
        of side: HTTPError.Side
    ) throws(HTTPError) -> UInt8 {
        guard start &+ 8 <= end else { throw HTTPError(.version, side, at: start) }
        if window.reads("HTTP/1.1", at: start) { return 1 }
        guard window.reads("HTTP/", at: start),
            ASCII.isDigit(window[start &+ 5]),
            window[start &+ 6] == UInt8(ascii: "."),
            ASCII.isDigit(window[start &+ 7])
        else { throw HTTPError(.version, side, at: start) }
        guard window[start &+ 5] == UInt8(ascii: "1") else {
            throw HTTPError(.unsupportedVersion, side, at: start &+ 5, seen: window[start &+ 5])
        }
        return window[start &+ 7] == UInt8(ascii: "0") ? 0 : 1
    }
}
