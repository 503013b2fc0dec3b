/// What do the fields of a response mean together: where does its body end, and what then?
enum ResponseRules {
    /// Judges the complete field table and fills in what the fields decide. The order of the rules
    /// is that of RFC 9112 6.3.
    @inline(__always)
    static func conclude(
        _ head: inout ResponseHead,
        to method: Method,
        fields: borrowing FieldTable,
        in window: ByteWindow,
        isLenient: Bool
    ) throws(HTTPError) {
        var length: UInt64?
        var lengthAt = 0
        var codings = TransferCodings()
        var codingAt: Int?
        var options: ConnectionOptions = []
        var optionCount = 0
        let isModern = head.minorVersion > 0

        for place in 0..<fields.notableCount {
            let index = fields.notableAt(place)
            let field = fields.at(index)
            switch field.known {
            case .contentLength:
                if let length {
                    // Nobody can read two equal ones in two ways; only one goes on.
                    guard isLenient,
                        try ContentLength.parse(window, field.value, of: .response) == length
                    else {
                        throw HTTPError(
                            .duplicateContentLength,
                            .response,
                            at: Int(field.nameStart)
                        )
                    }
                    fields.drop(at: index)
                    continue
                }
                length = try ContentLength.parse(window, field.value, of: .response)
                if ContentLength.isPadded(window, field.value) { fields.markPadded(at: index) }
                lengthAt = Int(field.nameStart)
            case .transferEncoding:
                codings.add(window, field.value)
                codingAt = codingAt ?? Int(field.nameStart)
            case .connection:
                optionCount &+= options.add(window, field.value)
                guard optionCount <= HeadLimits.connectionOptions else {
                    throw HTTPError(
                        .tooManyConnectionOptions,
                        .response,
                        at: Int(field.nameStart)
                    )
                }
            default: break
            }
        }

        head.isPersistent = !options.contains(.close) && (isModern || options.contains(.keepAlive))
        head.isTunnel =
            head.status == 101 || method == .connect && (200..<300).contains(head.status)
        let hasNoBody =
            head.status < 200 || head.status == 204 || head.status == 304 || method == .head
            || head.isTunnel

        if let codingAt {
            // Two announcements of one body are an attempt at splitting (RFC 9112 6.3), and an
            // HTTP/1.0 server that names a coding has its framing wrong (RFC 9112 6.1).
            if length != nil { throw HTTPError(.lengthAndCoding, .response, at: lengthAt) }
            guard isModern || isLenient else {
                throw HTTPError(.codingInHTTP10, .response, at: codingAt)
            }
            // Whoever cannot frame an answer shall not be trusted with the place of the next one.
            if !isModern { head.isPersistent = false }
        }
        if hasNoBody { return }

        if let codingAt {
            if let stray = codings.malformed {
                throw HTTPError(.transferCoding, .response, at: stray, seen: window[stray])
            }
            guard codings.chunkedCount <= 1 else {
                throw HTTPError(.chunkedTwice, .response, at: codingAt)
            }
            guard codings.endsInChunked else {
                head.hasForeignCoding = codings.hasForeign
                head.framing = .untilClose
                head.isPersistent = false
                return
            }
            // We send no `TE` with codings, so this upstream may not apply any (RFC 9110 10.1.4).
            if codings.hasForeign {
                throw HTTPError(.unsupportedCoding, .response, at: codingAt)
            }
            head.framing = .chunked
        } else if let length {
            head.framing = length > 0 ? .length(length) : .none
        } else {
            head.framing = .untilClose
            head.isPersistent = false
        }
    }
}
