/// Why was a message refused, and with which status?
///
/// Each clause of the RFC that can be broken has a code of its own, so that a log line or a test
/// names the clause. Text is made only when someone reads it.
public struct HTTPError: Error, Equatable, Sendable, BitwiseCopyable {
    /// Whose message it was: a client is told what it did wrong, an upstream's fault is a 502.
    public enum Side: UInt8, Equatable, Sendable, BitwiseCopyable { case request, response }

    public enum Code: UInt8, CaseIterable, Equatable, Sendable, BitwiseCopyable {
        // Lines
        case bareLineFeed, bareCarriageReturn, controlByte
        case requestLineTooLong, headTooLarge, tooManyFields
        // Request line
        case emptyRequestLine, method, methodTooLong
        case target, missingTarget, fragment, targetForm, scheme, authority, connectPort
        case missingVersion, version, unsupportedVersion
        // Status line
        case status
        // Fields
        case leadingWhitespace, foldedLine, fieldName, emptyFieldName, spaceBeforeColon
        case missingColon, tooManyConnectionOptions
        // Host
        case missingHost, duplicateHost, host, hostMismatch
        // Body length
        case contentLength, contentLengthTooLarge, duplicateContentLength
        case lengthAndCoding, codingInHTTP10, duplicateCoding, transferCoding
        case chunkedNotFinal, chunkedTwice, unsupportedCoding
        // Chunks
        case chunkSize, chunkSizeTooLarge, chunkExtension, chunkExtensionsTooLong
        case chunkEnd, trailersTooLarge, forbiddenTrailer
    }

    public let code: Code
    public let side: Side
    /// The byte at fault, or `nil` where what is missing or too long is the fault.
    public let seen: UInt8?
    /// The offset of the byte at fault, never past the end of the input.
    public let position: UInt32

    @inline(never)
    init(_ code: Code, _ side: Side, at position: Int, seen: UInt8? = nil) {
        self.code = code
        self.side = side
        self.seen = seen
        self.position = UInt32(truncatingIfNeeded: position)
    }

    /// What to answer the client with. The connection is closed in every case: where the next
    /// message would begin is exactly what is not known.
    public var status: UInt16 {
        guard side == .request else { return 502 }
        return switch code {
        case .requestLineTooLong: 414
        case .headTooLarge, .tooManyFields, .tooManyConnectionOptions, .trailersTooLarge: 431
        case .methodTooLong, .unsupportedCoding: 501
        case .unsupportedVersion: 505
        default: 400
        }
    }
}

extension HTTPError: CustomStringConvertible {
    public var description: String {
        let (what, expected) = code.text
        let saw =
            seen.map { byte in
                let digits = String(byte, radix: 16)
                return ", saw 0x" + (digits.count < 2 ? "0" : "") + digits
            } ?? ""
        return "\(what) at byte \(position): expected \(expected)\(saw)"
    }
}

extension HTTPError.Code {
    fileprivate var text: (what: String, expected: String) {
        switch self {
        case .bareLineFeed: ("line end", "CR LF")
        case .bareCarriageReturn: ("line end", "LF after CR")
        case .controlByte: ("line", "no control byte")
        case .requestLineTooLong: ("request line", "a shorter one")
        case .headTooLarge: ("head", "a smaller one")
        case .tooManyFields: ("head", "fewer fields")
        case .emptyRequestLine: ("request line", "a method")
        case .method: ("method", "a token and one space")
        case .methodTooLong: ("method", "at most \(HeadLimits.methodBytes) bytes")
        case .target: ("target", "visible ASCII and one space")
        case .missingTarget: ("target", "at least one byte")
        case .fragment: ("target", "no fragment")
        case .targetForm: ("target", "a form that goes with the method")
        case .scheme: ("target", "http:// or https://")
        case .authority: ("target", "host and optional port")
        case .connectPort: ("target", "a port, as CONNECT needs one")
        case .missingVersion: ("request line", "a space and the version")
        case .version: ("version", "HTTP/ digit . digit")
        case .unsupportedVersion: ("version", "HTTP/1")
        case .status: ("status line", "three digits from 100, then a space")
        case .leadingWhitespace: ("first field", "no whitespace before it")
        case .foldedLine: ("field", "one line")
        case .fieldName: ("field name", "a token")
        case .emptyFieldName: ("field name", "at least one byte")
        case .spaceBeforeColon: ("field name", "a colon right after it")
        case .missingColon: ("field", "a colon")
        case .tooManyConnectionOptions:
            ("connection", "at most \(HeadLimits.connectionOptions) options")
        case .missingHost: ("head", "a host field")
        case .duplicateHost: ("host", "a single one")
        case .host: ("host", "host and optional port")
        case .hostMismatch: ("host", "what the target names")
        case .contentLength: ("content-length", "digits")
        case .contentLengthTooLarge: ("content-length", "less than 2^63")
        case .duplicateContentLength: ("content-length", "a single one")
        case .lengthAndCoding: ("head", "content-length or transfer-encoding, not both")
        case .codingInHTTP10: ("transfer-encoding", "none in HTTP/1.0")
        case .duplicateCoding: ("transfer-encoding", "a single one")
        case .transferCoding: ("transfer-encoding", "a list of codings")
        case .chunkedNotFinal: ("transfer-encoding", "chunked as the last coding")
        case .chunkedTwice: ("transfer-encoding", "chunked once")
        case .unsupportedCoding: ("transfer-encoding", "chunked and nothing else")
        case .chunkSize: ("chunk size", "hexadecimal digits, then CR LF")
        case .chunkSizeTooLarge: ("chunk size", "less than 2^63")
        case .chunkExtension: ("chunk extension", "; name or ; name = value")
        case .chunkExtensionsTooLong:
            ("chunk extension", "at most \(HeadLimits.chunkExtensionBytes) bytes in a body")
        case .chunkEnd: ("chunk", "CR LF after the data")
        case .trailersTooLarge: ("trailers", "at most \(HeadLimits.trailerBytes) bytes")
        case .forbiddenTrailer: ("trailer", "no field that frames or routes")
        }
    }
}
