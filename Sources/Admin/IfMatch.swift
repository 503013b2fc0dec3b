// What does a request expect to find? `If-Match` names revisions, as `ETag` gave them, and the request
// changes nothing where it is none of them (RFC 9110, 13.1.1).

import Store
import Vocabulary

enum IfMatch {
    /// An upstream's revision as a field of an answer.
    static func tag(_ revision: Revision) -> String { "\"\(revision)\"" }

    /// `*` is whatever there is: what is not there is told anyway. A weak tag never matches.
    static func expectation(_ field: String?) throws(Problem) -> Precondition {
        guard let field else { return .anything }
        var rest = field.utf8[...]
        trim(&rest)
        if rest.elementsEqual("*".utf8) { return .anything }
        var tags: [String] = []
        repeat {
            let isWeak = rest.starts(with: "W/".utf8)
            if isWeak { rest = rest.dropFirst(2) }
            guard rest.popFirst() == UInt8(ascii: "\""),
                let end = rest.firstIndex(of: UInt8(ascii: "\""))
            else { throw mistake(field) }
            if !isWeak { tags.append(String(decoding: rest[..<end], as: UTF8.self)) }
            rest = rest[end...].dropFirst()
            trim(&rest)
            if rest.isEmpty { return .revisions(tags) }
            guard rest.popFirst() == UInt8(ascii: ",") else { throw mistake(field) }
            trim(&rest)
        } while true
    }

    /// It names weak tags alone.
    static func isWeak(_ field: String) -> Bool { (try? expectation(field)) == .revisions([]) }

    /// `If-None-Match` asks for a change only where there is nothing yet, or something else (RFC 9110,
    /// 13.1.2): of a peer that is there neither can be meant.
    static func opposite(_ field: String) -> Problem {
        if field == "*" {
            return Problem(.preconditionFailed, "If-None-Match: *: the peer is there already")
        }
        return Problem(
            .badRequest,
            "If-None-Match: expected If-Match with the ETag that was seen, saw "
                + "\(Excerpt.of(field.utf8))"
        )
    }

    private static func trim(_ text: inout Substring.UTF8View) {
        text = text.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        while let last = text.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\t") {
            text = text.dropLast()
        }
    }

    private static func mistake(_ field: String) -> Problem {
        Problem(
            .badRequest,
            "If-Match: expected an ETag in its quotes, several with commas between, or *, "
                + "saw \(Excerpt.of(field.utf8))"
        )
    }
}
