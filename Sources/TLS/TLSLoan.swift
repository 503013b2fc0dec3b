// How does a connection that another library drives prove and believe the same as ours? It gets our
// authorities, our certificate and the name to expect.

import COpenSSL

extension TLSContext {
    /// Makes `foreign`, an `SSL_CTX *` for one connection that is about to begin, speak TLS as this
    /// context does. `serverName` is what the certificate has to be for; sending it as SNI stays
    /// with the library. What is refused is kept in `shown`.
    public func lend(
        to foreign: OpaquePointer,
        serverName: String,
        showing shown: ShownCertificate
    ) throws(TLSError) {
        ERR_clear_error()
        shown.follow(context: foreign)
        SSL_CTX_ctrl(foreign, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        let mode = configuration.verifies ? SSL_VERIFY_PEER : 0
        SSL_CTX_set_verify(foreign, mode, ShownCertificate.callback)
        // A server that hangs up without a goodbye has ended its answer: as in `TLSStream.read`.
        SSL_CTX_set_options(foreign, Self.ignoreUnexpectedEnd)
        // SSL_CTX_set1_verify_cert_store is a macro for this call. This store goes before the
        // context's own, which the library may fill as it likes.
        let store = SSL_CTX_get_cert_store(context).map { UnsafeMutableRawPointer($0) }
        guard SSL_CTX_ctrl(foreign, SSL_CTRL_SET_VERIFY_CERT_STORE, 1, store) == 1 else {
            throw TLSError.fromQueue("lend authorities")
        }
        if let certificate = SSL_CTX_get0_certificate(context) {
            // Those that lead from ours to the authority.
            var chain: OpaquePointer?
            _ = withUnsafeMutablePointer(to: &chain) {
                SSL_CTX_ctrl(context, SSL_CTRL_GET_CHAIN_CERTS, 0, $0)
            }
            let key = SSL_CTX_get0_privatekey(context)
            guard SSL_CTX_use_cert_and_key(foreign, certificate, key, chain, 1) == 1 else {
                throw TLSError.fromQueue("lend a certificate")
            }
        }
        try expect(serverName, by: SSL_CTX_get0_param(foreign))
    }

    /// SSL_OP_IGNORE_UNEXPECTED_EOF, a macro that does not come across.
    private static let ignoreUnexpectedEnd: UInt64 = 1 << 7

    private func expect(_ serverName: String, by parameters: OpaquePointer?) throws(TLSError) {
        if X509_VERIFY_PARAM_set1_ip_asc(parameters, serverName) == 1 { return }
        ERR_clear_error()
        guard X509_VERIFY_PARAM_set1_host(parameters, serverName, serverName.utf8.count) == 1 else {
            throw TLSError.fromQueue("expect the name \(serverName)")
        }
    }
}

extension TLSError {
    /// What OpenSSL means by one of its X509_V_ERR numbers.
    public static func refused(code: Int, showing shown: ShownCertificate) -> TLSError {
        let words = X509_verify_cert_error_string(code).map { String(cString: $0) }
        return .certificate(code: code, reason: words ?? "refused", of: shown.refused)
    }
}
