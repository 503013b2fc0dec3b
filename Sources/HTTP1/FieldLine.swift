/// What does one field line say?
///
///     field-name ":" OWS field-value OWS        (RFC 9112 5)
enum FieldLine {
    /// Parses the line `start..<end`, whose CR, or LF of a lenient reader, is at `end`, which is not empty and holds no control
    /// byte but HTAB: the search for its end has seen to that, so the value needs no second look.
    /// Bytes from 0x80 may stand in a value and mean nothing to us (RFC 9110 5.5).
    @inline(always)
    static func parse(
        _ window: ByteWindow,
        _ start: Int,
        _ end: Int,
        of side: HTTPError.Side,
        isFirst: Bool
    ) throws(HTTPError) -> Field {
        // What is at `end` is no token byte, so the loop needs no other bound.
        assert(window[end] == ASCII.carriageReturn || window[end] == ASCII.lineFeed)
        let colon = window.first(ASCII.colon, from: start, to: end)
        // A name that is known holds token bytes only. What stands before the colon of others is looked at.
        let recognised = KnownField.recognise(window, at: start, length: colon &- start)
        if recognised != .other, colon < end {
            return Field(
                name: (start, colon),
                value: window.trimmed(colon &+ 1, end),
                known: recognised,
                flags: 0
            )
        }
        return try parseOther(window, start, end, colon, of: side, isFirst: isFirst)
    }

    /// A line whose name is not known, or which is wrong.
    @inline(never)
    private static func parseOther(
        _ window: ByteWindow,
        _ start: Int,
        _ end: Int,
        _ colon: Int,
        of side: HTTPError.Side,
        isFirst: Bool
    ) throws(HTTPError) -> Field {
        var cursor = window.firstOutsideWord(from: start, to: end)
        var seen: UInt8 = 0
        while true {
            let bits = ASCII.bits(window[cursor])
            if bits & ASCII.tokenBit == 0 { break }
            seen |= bits
            cursor &+= 1
        }
        let nameEnd = cursor
        // A field keeps its name's length in 16 bits, which only a raised limit can exceed.
        guard nameEnd &- start <= Int(UInt16.max) else {
            throw HTTPError(.headTooLarge, side, at: start)
        }
        if window[cursor] != ASCII.colon || cursor == start {
            cursor = try findColon(after: cursor, window, start, end, of: side, isFirst: isFirst)
            seen |= Field.blankFlag
        }
        return Field(
            name: (start, nameEnd),
            value: window.trimmed(cursor &+ 1, end),
            known: nameEnd == colon
                ? .other : .recognise(window, at: start, length: nameEnd &- start),
            flags: seen & (Field.underscoreFlag | Field.blankFlag)
        )
    }

    /// Finds the colon of a line whose name is not followed by one, or says what is wrong with it.
    @inline(never)
    private static func findColon(
        after nameEnd: Int,
        _ window: ByteWindow,
        _ start: Int,
        _ end: Int,
        of side: HTTPError.Side,
        isFirst: Bool
    ) throws(HTTPError) -> Int {
        guard nameEnd < end else { throw HTTPError(.missingColon, side, at: end) }
        let byte = window[nameEnd]
        if nameEnd == start {
            if ASCII.isBlank(byte) {
                // A continuation of the line before (RFC 9112 5.2), which some recipients join and
                // others take for a field of its own; before the first field there is nothing that
                // it could continue (RFC 9112 2.2).
                throw HTTPError(
                    isFirst ? .leadingWhitespace : .foldedLine,
                    side,
                    at: start,
                    seen: byte
                )
            }
            throw HTTPError(
                byte == ASCII.colon ? .emptyFieldName : .fieldName,
                side,
                at: start,
                seen: byte
            )
        }
        guard ASCII.isBlank(byte) else {
            throw HTTPError(.fieldName, side, at: nameEnd, seen: byte)
        }
        var cursor = nameEnd
        while cursor < end, ASCII.isBlank(window[cursor]) { cursor &+= 1 }
        guard cursor < end, window[cursor] == ASCII.colon else {
            throw HTTPError(.fieldName, side, at: nameEnd, seen: byte)
        }
        // RFC 9112 5.1: refuse it in a request, remove it from a response.
        guard side == .response else {
            throw HTTPError(.spaceBeforeColon, side, at: nameEnd, seen: byte)
        }
        return cursor
    }
}
