// How is TLS spoken where bytes come and go by any way? OpenSSL works on two buffers in memory: what came is
// put into the one, and what is to go is taken from the other.

import COpenSSL
import EventLoop
import Vocabulary

/// One side of a TLS connection, without the connection. Whoever has it carries the bytes, and carries what is to go after
/// each call, be it that the call failed: an alert goes last.
public final class TLSEngine {
    /// How far a call came.
    public enum Step: Hashable, Sendable {
        /// It is done, of so many bytes where it is about bytes.
        case done(Int)
        /// The other side says that nothing more comes.
        case ended
        /// It has to be made again when more has come.
        case wantsMore
    }

    private let ssl: OpaquePointer
    /// From the peer to OpenSSL, and from OpenSSL to the peer; owned by `ssl`.
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private let isServer: Bool
    /// Whose certificate is expected; empty for a server.
    public let serverName: String
    /// Nobody's certificate was weighed: what OpenSSL thinks of it is no reason of anything.
    private let verifies: Bool

    /// The beginning of what came, to be shown where it is no TLS.
    private var opening: [UInt8] = []
    private let shown = ShownCertificate()
    private static let openingBytesMax = 64
    /// Types of records: change of ciphers, alert, handshake, data (RFC 8446, section 5.1).
    private static let recordTypes: ClosedRange<UInt8> = 20...23

    /// One TLS record and its frame.
    public static let recordBytes = 16_640

    /// Of a client. `serverName` is a host name, sent as SNI and checked, or an IP literal, only checked.
    public convenience init(context: TLSContext, serverName: String) throws(TLSError) {
        try self.init(context, isServer: false, serverName)
        try expect(serverName)
    }

    /// Of a server.
    public convenience init(accepting context: TLSContext) throws(TLSError) {
        try self.init(context, isServer: true)
    }

    private init(
        _ context: TLSContext,
        isServer: Bool,
        _ serverName: String = ""
    ) throws(TLSError) {
        guard let ssl = SSL_new(context.context), let incoming = BIO_new(BIO_s_mem()),
            let outgoing = BIO_new(BIO_s_mem())
        else { throw TLSError.fromQueue("make a connection") }
        self.ssl = ssl
        self.incoming = incoming
        self.outgoing = outgoing
        self.isServer = isServer
        self.serverName = serverName
        verifies = context.configuration.verifies
        SSL_set_bio(ssl, incoming, outgoing)
        shown.follow(ssl)
    }

    deinit { SSL_free(ssl) }

    /// As a certificate may have it: without a zone, which is of this host only, or a final dot, which is of DNS only.
    public static func serverName(for host: String) -> String {
        let name = Address.withoutZone(host)
        return name.count > 1 && name.hasSuffix(".") ? String(name.dropLast()) : name
    }

    /// What is wrong with a name to expect; OpenSSL takes one that begins with a dot for all below it.
    public static func problem(inServerName name: String) -> String? {
        let isSo = name.isEmpty || name.hasPrefix(".") || name.utf8.contains { $0 <= 0x20 }
        return isSo ? "expected a host name or an IP address, saw '\(name)'" : nil
    }

    private func expect(_ serverName: String) throws(TLSError) {
        let parameters = SSL_get0_param(ssl)
        // An IP literal may not be sent as SNI (RFC 6066, section 3).
        if SocketAddress(ip: serverName, port: 0) != nil {
            guard X509_VERIFY_PARAM_set1_ip_asc(parameters, serverName) == 1 else {
                throw TLSError.fromQueue("expect the address \(serverName)")
            }
            return
        }
        var bytes = Array(serverName.utf8CString)
        // SSL_set_tlsext_host_name is a macro for this call.
        guard
            SSL_ctrl(
                ssl,
                SSL_CTRL_SET_TLSEXT_HOSTNAME,
                Int(TLSEXT_NAMETYPE_host_name),
                &bytes
            ) == 1, SSL_set1_host(ssl, serverName) == 1
        else { throw TLSError.fromQueue("expect the name \(serverName)") }
    }

    // MARK: Bytes of the connection

    /// Takes what came.
    public func take(_ bytes: UnsafeRawBufferPointer) {
        if opening.isEmpty { opening = Array(bytes.prefix(Self.openingBytesMax)) }
        BIO_write(incoming, bytes.baseAddress, Int32(clamping: bytes.count))
    }

    /// Puts into `room` what is to go; zero where there is nothing.
    public func give(into room: UnsafeMutableRawBufferPointer) -> Int {
        guard BIO_ctrl_pending(outgoing) > 0 else { return 0 }
        return max(Int(BIO_read(outgoing, room.baseAddress, Int32(clamping: room.count))), 0)
    }

    // MARK: Bytes of whoever speaks

    public func shakeHands() throws(TLSError) -> Step {
        try step("shake hands") { isServer ? SSL_accept($0) : SSL_connect($0) }
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSError) -> Step {
        try step("read") { SSL_read($0, buffer.baseAddress, Int32(clamping: buffer.count)) }
    }

    /// `bytes` are at least one, and the same when the call is made again.
    public func write(_ bytes: [UInt8]) throws(TLSError) -> Step {
        try step("write") { SSL_write($0, bytes, Int32(clamping: bytes.count)) }
    }

    /// Says that no more comes, so that the other side can tell an end from a cut.
    public func sayGoodbye() {
        ERR_clear_error()
        SSL_shutdown(ssl)
        ERR_clear_error()
    }

    private func step(
        _ what: String,
        _ call: (OpaquePointer) -> Int32
    ) throws(TLSError) -> Step {
        while true {
            ERR_clear_error()
            let result = call(ssl)
            if result > 0 { return .done(Int(result)) }
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: return .wantsMore
            // There is always room to write.
            case SSL_ERROR_WANT_WRITE: continue
            case SSL_ERROR_ZERO_RETURN: return .ended
            default: throw failure(what)
            }
        }
    }

    private func failure(_ what: String) -> TLSError {
        let verdict = SSL_get_verify_result(ssl)
        guard verdict == Int(X509_V_OK) || !verifies else {
            ERR_clear_error()
            return .refused(code: verdict, showing: shown)
        }
        if let first = opening.first, !Self.recordTypes.contains(first) {
            ERR_clear_error()
            return .notTLS(opening)
        }
        return TLSError.fromQueue(what)
    }

    // MARK: What was agreed

    public var session: TLSSession { TLSSession(ssl: ssl) }
}
