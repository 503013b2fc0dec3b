// What does whoever answers get to see? A whole request, checked and with its body: nobody behind the
// front ever waits for a client.

import HTTP1

public struct FrontRequest: Hashable, Sendable {
    public struct Field: Hashable, Sendable {
        public var name: String
        public var value: String
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

    /// All values of a field, as one (RFC 9110 5.3). Names are compared without regard to case.
    public subscript(_ name: String) -> String? {
        let values = fields.filter { $0.name.lowercased() == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    var path: String { String(target.prefix { $0 != "?" }) }
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
            fields.append(Field(name: text(table[index].name), value: text(table[index].value)))
        }
        self.fields = fields
        isPersistent = head.isPersistent
        isModern = head.minorVersion > 0
    }
}
