// Where does this process listen? Every address is an IP or a socket path, and no two listeners want
// the same one.

import Glibc
import Vocabulary

struct Binds {
    let reading: Reading
    private var taken: [Address: (path: String, position: Position)] = [:]
    /// Of the addresses taken, those with this port.
    private var holders: [UInt16: [Address]] = [:]

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
        guard case .host(let host, let port) = address else {
            taken[address] = (path, position)
            return true
        }
        for other in holders[port] ?? [] {
            guard case .host(let held, _) = other, let owner = taken[other],
                IP.isWithin(held, host) || IP.isWithin(host, held)
            else { continue }
            // Listeners of the proxy share ports, and the kernel takes the closer address.
            let closer = IP.isWithin(host, held) ? address : other
            let both =
                "\(path): \(address) stands beside \(other) of \(owner.path) at \(owner.position)"
            if [path, owner.path].allSatisfy({ $0.hasPrefix("proxy.listeners[") }) {
                reading.warn(
                    position,
                    "\(both): what comes to \(closer) goes to that one alone; write one of them, or no "
                        + "address that covers all"
                )
            } else {
                reading.report(
                    SettingError(position, "\(both), which takes the port of all addresses")
                )
                return false
            }
        }
        taken[address] = (path, position)
        holders[port, default: []].append(address)
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

    /// `other` stands for every address of its family, and `host` is one of them.
    static func isWithin(_ host: String, _ other: String) -> Bool {
        switch other {
        case "0.0.0.0": host != other && !host.contains(":")
        case "::": host != other && host.contains(":")
        default: false
        }
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
