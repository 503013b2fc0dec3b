// Which certificate did a server show that was refused? OpenSSL forgets it with the handshake; whoever looks at
// the failure has to know whose it was, and for which names.

import COpenSSL

/// Keeps the certificate that was refused on one connection. Written within OpenSSL's calls, and read after them.
public final class ShownCertificate {
    public private(set) var refused: Certificate?

    public init() {}

    /// Hears of what is wrong with certificates of this connection.
    func follow(_ ssl: OpaquePointer) {
        SSL_set_ex_data(ssl, Self.place, Unmanaged.passRetained(self).toOpaque())
    }

    /// The same of the one connection for which a context was made.
    func follow(context: OpaquePointer) {
        SSL_CTX_set_ex_data(context, Self.contextPlace, Unmanaged.passRetained(self).toOpaque())
    }

    /// For `SSL_CTX_set_verify`: changes nothing of the verdict.
    static let callback: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isFine, store in
        guard isFine != 1, let store,
            let raw = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
        else { return isFine }
        let ssl = OpaquePointer(raw)
        let kept =
            SSL_get_ex_data(ssl, place) ?? SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), contextPlace)
        guard let kept,
            let certificate = X509_STORE_CTX_get_current_cert(store)
                ?? X509_STORE_CTX_get0_cert(store)
        else { return isFine }
        let shown = Unmanaged<ShownCertificate>.fromOpaque(kept).takeUnretainedValue()
        // The first complaint is the one that is told.
        if shown.refused == nil { shown.refused = Certificate(certificate) }
        return isFine
    }

    // SSL_get_ex_new_index and SSL_CTX_get_ex_new_index are macros for this call.
    private static let place = newPlace(CRYPTO_EX_INDEX_SSL)
    private static let contextPlace = newPlace(CRYPTO_EX_INDEX_SSL_CTX)

    private static func newPlace(_ kind: Int32) -> Int32 {
        CRYPTO_get_ex_new_index(kind, 0, nil, nil, nil) { _, kept, _, _, _, _ in
            if let kept { Unmanaged<ShownCertificate>.fromOpaque(kept).release() }
        }
    }
}
