// Under which names is a host looked up? The exact one first, then the most specific wildcard, then `*`;
// never deeper than six labels, which is where hipache stopped.

public enum FrontendHosts {
    /// Of a longer name the labels in front are left out before a wildcard takes the place of the first.
    static let labelsMax = 6
    static let everything = "*"

    /// In the order in which they are tried. `host` is in small letters and has no port.
    public static func candidates(of host: String) -> [String] {
        var names = [host]
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        for start in max(labels.count - labelsMax, 0)..<max(labels.count, 1)
        where start + 1 < labels.count {
            let rest = labels[(start + 1)...]
            names.append("*.\(rest.joined(separator: "."))")
        }
        if host != everything { names.append(everything) }
        return names
    }

    /// Whether some request is for it: hosts are compared in small letters, and without a port.
    static func isAskedFor(_ name: String) -> Bool {
        // An IPv6 address is one in brackets.
        let isPlain = name.hasPrefix("[") && name.hasSuffix("]") || !name.contains(":")
        return isPlain
            && !name.utf8.contains { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
    }

    /// Whether hosts other than itself are served by it.
    static func isPattern(_ name: String) -> Bool { name == everything || name.hasPrefix("*.") }
}
