// Who answers there, if not who was expected? Servers give themselves away with their first bytes;
// naming them says what is wrong faster than the byte at which a parser stopped.

import Vocabulary

enum Stranger {
    /// What a check speaks.
    enum Wanted { case http1, http2, tls }

    /// `'SSH-2.0-OpenSSH_9.2\r\n': an SSH server`, or the excerpt alone where nobody is recognised.
    static func words(for bytes: some Collection<UInt8>, wanted: Wanted) -> String {
        let name = name(of: Array(bytes.prefix(Excerpt.bytesMax)), wanted: wanted)
        return Excerpt.of(bytes) + (name.map { ": \($0)" } ?? "")
    }

    /// Whether `bytes` are, or may become, a status line.
    static func mayBeHTTP(_ bytes: some Collection<UInt8>) -> Bool {
        zip(bytes, "HTTP/".utf8).allSatisfy { $0 == $1 }
    }

    private static func name(of bytes: [UInt8], wanted: Wanted) -> String? {
        if bytes.starts(with: "HTTP/".utf8) {
            return switch wanted {
            case .http1: nil
            case .http2: "a server of HTTP/1, not 2"
            case .tls: "an HTTP server without TLS"
            }
        }
        for (opening, name) in openings where bytes.starts(with: opening.utf8) { return name }
        if isTLS(bytes) { return wanted == .tls ? nil : "a TLS server; 'tls: true' speaks it" }
        if isSettings(bytes), wanted == .http1 {
            return "a server of HTTP/2; 'version: 2' speaks it"
        }
        // Length in three bytes, sequence 0 and version 10 of its protocol.
        if bytes.count > 4, bytes[2] == 0, bytes[3] == 0, bytes[4] == 10 { return "a MySQL server" }
        return nil
    }

    private static let openings: [(String, String)] = [
        ("SSH-", "an SSH server"), ("220", "an SMTP or FTP server"),
        ("421 ", "an SMTP or FTP server that turns us away"),
        ("554 ", "an SMTP server that turns us away"),
        ("* OK", "an IMAP server"), ("+OK", "a POP3 server"), ("-ERR", "a Redis or POP3 server"),
        ("+PONG", "a Redis server"), ("-NOAUTH", "a Redis server"), ("-DENIED", "a Redis server"),
        ("RFB ", "a VNC server"), ("AMQP", "an AMQP server"), ("ERROR\r\n", "a memcached server"),
        ("INFO {", "a NATS server"), ("<?xml", "a document without an HTTP head"),
        ("<!DOCTYPE", "a document without an HTTP head"),
        ("<html", "a document without an HTTP head"), ("ICY ", "a stream server (ICY)"),
        ("RTSP/", "an RTSP server"), ("SIP/", "a SIP server"),
    ]

    /// A record of a handshake or an alert of any version (RFC 8446, section 5.1).
    private static func isTLS(_ bytes: [UInt8]) -> Bool {
        bytes.count > 2 && (bytes[0] == 21 || bytes[0] == 22) && bytes[1] == 3 && bytes[2] < 5
    }

    /// A SETTINGS frame of the connection (RFC 9113, section 3.4).
    private static func isSettings(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 9 && bytes[0] == 0 && bytes[3] == 4 && bytes[5..<9].allSatisfy { $0 == 0 }
    }
}
