// What does the next hop see of a head? The fields that are meant for it, in runs copied whole, and
// then ours, so that nothing a sender wrote can remove them (RFC 9110, section 7.6.1).

import HTTP1

enum HeadRewriter {
    /// Most bytes that a rewritten head grows by.
    static let growthMax = 1_024

    /// Writes the request as the peer gets it. `bytes` is where the head was parsed; `normalised` is
    /// the path without its dot segments, empty if it had none.
    @inline(__always)
    static func request(
        _ head: RequestHead,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>,
        stripBytes: Int,
        normalised: UnsafeBufferPointer<UInt8>,
        client: borrowing ClientConnection,
        wantsUpgrade: Bool,
        maxForwards: Int = -1,
        tellsMore: Bool = false,
        keepsForwarded: Bool = false,
        to output: inout Buffer
    ) {
        appendRequestLine(head, bytes, stripBytes, normalised, to: &output)
        let isChained = client.hasAddress ? client.isTrusted : false
        let replacesHost = head.targetForm == .absolute
        if replacesHost {
            output.append("Host: ")
            output.append(
                bytes + head.authorityRange.lowerBound,
                Int(head.authorityRange.count)
            )
            output.append("\r\n")
        }
        var careful = keepsForwarded ? carefulInChain : carefulInRequest
        if replacesHost { careful |= KnownField.host.bit }
        if maxForwards >= 0 { careful |= KnownField.maxForwards.bit }
        var run = begin(of: 0, fields, Int(head.end))
        var place = 0
        while place < fields.notableCount {
            let index = fields.notable(place)
            let field = fields[index]
            place &+= 1
            guard field.needsCare(careful) else { continue }
            let isPadded = field.isPaddedLength
            let isDropped =
                isDroppedFromRequest(field, keepsForwarded, isChained: isChained)
                || (replacesHost && field.known == .host)
                || (maxForwards >= 0 && field.known == .maxForwards)
            guard isDropped || isPadded || field.hasBlankName else { continue }
            append(bytes, from: run, to: Int(field.nameStart), to: &output)
            run = begin(of: index &+ 1, fields, Int(head.end))
            if isPadded {
                appendLength(field, bytes, to: &output)
            } else if !isDropped {
                // Of a head that was read leniently.
                appendField(field, bytes, to: &output)
            }
        }
        append(bytes, from: run, to: Int(head.end) &- 2, to: &output)

        if case .chunked = head.framing { output.append("Transfer-Encoding: chunked\r\n") }
        if wantsUpgrade, let upgrade = fields.first(.upgrade) {
            output.append("Connection: Upgrade\r\nUpgrade: ")
            output.append(bytes + upgrade.value.lowerBound, upgrade.value.count)
            output.append("\r\n")
        } else if head.acceptsTrailers {
            output.append("Connection: TE\r\nTE: trailers\r\n")
        }
        if maxForwards >= 0 {
            output.append("Max-Forwards: ")
            output.append(decimal: maxForwards)
            output.append("\r\n")
        }
        if keepsForwarded {
            return appendAbsent(head, fields, bytes, client, tellsMore: tellsMore, to: &output)
        }
        if client.hasAddress {
            output.append("X-Forwarded-For: ")
            appendAddress(client, to: &output)
            output.append("\r\n")
        }
        if tellsMore { appendMore(head, client, to: &output) }
        if head.minorVersion == 0 {
            output.append("X-Forwarded-Proto: http\r\nVia: 1.0 muster\r\n\r\n")
        } else {
            output.append("X-Forwarded-Proto: http\r\nVia: 1.1 muster\r\n\r\n")
        }
    }

    /// Where the line of a field begins, or the empty line behind the last one.
    @inline(__always)
    private static func begin(
        of index: Int,
        _ fields: borrowing FieldTable,
        _ end: Int
    ) -> Int {
        index < fields.count ? Int(fields[index].nameStart) : end &- 2
    }

    /// Lines that go on as they are.
    @inline(__always)
    private static func append(
        _ bytes: UnsafePointer<UInt8>,
        from start: Int,
        to end: Int,
        to output: inout Buffer
    ) {
        if start < end { output.append(bytes + start, end &- start) }
    }

    /// Kinds that never go on: they claim to know where the request came from.
    @inline(__always)
    private static var carefulInRequest: UInt64 {
        KnownField.xForwardedFor.bit | KnownField.xForwardedProto.bit
            | KnownField.xForwardedHost.bit | KnownField.xForwardedPort.bit
            | KnownField.xRealIP.bit | KnownField.forwarded.bit
    }

