// Which host does a peer hear of that has a name of its own? planb told such a peer that name as `Host`, and what the
// client had said in two fields beside it; a peer that is an address heard what the client said. A request may be
// tried at one and then at the other, so that what differs stands last in its head, and room for it before.

import Glibc
import HTTP1
import Vocabulary

/// Where in a request's buffer the fields are that differ from peer to peer.
struct HostTail {
    /// From here to `end`; zero where nothing differs.
    var start: Int32 = 0
    /// Behind the empty line, where the body begins.
    var end: Int32 = 0
    /// What the client said, somewhere in between.
    var host: Int32 = 0
    var hostCount: Int32 = 0
    /// By how much the line before it has moved since the head was written.
    var moved: Int32 = 0
}

enum NamedHost {
    /// What the tail may need more than it has at first: a name, and twice what a client can have said of a host that is known.
    static let slack = 832
    static let nameMax = 255
    private static let saidMax = 262

    /// Takes what names the host out of a head that is all that `request` holds, and writes it at its end, as for a peer
    /// that is an address. `drops`: what the client said in the fields for peers with a name goes. `chains`: to what it
    /// said of where it came from its address is added. Leaves the head as it is, and answers nothing, where it has no
    /// host or more than there is room for.
    static func part(
        _ request: inout Buffer,
        drops: Bool,
        chains: Bool,
        address: borrowing ClientConnection,
        scratch: UnsafeMutablePointer<UInt8>
    ) -> HostTail {
        let hasAddress = address.hasAddress
        guard let base = request.base, request.start == 0, request.count > 2,
            request.room > slack + Int(address.addressCount) + chainName.utf8CodeUnitCount + 4
        else { return HostTail() }
        let end = request.count - 2
        guard let host = said(base, end, scratch) else { return HostTail() }
        var read = lineEnd(base, 0, end)
        var written = read
        var chain = 0
        while read < end {
            let next = lineEnd(base, read, end)
            switch field(base, read, next) {
            case .host, .debug: break
            case .named where drops: break
            case .chain where chains && hasAddress:
                let value = value(base, read, next)
                memcpy(scratch + chain, base + value.lowerBound, value.count)
                chain += value.count
                scratch[chain] = UInt8(ascii: ",")
                scratch[chain + 1] = UInt8(ascii: " ")
                chain += 2
            case .named, .chain, .other:
                memmove(base + written, base + read, next - read)
                written += next - read
            }
            read = next
        }
        request.end = Int32(truncatingIfNeeded: written)
        if chain > 0 {
            request.append(chainName)
            request.append(scratch, chain)
            for index in 0..<Int(address.addressCount) {
                request.append(byte: address.address[index])
            }
            request.append("\r\n")
        }
        let head = request.count
        memmove(base + slack, base, head)
        request.start = Int32(slack)
        request.end = Int32(slack + head)
        var tail = HostTail(start: request.end)
        tail.moved = Int32(slack + written - end)
        request.append("Host: ")
        tail.host = request.end
        tail.hostCount = Int32(host.count)
        request.append(scratch + host.lowerBound, host.count)
        request.append("\r\n\r\n")
        tail.end = request.end
        return tail
    }

    /// The client's host, at the end of the scratch: the chain grows from its beginning.
    private static func said(
        _ base: UnsafePointer<UInt8>,
        _ end: Int,
        _ scratch: UnsafeMutablePointer<UInt8>
    ) -> Range<Int>? {
        var read = lineEnd(base, 0, end)
        while read < end {
            let next = lineEnd(base, read, end)
            if field(base, read, next) == .host {
                let value = value(base, read, next)
                guard value.count <= saidMax else { return nil }
                let place = Buffer.capacity - saidMax
                memcpy(scratch + place, base + value.lowerBound, value.count)
                return place..<place + value.count
            }
            read = next
        }
        return nil
    }

