// What does whoever answers get to see? A whole request, checked and with its body: nobody behind the
// front ever waits for a client.

import HTTP1

public struct FrontRequest: Hashable, Sendable {
    public struct Field: Hashable, Sendable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public var method: String
    /// Path and query.
    public var target: String
    /// Whom the client asked: host and port. Nil where it did not say.
    public var authority: String?
    public var fields: [Field]
    public var body: [UInt8] = []
    /// The client may send another request on the connection.
    var isPersistent: Bool
    /// HTTP/1.1, which knows chunks.
    var isModern: Bool

    /// As somebody asks who has no connection: a test, a command.
    public init(_ method: String, _ target: String, fields: [Field] = [], body: [UInt8] = []) {
        self.method = method
        self.target = target
        authority = nil
        self.fields = fields
        self.body = body
        isPersistent = false
        isModern = true
    }

    /// All values of a field, as one (RFC 9110 5.3). Names are compared without regard to case.
    public subscript(_ name: String) -> String? {
        let values = fields.filter { $0.name.lowercased() == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    /// Looked at byte by byte, as the parser does: a `?` with an accent on it is a `?` still.
    public var path: String { String(Substring(target.utf8.prefix { $0 != Self.mark })) }

    /// What stands behind the first `?`; nil without one.
    public var query: Substring? {
        target.utf8.firstIndex(of: Self.mark).map { target[target.utf8.index(after: $0)...] }
    }

    private static let mark = UInt8(ascii: "?")
}

extension FrontRequest {
    init(_ head: RequestHead, _ table: borrowing FieldTable, in bytes: [UInt8]) {
        func text(_ range: Range<Int>) -> String {
            String(decoding: bytes[range], as: UTF8.self)
        }
        method = text(head.methodRange.range)
        let target = text(head.originRange)
        self.target = target.hasPrefix("/") ? target : "/" + target
        authority = head.authorityRange.isEmpty ? nil : text(head.authorityRange.range)
        var fields: [Field] = []
        fields.reserveCapacity(table.count)
        for index in 0..<table.count {
            fields.append(Field(text(table[index].name), text(table[index].value)))
        }
        self.fields = fields
        isPersistent = head.isPersistent
        isModern = head.minorVersion > 0
    }
}
