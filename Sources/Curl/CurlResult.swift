// How did a transfer end? libcurl has a hundred codes; a check has to tell apart a dozen.

import CCurl
public import Vocabulary

/// The end of one transfer.
public struct CurlResult: Sendable {
    public enum End: Hashable, Sendable {
        /// The server's answer is whole, or its end is where the connection ended.
        case complete
        /// The receiver had what it wanted.
        case enough
        case timedOut
        case failed(CurlFailure)
    }

    public var end: End
    /// Until libcurl had a connection.
    public var connect: Nanoseconds?
    /// From the connection to the end of the TLS handshake; nil without one.
    public var handshake: Nanoseconds?
    /// From the request to the first byte of its answer; nil without an answer.
    public var firstByte: Nanoseconds?
    /// What a proxy answered to CONNECT; zero where none was asked, or it has not answered.
    public var tunnelStatus: Int
    /// The connection was there, and all handshakes on it were over.
    public var isUnderWay: Bool
}

/// Why a transfer failed, with libcurl's own words.
public struct CurlFailure: Error, Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// No connection, after one more was needed.
        case connect
        /// The proxy did not let us through.
        case proxy
        case handshake
        /// `code` is one of OpenSSL's X509_V_ERR numbers.
        case certificate(code: Int)
        /// The connection ended before the answer, or inside its body.
        case ended
        /// The connection broke.
        case broken
        /// TLS broke after its handshake.
        case tls
        /// What came is no answer.
        case malformed
        /// Nothing that the server did.
        case ours
    }

    public var kind: Kind
    public var text: String
    /// The errno, where there is one.
    public var errno: Int32
}

extension CurlFailure {
    init(_ code: CURLcode, errno: Int32, certificate: Int, text: String) {
        self.errno = errno
        self.text = text.isEmpty ? String(cString: curl_easy_strerror(code)) : text
        kind =
            switch code {
            case CURLE_COULDNT_CONNECT: .connect
            case CURLE_PROXY, CURLE_COULDNT_RESOLVE_PROXY: .proxy
            case CURLE_PEER_FAILED_VERIFICATION where certificate != 0:
                .certificate(code: certificate)
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CIPHER,
                CURLE_SSL_CERTPROBLEM, CURLE_SSL_ISSUER_ERROR:
                .handshake
            case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE: .ended
            // OpenSSL's complaints have a number of its own: `error:0A00045C:SSL routines::…`.
            case CURLE_RECV_ERROR, CURLE_SEND_ERROR: text.contains("error:") ? .tls : .broken
            case CURLE_FAILED_INIT, CURLE_URL_MALFORMAT, CURLE_ABORTED_BY_CALLBACK,
                CURLE_BAD_FUNCTION_ARGUMENT, CURLE_NOT_BUILT_IN, CURLE_UNKNOWN_OPTION,
                CURLE_COULDNT_RESOLVE_HOST, CURLE_SSL_ENGINE_INITFAILED:
                .ours
            // Among them CURLE_OUT_OF_MEMORY: a line that never ends.
            default: .malformed
            }
    }
}
