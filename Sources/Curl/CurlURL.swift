// Where does a `Location` lead? libcurl's own URL parser says, so that the answer is what libcurl
// would do.

import CCurl

/// An absolute URL of a scheme with an authority.
public struct CurlURL: Hashable, Sendable {
    public let text: String
    public let scheme: String
    /// Without brackets, in lower case.
    public let host: String
    public let port: UInt16
    /// With the query.
    public let target: String

    /// Nil where `text` is no URL. A relative one is resolved against `base`.
    public init?(_ text: String, against base: CurlURL? = nil) {
        guard let url = curl_url() else { return nil }
        defer { curl_url_cleanup(url) }
        if let base, curl_url_set(url, CURLUPART_URL, base.text, 0) != CURLUE_OK { return nil }
        let flags = UInt32(CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE | CURLU_PATH_AS_IS)
        guard curl_url_set(url, CURLUPART_URL, text, flags) == CURLUE_OK,
            curl_url_set(url, CURLUPART_FRAGMENT, nil, 0) == CURLUE_OK,
            // What a server writes there is not ours to send.
            curl_url_set(url, CURLUPART_USER, nil, 0) == CURLUE_OK,
            curl_url_set(url, CURLUPART_PASSWORD, nil, 0) == CURLUE_OK,
            let whole = Self.part(CURLUPART_URL, of: url),
            let scheme = Self.part(CURLUPART_SCHEME, of: url),
            let host = Self.part(CURLUPART_HOST, of: url)?.lowercased(), !host.isEmpty,
            let number = Self.part(CURLUPART_PORT, of: url, UInt32(CURLU_DEFAULT_PORT)),
            let port = UInt16(number)
        else { return nil }
        self.text = whole
        self.scheme = scheme.lowercased()
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.port = port
        let query = Self.part(CURLUPART_QUERY, of: url).map { "?\($0)" } ?? ""
        target = (Self.part(CURLUPART_PATH, of: url) ?? "/") + query
    }

    private static func part(
        _ part: CURLUPart,
        of url: OpaquePointer,
        _ flags: UInt32 = 0
    ) -> String? {
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_get(url, part, &text, flags) == CURLUE_OK, let text else { return nil }
        defer { curl_free(text) }
        return String(cString: text)
    }

    /// Host and port as a `Host` header has them: the port only where it is not the scheme's own.
    public var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (scheme == "https" ? 443 : 80) ? name : "\(name):\(port)"
    }
}
