// How does a probe speak to a server that expects the PROXY protocol? With its own endpoints in
// version 1, which has no word for "nobody"; as LOCAL in version 2, which has one.

import EventLoop
import Vocabulary

/// The line or block that comes first on a connection (proxy-protocol.txt, sections 2.1 and 2.2).
enum ProxyHeader: String, Sendable, CaseIterable {
    case v1
    case v2

    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    func bytes(for descriptor: Int32) -> [UInt8] {
        switch self {
        // Version 2, command LOCAL, no family, no length.
        case .v2: return Self.signature + [0x20, 0x00, 0x00, 0x00]
        case .v1:
            guard let local = Socket.localAddress(descriptor), let localPort = local.port,
                let remote = Socket.remoteAddress(descriptor), let remotePort = remote.port
            else { return Array("PROXY UNKNOWN\r\n".utf8) }
            let family = remote.host.contains(":") ? "TCP6" : "TCP4"
            let line =
                "PROXY \(family) \(local.host) \(remote.host) \(localPort) \(remotePort)\r\n"
            return Array(line.utf8)
        }
    }
}

extension Options {
    /// Takes `proxy-protocol: v1 | v2`.
    mutating func proxyHeader() throws(SettingError) -> ProxyHeader? {
        try word("proxy-protocol", among: ProxyHeader.allCases.map { $0.rawValue })
            .flatMap { ProxyHeader(rawValue: $0) }
    }
}
