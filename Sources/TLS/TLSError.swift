// Why did TLS not come about?

import COpenSSL
public import EventLoop
import Glibc

/// What OpenSSL, a certificate or the connection below said.
public enum TLSError: Error, Hashable, Sendable {
    /// The connection below failed.
    case stream(StreamError)
    /// The certificate was refused; `code` is one of OpenSSL's X509_V_ERR numbers.
    case certificate(code: Int, reason: String)
    /// Anything else, in OpenSSL's words.
    case failed(String)

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
        let reason = ERR_reason_error_string(code).map { String(cString: $0) }
        return .failed("\(what): \(reason ?? "error \(code)")")
    }
}

extension TLSError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .stream(.timedOut): "timed out"
        case .stream(.ended): "the connection ended"
        case .stream(.failed(let error)): error.reason
        case .certificate(_, let reason): reason
        case .failed(let text): text
        }
    }
}
