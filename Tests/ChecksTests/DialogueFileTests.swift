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
}
