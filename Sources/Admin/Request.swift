// What does a handler get to see? What was asked, with the names of its path and the words of its query
// decoded. A body is whole: nobody here waits for a client.

import Front
import Vocabulary

struct Request: Sendable {
    private let whole: FrontRequest
    /// As the client wrote it, without the query.
    let path: String
    /// What stands in the places of the route's `{names}`, decoded.
    var parameters: [String: String] = [:]

    init(_ request: FrontRequest) {
        whole = request
        path = request.path
    }

    var method: String { whole.method }
    var body: [UInt8] { whole.body }

    /// All values of a field, as one; its name in lower case.
    subscript(field name: String) -> String? { whole[name] }

    /// What stands for `{name}`. Every parameter of a route's path is there.
    subscript(parameter name: String) -> String { parameters[name] ?? "" }

    /// The first value of a parameter of the query; empty where it is there without one.
    subscript(query name: String) -> String? {
        for part in (whole.query ?? "").utf8.split(separator: UInt8(ascii: "&")) {
            let sides = part.split(
                separator: UInt8(ascii: "="),
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            guard let key = sides.first, Self.decoded(key) == name else { continue }
            return sides.count == 2 ? Self.decoded(sides[1]) : ""
        }
        return nil
    }

    /// What is no encoding stands for itself, so that the words of an error can show it.
    static func decoded(_ bytes: Substring.UTF8View) -> String {
        let text = Substring(bytes)
        return text.percentDecoded ?? String(text)
    }
}
