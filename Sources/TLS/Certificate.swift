// Whom did the server say it was, and until when? What people need of a certificate, copied out of
// OpenSSL's structures.

import COpenSSL
import Glibc
public import Vocabulary

/// A certificate that a peer showed.
public struct Certificate: Hashable, Sendable {
    /// For example `/CN=www.example.com`.
    public var subject: String
    public var issuer: String
    /// DNS names and IP addresses it is good for.
    public var names: [String]
    public var notBefore: WallTime
    public var notAfter: WallTime

    init(
        subject: String,
        issuer: String,
        names: [String],
        notBefore: WallTime,
        notAfter: WallTime
    ) {
        self.subject = subject
        self.issuer = issuer
        self.names = names
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    init(_ certificate: OpaquePointer) {
        subject = Self.text(X509_get_subject_name(certificate))
        issuer = Self.text(X509_get_issuer_name(certificate))
        notBefore = Self.time(X509_get0_notBefore(certificate))
        notAfter = Self.time(X509_get0_notAfter(certificate))
        names = Self.alternativeNames(certificate)
    }

    /// Whole days until it ends; negative once it has.
    public func daysLeft(at now: WallTime) -> Int {
        let day = Double(Nanoseconds.seconds(86_400).count)
        return Int((Double((notAfter - now).count) / day).rounded(.down))
    }

    /// Whom it is for: `/CN=web for www.example.com, *.example.net`.
    public var holder: String {
        if names.isEmpty { return subject }
        let shown = names.prefix(Self.namesMax).joined(separator: ", ")
        let more = names.count > Self.namesMax ? " and \(names.count - Self.namesMax) more" : ""
        return "\(subject.isEmpty ? "" : "\(subject) ")for \(shown)\(more)"
    }

    private static let namesMax = 4

    /// Whether it is good for this host name or address (RFC 6125): a `*` stands for one whole label.
    public func isFor(_ host: String) -> Bool {
        let host = host.lowercased()
        let known = names.isEmpty ? [commonName].compactMap(\.self) : names
        return known.contains { name in
            let name = name.lowercased()
            guard name.hasPrefix("*.") else { return name == host }
            guard let dot = host.firstIndex(of: "."), dot != host.startIndex else { return false }
            return host[dot...] == name.dropFirst()
        }
    }

    private var commonName: String? {
        subject.ranges(of: "/CN=").last.map {
            String(subject[$0.upperBound...].prefix { $0 != "/" })
        }
    }

    private static func text(_ name: OpaquePointer?) -> String {
        var buffer = [CChar](repeating: 0, count: 512)
        guard X509_NAME_oneline(name, &buffer, Int32(buffer.count)) != nil else { return "" }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func time(_ time: UnsafePointer<ASN1_TIME>?) -> WallTime {
        var parts = tm()
        guard ASN1_TIME_to_tm(time, &parts) == 1 else { return WallTime(milliseconds: 0) }
        return WallTime(milliseconds: Int64(timegm(&parts)) * 1_000)
    }

    private static func alternativeNames(_ certificate: OpaquePointer) -> [String] {
        guard let raw = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else {
            return []
        }
        let stack = OpaquePointer(raw)
        defer { GENERAL_NAMES_free(stack) }
        var names: [String] = []
        for index in 0..<max(OPENSSL_sk_num(stack), 0) {
            guard let item = OPENSSL_sk_value(stack, index) else { continue }
            var kind: Int32 = 0
            let name = item.assumingMemoryBound(to: GENERAL_NAME.self)
            guard let value = GENERAL_NAME_get0_value(name, &kind) else { continue }
            let bytes = string(value)
            if kind == GEN_DNS { names.append(String(decoding: bytes, as: UTF8.self)) }
            if kind == GEN_IPADD, let ip = ip(bytes) { names.append(ip) }
        }
        return names
    }

    private static func string(_ value: UnsafeMutableRawPointer) -> [UInt8] {
        let text = value.assumingMemoryBound(to: ASN1_STRING.self)
        let count = Int(ASN1_STRING_length(text))
        guard let data = ASN1_STRING_get0_data(text), count > 0 else { return [] }
        return Array(UnsafeBufferPointer(start: data, count: count))
    }

    private static func ip(_ bytes: [UInt8]) -> String? {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return nil }
        return String(
            decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}
