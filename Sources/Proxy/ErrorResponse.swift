// What does a client read when muster itself has to answer? A status, one plain sentence, and no
// hint of what stands behind.

import HTTP1

enum ErrorResponse {
    /// What went wrong, as far as it is the client's business.
    static func sentence(_ status: Int, _ note: FailureNote) -> String {
        switch note.cause {
        case .badRequest: note.error?.description ?? "the request makes no sense"
        case .slowHead: "the request head did not arrive in time"
        case .slowBody: "the request body did not arrive in time"
        case .slowReader: "the client reads too slowly"
        case .connectMethod: "CONNECT is not served here"
        case .routeUnknown: "where requests for this host go is not known now"
        case .loop: "the request goes round in circles"
        case .noRoute: "no route for this host and path"
        case .full, .waited: "every peer has all the connections it may have"
        default:
            switch status {
            case 503: "no peer of this upstream is available"
            case 504: "the peer did not answer in time"
            default: "no peer could be reached, or the answer made no sense"
            }
        }
    }

    /// The same with a page that somebody wrote.
    static func page(
        _ status: Int,
        _ page: String,
        closes: Bool,
        isHead: Bool,
        date: UnsafePointer<UInt8>
    ) -> String {
        var text = "HTTP/1.1 \(status) \(ReasonPhrase.of(status))\r\nContent-Type: text/html\r\n"
        text += "Content-Length: \(page.utf8.count)\r\n"
        text += "Cache-Control: no-cache\r\nPragma: no-cache\r\nExpires: -1\r\n"
        let date = UnsafeBufferPointer(start: date, count: HTTPDate.count)
        text += "Date: \(String(decoding: date, as: UTF8.self))\r\n"
        if closes { text += "Connection: close\r\n" }
        if status == 503 { text += "Retry-After: 1\r\n" }
        return text + "\r\n" + (isHead ? "" : page)
    }

    /// The whole response, for a client that may or may not keep its connection.
    static func text(
        _ status: Int,
        _ sentence: String,
        closes: Bool,
        isHead: Bool,
        date: UnsafePointer<UInt8>
    ) -> String {
        text(
            status,
            whole: "\(status) \(ReasonPhrase.of(status)): \(sentence)\n",
            closes: closes,
            isHead: isHead,
            date: date
        )
    }

    /// The same with all that its body says.
    static func text(
        _ status: Int,
        whole body: String,
        closes: Bool,
        isHead: Bool,
        date: UnsafePointer<UInt8>
    ) -> String {
        let phrase = ReasonPhrase.of(status)
        var text = "HTTP/1.1 \(status) \(phrase)\r\nContent-Type: text/plain\r\n"
        text += "Content-Length: \(body.utf8.count)\r\nCache-Control: no-store\r\n"
        let date = UnsafeBufferPointer(start: date, count: HTTPDate.count)
        text += "Date: \(String(decoding: date, as: UTF8.self))\r\n"
        if closes { text += "Connection: close\r\n" }
        // An overload or an outage passes: clients that ask again at once only prolong it.
        if status == 503 { text += "Retry-After: 1\r\n" }
        return text + "\r\n" + (isHead ? "" : body)
    }
}
