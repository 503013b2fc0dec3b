// Which value does a request's cookie have? Read as servers do, which is leniently (RFC 6265, section 5.4
// is what clients send): pairs between semicolons, blanks around them ignored, what is no pair passed over.

import HTTP1

enum Cookies {
    /// Calls `take` with the value of each cookie of this name, until it returns true. Names differ by
    /// case; a value keeps its quotes.
    @inline(__always)
    static func each(
        _ name: UnsafeBufferPointer<UInt8>,
        _ fields: borrowing FieldTable,
        _ bytes: UnsafePointer<UInt8>,
        take: (UnsafePointer<UInt8>, Int) -> Bool
    ) {
        // A client may send several such fields, though it should not (RFC 6265, section 5.4).
        for index in 0..<fields.count where fields[index].known == .cookie {
            let range = fields[index].value
            var start = range.lowerBound
            while start < range.upperBound {
                var end = start
                while end < range.upperBound, bytes[end] != UInt8(ascii: ";") { end += 1 }
                if let value = value(of: name, bytes, start, end),
                    take(bytes + value.start, value.count)
                {
                    return
                }
                start = end + 1
            }
        }
    }

    /// Where the value lies if what stands from `start` to `end` is a pair of this name.
    @inline(__always)
    private static func value(
        of name: UnsafeBufferPointer<UInt8>,
        _ bytes: UnsafePointer<UInt8>,
        _ start: Int,
        _ end: Int
    ) -> (start: Int, count: Int)? {
        var start = start
        var end = end
        while start < end, isBlank(bytes[start]) { start += 1 }
        while end > start, isBlank(bytes[end - 1]) { end -= 1 }
        let value = start + name.count + 1
        guard value <= end, bytes[value - 1] == UInt8(ascii: "=") else { return nil }
        for index in 0..<name.count where bytes[start + index] != name[index] { return nil }
        return (value, end - value)
    }

    @inline(__always)
    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }
}
