// Where does a redirect lead, and what goes along? The rules of one step, without any I/O.

import Curl
import HTTP1
import Vocabulary

/// One request of a probe that may need several.
struct HTTPHop: Sendable {
    /// As the server sees it: the name in it is that of `Host`.
    let url: CurlURL
    /// Where the connection goes.
    let address: Address
    /// The value of `Host`.
    let authority: String
    let method: HTTP1.Method
    let methodName: String
    let target: String
    let sendsBody: Bool
    /// The server that the check was made for: it alone gets credentials.
    let isHome: Bool
    /// The same host, if perhaps on another port.
    let isPeer: Bool

    /// Statuses that send a client elsewhere (RFC 9110, section 15.4).
    static let statuses: Set<Int> = [301, 302, 303, 307, 308]

    /// The first one. Nil where `authority` is none.
    init?(_ request: HTTPRequest, to address: Address, isSecure: Bool) {
        authority = request.authority(for: address)
        // The zone of an IPv6 address is of this host only.
        let name = authority.split(separator: "%", maxSplits: 1)
        let place = name.count == 2 ? "\(name[0])]" : authority
        guard let url = CurlURL("\(isSecure ? "https" : "http")://\(place)\(request.path)") else {
            return nil
        }
        self.url = url
        self.address = address
        method = request.method
        methodName = request.methodName
        target = request.path
        sendsBody = request.sendsBody
        isHome = true
        isPeer = true
    }

    private init(from hop: HTTPHop, home: HTTPHop, status: Int, to url: CurlURL) {
        self.url = url
        isHome = Self.isSameOrigin(url, home.url)
        isPeer = url.host == home.url.host
        authority = isHome ? home.authority : url.authority
        // The name of the peer is the peer, whatever else DNS knows under it.
        address =
            if isHome {
                home.address
            } else if isPeer, case .host = home.address {
                home.address.with(port: url.port)
            } else {
                .host(url.host, port: url.port)
            }
        target = url.target
        let becomesGet =
            status == 303 && hop.method != .head
            || (status == 301 || status == 302) && hop.method == .post
        method = becomesGet ? .get : hop.method
        methodName = becomesGet ? "GET" : hop.methodName
        sendsBody = hop.sendsBody && !becomesGet
    }

    private static func isSameOrigin(_ left: CurlURL, _ right: CurlURL) -> Bool {
        left.scheme == right.scheme && left.host == right.host && left.port == right.port
    }

    /// The step that `location` asks for, or what is wrong with it.
    func next(_ location: String, status: Int, home: HTTPHop) -> Result<HTTPHop, Refusal> {
        guard let url = CurlURL(location, against: url) else {
            return .failure(Refusal("a URL in Location, saw \(Excerpt.of(location.utf8))"))
        }
        guard url.scheme == "http" || url.scheme == "https" else {
            return .failure(Refusal("a redirect to http or https, saw \(status) to \(url.text)"))
        }
        guard !isSecure || url.scheme == "https" else {
            return .failure(
                Refusal("a redirect that stays with https, saw \(status) to \(url.text)")
            )
        }
        return .success(HTTPHop(from: self, home: home, status: status, to: url))
    }

    /// What was expected of a redirect that is not followed.
    struct Refusal: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    var isSecure: Bool { url.scheme == "https" }
}
