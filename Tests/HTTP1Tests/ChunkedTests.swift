import HTTP1
import Testing

/// What a decoder made of some bytes.
private struct Decoded: Equatable {
    enum Ending: Equatable {
        case more
        case end(Int)
        case refused(HTTPError.Code)
    }

    var data: [UInt8] = []
    var trailers: [String] = []
    var ending = Ending.more

    /// Presents `bytes` up to each of `cuts` in turn, then all of them.
    init(_ bytes: [UInt8], cuts: [Int] = [], of side: HTTPError.Side = .request) {
        var decoder = ChunkedDecoder(of: side)
        var position = 0
        do {
            for count in cuts + [bytes.count] {
                let span = bytes.span.extracting(first: count)
                presenting: while true {
                    switch try decoder.next(in: span, at: &position) {
                    case .data(let range):
                        precondition(!range.isEmpty)
                        data += bytes[range]
                    case .trailer(let name, let value):
                        let name = String(decoding: bytes[name], as: UTF8.self)
                        trailers.append("\(name)=\(String(decoding: bytes[value], as: UTF8.self))")
                    case .needMore:
                        break presenting
                    case .end:
                        ending = .end(position)
                        break presenting
                    }
                }
            }
        } catch {
            precondition(Int(error.position) <= bytes.count)
            ending = .refused(error.code)
        }
    }

    init(_ text: String, of side: HTTPError.Side = .request) {
        self.init(Array(text.utf8), of: side)
    }
}

/// The grammar of RFC 9112 7.1 written down as plainly as possible, over bytes that are all there,
/// for an alphabet of digits, letters, `;`, CR and LF.
private struct Grammar {
    enum Stop: Error { case more, refused }

    let bytes: [UInt8]
    var cursor = 0
    var data: [UInt8] = []

    mutating func take() throws(Stop) -> UInt8 {
        guard cursor < bytes.count else { throw .more }
        defer { cursor += 1 }
        return bytes[cursor]
    }

    mutating func expect(_ text: String) throws(Stop) {
        for byte in text.utf8 where try take() != byte { throw .refused }
    }

    mutating func body() throws(Stop) {
        while true {
            var size = 0
            var byte = try take()
            guard let first = Character(UnicodeScalar(byte)).hexDigitValue else { throw .refused }
            size = first
            byte = try take()
            while let digit = Character(UnicodeScalar(byte)).hexDigitValue {
                size = size * 16 + digit
                byte = try take()
            }
            while byte == UInt8(ascii: ";") {
                byte = try take()
                var name = 0
                while Character(UnicodeScalar(byte)).isHexDigit {
                    name += 1
                    byte = try take()
                }
                if name == 0 { throw .refused }
            }
            guard byte == 13 else { throw .refused }
            try expect("\n")
            if size == 0 { break }
            for _ in 0..<size { data.append(try take()) }
            try expect("\r\n")
        }
        // No colon in the alphabet, so a trailer line can only be incomplete or wrong.
        var length = 0
        while true {
            let byte = try take()
            if byte == 10 { throw .refused }
            if byte == 13 {
                try expect("\n")
                if length == 0 { return }
                throw .refused
            }
            length += 1
        }
    }
}

@Suite struct ChunkedTests {
    /// Every string of up to six bytes after each beginning: 56,000 bodies for each of three.
    @Test(arguments: ["", "1\r\nX\r\n", "0\r\n"])
    func `agrees with the grammar on every short body`(beginning: String) {
        let alphabet = Array("02;a\r\n".utf8)
        for length in 0...6 {
            var count = 1
            for _ in 0..<length { count *= alphabet.count }
            for number in 0..<count {
                var bytes = Array(beginning.utf8)
                var rest = number
                for _ in 0..<length {
                    bytes.append(alphabet[rest % alphabet.count])
                    rest /= alphabet.count
                }
                var grammar = Grammar(bytes: bytes)
                let decoded = Decoded(bytes)
                // A plain comparison: `#expect` costs more than the decoder, 168,000 times.
                let agrees: Bool
                do {
                    try grammar.body()
                    agrees = decoded.ending == .end(grammar.cursor)
                } catch {
                    agrees =
                        switch decoded.ending {
                        case .more: error == .more
                        case .refused: error == .refused
                        case .end: false
                        }
                }
                if !agrees { Issue.record("\(bytes): \(decoded.ending)") }
                if decoded.data != grammar.data { Issue.record("data of \(bytes)") }
            }
        }
    }

    @Test func `every two cuts of a body give the same answer`() {
        let text =
            "5;a=\"q\\\"\";b\r\nhello\r\n00A \t; c = d\r\n0123456789\r\n0\r\nX: 1\r\nY:\r\n\r\nnext"
        let bytes = Array(text.utf8)
        let whole = Decoded(bytes)
        #expect(whole.data == Array("hello0123456789".utf8))
        #expect(whole.trailers == ["X=1", "Y="])
        #expect(whole.ending == .end(bytes.count - 4))
        for first in 0...bytes.count {
            for second in first...bytes.count where Decoded(bytes, cuts: [first, second]) != whole {
                Issue.record("cut at \(first) and \(second)")
            }
        }
        #expect(Decoded(bytes, cuts: Array(0..<bytes.count)) == whole)
    }

