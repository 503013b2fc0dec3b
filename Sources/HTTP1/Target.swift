/// Which form has the target, and what of it routes? (RFC 9112 3.2)
enum Target {
    /// Reads `head.targetRange`, which holds at least one byte, all of them visible ASCII.
    @inline(__always)
    static func parse(_ window: ByteWindow, into head: inout RequestHead) throws(HTTPError) {
        let start = head.targetRange.lowerBound
        let end = head.targetRange.upperBound
        if window[start] == UInt8(ascii: "/"), head.method != .connect {
            head.targetForm = .origin
            head.pathRange = ByteRange(start, pathEnd(window, start, end))
            return
        }
        try parseRare(window, start, end, into: &head)
    }

    /// Everything but the origin form.
    @inline(never)
    private static func parseRare(
        _ window: ByteWindow,
        _ start: Int,
        _ end: Int,
        into head: inout RequestHead
    ) throws(HTTPError) {
        if head.method == .connect {
            guard let authority = Authority.parse(window, start, end), authority.hostEnd > start
            else { throw HTTPError(.authority, .request, at: start) }
            guard authority.port != nil else {
                throw HTTPError(.connectPort, .request, at: authority.hostEnd)
            }
            head.targetForm = .authority
            head.setAuthority(start, end, authority)
            head.pathRange = ByteRange(end, end)
            return
        }
        if window[start] == UInt8(ascii: "*") {
            guard end == start + 1, head.method == .options else {
                throw HTTPError(.targetForm, .request, at: start, seen: window[start])
            }
            head.targetForm = .asterisk
            head.pathRange = ByteRange(start, end)
            return
        }

        // The scheme decides who may speak for the host, so only the two that HTTP/1 itself
        // carries are taken; scheme names are case-insensitive (RFC 3986 3.1).
        guard let hostStart = schemeEnd(window, start, end) else {
            throw HTTPError(.scheme, .request, at: start, seen: window[start])
        }
        if hostStart == start + 8 { head.flags.insert(.secureScheme) }
        var hostEnd = hostStart
        while hostEnd < end,
            window[hostEnd] != UInt8(ascii: "/"),
            window[hostEnd] != UInt8(ascii: "?")
        {
            hostEnd += 1
        }
        // No userinfo: RFC 9110 4.2.4 wants it treated as an error when it comes from a stranger,
        // and `http://a@b` reads as a to one parser and as b to the next.
        guard let authority = Authority.parse(window, hostStart, hostEnd),
            authority.hostEnd > hostStart
        else { throw HTTPError(.authority, .request, at: hostStart) }
        head.targetForm = .absolute
        head.setAuthority(hostStart, hostEnd, authority)
        head.pathRange = ByteRange(hostEnd, pathEnd(window, hostEnd, end))
    }

    @inline(__always)
    private static func pathEnd(_ window: ByteWindow, _ start: Int, _ end: Int) -> Int {
        window.first(UInt8(ascii: "?"), from: start, to: end)
    }

    /// The offset after `http://` or `https://`.
    private static func schemeEnd(_ window: ByteWindow, _ start: Int, _ end: Int) -> Int? {
        // Setting bit 5 maps other bytes onto `:` and `/` too, so those are compared apart.
        guard end - start >= 8, window.matches("http", at: start) else { return nil }
        if window.reads("://", at: start + 4) { return start + 7 }
        if window[start + 4] | 0x20 == UInt8(ascii: "s"), window.reads("://", at: start + 5) {
            return start + 8
        }
        return nil
    }
}

extension RequestHead {
    mutating func setAuthority(_ start: Int, _ end: Int, _ authority: Authority) {
        authorityRange = ByteRange(start, end)
        hostRange = ByteRange(start, authority.hostEnd)
        port = authority.port ?? 0
    }
}
