// What did the two ends agree on? Read from an OpenSSL connection, whoever drives it.

import COpenSSL

/// A view of a connection after its handshake. Owns nothing: good only while the connection lives.
public struct TLSSession {
    private let ssl: OpaquePointer

    /// `ssl` is OpenSSL's `SSL *`.
    public init(ssl: OpaquePointer) { self.ssl = ssl }

    /// The server's own certificate.
    public var certificate: Certificate? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        return Certificate(certificate)
    }

    /// Of the verified chain the certificate that ends first; of what was sent, if not verified.
    public var firstToEnd: Certificate? {
        guard let chain = SSL_get0_verified_chain(ssl) ?? SSL_get_peer_cert_chain(ssl) else {
            return nil
        }
        return (0..<max(OPENSSL_sk_num(chain), 0))
            .compactMap {
                OPENSSL_sk_value(chain, $0).map { Certificate(OpaquePointer($0)) }
            }
            .min { $0.notAfter < $1.notAfter }
    }

    /// For example `TLSv1.3`.
    public var version: String { String(cString: SSL_get_version(ssl)) }

    /// For example `TLS_AES_256_GCM_SHA384`.
    public var cipher: String {
        SSL_get_current_cipher(ssl).flatMap { SSL_CIPHER_get_name($0) }.map { String(cString: $0) }
            ?? "none"
    }

    /// The protocol the server chose of those offered.
    public var chosenProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        guard let name, count > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }
}
