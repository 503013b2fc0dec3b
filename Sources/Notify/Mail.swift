// How does a batch look as mail? Plain text, one line for each notice, in a shape that every mail program
// since RFC 5322 reads. Pure.

import Checks
import Vocabulary

struct Mail {
    let from: String
    let to: [String]
    let batch: Batch
    let now: WallTime
    /// Tells two mails of one moment apart.
    let nonce: UInt64

    private static let lineMax = 76

    /// Header and body, with CRLF, as it goes after `DATA`: encoded so that no line of it can be a single dot.
    var text: String {
        let address = from.split(separator: "@").last.map(String.init) ?? "localhost"
        let id = String(nonce, radix: 36) + "." + String(now.milliseconds, radix: 36)
        let head = [
            "From: muster <\(from)>",
            "To: \(to.joined(separator: ",\r\n "))",
            "Subject: \(Self.word("[muster] " + String(batch.summary.prefix(200))))",
            "Date: \(Self.date(now))",
            "Message-ID: <\(id)@\(address)>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: base64",
        ]
        var body = batch.summary + "\r\n"
        if batch.notices.count > 1 || batch.leftOut > 0 {
            body +=
                "\r\n"
                + batch.notices.map { "\($0.at)  \($0.line.printable)" }
                .joined(separator: "\r\n") + "\r\n"
        }
        if batch.leftOut > 0 { body += "\r\nleft out before these: \(batch.leftOut)\r\n" }
        body +=
            "\r\nin trouble now: \(batch.troubled)\r\nsent by agent \(batch.agent) to "
            + "\(batch.receiver)\r\n"
        return head.joined(separator: "\r\n") + "\r\n\r\n" + Self.folded(Base64.text(of: body.utf8))
    }

    /// As the value of a field: encoded where it is more than printable ASCII (RFC 2047).
    private static func word(_ text: String) -> String {
        if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return text }
        // An encoded word holds at most 75 letters, and whole characters.
        var words: [String] = []
        var part = ""
        for character in text {
            if (part + String(character)).utf8.count > 42 {
                words.append(part)
                part = ""
            }
            part.append(character)
        }
        words.append(part)
        return words.map { "=?utf-8?B?\(Base64.text(of: $0.utf8))?=" }.joined(separator: "\r\n ")
    }

    private static func folded(_ text: String) -> String {
        var lines = ""
        var rest = text.utf8[...]
        while !rest.isEmpty {
            lines += String(Substring(rest.prefix(lineMax))) + "\r\n"
            rest = rest.dropFirst(lineMax)
        }
        return lines
    }

    /// `Sun, 29 Nov 2026 06:31:58 +0000`, from RFC 3339's.
    static func date(_ time: WallTime) -> String {
        let text = time.description
        let parts = text.split { "-T:.Z".contains($0) }.map(String.init)
        guard parts.count >= 6, let month = Int(parts[1]), (1...12).contains(month),
            let day = Int(parts[2])
        else { return text }
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let weekday = days[Int(time.milliseconds / 86_400_000 % 7)]
        return "\(weekday), \(day) \(months[month - 1]) \(parts[0]) "
            + "\(parts[3]):\(parts[4]):\(parts[5]) +0000"
    }
}
