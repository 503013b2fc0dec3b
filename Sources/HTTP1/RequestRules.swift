/// What do the fields of a request mean together: whose is it, and where does its body end?
enum RequestRules {
    /// Judges the complete field table and fills in what the fields decide.
    @inline(__always)
    static func conclude(
        _ head: inout RequestHead,
        fields: borrowing FieldTable,
        in window: ByteWindow
    ) throws(HTTPError) {
        var host: Field?
        var length: UInt64?
        var lengthAt = 0
        var codings: Field?
        var options: ConnectionOptions = []
        var optionCount = 0
        var hasUpgradeField = false
        let isModern = head.minorVersion > 0

        for place in 0..<fields.notableCount {
            let index = fields.notableAt(place)
            let field = fields.at(index)
            if field.hasUnderscore { head.flags.insert(.underscore) }
            switch field.known {
            case .host:
                guard host == nil else {
                    throw HTTPError(.duplicateHost, .request, at: Int(field.nameStart))
                }
                host = field
            case .contentLength:
                // Even two equal ones: who forwards both relies on every recipient behind it to
                // collapse them, and RFC 9110 8.6 lets us refuse.
                guard length == nil else {
                    throw HTTPError(.duplicateContentLength, .request, at: Int(field.nameStart))
                }
                length = try ContentLength.parse(window, field.value, of: .request)
                if ContentLength.isPadded(window, field.value) { fields.markPadded(at: index) }
                lengthAt = Int(field.nameStart)
            case .transferEncoding:
                guard codings == nil else {
                    throw HTTPError(.duplicateCoding, .request, at: Int(field.nameStart))
                }
                codings = field
            case .connection:
                optionCount &+= options.add(window, field.value)
                guard optionCount <= HeadLimits.connectionOptions else {
                    throw HTTPError(
                        .tooManyConnectionOptions,
                        .request,
                        at: Int(field.nameStart)
                    )
                }
            case .upgrade:
                hasUpgradeField = true
            case .expect where isModern:
                let value = field.value
                if value.count == 12, window.matches("100-continue", at: value.lowerBound) {
                    head.flags.insert(.expectsContinue)
                } else {
                    head.flags.insert(.unknownExpectation)
                }
            case .te:
                var elements = ListElements(window, field.value)
                while let (start, end) = elements.next() {
                    if end &- start == 8, window.matches("trailers", at: start) {
                        head.flags.insert(.acceptsTrailers)
                    }
                }
            default: break
            }
        }

        try concludeHost(&head, host, in: window)
        if let codings {
            if length != nil { throw HTTPError(.lengthAndCoding, .request, at: lengthAt) }
            try judge(codings, isModern: isModern, in: window)
            head.framing = .chunked
        } else if let length, length > 0 {
            head.framing = .length(length)
        }
        if !options.contains(.close), isModern || options.contains(.keepAlive) {
            head.flags.insert(.persistent)
        }
        if isModern, hasUpgradeField, options.contains(.upgrade) { head.flags.insert(.upgrade) }
    }

    /// RFC 9112 3.2: an HTTP/1.1 request has exactly one valid Host, even beside an absolute form,
    /// whose authority replaces it. The two may not differ here: behind us someone may route by
    /// the one that we did not.
    @inline(__always)
    private static func concludeHost(
        _ head: inout RequestHead,
        _ host: Field?,
        in window: ByteWindow
    ) throws(HTTPError) {
        guard let host else {
            if head.minorVersion == 0 { return }
            throw HTTPError(.missingHost, .request, at: Int(head.end) - 2)
        }
        let value = host.value
        guard let authority = Authority.parse(window, value.lowerBound, value.upperBound) else {
            throw HTTPError(.host, .request, at: value.lowerBound)
        }
        switch head.targetForm {
        case .origin, .asterisk:
            head.setAuthority(value.lowerBound, value.upperBound, authority)
        case .absolute, .authority:
            let defaultPort: UInt16 =
                switch head.targetForm {
                // CONNECT always names a port; a Host without one does not contradict it.
                case .authority: head.port
                default: head.hasSecureScheme ? 443 : 80
                }
            let wanted = head.hostRange
            let asked = head.port == 0 ? defaultPort : head.port
            guard authority.hostEnd - value.lowerBound == Int(wanted.count),
                window.sameIgnoringCase(
                    value.lowerBound,
                    wanted.lowerBound,
                    length: Int(wanted.count)
                ),
                authority.port ?? defaultPort == asked
            else { throw HTTPError(.hostMismatch, .request, at: value.lowerBound) }
        }
    }

    /// RFC 9112 6.1 and 6.3: the body of a request has a known end only if chunked comes last.
    private static func judge(
        _ field: Field,
        isModern: Bool,
        in window: ByteWindow
    ) throws(HTTPError) {
        let at = Int(field.nameStart)
        guard isModern else { throw HTTPError(.codingInHTTP10, .request, at: at) }
        var codings = TransferCodings()
        codings.add(window, field.value)
        if let stray = codings.malformed {
            throw HTTPError(.transferCoding, .request, at: stray, seen: window[stray])
        }
        if codings.hasEmpty { throw HTTPError(.transferCoding, .request, at: at) }
        guard codings.endsInChunked else { throw HTTPError(.chunkedNotFinal, .request, at: at) }
        guard codings.chunkedCount == 1 else { throw HTTPError(.chunkedTwice, .request, at: at) }
        if codings.hasForeign { throw HTTPError(.unsupportedCoding, .request, at: at) }
    }
}
