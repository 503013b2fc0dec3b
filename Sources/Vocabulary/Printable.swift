// What may a terminal or a log file be shown of text that others wrote? Letters, and no orders: a peer
// that answers with a line break or an escape sequence must not write lines of its own in our log.

extension String {
    /// With every character that steers a terminal or breaks a line written as `\n`, `\t`, `\u001b`.
    public var printable: String {
        guard unicodeScalars.contains(where: { $0.steers }) else { return self }
        var text = ""
        for scalar in unicodeScalars {
            guard scalar.steers else {
                text.unicodeScalars.append(scalar)
                continue
            }
            switch scalar {
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            default:
                let hex = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: max(0, 4 - hex.count)) + hex
            }
        }
        return text
    }
}

extension Unicode.Scalar {
    /// C0, DEL and C1; line and paragraph separators; what turns the direction of writing; what cannot
    /// be seen, and makes two names look like one.
    fileprivate var steers: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0, 0xAD, 0x61C, 0x180E, 0x200B...0x200F, 0x2028...0x202E,
            0x2060...0x206F, 0xFEFF, 0xFFF9...0xFFFB, 0xE0000...0xE007F:
            true
        default: false
        }
    }
}

extension String {
    /// With the password of a URL in it, or of `user:password@host`, as `***`. Whatever shows an address
    /// that somebody configured goes through here.
    public var withoutPassword: String {
        // A path, whatever it is called.
        hasPrefix("unix:/") || hasPrefix("unix:@") ? self : masked(alsoWithoutScheme: true)
    }

    /// The same for a sentence that somebody else wrote: only what is plainly a URL is masked.
    public var withoutPasswordInURLs: String { masked(alsoWithoutScheme: false) }

    private func masked(alsoWithoutScheme isAddress: Bool) -> String {
        var text = self[...]
        var shown = ""
        while let scheme = text.firstRange(of: "://") {
            shown += text[..<scheme.upperBound]
            let authority = text[scheme.upperBound...].prefix { !" '\"\t\n".contains($0) }
            shown += Self.maskingPassword(of: authority)
            text = text[authority.endIndex...]
        }
        // Without a scheme only where it can be nothing else.
        return shown
            + (shown.isEmpty && isAddress ? Self.maskingPassword(of: text) : String(text))
    }

    /// A password may hold `/` and `@`: everything to the last `@` counts.
    private static func maskingPassword(of authority: Substring) -> String {
        guard let at = authority.lastIndex(of: "@") else { return String(authority) }
        let login = authority[..<at]
        guard let colon = login.firstIndex(of: ":") else { return String(authority) }
        return "\(login[...colon])***\(authority[at...])"
    }
}
