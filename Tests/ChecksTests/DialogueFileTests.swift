// Is a dialogue file read as its author wrote it, whatever editor that was?

import Testing
import Vocabulary

@testable import Checks

@Suite struct DialogueFileTests {
    private func steps(_ text: String) throws -> [String] {
        try DialogueFile.parse(text, file: "greeting").map { step in
            switch step {
            case .send(let bytes): "send \(String(decoding: bytes, as: UTF8.self))"
            case .expect(let bytes): "expect \(String(decoding: bytes, as: UTF8.self))"
            case .expectPattern(let pattern): "expect-pattern \(pattern.text)"
            case .reject(let bytes): "reject \(String(decoding: bytes, as: UTF8.self))"
            case .rejectPattern(let pattern): "reject-pattern \(pattern.text)"
            }
        }
    }

    @Test(arguments: ["\n", "\r\n"])
    func `lines may end as on any system`(end: String) throws {
        let lines = [
            "# a mail server", "expect-pattern ^220", "", "  send QUIT\\r\\n", "expect 221",
        ]
        #expect(
            try steps(lines.joined(separator: end))
                == ["expect-pattern ^220", "send QUIT\r\n", "expect 221"]
        )
        let mistake = #expect(throws: SettingError.self) {
            try steps((lines + ["\tsing"]).joined(separator: end))
        }
        #expect(mistake?.position == Position(file: "greeting", line: 6, column: 2))
    }

    @Test func `a blank with an accent after it is still a blank`() throws {
        #expect(try steps("expect-pattern \u{351}x") == ["expect-pattern \u{351}x"])
        #expect(try steps("send\t\u{301}") == ["send \u{301}"])
    }

    @Test func `what means no stands before what is expected`() throws {
        #expect(
            try steps("reject-pattern ^5\nexpect 220\nreject -ERR\nexpect +OK\n")
                == ["reject-pattern ^5", "expect 220", "reject -ERR", "expect +OK"]
        )
        let mistake = #expect(throws: SettingError.self) { try steps("expect 220\nreject 5") }
        #expect(mistake?.position == Position(file: "greeting", line: 2, column: 1))
    }
}
