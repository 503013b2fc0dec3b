// What is one transfer to do? Plain words, put into libcurl's options in one place.

import CCurl

/// One HTTP request, for `CurlSession.perform`.
public struct CurlRequest {
    public enum Version: Sendable {
        case http1
        /// Over TLS if the server chooses it, without TLS from the first byte.
        case http2
    }

    /// Who asks, in the server's eyes.
    public enum Credentials: Sendable {
        case basic(user: String, password: String)
        case digest(user: String, password: String)
    }

    public struct Proxy: Sendable {
        /// `http://192.0.2.1:3128`: an IP, because libcurl is to resolve nothing.
        public var url: String
        public var user: String?
        public var password: String?

        public init(url: String, user: String? = nil, password: String? = nil) {
            self.url = url
            self.user = user
            self.password = password
        }
    }

    /// Whom TLS is to believe.
    public struct TLS {
        public var verifies: Bool
        /// Gets OpenSSL's `SSL_CTX *` before the handshake; false stops the transfer.
        public var prepare: (OpaquePointer) -> Bool

        public init(verifies: Bool, prepare: @escaping (OpaquePointer) -> Bool) {
            self.verifies = verifies
            self.prepare = prepare
        }
    }

    public var url: String
    public var method: String
    /// `Name: value`, sent as they are.
    public var headers: [String] = []
    /// Nil sends no body and no length.
    public var body: [UInt8]?
    /// Sent instead of the path of `url`; nil with a proxy that has to see all of it.
    public var target: String?
    public var version = Version.http1
    public var credentials: Credentials?
    public var keepsCookies = false
    public var proxy: Proxy?
    /// `10.0.0.1:443`, where `url` names somebody else.
    public var connectTo: String?
    /// A unix socket's path. libcurl connects to it itself: up to 8.0 it connects every socket that
    /// it is given, and the kernel allows that once more with TCP only.
    public var socketPath: String?
    public var tls: TLS?

    public init(url: String, method: String) {
        self.url = url
        self.method = method
    }
}

extension CurlRequest {
    /// Sets everything but what belongs to the session. The lists must live as long as the transfer.
    func apply(to easy: UnsafeMutableRawPointer) -> Lists {
        muster_curl_set_text(easy, CURLOPT_URL, url)
        muster_curl_set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        muster_curl_set_number(easy, CURLOPT_PATH_AS_IS, 1)
        if let socketPath { muster_curl_set_text(easy, CURLOPT_UNIX_SOCKET_PATH, socketPath) }
        if let target { muster_curl_set_text(easy, CURLOPT_REQUEST_TARGET, target) }
        applyMethod(to: easy)
        applyProxy(to: easy)
        applyTLS(to: easy)
        if keepsCookies { muster_curl_set_text(easy, CURLOPT_COOKIEFILE, "") }
        let unasked = ["Expect:", "Content-Type:"].filter { line in
            !headers.contains { $0.lowercased().hasPrefix(line.lowercased()) }
        }
        let lists = Lists(
            headers: List(headers + unasked),
            places: List(connectTo.map { ["::\($0)"] } ?? [])
        )
        muster_curl_set_list(easy, CURLOPT_HTTPHEADER, lists.headers.first)
        muster_curl_set_list(easy, CURLOPT_CONNECT_TO, lists.places.first)
        return lists
    }

    private func applyMethod(to easy: UnsafeMutableRawPointer) {
        if let body {
            muster_curl_set_number(easy, CURLOPT_POSTFIELDSIZE, body.count)
            body.withUnsafeBytes {
                // Without an address libcurl would ask a callback for the body.
                let address = $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
                muster_curl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, address)
            }
        }
        if method == "HEAD" { muster_curl_set_number(easy, CURLOPT_NOBODY, 1) }
        if method != "HEAD" { muster_curl_set_text(easy, CURLOPT_CUSTOMREQUEST, method) }
        switch credentials {
        case .basic(let user, let password):
            muster_curl_set_number(easy, CURLOPT_HTTPAUTH, Int(muster_curl_auth_basic))
            muster_curl_set_text(easy, CURLOPT_USERNAME, user)
            muster_curl_set_text(easy, CURLOPT_PASSWORD, password)
        case .digest(let user, let password):
            muster_curl_set_number(easy, CURLOPT_HTTPAUTH, Int(muster_curl_auth_digest))
            muster_curl_set_text(easy, CURLOPT_USERNAME, user)
            muster_curl_set_text(easy, CURLOPT_PASSWORD, password)
        case nil: break
        }
        let number =
            switch (version, tls != nil) {
            case (.http1, _): muster_curl_http_1_1
            case (.http2, true): muster_curl_http_2_tls
            case (.http2, false): muster_curl_http_2_plain
            }
        muster_curl_set_number(easy, CURLOPT_HTTP_VERSION, number)
    }

    private func applyProxy(to easy: UnsafeMutableRawPointer) {
        // An empty text, or the environment would decide.
        muster_curl_set_text(easy, CURLOPT_PROXY, proxy?.url ?? "")
        muster_curl_set_text(easy, CURLOPT_NOPROXY, "")
        guard let proxy else { return }
        muster_curl_set_number(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        muster_curl_set_number(easy, CURLOPT_PROXYAUTH, Int(muster_curl_auth_basic))
        if let user = proxy.user { muster_curl_set_text(easy, CURLOPT_PROXYUSERNAME, user) }
        if let word = proxy.password { muster_curl_set_text(easy, CURLOPT_PROXYPASSWORD, word) }
    }

    private func applyTLS(to easy: UnsafeMutableRawPointer) {
        guard let tls else { return }
        muster_curl_set_number(easy, CURLOPT_SSLVERSION, muster_curl_tls_1_2)
        muster_curl_set_number(easy, CURLOPT_SSL_ENABLE_ALPN, version == .http2 ? 1 : 0)
        muster_curl_set_number(easy, CURLOPT_SSL_SESSIONID_CACHE, 0)
        // Authorities, name and certificate are the business of whoever prepares the context.
        muster_curl_set_number(easy, CURLOPT_SSL_VERIFYPEER, tls.verifies ? 1 : 0)
        muster_curl_set_number(easy, CURLOPT_SSL_VERIFYHOST, 0)
        muster_curl_set_text(easy, CURLOPT_CAINFO, nil)
        muster_curl_set_text(easy, CURLOPT_CAPATH, nil)
        muster_curl_set_number(easy, CURLOPT_CA_CACHE_TIMEOUT, 0)
    }

    struct Lists {
        var headers: List
        var places: List
    }
}

/// A `curl_slist`, freed with its last user.
final class List {
    private(set) var first: UnsafeMutablePointer<curl_slist>?

    init(_ texts: [String]) {
        for text in texts { first = curl_slist_append(first, text) ?? first }
    }

    deinit { curl_slist_free_all(first) }
}
