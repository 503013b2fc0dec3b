// Does a DNS reply depend on nothing beyond its own bytes, and does it stay within its limits?

import DNS

@Sendable func dns(_ bytes: [UInt8]) {
    let reply: DNSReply
    do {
        reply = try DNSReply(parsing: bytes)
    } catch {
        // What is refused because more is missing may be refused for less.
        return require(!error.reason.isEmpty, "refused without a reason")
    }
    require(reply.answers.count <= DNSReply.recordsMax, "\(reply.answers.count) answers")
    require(!reply.isTruncated || reply.answers.isEmpty, "answers of a truncated reply")
    require(reply.code < 16, "code \(reply.code)")
    require(!reply.codeWord.isEmpty, "no word for code \(reply.code)")

    let longer = try? DNSReply(parsing: bytes + [0xC0, 0x0C, 0x00])
    require(longer == reply, "what follows the reply changes it")
    for count in [bytes.count - 1, bytes.count / 2] {
        guard let shorter = try? DNSReply(parsing: Array(bytes[..<count])) else { continue }
        require(shorter == reply, "cut to \(count) bytes it says something else")
    }

    guard let type = RecordType(rawValue: reply.questionType) else { return }
    let question = DNSQuestion(id: reply.id, name: reply.questionName, type: type)
    guard var asked = question.bytes else { return }
    asked[2] |= 0x80
    let echo = try? DNSReply(parsing: asked)
    require(echo?.answers(question) == true, "\(question) read back as \(String(describing: echo))")
}
