// Whose word is taken for where a request came from? Of proxies that somebody has named, who stand between the clients and
// muster; what anybody else says of it could be made up.

import Glibc

/// Addresses that begin alike, as `10.0.0.0/8` or `::1`.
public struct Network: Hashable, Sendable {
    /// Sixteen bytes: an IPv4 address as IPv6 maps it.
    private let bytes: [UInt8]
    /// So many bits count.
    private let bits: Int
    /// As it was written.
    public let text: String

    /// Nil for what is no address, for a length that it does not have, and for an address with bits beyond the length: who
    /// wrote that meant something else.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let literal = parts.first else { return nil }
        var v4 = in_addr()
        var v6 = in6_addr()
        let offset: Int
        if inet_pton(AF_INET, String(literal), &v4) == 1 {
            bytes = Self.mapped + withUnsafeBytes(of: v4) { Array($0) }
            offset = 96
        } else if inet_pton(AF_INET6, String(literal), &v6) == 1 {
            bytes = withUnsafeBytes(of: v6) { Array($0) }
            offset = 0
        } else {
            return nil
        }
        if parts.count == 2 {
            let digits = parts[1].utf8
            guard (1...3).contains(digits.count), digits.allSatisfy({ (48..<58).contains($0) }),
                let length = Int(parts[1]), length <= 128 - offset
            else { return nil }
            bits = offset + length
        } else {
            bits = 128
        }
        self.text = text
        let beyond = (bits..<128).contains { bytes[$0 / 8] >> UInt8(7 - $0 % 8) & 1 == 1 }
        if beyond { return nil }
    }

    private static let mapped: [UInt8] = Array(repeating: 0, count: 10) + [0xFF, 0xFF]

    /// `address` has sixteen bytes.
    func contains(_ address: UnsafeRawBufferPointer) -> Bool {
        let whole = bits / 8
        for place in 0..<whole where address[place] != bytes[place] { return false }
        let rest = bits % 8
        return rest == 0 || (address[whole] ^ bytes[whole]) >> UInt8(8 - rest) == 0
    }

    /// The address of a connection as `contains` takes it; nil where it has none.
    static func with<Result>(
        _ caller: sockaddr_storage,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result? {
        withUnsafeBytes(of: caller) { raw in
            switch Int32(caller.ss_family) {
            case AF_INET:
                let number = raw.loadUnaligned(as: sockaddr_in.self).sin_addr
                return withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { address in
                    address.copyBytes(from: mapped)
                    withUnsafeBytes(of: number) { bytes in
                        for place in 0..<4 { address[mapped.count + place] = bytes[place] }
                    }
                    return body(UnsafeRawBufferPointer(address))
                }
            case AF_INET6:
                let address = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
                return withUnsafeBytes(of: address) { body($0) }
            default: return nil
            }
        }
    }
}

public struct TrustedProxies: Hashable, Sendable {
    public var networks: [Network] = []
    /// Whoever comes through a socket of this host.
    public var trustsUnix = false

    /// A connection's address is held against each of them.
    public static let networksMax = 256

    public init() {}

    /// As the configuration says it.
    public var text: String {
        (networks.map(\.text) + (trustsUnix ? ["unix"] : [])).joined(separator: " ")
    }

    var isEmpty: Bool { networks.isEmpty && !trustsUnix }

    func trusts(_ caller: sockaddr_storage) -> Bool {
        if isEmpty { return false }
        if Int32(caller.ss_family) == AF_UNIX { return trustsUnix }
        return Network.with(caller) { address in networks.contains { $0.contains(address) } }
            ?? false
    }
}
