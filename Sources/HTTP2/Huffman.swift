// Which text do Huffman-coded header bytes spell? The code of RFC 7541, Appendix B, is canonical:
// the length of every symbol's code says it all, and the codes follow from counting.

enum Huffman {
    /// The code length of each byte value, then of the end-of-string symbol.
    private static let lengths: [UInt8] = [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30,
        28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
        5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5,
        7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22,
        22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
        22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22,
        21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26,
        26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
        24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27,
        27, 28, 27, 27, 27, 27, 27, 26, 30,
    ]

    private static let longest = 30
    private static let endOfString = 256

    /// Symbols ordered by their codes; and for each length the first code and where it stands.
    private static let order = lengths.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
    private static let starts: [(first: UInt32, index: Int, count: Int)] = {
        var starts = [(first: UInt32, index: Int, count: Int)](
            repeating: (0, 0, 0),
            count: longest + 1
        )
        var code: UInt32 = 0
        var index = 0
        for length in 1...longest {
            code <<= 1
            let count = lengths.count { Int($0) == length }
            starts[length] = (code, index, count)
            code += UInt32(count)
            index += count
        }
        return starts
    }()

    /// Nil when the bits spell no text: an unknown code, or padding that is not the beginning of
    /// the end-of-string symbol.
    static func decode(_ bytes: some Sequence<UInt8>) -> [UInt8]? {
        var text: [UInt8] = []
        var code: UInt32 = 0
        var length = 0
        for byte in bytes {
            for shift in stride(from: 7, through: 0, by: -1) {
                code = code << 1 | UInt32(byte >> UInt8(shift) & 1)
                length += 1
                guard length <= longest else { return nil }
                let (first, index, count) = starts[length]
                guard code >= first, code - first < UInt32(count) else { continue }
                let symbol = order[index + Int(code - first)]
                guard symbol != endOfString else { return nil }
                text.append(UInt8(symbol))
                (code, length) = (0, 0)
            }
        }
        // Less than a byte of padding, all ones.
        return length < 8 && code == 1 << UInt32(length) - 1 ? text : nil
    }
}
