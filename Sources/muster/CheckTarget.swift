// Whom does the command line name? An address, or a URL that says address, host and path at once.

import Settings
import Vocabulary

struct CheckTarget {
    let address: Address
    private var entries: [Setting.Entry] = []

    /// `options` are `key=value`; what the URL says comes first, what an option says wins.
    init(_ text: String, options: [String]) throws(SettingError) {
        for option in options { entries.append(try Self.entry(option)) }
        if let url = URLParts(text) {
            guard let address = Address(text: url.address) else {
                throw Self.complaint(Address.problem(in: url.address) ?? "expected a URL", text)
            }
            self.address = address
            entries = Self.adding(url.settings, to: entries)
        } else if let address = Address(text: text) {
            self.address = address
        } else {
            let port = entries.first { $0.key == "port" }?.value
            guard case .scalar(let port, _) = port?.value,
                let address = Address(text: "\(text):\(port)")
            else {
                throw Self.complaint(Address.problem(in: text) ?? "expected host:port", text)
            }
            self.address = address
        }
    }

    func options(for kind: String) -> Options {
        Options(entries, at: Self.place("command line"), path: "check \(kind)")
    }

    private static func place(_ name: String) -> Position {
        Position(file: name, line: 0, column: 0)
    }

    private static func complaint(_ message: String, _ target: String) -> SettingError {
        SettingError(place("target '\(target)'"), message)
    }

    private static func entry(_ option: String) throws(SettingError) -> Setting.Entry {
        let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw SettingError(place("--option"), "expected key=value, saw '\(option)'")
        }
        let key = String(parts[0])
        return Setting.Entry(
            key: key,
            position: place("--option \(key)"),
            value: try Setting(inline: String(parts[1]), place: "--option \(key)")
        )
    }

    private static func adding(
        _ settings: [(key: String, value: String)],
        to entries: [Setting.Entry]
    ) -> [Setting.Entry] {
        var entries = entries
        for (key, value) in settings where !entries.contains(where: { $0.key == key }) {
            let position = place("target")
            let setting = Setting(.scalar(value, isQuoted: value != "true"), at: position)
            entries.append(Setting.Entry(key: key, position: position, value: setting))
        }
        return entries
    }
}

/// `http://host[:port][/path]`, `https` likewise.
private struct URLParts {
    var address: String
    var settings: [(key: String, value: String)]

    init?(_ text: String) {
        guard let colon = text.range(ofScheme: ["http", "https"]) else { return nil }
        let isSecure = text.hasPrefix("https")
        let rest = text[colon.upperBound...]
        let slash = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = String(rest[..<slash])
        let path = String(rest[slash...].prefix { $0 != "#" })
        address = Address.completing(authority, port: isSecure ? 443 : 80)
        settings = [
            ("host", authority),
            ("path", path.hasPrefix("/") ? path : "/" + path),
        ]
        if isSecure { settings.append(("tls", "true")) }
    }
}

extension String {
    /// The `scheme://` at the start, if it is one of these.
    fileprivate func range(ofScheme schemes: [String]) -> Range<Index>? {
        for scheme in schemes {
            let prefix = scheme + "://"
            if hasPrefix(prefix) {
                return startIndex..<index(startIndex, offsetBy: prefix.count)
            }
        }
        return nil
    }
}
