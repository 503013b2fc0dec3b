// Where does this process listen? Every address is an IP or a socket path, and no two listeners want
// the same one.

import Glibc
import Vocabulary

struct Binds {
    let reading: Reading
    private var taken: [Address: (path: String, position: Position)] = [:]

    init(reading: Reading) { self.reading = reading }

    /// Takes a required address. Nil, and a report, when there is none to listen on.
    mutating func take(_ key: String, from section: inout Section) -> Address? {
        guard let setting = section.take(key) else {
            section.reportMissing(key)
            return nil
        }
        return take(setting, at: section.place.key(key).path)
    }

    mutating func take(_ setting: Setting, at path: String) -> Address? {
        let address = reading.attempt { () throws(SettingError) in
            try Self.bindable(setting, at: path)
        }
        guard let address else { return nil }
        return claim(address, at: path, setting.position) ? address : nil
    }

    /// For an address that nobody wrote: whoever did write it has to give way, or to write another.
    func claimDefault(_ address: Address, at path: String) {
        guard let other = taken[address] else { return }
        reading.report(
            SettingError(
                other.position,
                "\(other.path): \(address) is taken already by \(path), which is there unless it "
                    + "says otherwise"
            )
        )
    }

    /// False, and a report, when another listener has the address already.
    mutating func claim(_ address: Address, at path: String, _ position: Position) -> Bool {
        if let other = taken[address] {
            reading.report(
                SettingError(
                    position,
                    "\(path): \(address) is taken already by \(other.path) at \(other.position)"
                )
            )
            return false
        }
        taken[address] = (path, position)
        return true
    }

    private static func bindable(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> Address {
        if case .scalar(let text, _) = setting.value, text.hasPrefix(":") || Int(text) != nil {
            let port = text.drop { $0 == ":" }
            throw SettingError(
                setting.position,
                "\(path): expected an address and a port, saw '\(text)'; write '0.0.0.0:\(port)' or "
                    + "'[::]:\(port)' to listen on every address, '127.0.0.1:\(port)' for this machine"
            )
        }
        let address = try setting.address(at: path)
        guard case .host(let host, let port) = address else { return address }
        if host == "localhost" { return .host("127.0.0.1", port: port) }
        guard IP.isLiteral(host) else {
            throw setting.expected("an IP address or unix:/path to listen on", at: path)
        }
        return address
    }
}

enum IP {
    static func isLiteral(_ host: String) -> Bool {
        var bytes = in6_addr()
        return inet_pton(AF_INET, host, &bytes) == 1 || inet_pton(AF_INET6, host, &bytes) == 1
    }
}

extension Address {
    /// Only this machine can connect.
    var isLocal: Bool {
        switch self {
        case .unix: true
        case .host(let host, _): host.hasPrefix("127.") || host == "::1"
        }
    }
}
