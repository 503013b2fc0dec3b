// Which cookie brings a client back to its peer?

import Health
import Proxy
import Vocabulary

enum StickyReader {
    /// More is no name but a mistake.
    static let nameBytesMax = 64

    static func read(_ section: inout Section) -> StickyDefinition? {
        guard var sticky = section.section("sticky") else { return nil }
        let before = sticky.reading.mistakes.count
        let position = sticky.position
        let cookie = sticky.read("cookie") { (setting, path) throws(SettingError) in
            let name = try setting.string(at: path)
            guard name.utf8.count <= nameBytesMax, RequestField.isCookie(name) else {
                throw setting.expected(
                    "a cookie's name: at most \(nameBytesMax) letters, digits and !#$%&'*+-.^_`|~",
                    at: path
                )
            }
            return name
        }
        let secure = sticky.word("secure", of: StickyDefinition.Secure.self)
        let sameSite = sticky.word("same-site", of: StickyDefinition.SameSite.self)
        sticky.finish()
        let definition = StickyDefinition(
            cookie: cookie ?? "",
            secure: secure ?? .auto,
            sameSite: sameSite ?? .lax
        )
        guard sticky.reading.mistakes.count == before else { return nil }
        guard cookie != nil else {
            if definition != StickyDefinition(cookie: "") { sticky.reportMissing("cookie") }
            return nil
        }
        // Browsers drop such a cookie, and every request would go to another peer.
        if definition.sameSite == .none, definition.secure != .always {
            sticky.reading.report(
                SettingError(
                    position,
                    "\(sticky.place.path).secure: expected always where same-site is none, since "
                        + "browsers take such a cookie only as a secure one, saw "
                        + "\(definition.secure.rawValue); clients have to come over TLS"
                )
            )
        }
        return definition
    }
}
