// How does an address look to the kernel? Numbers only; names are the resolver's work.

import CLinux
import Glibc
public import Vocabulary

/// A `sockaddr` with its length.
public struct SocketAddress: Sendable {
    /// An IPv4 address takes the first part of it. Not `sockaddr_storage`, which is four times as
    /// long: there is an address in every prepared probe.
    private var ip = sockaddr_in6()
    /// The whole `sockaddr_un`, where it is one.
    private var unix: [UInt8] = []
    private var length: socklen_t = 0

    /// An IP literal or a unix path. Nil for a host name.
    public init?(_ address: Address) {
        switch address {
        case .host(let host, let port): self.init(ip: host, port: port)
        case .unix(let path): self.init(unixPath: path)
        }
    }

    /// Nil when `ip` is neither an IPv4 nor an IPv6 literal, and where its zone names no interface of
    /// this host.
    public init?(ip text: String, port: UInt16) {
        var v4 = sockaddr_in()
        if inet_pton(AF_INET, text, &v4.sin_addr) == 1 {
            v4.sin_family = sa_family_t(AF_INET)
            v4.sin_port = port.bigEndian
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
            withUnsafeMutableBytes(of: &ip) { $0.storeBytes(of: v4, as: sockaddr_in.self) }
            return
        }
        let pieces = text.split(separator: "%", maxSplits: 1)
        guard let literal = pieces.first, inet_pton(AF_INET6, String(literal), &ip.sin6_addr) == 1
        else { return nil }
        if pieces.count == 2 {
            guard let index = Self.interface(String(pieces[1])) else { return nil }
            ip.sin6_scope_id = index
        }
        ip.sin6_family = sa_family_t(AF_INET6)
        ip.sin6_port = port.bigEndian
        length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    }

    /// The index of an interface that is there, by its name or by its number.
    private static func interface(_ zone: String) -> UInt32? {
        let index = if_nametoindex(zone)
        if index != 0 { return index }
        guard let number = UInt32(zone), number > 0 else { return nil }
        var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        return if_indextoname(number, &name) == nil ? nil : number
    }

    private init?(unixPath path: String) {
        guard path.utf8.count <= Address.unixPathBytesMax else { return nil }
        var form = sockaddr_un()
        form.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &form.sun_path) { $0.copyBytes(from: path.utf8) }
        // With its NUL and no more, which is what the kernel answers: so that the two are equal.
        length = socklen_t(MemoryLayout<sa_family_t>.size + path.utf8.count + 1)
        ip.sin6_family = form.sun_family
        unix = withUnsafeBytes(of: form) { Array($0) }
    }

    /// Fills an address from a call such as `accept` or `getsockname`. Nil when the call fails.
    public init?(filling body: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Bool) {
        var storage = sockaddr_storage()
        var filled = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let succeeded = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, &filled) }
        }
        guard succeeded else { return nil }
        length = filled
        withUnsafeBytes(of: storage) { bytes in
            withUnsafeMutableBytes(of: &ip) {
                $0.copyMemory(from: .init(rebasing: bytes[..<$0.count]))
            }
            if isUnix { unix = Array(bytes.prefix(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    public func withSockaddr<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withBytes { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { form in
                guard let base = form.baseAddress else { preconditionFailure("no address") }
                return body(base, length)
            }
        }
    }

    public var family: Int32 { Int32(ip.sin6_family) }

    public var isUnix: Bool { family == AF_UNIX }

    /// Whether what is sent there stays on this host: 127.0.0.0/8, `::1`, and the former written as IPv6.
    public var isLoopback: Bool {
        switch family {
        case AF_INET:
            view(sockaddr_in.self) { Self.isLoopback(ipv4: UInt32(bigEndian: $0.sin_addr.s_addr)) }
        case AF_INET6:
            view(sockaddr_in6.self) {
                withUnsafeBytes(of: $0.sin6_addr) { bytes in
                    guard bytes[..<10].allSatisfy({ $0 == 0 }) else { return false }
                    if bytes[10] & bytes[11] == 0xFF { return bytes[12] == 127 }
                    return bytes[10..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
                }
            }
        default: false
        }
    }

    /// For whoever has the number alone, as it is read: its first byte is the highest.
    public static func isLoopback(ipv4 number: UInt32) -> Bool { number >> 24 == 127 }

    /// Nil for a unix socket.
    public var port: UInt16? {
        switch family {
        case AF_INET: view(sockaddr_in.self) { UInt16(bigEndian: $0.sin_port) }
        case AF_INET6: view(sockaddr_in6.self) { UInt16(bigEndian: $0.sin6_port) }
        default: nil
        }
    }

    public func with(port: UInt16) -> SocketAddress {
        var copy = self
        withUnsafeMutableBytes(of: &copy.ip) { bytes in
            switch family {
            case AF_INET:
                bytes.assumingMemoryBound(to: sockaddr_in.self)[0].sin_port = port.bigEndian
            case AF_INET6:
                bytes.assumingMemoryBound(to: sockaddr_in6.self)[0].sin6_port = port.bigEndian
            default: break
            }
        }
        return copy
    }

    /// The bare IP (IPv4-mapped IPv6 as IPv4), or the unix path.
    public var host: String {
        switch family {
        case AF_INET:
            return view(sockaddr_in.self) { Self.text(AF_INET, $0.sin_addr) }
        case AF_INET6:
            let text = view(sockaddr_in6.self) { Self.text(AF_INET6, $0.sin6_addr) }
            return text.hasPrefix("::ffff:") && text.contains(".")
                ? String(text.dropFirst(7)) : text
        default:
            return withBytes { bytes in
                let path = bytes[MemoryLayout<sa_family_t>.size..<min(Int(length), bytes.count)]
                return String(decoding: path.prefix { $0 != 0 }, as: UTF8.self)
            }
        }
    }

    private func view<Form, Result>(_: Form.Type, _ body: (Form) -> Result) -> Result {
        withBytes { body($0.loadUnaligned(as: Form.self)) }
    }

    private func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        unix.isEmpty ? withUnsafeBytes(of: ip, body) : unix.withUnsafeBytes(body)
    }

    private static func text<Form>(_ family: Int32, _ form: Form) -> String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        withUnsafePointer(to: form) {
            _ = inet_ntop(family, $0, &buffer, socklen_t(INET6_ADDRSTRLEN))
        }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}

extension SocketAddress: CustomStringConvertible {
    public var description: String {
        guard let port else { return "unix:\(host)" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

extension SocketAddress: Equatable {
    public static func == (left: SocketAddress, right: SocketAddress) -> Bool {
        guard left.length == right.length else { return false }
        return left.withBytes { leftBytes in
            right.withBytes { rightBytes in
                leftBytes.prefix(Int(left.length)).elementsEqual(
                    rightBytes.prefix(Int(left.length))
                )
            }
        }
    }
}
