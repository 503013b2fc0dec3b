// How do tests of buffers get their bytes in and out?

import HTTP1

@testable import Proxy

extension Buffer {
    /// A buffer of its own, not of a pool; `free` gives it back.
    static func make() -> Buffer { Buffer(base: .allocate(capacity: Buffer.capacity)) }

    mutating func free() {
        base?.deallocate()
        self = Buffer()
    }

    var bytes: [UInt8] { withSpan { span in (0..<span.count).map { span[$0] } } }
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Moves what is left to the front, then appends what fits. Returns how much that was.
    mutating func take(_ bytes: ArraySlice<UInt8>) -> Int {
        compact()
        let count = min(room, bytes.count)
        for byte in bytes.prefix(count) { append(byte: byte) }
        return count
    }
}

/// Body and trailers of a chunked body, nil when it is malformed or not complete.
func dechunk(_ bytes: [UInt8]) -> (body: [UInt8], trailers: [String], rest: [UInt8])? {
    var decoder = ChunkedDecoder(of: .response)
    var position = 0
    var body: [UInt8] = []
    var trailers: [String] = []
    while true {
        guard let event = try? decoder.next(in: bytes.span, at: &position) else { return nil }
        switch event {
        case .data(let range): body += bytes[range]
        case .trailer(let name, let value):
            trailers.append(
                String(decoding: bytes[name], as: UTF8.self) + ": "
                    + String(decoding: bytes[value], as: UTF8.self)
            )
        case .needMore: return nil
        case .end: return (body, trailers, Array(bytes[position...]))
        }
    }
}
