// Is `If-Match` read as RFC 9110 has it?

import Store
import Testing

@testable import Admin

@Suite struct IfMatchTests {
    @Test(
        arguments: [
            (nil, .anything), ("*", .anything), (" * ", .anything), ("\"5\"", .revisions(["5"])),
            ("\"5\" , \"6\"", .revisions(["5", "6"])), ("\"\"", .revisions([""])),
            ("\"a,b\",\"6\"", .revisions(["a,b", "6"])), ("W/\"5\"", .revisions([])),
            ("W/\"5\", \"6\"", .revisions(["6"])),
        ] as [(String?, Precondition)]
    )
    func `tags are read`(field: String?, expected: Precondition) throws {
        #expect(try IfMatch.expectation(field) == expected)
    }

    @Test(arguments: ["", "5", "\"5", "\"5\" \"6\"", "\"5\",", "\"5\",*", "w/\"5\"", "*, \"5\""])
    func `what is no tag is a mistake`(field: String) {
        let error = #expect(throws: Problem.self) { try IfMatch.expectation(field) }
        #expect(error?.status == .badRequest)
    }

    @Test func `weak tags alone are told from tags that are outdated`() {
        #expect(IfMatch.isWeak("W/\"5\"") && IfMatch.isWeak("W/\"5\", W/\"6\""))
        for field in ["\"5\"", "W/\"5\", \"6\"", "*", "W/5"] { #expect(!IfMatch.isWeak(field)) }
    }

    @Test func `a tag is read back`() throws {
        let revision = Revision(definition: 1, stamps: 2)
        #expect(revision.number < 1 << 53)
        #expect(
            try IfMatch.expectation(IfMatch.tag(revision)) == .revisions([revision.description])
        )
    }

    @Test func `the opposite condition cannot be meant of what is there`() {
        #expect(IfMatch.opposite("*").status == .preconditionFailed)
        #expect(IfMatch.opposite("\"5\"").status == .badRequest)
    }
}
