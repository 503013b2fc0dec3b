// What does an HTTP probe send? The same bytes every time but for the host, so they are put
// together once.

import HTTP1
import Vocabulary

/// A request, ready to be sent.
struct HTTPRequest: Sendable {
    let method: HTTP1.Method
    let methodName: String
    let path: String
    /// What the settings say it is; nil where the address decides.
    let host: String?
    /// Everything but `Host`, `Connection` and the length, for an engine that writes those itself.
    let fields: [Field]
    let body: [UInt8]
    let sendsBody: Bool
    /// Everything up to the value of `Host`, and everything after it.
    private let before: [UInt8]
    private let after: [UInt8]

    struct Field: Sendable {
        let name: String
        let value: String
    }

    static let userAgent = "muster/0.1"
    static let bodyBytesMax = 65_536
    static let headersMax = 64

    /// Fields that would change how the request ends or where it goes.
    private static let reserved = [
        "connection", "content-length", "host", "transfer-encoding", "upgrade", "user-agent",
    ]

    /// Takes `method`, `path`, `host`, `headers`, `body` and `user-agent`.
    init(options: inout Options, defaultPath: String = "/") throws(SettingError) {
        methodName = try options.word("method", among: Self.methods.keys.sorted()) ?? "GET"
        // Every word above is there.
        let known = Self.methods[methodName] ?? .get
        method = known
        path = try Self.path(&options) ?? defaultPath
        host = try Self.take("host", from: &options, "a host, perhaps with a port", Self.isVisible)
        let agent =
            try Self.take("user-agent", from: &options, "printable text", Self.isFieldValue)
            ?? Self.userAgent
        let headers = try Self.headers(&options)
        body = try Self.body(&options)
        sendsBody = !body.isEmpty || [.post, .put, .patch].contains(known)

        before = Array("\(methodName) \(path) HTTP/1.1\r\nHost: ".utf8)
        var fields: [Field] = []
        if !headers.contains(where: { $0.name.lowercased() == "accept" }) {
            fields.append(Field(name: "Accept", value: "*/*"))
        }
        fields += headers
        var rest = "\r\nUser-Agent: \(agent)\r\nConnection: close\r\n"
        for field in fields { rest += "\(field.name): \(field.value)\r\n" }
        if sendsBody { rest += "Content-Length: \(body.count)\r\n" }
        self.fields = [Field(name: "User-Agent", value: agent)] + fields
        after = Array((rest + "\r\n").utf8) + body
    }

    /// `address` names the host where the settings do not.
    func bytes(for address: Address) -> [UInt8] {
        let authority = authority(for: address).utf8
        var bytes: [UInt8] = []
        // No more than it takes: there is one for every peer.
        bytes.reserveCapacity(before.count + authority.count + after.count)
        bytes += before
        bytes += authority
        bytes += after
        return bytes
    }

    /// Whether the settings have the field `name`, which is in lower case.
    func hasField(_ name: String) -> Bool { fields.contains { $0.name.lowercased() == name } }

    func authority(for address: Address) -> String {
        if let host { return host }
        // The zone of an IPv6 address is of this host only.
        switch address.withoutZone {
        case .host(let name, 80): return name.contains(":") ? "[\(name)]" : name
        case .host: return "\(address.withoutZone)"
        // A unix socket has no name; servers want one all the same.
        case .unix: return "localhost"
        }
    }

    // MARK: Settings

    private static let methods: [String: HTTP1.Method] = [
        "GET": .get, "HEAD": .head, "POST": .post, "PUT": .put, "DELETE": .delete,
        "OPTIONS": .options, "TRACE": .trace, "PATCH": .patch,
    ]

    private static func take(
        _ key: String,
        from options: inout Options,
        _ expected: String,
        _ isValid: (UInt8) -> Bool
    ) throws(SettingError) -> String? {
        guard let setting = options.take(key) else { return nil }
        let path = "\(options.path).\(key)"
        let text = try setting.string(at: path)
        guard !text.isEmpty, text.utf8.allSatisfy(isValid) else {
            throw setting.expected(expected, at: path)
        }
        return text
    }

    private static func path(_ options: inout Options) throws(SettingError) -> String? {
        guard let setting = options.take("path") else { return nil }
        let place = "\(options.path).path"
        let text = try setting.string(at: place)
        if text.hasPrefix("http://") || text.hasPrefix("https://") {
            throw setting.expected(
                "a path that begins with '/' (the peer's address says where it goes, 'tls: true' "
                    + "stands for https, 'host' for a name)",
                at: place
            )
        }
        guard text.hasPrefix("/") else {
            throw setting.expected("a path that begins with '/'", at: place)
        }
        guard
            let wrong = text.unicodeScalars.first(where: { scalar in
                !scalar.isASCII || !isPath(UInt8(truncatingIfNeeded: scalar.value))
            })
        else { return text }
        let escaped = text.utf8.reduce(into: "") { escaped, byte in
            let digits = String(byte, radix: 16, uppercase: true)
            escaped +=
                isPath(byte)
                ? String(UnicodeScalar(byte)) : "%" + (digits.count < 2 ? "0" : "") + digits
        }
        let what =
            switch wrong {
            case " ": "a blank"
            case "#": "a '#', which no server is ever sent"
            default: wrong.isASCII ? "a control character" : "'\(wrong)', which is no ASCII"
            }
        throw SettingError(
            setting.position,
            "\(place): expected a path as it is sent, such as '\(escaped)', saw \(what) in "
                + setting.summary
        )
    }

    private static func headers(
        _ options: inout Options
    ) throws(SettingError) -> [Field] {
        guard let setting = options.take("headers") else { return [] }
        let path = "\(options.path).headers"
        let entries = try setting.entries(at: path)
        guard entries.count <= headersMax else {
            throw setting.expected("at most \(headersMax) headers", at: path)
        }
        var headers: [Field] = []
        for entry in entries {
            let place = "\(path).\(entry.key)"
            guard !entry.key.isEmpty, entry.key.utf8.allSatisfy(isToken) else {
                throw SettingError(entry.position, "\(place): expected the name of a header")
            }
            guard !reserved.contains(entry.key.lowercased()) else {
                throw SettingError(
                    entry.position,
                    "\(place): expected a header that the check does not set itself"
                )
            }
            let value = try entry.value.string(at: place)
            guard value.utf8.allSatisfy(isFieldValue) else {
                throw entry.value.expected("text without control characters", at: place)
            }
            headers.append(Field(name: entry.key, value: value))
        }
        return headers
    }

    private static func body(_ options: inout Options) throws(SettingError) -> [UInt8] {
        guard let setting = options.take("body") else { return [] }
        let body = Array(try setting.string(at: "\(options.path).body").utf8)
        guard body.count <= bodyBytesMax else {
            throw SettingError(
                setting.position,
                "\(options.path).body: expected at most \(bodyBytesMax) bytes, saw \(body.count)"
            )
        }
        return body
    }

    private static func isVisible(_ byte: UInt8) -> Bool { (0x21..<0x7F).contains(byte) }
    private static func isPath(_ byte: UInt8) -> Bool {
        isVisible(byte) && byte != UInt8(ascii: "#")
    }
    static func isFieldValue(_ byte: UInt8) -> Bool {
        byte == 0x09 || byte >= 0x20 && byte != 0x7F
    }

    /// RFC 9110, section 5.6.2.
    static func isToken(_ byte: UInt8) -> Bool {
        isVisible(byte) && !#""(),/:;<=>?@[\]{}"#.utf8.contains(byte)
    }
}
