// What is said to a mail server, and in which order? One message over one connection (RFC 5321), with TLS
// from the first byte or from STARTTLS on (RFC 3207), and a login where one is set (RFC 4954). Pure: replies
// in, lines out.

import Checks
import Vocabulary

/// The sender's side of one delivery.
struct MailTalk {
    enum Step: Hashable {
        /// Send this and wait for the next reply.
        case say(String)
        /// The handshake is due; then `secured` goes on.
        case secure
        case done
        /// It cannot be delivered; `isRefusal` where trying again will not help by itself.
        case failed(String, isRefusal: Bool)
    }

    let hello: String
    let login: (user: String, password: String)?
    let from: String
    let to: [String]
    let content: String
    /// TLS is to be asked for.
    var startsTLS: Bool

    private var stage = Stage.greeting
    private var nextRecipient = 0

    private enum Stage {
        case greeting, hello, startTLS, login, sender, recipient, data, content, quit
    }

    init(
        hello: String,
        login: (user: String, password: String)?,
        from: String,
        to: [String],
        content: String,
        startsTLS: Bool
    ) {
        self.hello = hello
        self.login = login
        self.from = from
        self.to = to
        self.content = content
        self.startsTLS = startsTLS
    }

    /// The server said this; several lines where it said several.
    mutating func heard(_ code: Int, _ lines: [String]) -> Step {
        switch stage {
        case .greeting:
            guard code == 220 else { return no("a greeting with 220", code, lines) }
            return greet()
        case .hello:
            guard code == 250 else { return no("250 to EHLO", code, lines) }
            let words = lines.map { $0.uppercased() }
            if startsTLS {
                guard words.contains("STARTTLS") else {
                    return .failed(
                        "expected the server to offer STARTTLS, saw it offer none; set 'security' "
                            + "to 'tls' or 'none'",
                        isRefusal: true
                    )
                }
                stage = .startTLS
                return .say("STARTTLS\r\n")
            }
            return logIn(words)
        case .startTLS:
            guard code == 220 else { return no("220 to STARTTLS", code, lines) }
            return .secure
        case .login:
            guard code == 235 else { return no("235 to the login", code, lines) }
            return sender()
        case .sender:
            guard code == 250 else { return no("250 to MAIL FROM", code, lines) }
            return recipient()
        case .recipient:
            guard code == 250 || code == 251 else {
                return no("250 to RCPT TO <\(to[nextRecipient - 1])>", code, lines)
            }
            if nextRecipient < to.count { return recipient() }
            stage = .data
            return .say("DATA\r\n")
        case .data:
            guard code == 354 else { return no("354 to DATA", code, lines) }
            stage = .content
            return .say(content + ".\r\n")
        case .content:
            guard code == 250 else { return no("250 to the message", code, lines) }
            stage = .quit
            return .done
        case .quit: return .done
        }
    }

    /// TLS is there: everything that was said before counts for nothing.
    mutating func secured() -> Step {
        startsTLS = false
        return greet()
    }

    private mutating func greet() -> Step {
        stage = .hello
        return .say("EHLO \(hello)\r\n")
    }

    private mutating func logIn(_ offers: [String]) -> Step {
        guard let login else { return sender() }
        let kinds = offers.first { $0.hasPrefix("AUTH ") }?.split(separator: " ").dropFirst() ?? []
        guard kinds.contains("PLAIN") else {
            return .failed(
                "expected the server to offer AUTH PLAIN, saw it offer none",
                isRefusal: true
            )
        }
        stage = .login
        return .say("AUTH PLAIN \(Base64.text(of: "\0\(login.user)\0\(login.password)".utf8))\r\n")
    }

    private mutating func sender() -> Step {
        stage = .sender
        return .say("MAIL FROM:<\(from)>\r\n")
    }

    private mutating func recipient() -> Step {
        stage = .recipient
        nextRecipient += 1
        return .say("RCPT TO:<\(to[nextRecipient - 1])>\r\n")
    }

    /// A reply from 500 on means that it will be the same again.
    private func no(_ expected: String, _ code: Int, _ lines: [String]) -> Step {
        let said = lines.first.map { " \(Excerpt.text($0.utf8))" } ?? ""
        return .failed("mail: expected \(expected), saw \(code)\(said)", isRefusal: code >= 500)
    }
}

/// Takes a server's bytes apart into replies.
struct MailReplies {
    private var bytes: [UInt8] = []
    private var lines: [String] = []

    static let lineBytesMax = 1_024
    static let linesMax = 64

    enum Problem: Error { case malformed }

    mutating func feed(_ more: some Sequence<UInt8>) { bytes += more }

    /// What came with the words that were said in the clear is not to be believed afterwards.
    mutating func forget() {
        bytes = []
        lines = []
    }

    /// The next whole reply: its code, and what stands behind it on each line.
    mutating func next() throws(Problem) -> (code: Int, lines: [String])? {
        while let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
            guard end <= Self.lineBytesMax, lines.count < Self.linesMax else { throw .malformed }
            var line = bytes[..<end]
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            let code = line.prefix(3)
            guard code.count == 3, code.allSatisfy({ (0x30...0x39).contains($0) }) else {
                throw .malformed
            }
            let rest = line.dropFirst(3)
            let number = code.reduce(0) { $0 * 10 + Int($1 - 0x30) }
            lines.append(String(decoding: rest.dropFirst(), as: UTF8.self))
            bytes.removeFirst(end + 1)
            if rest.first != UInt8(ascii: "-") {
                defer { lines = [] }
                return (number, lines)
            }
        }
        if bytes.count > Self.lineBytesMax { throw .malformed }
        return nil
    }
}
