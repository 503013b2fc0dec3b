// Bodies pass whole and unchanged, wherever they are cut and however little room there is.

import HTTP1
import Testing

@testable import Proxy

@Suite struct BodyTransferTests {
    private enum Framing {
        case length(UInt64)
        case untilClose, chunked
    }

    /// Moves `message` in packets that end at `cuts`, with `room` bytes of output at a time.
    /// Returns what came out, whether the end was seen, and what was left of the input.
    private static func move(
        _ message: [UInt8],
        _ framing: Framing,
        rechunks: Bool,
        cuts: [Int] = [],
        room: Int = Buffer.capacity
    ) throws -> (output: [UInt8], isDone: Bool, left: [UInt8]) {
        var input = Buffer.make()
        var output = Buffer.make()
        defer {
            input.free()
            output.free()
        }
        var left: UInt64 = if case .length(let count) = framing { count } else { 0 }
        var decoder = ChunkedDecoder(of: .response)
        var begun = false
        var collected: [UInt8] = []
        var isDone = false
        var position = 0
        for end in cuts + [message.count] {
            while !isDone {
                let taken = input.take(message[position..<end])
                position += taken
                // An output that is nearly full is what a slow reader leaves.
                output.start = Int32(Buffer.capacity - room)
                output.end = output.start
                let step =
                    switch framing {
                    case .length: BodyTransfer.length(&left, from: &input, to: &output)
                    case .untilClose:
                        BodyTransfer.untilClose(from: &input, to: &output, rechunks: rechunks)
                    case .chunked:
                        try BodyTransfer.chunked(
                            &decoder,
                            from: &input,
                            to: &output,
                            rechunks: rechunks,
                            trailersBegun: &begun
                        )
                    }
                collected += output.bytes
                isDone = step.isDone
                if step.consumed == 0, taken == 0 { break }
            }
        }
        return (collected, isDone, input.bytes + message[position...])
    }

    private static let chunked = Array(
        "5;ext=1\r\nhello\r\n1\r\n,\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 7\r\nX_Bad: 1\r\nDate : x\r\n\r\nNEXT"
            .replacing("Date : x\r\n", with: "").utf8
    )

    @Test func `a body of known length passes at every split`() throws {
        let message = Array("hello worldNEXT".utf8)
        for first in 0...message.count {
            for second in first...message.count {
                let moved = try Self.move(
                    message,
                    .length(11),
                    rechunks: false,
                    cuts: [first, second]
                )
                #expect(moved.isDone)
                #expect(moved.output == Array("hello world".utf8))
                #expect(moved.left == Array("NEXT".utf8))
            }
        }
    }

    @Test(arguments: [1, 2, 63, 64, 65, 1_000])
    func `a body of known length passes through little room`(room: Int) throws {
        let message = (0..<2_000).map { UInt8(truncatingIfNeeded: $0) }
        let moved = try Self.move(message, .length(2_000), rechunks: false, room: room)
        #expect(moved.isDone)
        #expect(moved.output == message)
    }

    @Test func `a length that has not come yet is not done`() throws {
        let moved = try Self.move(Array("hell".utf8), .length(5), rechunks: false)
        #expect(!moved.isDone)
        #expect(moved.output == Array("hell".utf8))
    }

    @Test func `a chunked body passes at every split`() throws {
        let message = Self.chunked
        for first in 0...message.count {
            for second in first...message.count {
                let moved = try Self.move(
                    message,
                    .chunked,
                    rechunks: true,
                    cuts: [first, second]
                )
                let decoded = try #require(dechunk(moved.output))
                #expect(moved.isDone)
                #expect(decoded.body == Array("hello,0123456789".utf8))
                #expect(decoded.trailers == ["X-Sum: 7"])
                #expect(decoded.rest.isEmpty)
                #expect(moved.left == Array("NEXT".utf8))
            }
        }
    }

    @Test func `a client that knows no chunks gets the data only`() throws {
        let message = Self.chunked
        for cut in 0...message.count {
            let moved = try Self.move(message, .chunked, rechunks: false, cuts: [cut])
            #expect(moved.isDone)
            #expect(moved.output == Array("hello,0123456789".utf8))
        }
    }

    @Test(arguments: [100, 128, 200, 5_000])
    func `a chunked body passes through little room`(room: Int) throws {
        let data = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var message: [UInt8] = []
        for start in stride(from: 0, to: data.count, by: 333) {
            let piece = data[start..<min(start + 333, data.count)]
            message += Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece
            message += Array("\r\n".utf8)
        }
        message += Array("0\r\n\r\n".utf8)
        let moved = try Self.move(message, .chunked, rechunks: true, room: room)
        let decoded = try #require(dechunk(moved.output))
        #expect(moved.isDone)
        #expect(decoded.body == data)
    }

    @Test func `a malformed chunk ends in an error and not in bytes`() {
        for text in ["5\r\nhelloX", "g\r\n", "5 \r\nhello\r\n", "-1\r\n", "5\nhello"] {
            #expect(throws: HTTPError.self) {
                try Self.move(Array(text.utf8), .chunked, rechunks: true)
            }
        }
    }

    @Test func `a body that ends with its connection is put into chunks`() throws {
        let message = Array("hello world".utf8)
        for cut in 0...message.count {
            var moved = try Self.move(message, .untilClose, rechunks: true, cuts: [cut])
            #expect(!moved.isDone)
            var last = Buffer.make()
            BodyTransfer.appendLastChunk(to: &last)
            moved.output += last.bytes
            last.free()
            #expect(dechunk(moved.output)?.body == message)
            let plain = try Self.move(message, .untilClose, rechunks: false, cuts: [cut])
            #expect(plain.output == message)
        }
    }
}
