// Whom does the command line name? An address, or a URL that says address and settings at once.

import Checks
import Settings
import Vocabulary

struct CheckTarget {
    let address: Address
    private var entries: [Setting.Entry] = []

    /// `options` are `key=value`; what the URL says comes first, what an option says wins. `base` is
    /// the built-in kind that does the work, `parameters` are those of a drop-in kind.
    init(
        _ text: String,
        options: [String],
        kind: String = "",
        base: String? = nil,
        parameters: [String]? = nil
    ) throws(SettingError) {
        for option in options { try Self.add(option, to: &entries) }
        let base = base ?? (kind.isEmpty ? "http" : kind)
        let schemes = CheckScheme.of(kind, base: base)
        if let url = TargetURL(text) {
            let scheme = try Self.scheme(of: url, among: schemes, kind: kind, text)
            address = try Self.address(url, scheme, kind, text)
            let (settings, complaint) = url.settings(
                of: base,
                isSecure: scheme?.isSecure ?? false
            )
            if let complaint { throw Self.complaint("\(complaint) for a check '\(kind)'", text) }
            entries = try Self.adding(
                settings,
                to: entries,
                parameters: parameters,
                kind: kind,
                text
            )
        } else if let address = Address(text: text) {
            self.address = address
        } else {
            self.address = try Self.completed(
                text,
                entries,
                kind.isEmpty ? nil : schemes.first?.port
            )
        }
    }

    func options(for kind: String) -> Options {
        Options(entries, at: Self.place("command line"), path: "check \(kind)")
    }

    // MARK: The address

    /// Nil where the kind has none of its own and any will do.
    private static func scheme(
        of url: TargetURL,
        among schemes: [CheckScheme],
        kind: String,
        _ text: String
    ) throws(SettingError) -> CheckScheme? {
        if let scheme = schemes.first(where: { $0.name == url.scheme }) { return scheme }
        // An address and nothing else, whatever is to be asked there.
        if url.scheme == "tcp" || url.scheme == kind { return nil }
        let own = schemes.map { "\($0.name)://" } + ["host:port"]
        var message =
            "expected \(own.joined(separator: " or ")) for a check '\(kind)', saw a URL of "
            + "'\(url.scheme)'"
        if let other = CheckScheme.all.first(where: { $0.name == url.scheme })?.kinds.first {
            message += ", which is for 'muster check \(other)'"
        }
        throw complaint(message, text)
    }

    private static func address(
        _ url: TargetURL,
        _ scheme: CheckScheme?,
        _ kind: String,
        _ text: String
    ) throws(SettingError) -> Address {
        let place =
            scheme?.port.map { Address.completing(url.authority, port: $0) } ?? url.authority
        guard let address = Address(text: place) else {
            throw complaint(problem(in: place) ?? "expected a URL", text)
        }
        return address
    }

    /// A host alone goes with a port that an option names, or that is the kind's.
    private static func completed(
        _ text: String,
        _ entries: [Setting.Entry],
        _ standard: UInt16?
    ) throws(SettingError) -> Address {
        if case .scalar(let port, _) = entries.first(where: { $0.key == "port" })?.value.value,
            let address = Address(text: "\(text):\(port)")
        {
            return address
        }
        if let standard, !text.contains("://"),
            let address = Address(text: Address.completing(text, port: standard))
        {
            return address
        }
        throw complaint(problem(in: text) ?? "expected host:port", text)
    }

    /// What is wrong with an address, and what to write where the reason is easily guessed.
    private static func problem(in text: String) -> String? {
        guard text.hasPrefix(":"), text.dropFirst().allSatisfy(\.isNumber) else {
            return Address.problem(in: text)
        }
        return "expected a host before the port, such as 127.0.0.1\(text), saw '\(text)'"
    }

    private static func place(_ name: String) -> Position {
        Position(file: name, line: 0, column: 0)
    }

    private static func complaint(_ message: String, _ target: String) -> SettingError {
        SettingError(place("target '\(TargetURL.redacted(target))'"), message)
    }

    // MARK: Settings

    private static func add(
        _ option: String,
        to entries: inout [Setting.Entry]
    ) throws(SettingError) {
        let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        // The value may be a password: no message repeats it.
        guard parts.count == 2, !parts[0].isEmpty else {
            throw SettingError(
                place("--option"),
                "expected key=value, saw \(parts.count == 2 ? "no key" : "no '='")"
            )
        }
        let key = String(parts[0])
        let value = try Setting(inline: String(parts[1]), place: "--option \(key)")
        let words = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard !words.contains("") else {
            throw SettingError(place("--option"), "expected key=value, saw the key '\(key)'")
        }
        try put(value, at: words[...], of: key, in: &entries)
    }

    /// `tls.verify` is the key `verify` of the map `tls`.
    private static func put(
        _ value: Setting,
        at words: ArraySlice<String>,
        of key: String,
        in entries: inout [Setting.Entry]
    ) throws(SettingError) {
        guard let word = words.first else { return }
        let position = place("--option \(key)")
        let index = entries.firstIndex { $0.key == word }
        guard words.count > 1 else {
            guard index == nil else { throw twice(key) }
            return entries.append(Setting.Entry(key: word, position: position, value: value))
        }
        var inner: [Setting.Entry] = []
        if let index {
            guard case .map(let others) = entries[index].value.value else { throw twice(key) }
            inner = others
        }
        try put(value, at: words.dropFirst(), of: key, in: &inner)
        if let index {
            entries[index].value.value = .map(inner)
        } else {
            let map = Setting(.map(inner), at: position)
            entries.append(Setting.Entry(key: word, position: position, value: map))
        }
    }

    private static func twice(_ key: String) -> SettingError {
        SettingError(place("--option \(key)"), "expected it once, saw it a second time")
    }

    private static func adding(
        _ settings: [(key: String, value: TargetURL.Value)],
        to entries: [Setting.Entry],
        parameters: [String]?,
        kind: String,
        _ text: String
    ) throws(SettingError) -> [Setting.Entry] {
        var entries = entries
        for (key, value) in settings where !entries.contains(where: { $0.key == key }) {
            if let parameters, !parameters.contains(key) {
                // What the URL says without meaning it.
                if key == "host" { continue }
                if key == "path", case .text("/") = value { continue }
                throw complaint(
                    "expected no '\(key)' in it: the drop-in kind '\(kind)' has no such parameter",
                    text
                )
            }
            let position = place("target")
            let setting =
                switch value {
                case .text(let text): Setting(.scalar(text, isQuoted: true), at: position)
                case .yes: Setting(.scalar("true", isQuoted: false), at: position)
                case .login(let basic):
                    Setting(
                        .map([
                            Setting.Entry(
                                key: "basic",
                                position: position,
                                value: Setting(.scalar(basic, isQuoted: true), at: position)
                            )
                        ]),
                        at: position
                    )
                }
            entries.append(Setting.Entry(key: key, position: position, value: setting))
        }
        return entries
    }
}