    /// Of these the one that each proxy of a chain adds to.
    @inline(__always)
    private static var carefulInChain: UInt64 { KnownField.xForwardedFor.bit }

    /// What `Max-Forwards` says; nil where it is no number, and then it is passed on as it is.
    static func hops(_ field: Field, _ bytes: UnsafePointer<UInt8>) -> Int? {
        if field.value.isEmpty { return nil }
        var hops = 0
        for index in field.value {
            let digit = bytes[index] &- 48
            guard digit < 10 else { return nil }
            hops = min(hops * 10 + Int(digit), hopsMax)
        }
        return hops
    }

    /// More are as good as these, and the next hop is told so (RFC 9110, section 7.6.2).
    private static let hopsMax = 1_000_000

    /// A request as it arrived, without what may be secret.
    static func reflection(
        _ head: RequestHead,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>,
        to output: inout Buffer
    ) {
        output.append(
            bytes + head.methodRange.lowerBound,
            head.targetRange.upperBound - head.methodRange.lowerBound
        )
        output.append(head.minorVersion == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n")
        for index in 0..<fields.count {
            let field = fields[index]
            switch field.known {
            case .cookie, .authorization, .proxyAuthorization: continue
            default: appendField(field, bytes, to: &output)
            }
        }
        output.append("\r\n")
    }

    /// Whether the peer hears of an `Upgrade`. HTTP/2 behind our back would carry requests that no
    /// route, limit or rewrite sees; RFC 9113 (section 3.1) has withdrawn it anyway.
    static func isForwarded(_ upgrade: Field, _ bytes: UnsafePointer<UInt8>) -> Bool {
        var startsElement = true
        for index in upgrade.value {
            switch bytes[index] {
            case UInt8(ascii: ","): startsElement = true
            case UInt8(ascii: " "), UInt8(ascii: "\t"): break
            case let byte:
                if startsElement, byte | 0x20 == UInt8(ascii: "h"),
                    index + 1 < upgrade.value.upperBound,
                    bytes[index + 1] == UInt8(ascii: "2")
                {
                    return false
                }
                startsElement = false
            }
        }
        return true
    }

    /// Without the zeros in front.
    private static func appendLength(
        _ field: Field,
        _ bytes: UnsafePointer<UInt8>,
        to output: inout Buffer
    ) {
        var start = field.value.lowerBound
        while start + 1 < field.value.upperBound, bytes[start] == UInt8(ascii: "0") { start += 1 }
        output.append("Content-Length: ")
        output.append(bytes + start, field.value.upperBound - start)
        output.append("\r\n")
    }

    /// Whatever claims to know where the request came from: only we do, unless somebody in front of us does.
    @inline(__always)
    private static func isDroppedFromRequest(
        _ field: Field,
        _ keepsForwarded: Bool,
        isChained: Bool
    ) -> Bool {
        if field.isHopByHop || field.hasUnderscore { return true }
        // A trusted proxy's is written with ours, in one line.
        if keepsForwarded { return isChained && field.known == .xForwardedFor }
        switch field.known {
        case .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .xRealIP,
            .forwarded:
            return true
        default:
            return false
        }
    }

    @inline(__always)
    private static func appendRequestLine(
        _ head: RequestHead,
        _ bytes: UnsafePointer<UInt8>,
        _ stripBytes: Int,
        _ normalised: UnsafeBufferPointer<UInt8>,
        to output: inout Buffer
    ) {
        let method = head.methodRange
        if head.targetForm == .origin, stripBytes == 0 {
            // Method, space and target lie together.
            output.append(
                bytes + method.lowerBound,
                head.targetRange.upperBound - method.lowerBound
            )
            appendVersion(head, to: &output)
            return
        }
        output.append(bytes + method.lowerBound, Int(method.count))
        output.append(byte: UInt8(ascii: " "))
        if head.isServerWide {
            output.append(byte: UInt8(ascii: "*"))
        } else if stripBytes > 0, !normalised.isEmpty {
            // The prefix was found after `..` had been resolved: only there can it be taken off.
            let path = UnsafeBufferPointer(rebasing: normalised[stripBytes...])
            if path.first != UInt8(ascii: "/") { output.append(byte: UInt8(ascii: "/")) }
            if let base = path.baseAddress { output.append(base, path.count) }
            let query = head.pathRange.upperBound
            output.append(bytes + query, head.targetRange.upperBound - query)
        } else {
            var start = head.originRange.lowerBound + stripBytes
            let end = head.originRange.upperBound
            if start > end { start = end }
            // An absolute form or a stripped prefix may leave no path: then it is the root.
            if start == end || bytes[start] != UInt8(ascii: "/") {
                output.append(byte: UInt8(ascii: "/"))
            }
            output.append(bytes + start, end - start)
        }
        appendVersion(head, to: &output)
    }

    /// Our own version (RFC 9110, section 2.5), unless an old client named no host: as HTTP/1.1
    /// servers would have to refuse that.
    @inline(__always)
    private static func appendVersion(_ head: RequestHead, to output: inout Buffer) {
        if head.minorVersion == 0, head.authorityRange.isEmpty {
            output.append(" HTTP/1.0\r\n")
        } else {
            output.append(" HTTP/1.1\r\n")
        }
    }

    @inline(__always)
    private static func appendAddress(
        _ client: borrowing ClientConnection,
        to output: inout Buffer
    ) {
        let count = Int(client.addressCount)
        client.address.span.withUnsafeBufferPointer { text in
            if let start = text.baseAddress { output.append(start, count) }
        }
    }

    /// What proxies of hipache's age told their peers besides. The port is the one that was asked for.
    @inline(never)
    private static func appendMore(
        _ head: RequestHead,
        _ client: borrowing ClientConnection,
        to output: inout Buffer
    ) {
        if client.hasAddress {
            output.append("X-Real-IP: ")
            appendAddress(client, to: &output)
            output.append("\r\n")
        }
        output.append("X-Forwarded-Protocol: http\r\nX-Forwarded-Port: ")
        output.append(decimal: head.port == 0 ? 80 : Int(head.port))
        output.append("\r\n")
    }

    /// Of what peers are told, `tellsMore` as proxies of hipache's age told them, what nobody in front of us has told, and the
    /// end of the head. A trusted proxy's list of addresses goes on with its own.
    @inline(never)
    private static func appendAbsent(
        _ head: RequestHead,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>,
        _ client: borrowing ClientConnection,
        tellsMore: Bool,
        to output: inout Buffer
    ) {
        var kept: UInt64 = 0
        var keepsProtocol = false
        for index in 0..<fields.count {
            let field = fields[index]
            if field.isHopByHop || field.hasUnderscore { continue }
            kept |= field.known.bit
            if isForwardedProtocol(field, bytes) { keepsProtocol = true }
        }
        if client.hasAddress, client.isTrusted || kept & KnownField.xForwardedFor.bit == 0 {
            output.append("X-Forwarded-For: ")
            if client.isTrusted { appendChain(fields, bytes, to: &output) }
            appendAddress(client, to: &output)
            output.append("\r\n")
        }
        if tellsMore, client.hasAddress, kept & KnownField.xRealIP.bit == 0 {
            output.append("X-Real-IP: ")
            appendAddress(client, to: &output)
            output.append("\r\n")
        }
        if tellsMore, !keepsProtocol { output.append("X-Forwarded-Protocol: http\r\n") }
        if kept & KnownField.xForwardedProto.bit == 0 {
            output.append("X-Forwarded-Proto: http\r\n")
        }
        if tellsMore, kept & KnownField.xForwardedPort.bit == 0 {
            output.append("X-Forwarded-Port: ")
            output.append(decimal: head.port == 0 ? 80 : Int(head.port))
            output.append("\r\n")
        }
        output.append(
            head.minorVersion == 0 ? "Via: 1.0 muster\r\n\r\n" : "Via: 1.1 muster\r\n\r\n"
        )
    }

    /// What stands in `X-Forwarded-For`, of several lines in their order (RFC 9110, section 5.3), and a comma after each.
    private static func appendChain(
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>,
        to output: inout Buffer
    ) {
        for index in 0..<fields.count {
            let field = fields[index]
            guard field.known == .xForwardedFor, !field.isHopByHop, !field.value.isEmpty else {
                continue
            }
            output.append(bytes + field.value.lowerBound, field.value.count)
            output.append(", ")
        }
    }

    /// A name that only these proxies know.
    private static func isForwardedProtocol(_ field: Field, _ bytes: UnsafePointer<UInt8>) -> Bool {
        let name: StaticString = "x-forwarded-protocol"
        guard field.name.count == name.utf8CodeUnitCount else { return false }
        return (0..<field.name.count).allSatisfy {
            bytes[field.name.lowerBound + $0] | 0x20 == name.utf8Start[$0]
        }
    }

    /// How the client is told where the body ends and what becomes of the connection.
    struct ResponseStyle {
        var rechunks = false
        var closes = false
        /// HTTP/1.0 clients keep a connection only when told that it stays.
        var saysKeepAlive = false
        var isUpgrade = false
        /// For a final response that has no `Date`: what the clock shows (RFC 9110, section 6.6.1).
        var date: UnsafePointer<UInt8>?
    }

    /// Writes a final or interim response as the client gets it.
    @inline(__always)
    static func response(
        _ head: ResponseHead,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>,
        style: ResponseStyle,
        to output: inout Buffer
    ) {
        output.append("HTTP/1.1 ")
        appendStatus(head, bytes, to: &output)
        let dropsLength = head.forbidsContentLength || style.rechunks
        let careful = dropsLength ? KnownField.contentLength.bit : 0
        var run = begin(of: 0, fields, Int(head.end))
        var place = 0
        while place < fields.notableCount {
            let index = fields.notable(place)
            let field = fields[index]
            place &+= 1
            guard field.needsCare(careful) else { continue }
            let isForeign = head.hasForeignCoding && field.known == .transferEncoding
            let isPadded = field.isPaddedLength
            let isDropped =
                (field.isHopByHop && !isForeign) || (dropsLength && field.known == .contentLength)
            guard isDropped || field.hasBlankName || isPadded else { continue }
            append(bytes, from: run, to: Int(field.nameStart), to: &output)
            run = begin(of: index &+ 1, fields, Int(head.end))
            // Blanks before the colon are the peer's fault and are taken out here
            // (RFC 9112, section 5.1).
            if isPadded {
                if !isDropped { appendLength(field, bytes, to: &output) }
            } else if !isDropped {
                appendField(field, bytes, to: &output)
            }
        }
        append(bytes, from: run, to: Int(head.end) &- 2, to: &output)

        if style.rechunks { output.append("Transfer-Encoding: chunked\r\n") }
        if fields.kinds & KnownField.date.bit == 0, let date = style.date {
            output.append("Date: ")
            output.append(date, HTTPDate.count)
            output.append("\r\n")
        }
        // Nobody could do what a 426 asks for without the field (RFC 9110, section 15.5.22).
        if head.status == 426, fields.first(.upgrade) != nil {
            appendUpgrades(fields, bytes, to: &output)
            if style.closes {
                output.append("Connection: Upgrade, close\r\n")
            } else {
                output.append("Connection: Upgrade\r\n")
            }
        } else if style.isUpgrade, let upgrade = fields.first(.upgrade) {
            output.append("Connection: Upgrade\r\nUpgrade: ")
            output.append(bytes + upgrade.value.lowerBound, upgrade.value.count)
            output.append("\r\n")
        } else if style.closes {
            output.append("Connection: close\r\n")
        } else if style.saysKeepAlive {
            output.append("Connection: keep-alive\r\n")
        }
        output.append("\r\n")
    }

    private static func appendUpgrades(
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>,
        to output: inout Buffer
    ) {
        for index in 0..<fields.count where fields[index].known == .upgrade {
            appendField(fields[index], bytes, to: &output)
        }
    }

    private static func appendStatus(
        _ head: ResponseHead,
        _ bytes: UnsafePointer<UInt8>,
        to output: inout Buffer
    ) {
        let status = Int(head.status)
        output.append(byte: UInt8(truncatingIfNeeded: 48 + status / 100))
        output.append(byte: UInt8(truncatingIfNeeded: 48 + status / 10 % 10))
        output.append(byte: UInt8(truncatingIfNeeded: 48 + status % 10))
        // The space stays even where the phrase is empty (RFC 9112, section 4).
        output.append(byte: UInt8(ascii: " "))
        output.append(bytes + head.reasonRange.lowerBound, Int(head.reasonRange.count))
        output.append("\r\n")
    }

    private static func appendField(
        _ field: Field,
        _ bytes: UnsafePointer<UInt8>,
        to output: inout Buffer
    ) {
        output.append(bytes + field.name.lowerBound, field.name.count)
        output.append(": ")
        output.append(bytes + field.value.lowerBound, field.value.count)
        output.append("\r\n")
    }
}
