// How does the same answer look to a checker that speaks only HTTP? `GET /agent/{upstream}/{peer}`
// on the agent port itself, or on the admin endpoint: the line as a text page, and a status that
// tells up from down without reading it.

import HTTP1
import Vocabulary

enum AgentPage {
    private static let prefix = "/agent/"

    static let notFound = AgentAnswer(text: "expected /agent/upstream/peer\n", httpStatus: 404)

    /// `upstream/peer`, or nil where the path is another page's.
    static func peer(in path: String) -> String? {
        path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : nil
    }

    static func response(_ answer: AgentAnswer, isHead: Bool) -> [UInt8] {
        let head =
            "HTTP/1.1 \(answer.httpStatus) \(ReasonPhrase.of(answer.httpStatus))\r\n"
            + "content-type: text/plain; charset=utf-8\r\n"
            + "content-length: \(answer.text.utf8.count)\r\n"
            + "cache-control: no-store\r\nconnection: close\r\n\r\n"
        return Array(head.utf8) + (isHead ? [] : Array(answer.text.utf8))
    }
}
