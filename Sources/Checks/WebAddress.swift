// What does a URL in the settings say where something is posted to? Where the path ends and the query begins, and
// who is to be shown there. Pure. What stands in it may be a secret, so nothing but a port is shown of one that
// makes no sense.

import Curl
import Vocabulary

struct WebAddress {
    struct Problem: Error {
        let expected: String
    }

    let url: CurlURL
    /// As `Authorization: Basic` has it; nil where nobody is named.
    let login: String?

    /// `suffix` goes to the end of the path, unless it stands there.
    init(_ text: String, suffix: String) throws(Problem) {
        let schemes = ["http://", "https://"]
        guard let scheme = schemes.first(where: { text.hasPrefix($0) }) else {
            throw Problem(
                expected: "a URL that begins with http:// or https://, saw something else"
            )
        }
        // It stays with whoever asks (RFC 9110, section 7.1).
        guard !text.contains("#") else {
            throw Problem(expected: "a URL without a fragment, saw a '#' (in a name write %23)")
        }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let target = rest.dropFirst(authority.count)
        let path = target.prefix { $0 != "?" }
        let at = authority.lastIndex(of: "@")
        let place = at.map { authority[authority.index(after: $0)...] } ?? authority
        if let port = Self.port(of: place), UInt16(port).map({ $0 == 0 }) ?? true {
            throw Problem(expected: "a port from 1 to 65535, saw \(Excerpt.of(port.utf8))")
        }
        if let at { login = try Self.login(authority[..<at]) } else { login = nil }
        let query = target.dropFirst(path.count)
        let whole = "\(scheme)\(place)\(Self.join(path, suffix))\(query)"
        guard let url = CurlURL(whole) else {
            throw Problem(expected: "a URL such as \(scheme)HOST:PORT/PATH, saw what is none")
        }
        self.url = url
    }

    /// What stands behind the host, where anything does.
    private static func port(of place: Substring) -> Substring? {
        let end = place.lastIndex(of: "]").map(place.index(after:)) ?? place.startIndex
        guard let colon = place[end...].lastIndex(of: ":") else { return nil }
        return place[place.index(after: colon)...]
    }

    private static func login(_ text: Substring) throws(Problem) -> String? {
        if text.isEmpty { return nil }
        let colon = text.firstIndex(of: ":") ?? text.endIndex
        guard let user = text[..<colon].percentDecoded,
            let password = text[colon...].dropFirst().percentDecoded,
            // It is what ends the user (RFC 7617, section 2).
            !user.contains(":")
        else {
            throw Problem(
                expected: "a user and a password with %41 for what may not stand there, saw others"
            )
        }
        return Base64.text(of: "\(user):\(password)".utf8)
    }

    /// With one slash between them, whether or not one was written: two are another path to many servers. Whoever
    /// wrote all of it meant no more.
    private static func join(_ path: Substring, _ suffix: String) -> String {
        guard suffix.hasPrefix("/") else { return "\(path)\(suffix)" }
        var start = path
        while start.hasSuffix("/") { start.removeLast() }
        return start.hasSuffix(suffix) ? String(start) : "\(start)\(suffix)"
    }
}
