// What did the other side mean by its alert? It sends a number and hangs up; the number has a name,
// and mostly one cause that somebody can do something about.

/// An alert that ended a connection (RFC 8446, section 6; numbers of older versions too).
public struct TLSAlert: Hashable, Sendable {
    public var number: Int

    public init(_ number: Int) { self.number = number }

    /// The name in the standard, with blanks.
    public var name: String { Self.words[number]?.name ?? "unknown" }

    private static let words: [Int: (name: String, meaning: String?)] = [
        0: ("close notify", nil),
        10: ("unexpected message", nil),
        20: ("bad record mac", nil),
        22: ("record overflow", nil),
        40: (
            "handshake failure",
            "no cipher or version suits both sides, or it demands a client certificate: 'certificate' "
                + "and 'key' give it one"
        ),
        42: ("bad certificate", "it refuses our certificate, or demands one"),
        43: ("unsupported certificate", "it does not take certificates of our kind"),
        44: ("certificate revoked", "our certificate has been revoked"),
        45: ("certificate expired", "our certificate has expired"),
        46: ("certificate unknown", "it refuses our certificate"),
        47: ("illegal parameter", nil),
        48: ("unknown ca", "it does not know the authority of our certificate"),
        49: ("access denied", "it knows our certificate and does not let us in"),
        50: ("decode error", nil),
        51: ("decrypt error", nil),
        70: ("protocol version", "it speaks neither TLS 1.2 nor 1.3"),
        71: ("insufficient security", "it wants stronger ciphers than we offer"),
        80: ("internal error", "it has trouble of its own"),
        86: ("inappropriate fallback", nil),
        90: ("user canceled", nil),
        109: ("missing extension", nil),
        110: ("unsupported extension", nil),
        112: ("unrecognized name", "it has no site of this name: 'server-name' says another"),
        113: ("bad certificate status response", nil),
        115: ("unknown psk identity", nil),
        116: (
            "certificate required",
            "it demands a client certificate: 'certificate' and 'key' give it one"
        ),
        120: ("no application protocol", "it speaks none of the protocols that 'alpn' offers"),
    ]
}

extension TLSAlert: CustomStringConvertible {
    public var description: String {
        let meaning = Self.words[number]?.meaning.map { ": \($0)" } ?? ""
        return "the server's alert \(number), \(name)\(meaning)"
    }
}
