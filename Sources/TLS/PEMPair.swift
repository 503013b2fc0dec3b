// Do a certificate and a key, as texts, belong together? Asked before anybody serves them.

import COpenSSL

public enum PEMPair {
    /// What is wrong with them; nil where nothing is.
    public static func problem(certificate: String, key: String) -> String? {
        let parsed = read(certificate) { PEM_read_bio_X509($0, nil, nil, nil) }
        guard let parsed else { return "expected a certificate in PEM, saw none" }
        defer { X509_free(parsed) }
        // Without a prompt for a password: a key that needs one cannot be used.
        let secret = read(key) { bio in
            PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in 0 }, nil)
        }
        guard let secret else { return "expected a key in PEM without a password, saw none" }
        defer { EVP_PKEY_free(secret) }
        defer { ERR_clear_error() }
        return X509_check_private_key(parsed, secret) == 1
            ? nil : "expected the key of the certificate, saw another"
    }

    private static func read<Value>(
        _ text: String,
        _ body: (OpaquePointer) -> Value?
    ) -> Value? {
        defer { ERR_clear_error() }
        var text = text
        return text.withUTF8 { bytes in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else {
                return nil
            }
            defer { BIO_free(bio) }
            return body(bio)
        }
    }
}