    @Test(
        arguments: [
            ("\r\n", .chunkSize), (" 5\r\n", .chunkSize), ("+5\r\n", .chunkSize),
            ("-5\r\n", .chunkSize), ("0x5\r\n", .chunkSize), ("5_0\r\n", .chunkSize),
            ("g\r\n", .chunkSize), ("5\n", .chunkSize), ("5\rX", .chunkSize),
            (";a\r\n", .chunkSize),
            ("5 \r\n", .chunkExtension), ("5\t\r\n", .chunkExtension), ("5 5\r\n", .chunkExtension),
            ("5;\r\n", .chunkExtension), ("5;;a\r\n", .chunkExtension),
            ("5;a \r\n", .chunkExtension),
            ("5;a\n", .chunkExtension), ("5;a\rX", .chunkSize), ("5;a\u{0}\r\n", .chunkExtension),
            ("5;a=\r\n", .chunkExtension), ("5;a=b c\r\n", .chunkExtension),
            ("5;=b\r\n", .chunkExtension),
            ("5;a=\"\n\"\r\n", .chunkExtension), ("5;a=\"\r\n\"\r\n", .chunkExtension),
            ("5;a=\"b\"c\r\n", .chunkExtension), ("5;a=\"\\\r\n", .chunkExtension),
            ("2\r\nabc\r\n", .chunkEnd), ("2\r\nab\n", .chunkEnd), ("2\r\nab\rX", .chunkEnd),
            ("8000000000000000\r\n", .chunkSizeTooLarge),
            ("ffffffffffffffff\r\n", .chunkSizeTooLarge),
            ("10000000000000000\r\n", .chunkSizeTooLarge),
            ("00000000000000005\r\n", .chunkSizeTooLarge),
            ("0\r\nX\r\n\r\n", .missingColon), ("0\r\n X: 1\r\n\r\n", .leadingWhitespace),
            ("0\r\nX: 1\r\n 2\r\n\r\n", .foldedLine), ("0\r\nX : 1\r\n\r\n", .spaceBeforeColon),
            ("0\r\nX: 1\n\r\n", .bareLineFeed), ("0\r\n\rX", .bareCarriageReturn),
            ("0\r\nX: \u{0}\r\n\r\n", .controlByte),
            ("0\r\nHost: h\r\n\r\n", .forbiddenTrailer),
            ("0\r\ncontent-length: 5\r\n\r\n", .forbiddenTrailer),
            ("0\r\nTransfer-Encoding: chunked\r\n\r\n", .forbiddenTrailer),
        ] as [(String, HTTPError.Code)]
    )
    func `refuses the chunk`(text: String, code: HTTPError.Code) {
        #expect(Decoded(text).ending == .refused(code))
    }

    @Test func `the largest size that is not refused is read without overflow`() {
        #expect(Decoded("7fffffffffffffff\r\nab").data == Array("ab".utf8))
        #expect(Decoded("0000000000000002\r\nab\r\n0\r\n\r\n").data == Array("ab".utf8))
        let many = String(repeating: "01\r\na\r\n", count: 20) + "0\r\n\r\n"
        #expect(Decoded(many).data.count == 20, "digits are counted for each chunk anew")
    }

    /// What may not follow a body is not passed on, and does not end a response.
    @Test func `drops trailers that belong into a head`() {
        let trailers =
            "Authorization: x\r\nX_Y: 1\r\nConnection: x\r\nSet-Cookie: a=b\r\nDigest: z\r\n"
        let request = Decoded("0\r\n\(trailers)\r\n")
        #expect(request.trailers == ["Digest=z"])
        let response = Decoded(
            "0\r\nHost: h\r\nContent-Length: 1\r\n\(trailers)\r\n",
            of: .response
        )
        #expect(response.trailers == ["Digest=z"])
        #expect(response.ending != .more)
    }

    @Test(arguments: [0, 1])
    func `extensions of a whole body share one limit`(excess: Int) {
        // Each `;a…` costs its length; two chunks use up the limit between them.
        let half = HeadLimits.chunkExtensionBytes / 2
        let first = ";" + String(repeating: "a", count: half - 1)
        let second = ";" + String(repeating: "b", count: half - 1 + excess)
        let ending = Decoded("1\(first)\r\nX\r\n0\(second)\r\n\r\n").ending
        #expect((ending == .refused(.chunkExtensionsTooLong)) == (excess > 0))
    }

    @Test(arguments: [0, 1], [true, false])
    func `trailers share one limit`(excess: Int, isEnded: Bool) {
        let first = "A: 1\r\n"
        let count = HeadLimits.trailerBytes - first.utf8.count - 5 + excess
        let second = "B: " + String(repeating: "b", count: count)
        let text = "0\r\n" + first + second + (isEnded ? "\r\n\r\n" : "")
        let ending = Decoded(text).ending
        #expect((ending == .refused(.trailersTooLarge)) == (excess > 0))
    }

    @Test(arguments: [1, 9, 10, 15, 16, 255, 4_096, 0xABCDEF, Int.max])
    func `writes a size line that the decoder reads`(size: Int) throws {
        var room = [UInt8](repeating: 0, count: ChunkWriter.headerBytes + 3)
        var span = room.mutableSpan
        let start = ChunkWriter.writeHeader(size: size, atEndOf: &span)
        let line = String(size, radix: 16) + "\r\n"
        #expect(String(decoding: room[start...], as: UTF8.self) == line)

        var decoder = ChunkedDecoder(of: .response)
        var position = start
        room.append(UInt8(ascii: "X"))
        #expect(
            try decoder.next(in: room.span, at: &position) == .data(room.count - 1..<room.count)
        )
    }
}
