// How do tests look at a head? By values that can be printed and compared.

import HTTP1

/// A head that was accepted, with the pieces that tests ask for as text.
struct Accepted<Head: Equatable>: Equatable {
    var head: Head
    var fields: [Field]
    let text: String

    subscript(_ range: Range<Int>) -> String {
        String(decoding: Array(text.utf8)[range], as: UTF8.self)
    }

    subscript(_ range: ByteRange) -> String { self[range.range] }

    /// The names of the fields that go on to the next hop.
    var forwarded: [String] { fields.filter { !$0.isHopByHop }.map { self[$0.name] } }
}

/// Parses `text` as one whole request, hop-by-hop fields marked.
func request(
    _ text: String,
    limits: HeadLimits = HeadLimits()
) throws(HTTPError) -> Accepted<RequestHead>? {
    let bytes = Array(text.utf8)
    var table = FieldTable()
    var parser = HeadParser()
    guard let head = try parser.parseRequest(bytes.span, fields: &table, limits: limits) else {
        return nil
    }
    table.markHopByHop(in: bytes.span)
    return Accepted(head: head, fields: (0..<table.count).map { table[$0] }, text: text)
}

/// Parses `text` as one whole response, hop-by-hop fields marked.
func response(
    _ text: String,
    to method: HTTP1.Method = .get
) throws(HTTPError) -> Accepted<ResponseHead>? {
    let bytes = Array(text.utf8)
    var table = FieldTable()
    var parser = HeadParser()
    guard let head = try parser.parseResponse(bytes.span, to: method, fields: &table) else {
        return nil
    }
    table.markHopByHop(in: bytes.span)
    return Accepted(head: head, fields: (0..<table.count).map { table[$0] }, text: text)
}

/// `code` of the error that `body` throws, or `nil`.
func refusal(_ body: () throws(HTTPError) -> Void) -> HTTPError? {
    do {
        try body()
        return nil
    } catch {
        return error
    }
}
