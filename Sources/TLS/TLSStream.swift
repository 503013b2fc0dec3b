// How does linear code talk TLS to a peer? OpenSSL works on two buffers in memory; what it wants
// sent or needs to read goes over the stream below, with that stream's deadline.

import COpenSSL
public import EventLoop
import Glibc

/// A TLS connection over a `ByteStream`, confined to its loop.
public final class TLSStream {
    private let stream: ByteStream
    private let ssl: OpaquePointer
    /// From the peer to OpenSSL, and from OpenSSL to the peer; owned by `ssl`.
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    /// What OpenSSL said when a read or write failed after the handshake: a server that wants a
    /// certificate of ours says so only then (TLS 1.3).
    public private(set) var lastFailure: TLSError?
    private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: roomBytes, alignment: 16)

    /// The beginning of what came, to be shown where it is no TLS.
    private var opening: [UInt8] = []
    private let shown = ShownCertificate()
    private static let openingBytesMax = 64
    /// Types of records: change of ciphers, alert, handshake, data (RFC 8446, section 5.1).
    private static let recordTypes: ClosedRange<UInt8> = 20...23

    /// One TLS record and its frame.
    private static let roomBytes = 16_640

    private init(stream: ByteStream, context: TLSContext) throws(TLSError) {
        guard let ssl = SSL_new(context.context), let incoming = BIO_new(BIO_s_mem()),
            let outgoing = BIO_new(BIO_s_mem())
        else { throw TLSError.fromQueue("make a connection") }
        self.stream = stream
        self.ssl = ssl
        self.incoming = incoming
        self.outgoing = outgoing
        SSL_set_bio(ssl, incoming, outgoing)
        shown.follow(ssl)
    }

    deinit {
        SSL_free(ssl)
        room.deallocate()
    }

    /// Shakes hands over a connected stream, which stays the caller's to reset if this throws.
    /// `serverName` is a host name, sent as SNI and checked, or an IP literal, only checked.
    public static func connect(
        over stream: ByteStream,
        context: TLSContext,
        serverName: String
    ) async throws(TLSError) -> TLSStream {
        let tls = try TLSStream(stream: stream, context: context)
        try tls.name(serverName)
        try await tls.drive("shake hands") { SSL_connect($0) }
        return tls
    }

    /// Shakes hands with a client over an accepted stream, which stays the caller's to close.
    public static func accept(
        over stream: ByteStream,
        context: TLSContext
    ) async throws(TLSError) -> TLSStream {
        let tls = try TLSStream(stream: stream, context: context)
        try await tls.drive("shake hands") { SSL_accept($0) }
        return tls
    }

    private func name(_ serverName: String) throws(TLSError) {
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

    /// Calls OpenSSL until it is done, moving bytes as it asks. Returns what the last call did.
    @discardableResult
    private func drive(
        _ what: String,
        _ call: (OpaquePointer) -> Int32
    ) async throws(TLSError) -> Int32 {
        while true {
            ERR_clear_error()
            let result = call(ssl)
            let reason = SSL_get_error(ssl, result)
            let failure = result > 0 ? nil : self.failure(what, reason)
            try await flush(despite: failure)
            if result > 0 { return result }
            if let failure { throw failure }
            if reason == SSL_ERROR_ZERO_RETURN { return 0 }
            if reason == SSL_ERROR_WANT_READ { try await fill() }
        }
    }

    /// Nil where the call only has to be made again, or the peer said goodbye.
    private func failure(_ what: String, _ reason: Int32) -> TLSError? {
        switch reason {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_ZERO_RETURN: return nil
        default:
            let verdict = SSL_get_verify_result(ssl)
            guard verdict == Int(X509_V_OK) else {
                ERR_clear_error()
                return .refused(code: verdict, showing: shown)
            }
            if let first = opening.first, !Self.recordTypes.contains(first) {
                ERR_clear_error()
                return .notTLS(opening)
            }
            return TLSError.fromQueue(what)
        }
    }

    /// Sends what OpenSSL has ready. After a failure that is an alert, which may be lost.
    private func flush(despite failure: TLSError?) async throws(TLSError) {
        while BIO_ctrl_pending(outgoing) > 0 {
            let count = BIO_read(outgoing, room.baseAddress, Int32(room.count))
            guard count > 0 else { return }
            do throws(StreamError) {
                try await stream.write(Array(room.prefix(Int(count))))
            } catch {
                if let failure { throw failure }
                throw .stream(error)
            }
        }
    }

    private func fill() async throws(TLSError) {
        let count: Int
        do throws(StreamError) {
            count = try await stream.read(into: room)
        } catch {
            throw .stream(error)
        }
        guard count > 0 else { throw .stream(.ended) }
        if opening.isEmpty { opening = Array(room.prefix(min(count, Self.openingBytesMax))) }
        BIO_write(incoming, room.baseAddress, Int32(count))
    }

    // MARK: Bytes

    /// Reads what is there, at least one byte. Zero means the other side has ended: with a goodbye,
    /// or by closing, which many servers do after their last answer.
    public func read(into buffer: UnsafeMutableRawBufferPointer) async throws(StreamError) -> Int {
        do throws(TLSError) {
            let limit = Int32(clamping: buffer.count)
            return Int(try await drive("read") { SSL_read($0, buffer.baseAddress, limit) })
        } catch {
            switch error {
            case .stream(.ended): return 0
            case .stream(let error): throw error
            case .certificate, .alert, .notTLS, .failed: throw broken("read", error)
            }
        }
    }

    public func write(_ bytes: [UInt8]) async throws(StreamError) {
        guard !bytes.isEmpty else { return }
        do throws(TLSError) {
            try await drive("write") { SSL_write($0, bytes, Int32(clamping: bytes.count)) }
        } catch {
            if case .stream(let error) = error { throw error }
            throw broken("write", error)
        }
    }

    /// EBADMSG is what the kernel's own TLS says.
    private func broken(_ what: String, _ error: TLSError) -> StreamError {
        lastFailure = error
        return .failed(SystemError(what, code: EBADMSG))
    }

    /// Tells the other side that no more comes, so that it can tell an end from a cut. Its own
    /// goodbye is not waited for.
    public func sayGoodbye() async {
        guard lastFailure == nil else { return }
        ERR_clear_error()
        SSL_shutdown(ssl)
        ERR_clear_error()
        try? await flush(despite: nil)
    }

    /// Ends the connection below with RST, without a goodbye.
    public func reset() { stream.reset() }

    /// As of the stream below.
    public var broken: SystemError? { stream.broken }

    // MARK: What was agreed

    public var session: TLSSession { TLSSession(ssl: ssl) }
}
