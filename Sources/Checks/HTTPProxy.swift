// Through whom does a request go? A proxy as a user writes it: `http://user:password@host:port`.

import Curl
import Vocabulary

/// A forward proxy.
struct HTTPProxy: Sendable {
    enum Scheme: String, CaseIterable, Sendable {
        /// Absolute form for plain requests, CONNECT for TLS.
        case http
        /// Names are resolved here, or by the proxy.
        case socks5, socks5h
    }

    let scheme: Scheme
    let address: Address
    let user: String?
    let password: String?
    /// Where it is written.
    let position: Position
    let path: String

    init(_ setting: Setting, at path: String) throws(SettingError) {
        position = setting.position
        self.path = path
        let text = try setting.string(at: path)
        // It may hold a password: no message repeats it.
        let wrong = SettingError(
            setting.position,
            "\(path): expected http://[user:password@]host:port, socks5://… or socks5h://…"
        )
        let pieces = text.split(separator: "://", maxSplits: 1).map(String.init)
        guard pieces.count == 2, let scheme = Scheme(rawValue: pieces[0]) else { throw wrong }
        self.scheme = scheme
        var place = pieces[1]
        if place.hasSuffix("/") { place.removeLast() }
        if let at = place.lastIndex(of: "@") {
            let login = place[..<at].split(separator: ":", maxSplits: 1)
            guard let name = login.first, let user = Self.decoded(name) else { throw wrong }
            let word = login.count == 2 ? Self.decoded(login[1]) : ""
            guard let word else { throw wrong }
            self.user = user
            password = word
            place = String(place[place.index(after: at)...])
        } else {
            user = nil
            password = nil
        }
        guard let address = Address(text: place), case .host = address else { throw wrong }
        self.address = address
    }

    var isHTTP: Bool { scheme == .http }

    var isToldNames: Bool { scheme != .socks5 }

    /// `%40` for an `@` in a name or a password. Nil where the digits are wrong.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte != UInt8(ascii: "%") {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else { return nil }
            rest.removeFirst(2)
            bytes.append(value)
        }
        let isClean = bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        return isClean ? String(decoding: bytes, as: UTF8.self) : nil
    }
}

extension HTTPProxy: CustomStringConvertible {
    /// Without the password.
    var description: String { "\(scheme.rawValue)://\(address)" }
}
