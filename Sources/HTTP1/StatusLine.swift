/// What does the first line of a response say?
///
///     HTTP-version SP status-code SP [ reason-phrase ]        (RFC 9112 4)
///
/// Many servers leave out the reason and some the space before it; nothing is framed by either, so
/// both are accepted.
enum StatusLine {
    @inline(__always)
    static func parse(
        _ window: ByteWindow,
        _ start: Int,
        _ end: Int,
        into head: inout ResponseHead
    ) throws(HTTPError) {
        head.minorVersion = try Version.parse(window, start, end, of: .response)
        var cursor = start &+ 8
        if end &- start > 12, window[cursor] == ASCII.space, window[cursor &+ 4] == ASCII.space {
            let hundreds = window[cursor &+ 1] &- 0x30
            let tens = window[cursor &+ 2] &- 0x30
            let ones = window[cursor &+ 3] &- 0x30
            if hundreds &- 1 < 9, tens < 10, ones < 10 {
                head.status = UInt16(hundreds) &* 100 &+ UInt16(tens) &* 10 &+ UInt16(ones)
                head.reasonRange = ByteRange(cursor &+ 5, end)
                return
            }
        }
        guard cursor < end, window[cursor] == ASCII.space else {
            throw HTTPError(
                .version,
                .response,
                at: cursor,
                seen: cursor < end ? window[cursor] : nil
            )
        }
        var status: UInt16 = 0
        let digits = cursor &+ 1
        cursor = digits
        while cursor < end, cursor < digits &+ 3, ASCII.isDigit(window[cursor]) {
            status = status &* 10 &+ UInt16(window[cursor] &- 0x30)
            cursor &+= 1
        }
        guard cursor == digits &+ 3, status >= 100 else {
            throw HTTPError(
                .status,
                .response,
                at: cursor,
                seen: cursor < end ? window[cursor] : nil
            )
        }
        if cursor < end {
            guard window[cursor] == ASCII.space else {
                throw HTTPError(.status, .response, at: cursor, seen: window[cursor])
            }
            cursor &+= 1
        }
        head.status = status
        head.reasonRange = ByteRange(cursor, end)
    }
}
