// Is a call over HTTP/2 read as its RFCs have it, and does a server that speaks something else show?

import Testing

@testable import HTTP2

@Suite struct HTTP2CallTests {
    /// RFC 7541, appendix C.4.1, C.6.1 and C.6.3.
    @Test func `the examples of the RFC decode`() {
        let host: [UInt8] = [
            0xF1, 0xE3, 0xC2, 0xE5, 0xF2, 0x3A, 0x6B, 0xA0, 0xAB, 0x90, 0xF4, 0xFF,
        ]
        #expect(Huffman.decode(host) == Array("www.example.com".utf8))
        #expect(Huffman.decode([0x64, 0x02]) == Array("302".utf8))
        #expect(Huffman.decode([0x9B, 0xD9, 0xAB]) == Array("gzip".utf8))
        #expect(Huffman.decode([0xFF, 0xFF, 0xFF, 0xFF]) == nil)
        #expect(Huffman.decode([0x00]) == nil)
    }

    @Test(arguments: [0, 1, 126, 127, 128, 254, 255, 4_096])
    func `a field of any length is read back`(count: Int) throws {
        let fields = [("x", String(repeating: "v", count: count))]
        let read = try HPACK.decode(HPACK.encode(fields))
        #expect(read.map(\.name) == ["x"])
        #expect(read.map(\.value.utf8.count) == [count])
    }

    @Test func `a field of the table that was refused is malformed`() {
        #expect(throws: HPACK.Malformed(reason: "field 62 of a table that was refused")) {
            try HPACK.decode([0x80 | 62])
        }
    }

    @Test func `what is no frame is handed on, for whoever knows its speaker`() {
        var call = HTTP2Call()
        let greeting = Array("SSH-2.0-x\r\n".utf8)
        let failure = HTTP2Call.Failure(
            reason: "expected a frame, saw 'SSH-2.0-x\\r\\n'",
            stranger: greeting
        )
        #expect(throws: failure) { try call.feed(greeting) }
    }

    @Test func `settings and a ping are acknowledged, and the call ends with its stream`() throws {
        var call = HTTP2Call()
        let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
        #expect(try call.feed(settings) == [0, 0, 0, 4, 1, 0, 0, 0, 0])
        let ping: [UInt8] = [0, 0, 8, 6, 0, 0, 0, 0, 0] + Array(1...8)
        #expect(try call.feed(ping) == [0, 0, 8, 6, 1, 0, 0, 0, 0] + Array(1...8))
        // `:status 204` by index, with the end of the stream and of the block.
        #expect(try call.feed([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89]).isEmpty)
        #expect(call.isComplete)
        #expect(call.value(of: ":status") == "204")
    }
}
