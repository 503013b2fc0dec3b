// What does a peer that reports in say?

import Testing

@testable import Admin

@Suite struct HeartbeatSignTests {
    private func sign(_ body: String) throws -> HeartbeatSign {
        try HeartbeatSign(Array(body.utf8))
    }

    @Test func `nothing said is well said`() throws {
        for body in ["", "\n", "{}"] {
            let sign = try sign(body)
            #expect(sign.status == .pass)
            #expect(sign.message == "")
        }
    }

    @Test func `a status and a message are taken`() throws {
        let sign = try sign(#"{"status":"fail","message":"disk full"}"#)
        #expect(sign.status == .fail)
        #expect(sign.message == "disk full")
    }

    @Test(arguments: [
        (#"{"status":"ok"}"#, #"status: expected pass, warn or fail, saw "ok""#),
        (#"{"message":5}"#, "message: expected a text, saw 5"),
        (#"{"stauts":"pass"}"#, "did you mean 'status'?"),
        ("[1]", "expected nothing or an object"),
        ("{", "JSON at byte 1"),
    ])
    func `what makes no sense is named`(body: String, complaint: String) {
        #expect {
            try sign(body)
        } throws: { error in
            "\(error)".contains(complaint)
        }
    }
}
