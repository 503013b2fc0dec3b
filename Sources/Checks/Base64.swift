// How do bytes go where only some letters may? Four letters for three bytes (RFC 4648, section 4), for
// mail and for logins.

public enum Base64 {
    private static let letters = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )

    public static func text(of bytes: some Collection<UInt8>) -> String {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        var rest = bytes[...]
        while !rest.isEmpty {
            let three = Array(rest.prefix(3))
            rest = rest.dropFirst(3)
            var bits = 0
            for index in 0..<3 { bits = bits << 8 | (index < three.count ? Int(three[index]) : 0) }
            for index in 0..<4 {
                let isPadding = index > three.count
                result.append(
                    isPadding ? UInt8(ascii: "=") : letters[bits >> (18 - 6 * index) & 0x3F]
                )
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
