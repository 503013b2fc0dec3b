// Which values does a cookie have in a request? Read as servers do, which is leniently (RFC 6265, section 5.4
// is what clients send): pairs between semicolons, blanks around them ignored, what is no pair passed over.

import HTTP1

/// Goes through the pairs of one field. A client may send several fields, though it should not.
struct Cookies {
    private var start = 0
    private let end: Int

    /// There are no pairs in a field that is no `Cookie`.
    @inline(__always)
    init(_ field: Field) {
        let range = field.known == .cookie ? field.value : 0..<0
        start = range.lowerBound
        end = range.upperBound
    }

    /// Where the next value of this name lies. Names differ by case; a value keeps its quotes.
    mutating func next(
        _ name: UnsafeBufferPointer<UInt8>,
        _ bytes: UnsafePointer<UInt8>
    ) -> (start: Int, count: Int)? {
        while start < end {
            var first = start
            var last = start
            while last < end, bytes[last] != UInt8(ascii: ";") { last += 1 }
            start = last + 1
            while first < last, Self.isBlank(bytes[first]) { first += 1 }
            while last > first, Self.isBlank(bytes[last - 1]) { last -= 1 }
            let value = first + name.count + 1
            guard value <= last, bytes[value - 1] == UInt8(ascii: "="),
                Self.isSame(name, bytes + first)
            else { continue }
            return (value, last - value)
        }
        return nil
    }

    private static func isSame(
        _ name: UnsafeBufferPointer<UInt8>,
        _ bytes: UnsafePointer<UInt8>
    ) -> Bool {
        for index in 0..<name.count where bytes[index] != name[index] { return false }
        return true
    }

    @inline(__always)
    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }
}
