// How does a test decide what a name means? With a name server of its own, on a UDP port.

import Foundation
import Glibc

/// A DNS server over UDP that answers from a table, and counts what it is asked.
public final class NameServer: @unchecked Sendable {
    public enum Answer: Sendable {
        /// IP literals of either family, or the data of a record of another type.
        case records([Record])
        /// 2 is SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
        case failure(code: UInt8)
        case silence
    }

    public struct Record: Sendable {
        public var type: UInt16
        public var ttl: UInt32
        public var data: [UInt8]

        public static func a(_ ip: String, ttl: UInt32 = 60) -> Record {
            var address = in_addr()
            inet_pton(AF_INET, ip, &address)
            return Record(type: 1, ttl: ttl, data: withUnsafeBytes(of: address) { Array($0) })
        }

        public static func aaaa(_ ip: String, ttl: UInt32 = 60) -> Record {
            var address = in6_addr()
            inet_pton(AF_INET6, ip, &address)
            return Record(type: 28, ttl: ttl, data: withUnsafeBytes(of: address) { Array($0) })
        }

        /// `name` is written out, without compression.
        public static func named(_ type: UInt16, _ name: String, prefix: [UInt8] = []) -> Record {
            Record(type: type, ttl: 60, data: prefix + NameServer.encode(name))
        }

        public static func txt(_ text: String) -> Record {
            Record(type: 16, ttl: 60, data: [UInt8(text.utf8.count)] + Array(text.utf8))
        }
    }

    public let port: UInt16
    private let raw: Int32
    private let lock = NSLock()
    private var table: [String: Answer]
    private var questions: [String: Int] = [:]
    private let ended = DispatchSemaphore(value: 0)

    /// Names not in `table` do not exist.
    public init(_ table: [String: Answer]) throws {
        self.table = table
        raw = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = raw
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, length)
                _ = getsockname(descriptor, $0, &length)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in serve() }
    }

    public func set(_ name: String, _ answer: Answer) { lock.withLock { table[name] = answer } }

    /// How often a name was asked for, all types together.
    public func count(_ name: String) -> Int { lock.withLock { questions[name, default: 0] } }

    public func stop() {
        shutdown(raw, Int32(SHUT_RDWR))
        ended.wait()
        close(raw)
    }

    static func encode(_ name: String) -> [UInt8] {
        name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    private func serve() {
        defer { ended.signal() }
        while true {
            var buffer = [UInt8](repeating: 0, count: 1_500)
            var peer = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(raw, &buffer, buffer.count, 0, $0, &length)
                }
            }
            // A shut down socket reads nothing; a question has a header at least.
            guard count > 0 else { return }
            guard let reply = reply(to: Array(buffer[..<count])) else { continue }
            withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = sendto(raw, reply, reply.count, 0, $0, length)
                }
            }
        }
    }

    private func reply(to query: [UInt8]) -> [UInt8]? {
        guard query.count > 12 else { return nil }
        var index = 12
        var labels: [String] = []
        while index < query.count, query[index] != 0 {
            let end = index + 1 + Int(query[index])
            guard end < query.count else { return nil }
            labels.append(String(decoding: query[index + 1..<end], as: UTF8.self))
            index = end
        }
        guard index + 5 <= query.count else { return nil }
        let type = UInt16(query[index + 1]) << 8 | UInt16(query[index + 2])
        let name = labels.joined(separator: ".").lowercased()
        let answer = lock.withLock {
            questions[name, default: 0] += 1
            return table[name] ?? .failure(code: 3)
        }
        var code: UInt8 = 0
        var records: [Record] = []
        switch answer {
        case .silence: return nil
        case .failure(let failure): code = failure
        case .records(let all): records = all.filter { $0.type == type }
        }
        var reply = Array(query[0..<2]) + [0x81, 0x80 | code, 0, 1, 0, UInt8(records.count)]
        reply += [0, 0, 0, 0] + query[12..<index + 5]
        for record in records {
            reply += [0xC0, 12] + Self.bytes(record.type) + [0, 1]
            reply += Self.bytes(UInt16(record.ttl >> 16)) + Self.bytes(UInt16(record.ttl & 0xFFFF))
            reply += Self.bytes(UInt16(record.data.count)) + record.data
        }
        return reply
    }

    private static func bytes(_ number: UInt16) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 0xFF)]
    }
}
