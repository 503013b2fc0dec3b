// What does a sign of life say? Nothing, which means `pass`, or a status with a message.

import Checks
import Vocabulary

struct HeartbeatSignError: Error, CustomStringConvertible {
    var description: String
}

struct HeartbeatSign: Equatable {
    var status = Heartbeats.Sign.Status.pass
    var message = ""

    private static let keys = ["status", "message"]

    init(_ bytes: [UInt8]) throws(HeartbeatSignError) {
        if bytes.allSatisfy({ [0x20, 0x09, 0x0A, 0x0D].contains($0) }) { return }
        let body: JSON
        do {
            body = try JSON(parsing: bytes)
        } catch {
            throw HeartbeatSignError(description: "body: \(error)")
        }
        guard let members = body.members else {
            throw HeartbeatSignError(description: "body: expected nothing or an object")
        }
        for member in members {
            switch member.key {
            case "status":
                guard let word = member.value.string,
                    let status = Heartbeats.Sign.Status(rawValue: word)
                else {
                    throw HeartbeatSignError(
                        description: "status: expected pass, warn or fail, saw \(member.value.text)"
                    )
                }
                self.status = status
            case "message":
                guard let text = member.value.string else {
                    throw HeartbeatSignError(
                        description: "message: expected a text, saw \(member.value.text)"
                    )
                }
                message = text
            default:
                var text = "body has no setting '\(member.key)'"
                if let near = nearest(to: member.key, among: Self.keys) {
                    text += "; did you mean '\(near)'?"
                }
                throw HeartbeatSignError(description: text)
            }
        }
    }
}
