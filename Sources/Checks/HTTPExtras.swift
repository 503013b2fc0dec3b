// What may a check ask of HTTP that muster's own client does not do? Whoever asks for any of it is
// served by libcurl; all others pay nothing for it.

import Curl
import HTTP1
import Vocabulary

/// Settings that need libcurl.
struct HTTPExtras: Sendable {
    enum Credentials: Sendable {
        case basic(user: String, password: String)
        case digest(user: String, password: String)
        case bearer(String)
    }

    /// How many redirects are followed; with none, the redirect itself is judged.
    var redirects = 0
    var proxy: HTTPProxy?
    var version = CurlRequest.Version.http1
    var credentials: Credentials?
    var keepsCookies = false

    /// More hops than this are a loop.
    static let redirectsMax = 20

    private static let versions: [String: CurlRequest.Version] = ["1.1": .http1, "2": .http2]

    /// Takes `redirects`, `proxy`, `version`, `auth` and `cookies`. Nil when all are as by default.
    static func take(from options: inout Options) throws(SettingError) -> HTTPExtras? {
        var extras = HTTPExtras()
        extras.redirects = try options.int("redirects", in: 0...redirectsMax) ?? 0
        extras.proxy = try options.take("proxy").map { (setting) throws(SettingError) in
            try HTTPProxy(setting, at: "\(options.path).proxy")
        }
        if let word = try options.word("version", among: versions.keys.sorted()) {
            extras.version = versions[word] ?? .http1
        }
        extras.credentials = try options.take("auth").map { (setting) throws(SettingError) in
            try credentials(setting, at: "\(options.path).auth")
        }
        extras.keepsCookies = try options.bool("cookies") ?? false
        let isPlain =
            extras.redirects == 0 && extras.proxy == nil && extras.version == .http1
            && extras.credentials == nil && !extras.keepsCookies
        return isPlain ? nil : extras
    }

    private static func credentials(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> Credentials {
        // Whatever stands there instead of a map may be a password: no message repeats it.
        guard case .map(let entries) = setting.value else {
            throw SettingError(setting.position, "\(path): \(choice)")
        }
        var inner = Options(entries, at: setting.position, path: path)
        var found: [Credentials] = []
        if let text = inner.take("basic") {
            let (user, password) = try pair(text, at: "\(path).basic")
            found.append(.basic(user: user, password: password))
        }
        if let text = inner.take("digest") {
            let (user, password) = try pair(text, at: "\(path).digest")
            found.append(.digest(user: user, password: password))
        }
        if let text = inner.take("bearer") {
            let token = try text.string(at: "\(path).bearer")
            guard !token.isEmpty, token.utf8.allSatisfy({ (0x21..<0x7F).contains($0) }) else {
                throw SettingError(text.position, "\(path).bearer: expected a token")
            }
            found.append(.bearer(token))
        }
        try inner.finish()
        guard found.count == 1, let first = found.first else {
            throw SettingError(setting.position, "\(path): \(choice)")
        }
        return first
    }

    private static let choice = "expected a map with one of basic, digest, bearer"

    /// The text is a secret, so no message repeats it.
    private static func pair(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> (user: String, password: String) {
        let text = try setting.string(at: path)
        guard let colon = text.firstIndex(of: ":"), colon > text.startIndex,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { throw SettingError(setting.position, "\(path): expected user:password") }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }

    /// Refuses what would contradict itself.
    func agree(
        with request: HTTPRequest,
        to destination: Destination,
        over tls: TLSSettings?,
        _ options: Options
    ) throws(SettingError) {
        func refuse(_ key: String, _ expected: String) -> SettingError {
            SettingError(options.position, "\(options.path).\(key): expected \(expected)")
        }
        if proxy != nil, destination.isUnix {
            throw refuse("proxy", "none with a unix socket, which no proxy can reach")
        }
        if version == .http2, proxy?.isHTTP == true, tls == nil {
            throw refuse("version", "1.1 behind an http proxy without tls, saw 2")
        }
        if version == .http2, tls?.context.configuration.protocols.isEmpty == false {
            throw refuse("tls.alpn", "none with version 2, which offers h2 and http/1.1")
        }
        if credentials != nil, request.hasField("authorization") {
            throw refuse("auth", "none beside a header Authorization")
        }
        if keepsCookies, request.hasField("cookie") {
            throw refuse("cookies", "false beside a header Cookie")
        }
        if request.method == .head, !request.body.isEmpty {
            throw refuse("body", "none with HEAD")
        }
        if let host = request.host, CurlURL("http://\(host)/") == nil {
            throw refuse("host", "a host, perhaps with a port, saw '\(host)'")
        }
    }
}
