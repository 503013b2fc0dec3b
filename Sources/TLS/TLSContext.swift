// With what does one end of a TLS connection prove itself, and whom does it believe? Read from
// files once and shared by every connection.

import COpenSSL
import EventLoop

/// How a client speaks TLS.
public struct TLSConfiguration: Hashable, Sendable {
    /// Checks the chain and the name. Without it a connection is encrypted and nothing more.
    public var verifies = true
    /// PEM file of the authorities believed; nil means those of the system.
    public var authorityFile: String?
    /// PEM files of our own certificate, with its chain, and its key.
    public var certificateFile: String?
    public var keyFile: String?
    /// Offered to the server, most wanted first.
    public var protocols: [String] = []

    public init() {}
}

/// A loaded configuration, for any number of connections on any thread.
public final class TLSContext: @unchecked Sendable {
    /// Reference-counted and locked inside; not changed after `init`.
    let context: OpaquePointer
    public let configuration: TLSConfiguration

    /// Where Debian and most others keep the authorities.
    public static let systemAuthorities = "/etc/ssl/certs"

    public init(client configuration: TLSConfiguration) throws(TLSError) {
        self.configuration = configuration
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw TLSError.fromQueue("make a context")
        }
        self.context = context
        // SSL_CTX_set_min_proto_version and SSL_CTX_set_mode are macros for this call. TLS 1.0 and
        // 1.1 are refused: RFC 8996.
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        let mode = configuration.verifies ? SSL_VERIFY_PEER : 0
        SSL_CTX_set_verify(context, mode, ShownCertificate.callback)
        try loadAuthorities()
        try loadCertificate()
        try setProtocols()
    }

    /// A server's: its own certificate and key, and whoever asks is believed.
    public init(server certificateFile: String, keyFile: String) throws(TLSError) {
        var configuration = TLSConfiguration()
        configuration.verifies = false
        configuration.certificateFile = certificateFile
        configuration.keyFile = keyFile
        self.configuration = configuration
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw TLSError.fromQueue("make a context")
        }
        self.context = context
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        // A client that negotiates again and again costs a handshake each time.
        SSL_CTX_set_options(context, Self.noRenegotiation)
        try loadCertificate()
    }

    /// SSL_OP_NO_RENEGOTIATION, a macro that does not come across.
    private static let noRenegotiation: UInt64 = 1 << 30

    deinit { SSL_CTX_free(context) }

    /// With which it proves itself; nil where it shows none.
    public var certificate: Certificate? {
        SSL_CTX_get0_certificate(context).map(Certificate.init)
    }

    /// OpenSSL opens the files itself, and would wait for the other end of a FIFO for ever.
    private static func demandFile(_ file: String, to verb: String) throws(TLSError) {
        if let problem = WholeFile.sourceProblem(at: file) {
            throw .failed("\(verb) \(file): \(problem)")
        }
    }

    private func loadAuthorities() throws(TLSError) {
        guard configuration.verifies else { return }
        if let file = configuration.authorityFile {
            try Self.demandFile(file, to: "read authorities from")
            guard SSL_CTX_load_verify_locations(context, file, nil) == 1 else {
                throw TLSError.fromQueue("read authorities from \(file)")
            }
            return
        }
        // The distribution's own default first; the folder also serves OpenSSL builds of elsewhere.
        SSL_CTX_set_default_verify_paths(context)
        SSL_CTX_load_verify_locations(context, nil, Self.systemAuthorities)
        ERR_clear_error()
    }

    /// What OpenSSL says of a file in which it finds no key at all.
    private static let noKey = [": unsupported", ": no start line"]

    /// What OpenSSL says of a key of another certificate, and of one for which it is not given the passphrase.
    private static let otherKey = ": key values mismatch"
    private static let noPassphrase = ": interrupted or cancelled"

    private func loadCertificate() throws(TLSError) {
        guard let file = configuration.certificateFile else {
            guard configuration.keyFile != nil else { return }
            throw .failed("expected a 'certificate' beside the 'key', saw none")
        }
        // Without an answer of ours OpenSSL asks the terminal for a key's passphrase, and waits.
        SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in -1 }
        try Self.demandFile(file, to: "read a certificate from")
        guard SSL_CTX_use_certificate_chain_file(context, file) == 1 else {
            throw TLSError.fromQueue("read a certificate from \(file)")
        }
        let key = configuration.keyFile ?? file
        try Self.demandFile(key, to: "read a key from")
        guard SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 else {
            let error = TLSError.fromQueue("read a key from \(key)")
            // A key that is there and cannot be read has another word.
            if configuration.keyFile == nil, case .failed(let text) = error,
                Self.noKey.contains(where: text.hasSuffix)
            {
                throw .failed(
                    "expected a key beside the certificate in \(file), or a file of its own in 'key', saw "
                        + "neither"
                )
            }
            if case .failed(let text) = error, text.hasSuffix(Self.otherKey) {
                throw Self.other(key, of: file)
            }
            if case .failed(let text) = error, text.hasSuffix(Self.noPassphrase) {
                throw .failed(
                    "expected a key without a passphrase in \(key), saw one that wants it: nobody could type it at a start"
                )
            }
            throw error
        }
        // Of another kind than the certificate's it has been taken so far.
        guard SSL_CTX_check_private_key(context) == 1 else {
            ERR_clear_error()
            throw Self.other(key, of: file)
        }
    }

    private static func other(_ key: String, of certificate: String) -> TLSError {
        .failed("expected the key of the certificate in \(certificate), saw another in \(key)")
    }

    private func setProtocols() throws(TLSError) {
        guard !configuration.protocols.isEmpty else { return }
        // Each name with its length before it (RFC 7301, section 3.1).
        let wire = configuration.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        // Zero means success here, unlike everywhere else.
        guard SSL_CTX_set_alpn_protos(context, wire, UInt32(wire.count)) == 0 else {
            throw TLSError.fromQueue("offer \(configuration.protocols)")
        }
    }
}
