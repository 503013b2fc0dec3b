// Is a Redis reply the same however its bytes arrive, up to the very limit of a line?

import Testing

@testable import Checks

@Suite struct RESPReplyTests {
    private enum Answer: Equatable {
        case unfinished, malformed
        case reply(RESPReply)
    }

    private func parse(_ bytes: [UInt8]) -> Answer {
        do {
            return try RESPReply.parse(bytes).map { .reply($0.reply) } ?? .unfinished
        } catch {
            return .malformed
        }
    }

    @Test(arguments: [1, 2, 1_022, 1_023])
    func `a line within the limit may be cut anywhere`(length: Int) {
        let text = String(repeating: "a", count: length)
        let bytes = Array("+\(text)\r\n".utf8)
        for count in 0..<bytes.count {
            #expect(parse(Array(bytes[..<count])) == .unfinished, "after \(count) bytes")
        }
        #expect(parse(bytes) == .reply(.status(text)))
    }

    @Test func `a line beyond the limit is refused, whole or cut`() {
        let bytes = Array("+\(String(repeating: "a", count: 1_024))\r\n".utf8)
        #expect(parse(bytes) == .malformed)
        #expect(parse(bytes.dropLast()) == .malformed)
        #expect(parse([UInt8](repeating: UInt8(ascii: "+"), count: 1_026)) == .malformed)
    }
}
