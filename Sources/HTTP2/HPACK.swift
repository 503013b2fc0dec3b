// What does a header block of HTTP/2 say? Read without a dynamic table, which our settings refuse
// (RFC 7541, section 4.2); written as plain literals, which need none.

public enum HPACK {
    public struct Malformed: Error, Equatable {
        public var reason: String
    }

    public typealias Field = (name: String, value: String)

    /// Fields in one block.
    public static let fieldsMax = 128

    /// The static table (RFC 7541, Appendix A), from index 1.
    private static let table: [Field] = [
        (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
        (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
        (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
        (":status", "404"), (":status", "500"), ("accept-charset", ""),
        ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
        ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
        ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
        ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
        ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
        ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
        ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
        ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
        ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""),
        ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""),
        ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""),
        ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
    ]

    // MARK: Writing

    /// Literals without indexing, names and values as they are.
    public static func encode(_ fields: [Field]) -> [UInt8] {
        fields.flatMap { [0x00] + string($0.name) + string($0.value) }
    }

    private static func string(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        // A length of seven bits, or 127 and the rest in groups of seven.
        guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
        var length: [UInt8] = [127]
        var rest = bytes.count - 127
        while rest >= 128 {
            length.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return length + [UInt8(rest)] + bytes
    }

    // MARK: Reading

    public static func decode(_ block: [UInt8]) throws(Malformed) -> [Field] {
        var reader = Reader(rest: block[...])
        var fields: [Field] = []
        while let first = reader.rest.first {
            guard fields.count < fieldsMax else {
                throw Malformed(reason: "more than \(fieldsMax)")
            }
            if first & 0x80 != 0 {
                fields.append(try entry(try reader.integer(bits: 7)))
            } else if first & 0xE0 == 0x20 {
                // A new size of the dynamic table: ours is and stays zero.
                _ = try reader.integer(bits: 5)
            } else {
                // Literal, to be indexed or not: six bits of name index, or four.
                let index = try reader.integer(bits: first & 0xC0 == 0x40 ? 6 : 4)
                let name = index == 0 ? try reader.string() : try entry(index).name
                fields.append((name, try reader.string()))
            }
        }
        return fields
    }

    private static func entry(_ index: Int) throws(Malformed) -> Field {
        guard (1...table.count).contains(index) else {
            throw Malformed(reason: "field \(index) of a table that was refused")
        }
        return table[index - 1]
    }

    private struct Reader {
        var rest: ArraySlice<UInt8>

        /// RFC 7541, section 5.1. More than four groups after the prefix is no length of ours.
        mutating func integer(bits: UInt8) throws(Malformed) -> Int {
            let mask = UInt8((1 << UInt16(bits)) - 1)
            var value = Int(try byte() & mask)
            guard value == Int(mask) else { return value }
            for shift in stride(from: 0, through: 21, by: 7) {
                let next = try byte()
                value += Int(next & 0x7F) << shift
                if next & 0x80 == 0 { return value }
            }
            throw Malformed(reason: "a number that does not end")
        }

        mutating func string() throws(Malformed) -> String {
            let isCoded = (rest.first ?? 0) & 0x80 != 0
            let count = try integer(bits: 7)
            guard count <= rest.count else { throw Malformed(reason: "a text cut short") }
            let bytes = rest.prefix(count)
            rest = rest.dropFirst(count)
            guard isCoded else { return String(decoding: bytes, as: UTF8.self) }
            guard let text = Huffman.decode(bytes) else {
                throw Malformed(reason: "a text that is no Huffman code")
            }
            return String(decoding: text, as: UTF8.self)
        }

        private mutating func byte() throws(Malformed) -> UInt8 {
            guard let byte = rest.popFirst() else { throw Malformed(reason: "a field cut short") }
            return byte
        }
    }
}