    /// Writes the tail anew, for a peer with this name, or one without. The body behind it stays where it is.
    static func set(
        _ tail: inout HostTail,
        in request: inout Buffer,
        to name: UnsafeBufferPointer<UInt8>?,
        scratch: UnsafeMutablePointer<UInt8>
    ) {
        guard let base = request.base, name.map({ $0.count <= nameMax }) ?? true else { return }
        let said = Int(tail.hostCount)
        memcpy(scratch, base + Int(tail.host), said)
        let count: Int
        if let name {
            count = named.count + name.count + 2 * said
        } else {
            count = plain + said
        }
        let shift = count - Int(tail.end - tail.start)
        let head = Int(tail.start - request.start)
        guard Int(request.start) >= shift else { return }
        memmove(base + Int(request.start) - shift, base + Int(request.start), head)
        request.start -= Int32(truncatingIfNeeded: shift)
        tail.start -= Int32(truncatingIfNeeded: shift)
        tail.moved -= Int32(truncatingIfNeeded: shift)
        var out = Buffer(base: base, start: request.start, end: tail.start)
        out.append("Host: ")
        if let name, let start = name.baseAddress {
            out.append(start, name.count)
            out.append("\r\nX-Host: ")
            tail.host = out.end
            out.append(scratch, said)
            out.append("\r\nX-Forwarded-Host: ")
        } else {
            tail.host = out.end
        }
        out.append(scratch, said)
        out.append("\r\n\r\n")
        assert(out.end == tail.end)
    }

    private static let chainName: StaticString = "X-Forwarded-For: "
    /// Without the host itself.
    private static let plain = "Host: \r\n\r\n".utf8.count
    private static let named = "Host: \r\nX-Host: \r\nX-Forwarded-Host: \r\n\r\n".utf8

    // MARK: Lines

    private enum Kind { case host, named, chain, debug, other }

    private static func lineEnd(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        var cursor = start
        while cursor < end, base[cursor] != UInt8(ascii: "\n") { cursor += 1 }
        return min(cursor + 1, end)
    }

    private static func field(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Kind {
        func isCalled(_ name: StaticString) -> Bool {
            let count = name.utf8CodeUnitCount
            guard end - start > count, base[start + count] == UInt8(ascii: ":") else {
                return false
            }
            return (0..<count).allSatisfy {
                ASCII.lowercase(base[start + $0]) == name.utf8Start[$0]
            }
        }
        if isCalled("host") { return .host }
        // A word to the proxy, which it kept to itself.
        if isCalled("x-debug-router") { return .debug }
        if isCalled("x-host") || isCalled("x-forwarded-host") { return .named }
        return isCalled("x-forwarded-for") ? .chain : .other
    }

    private static func value(
        _ base: UnsafePointer<UInt8>,
        _ start: Int,
        _ end: Int
    ) -> Range<Int> {
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 13 || byte == 10 }
        var (first, last) = (start, end)
        while first < last, base[first] != UInt8(ascii: ":") { first += 1 }
        if first < last { first += 1 }
        while first < last, isBlank(base[first]) { first += 1 }
        while last > first, isBlank(base[last - 1]) { last -= 1 }
        return first..<last
    }
}

extension Worker {
    /// The head has been written, as for any peer.
    @inline(never)
    func partHost(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ upstream: UnsafeMutablePointer<UpstreamState>
    ) {
        let said = fields.first(.xForwardedFor)
        exchange.pointee.tail = NamedHost.part(
            &exchange.pointee.request,
            drops: upstream.pointee.settings?.hosts.isEmpty == false,
            chains: upstream.pointee.keepsForwarded && believesAnybody
                && said.map { !$0.isHopByHop } ?? false,
            address: client.pointee,
            scratch: scratch
        )
        // What is written last tells who asks.
        exchange.pointee.trace?.pointee.idOffset &+= exchange.pointee.tail.moved
    }

    /// The request goes to this peer now.
    @inline(never)
    func nameHost(_ exchange: UnsafeMutablePointer<Exchange>, _ peer: Int32) {
        guard exchange.pointee.course.isReplayable else { return }
        let before = exchange.pointee.tail.moved
        defer { exchange.pointee.trace?.pointee.idOffset &+= exchange.pointee.tail.moved &- before }
        func set(_ name: UnsafeBufferPointer<UInt8>?) {
            NamedHost.set(
                &exchange.pointee.tail,
                in: &exchange.pointee.request,
                to: name,
                scratch: scratch
            )
        }
        let token = pool.peers[Int(peer)].token
        let names = pool.upstreams[Int(exchange.pointee.upstream)].settings?.hosts
        if let name = names?[token] { name.withUnsafeBufferPointer(set) } else { set(nil) }
    }
}
