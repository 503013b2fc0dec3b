// Do the words of an agent line stay within their limits, and is the line all that is read?

import Health

@testable import Checks

@Sendable func agentLine(_ bytes: [UInt8]) {
    let reply = AgentReply(parsing: bytes)
    if let length = AgentReply.length(in: bytes) {
        require(length < bytes.count, "a line longer than its bytes")
        let line = AgentReply(parsing: bytes[..<length])
        require(line == reply, "what follows the line counts: \(reply), not \(line)")
        require(AgentReply.length(in: bytes[...length]) == length, "the line ends elsewhere")
        require(AgentReply.length(in: bytes[..<length]) == nil, "the line ends before its end")
    }
    if let percent = reply.hints.weightPercent {
        require((0...PeerHealth.weightPercentMax).contains(percent), "a weight of \(percent)%")
    }
    if let limit = reply.hints.maxConnections {
        require((1...AgentReply.noLimit).contains(limit), "a limit of \(limit)")
    }
    require(reply.health != nil || reply.description.isEmpty, "a description of nothing")

    let outcome = reply.outcome
    require(outcome.isImmediate == (outcome.verdict == .fail), "\(outcome) is not at once")
    require(outcome.hints == reply.hints, "other hints in the outcome")
    require((outcome.verdict == .neutral) == (reply.health == nil), "\(reply) became \(outcome)")

    // Words, not their case; the description is passed on as it is.
    let shouted = bytes.map { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) ? byte - 0x20 : byte
    }
    let loud = AgentReply(parsing: shouted)
    require(loud.health == reply.health && loud.hints == reply.hints, "case matters")
}
