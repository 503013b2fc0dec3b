// Why did TLS not come about?

import COpenSSL
public import EventLoop
import Glibc

/// What OpenSSL, a certificate or the connection below said.
public enum TLSError: Error, Hashable, Sendable {
    /// The connection below failed.
    case stream(StreamError)
    /// The certificate was refused; `code` is one of OpenSSL's X509_V_ERR numbers.
    case certificate(code: Int, reason: String, of: Certificate?)
    /// The other side hung up with an alert.
    case alert(TLSAlert)
    /// What came is not TLS: its beginning.
    case notTLS([UInt8])
    /// Anything else, in OpenSSL's words.
    case failed(String)

    /// SSL_AD_REASON_OFFSET: from here on a reason is the number of an alert that came.
    private static let alertOffset = 1_000
    /// SSL_R_WRONG_VERSION_NUMBER: the first bytes are no record.
    private static let wrongVersion = 267
    /// The bits of an error that are its reason.
    private static let reasonMask = 0x7F_FFFF

    /// ERR_SYSTEM_FLAG, a macro that does not come across.
    private static let systemFlag: UInt = 0x8000_0000

    /// The oldest complaint in OpenSSL's queue of this thread, which is emptied.
    static func fromQueue(_ what: String) -> TLSError {
        let code = ERR_peek_error()
        ERR_clear_error()
        // A system error has no reason string of OpenSSL's; its number is an errno.
        if code & systemFlag != 0 {
            return .failed("\(what): \(String(cString: strerror(Int32(code & ~systemFlag))))")
        }
        if let alert = alert(in: code) { return .alert(alert) }
        let reason = ERR_reason_error_string(code).map { String(cString: $0) }
        return .failed("\(what): \(reason ?? "error \(code)")")
    }

    private static func alert(in code: UInt) -> TLSAlert? {
        let number = Int(code) & reasonMask - alertOffset
        // Only the reasons of the SSL library, which has number 20, are alerts.
        guard code >> 23 & 0xFF == 20, (0...255).contains(number) else { return nil }
        return TLSAlert(number)
    }

    /// What another library repeats of OpenSSL's complaint, for example
    /// `error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0`. Nil where it is
    /// none.
    public init?(foreign what: String, _ text: String) {
        let pieces = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let index = pieces.firstIndex(where: { $0.hasSuffix("error") }),
            pieces.count > index + 4, let code = UInt(pieces[index + 1], radix: 16)
        else { return nil }
        if let alert = Self.alert(in: code) {
            self = .alert(alert)
        } else if Int(code) & Self.reasonMask == Self.wrongVersion {
            self = .notTLS([])
        } else {
            self = .failed("\(what): \(pieces[index + 4].prefix { $0 != "," })")
        }
    }
}

extension TLSError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .stream(.timedOut): "timed out"
        case .stream(.ended): "the connection ended"
        case .stream(.failed(let error)): error.reason
        case .certificate(_, let reason, let shown):
            reason + (shown.map { ", of \($0.holder)" } ?? "")
        case .alert(let alert): "\(alert)"
        case .notTLS: "bytes that are no TLS"
        case .failed(let text): text
        }
    }
}
