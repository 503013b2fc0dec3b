/// Which host and port does an authority name?
///
///     uri-host [ ":" port ]        (RFC 9110 7.2, RFC 3986 3.2)
///
/// A host is a name of RFC 3986's `reg-name`, an IPv4 address or an IPv6 address in brackets. It is
/// compared as it is written, but for case: nothing is decoded, so that `%61` is no `a` to us, and a
/// route meant for `a` cannot be reached by it. Empty labels are refused, as nginx does, because some
/// drop them and others do not; one dot at the end is the root of the DNS and stays.
struct Authority {
    let hostEnd: Int
    /// `nil` when there is no port or an empty one, which RFC 3986 3.2.3 lets mean the default.
    let port: UInt16?

    /// Returns `nil` for anything else. An empty host is legal only with no port: RFC 9112 3.2 has
    /// clients send an empty Host when the target has no authority.
    static func parse(_ window: ByteWindow, _ start: Int, _ end: Int) -> Authority? {
        guard start < end else { return Authority(hostEnd: start, port: nil) }
        let hostEnd: Int
        let plain = window.plainName(at: start)
        if plain > 0, start &+ plain >= end || window[start &+ plain] == ASCII.colon {
            hostEnd = min(start &+ plain, end)
        } else if window[start] == UInt8(ascii: "[") {
            guard let close = addressEnd(window, start, end) else { return nil }
            hostEnd = close
        } else {
            guard let stop = nameEnd(window, start, end) else { return nil }
            hostEnd = stop
        }
        if hostEnd == end { return Authority(hostEnd: hostEnd, port: nil) }
        guard window[hostEnd] == ASCII.colon else { return nil }

        let digits = end - hostEnd - 1
        if digits == 0 { return Authority(hostEnd: hostEnd, port: nil) }
        guard digits <= 5 else { return nil }
        var port: UInt32 = 0
        var cursor = hostEnd &+ 1
        while cursor < end {
            guard ASCII.isDigit(window[cursor]) else { return nil }
            port = port &* 10 &+ UInt32(window[cursor] &- 0x30)
            cursor &+= 1
        }
        guard let port = UInt16(exactly: port) else { return nil }
        return Authority(hostEnd: hostEnd, port: port)
    }

    /// Where the name ends; that nothing but a port follows is the caller's question.
    private static func nameEnd(_ window: ByteWindow, _ start: Int, _ end: Int) -> Int? {
        var cursor = start
        var labelStart = start
        while cursor < end {
            guard ASCII.isHost(window[cursor]) else {
                guard window[cursor] == UInt8(ascii: "%"), end &- cursor > 2,
                    ASCII.hexValue(window[cursor &+ 1]) != nil,
                    ASCII.hexValue(window[cursor &+ 2]) != nil
                else { break }
                cursor &+= 3
                continue
            }
            if window[cursor] == UInt8(ascii: ".") {
                guard cursor > labelStart else { return nil }
                labelStart = cursor &+ 1
            }
            cursor &+= 1
        }
        return cursor > start ? cursor : nil
    }

    /// Hexadecimal groups, colons, and dots for an embedded IPv4 address. Whether they form an
    /// address is not asked: one that does not exist routes nowhere.
    private static func addressEnd(_ window: ByteWindow, _ start: Int, _ end: Int) -> Int? {
        var cursor = start + 1
        var colons = 0
        while cursor < end, window[cursor] != UInt8(ascii: "]") {
            let byte = window[cursor]
            if byte == ASCII.colon {
                colons += 1
            } else if ASCII.hexValue(byte) == nil, byte != UInt8(ascii: ".") {
                return nil
            }
            cursor += 1
        }
        guard cursor < end, colons >= 2 else { return nil }
        return cursor + 1
    }
}
