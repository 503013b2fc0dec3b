// Who answered a request, and how long did that take? Whoever debugs an older proxy's routes asks with a field of the
// request, and is told with fields of the answer, where that is set.

import HTTP1
import Vocabulary

extension Worker {
    /// hipache's field, and planb's.
    private static let debugFields: [HashKey] = [
        .header(Array("x-debug".utf8)), .header(Array("x-debug-router".utf8)),
    ]

    @inline(never)
    func asksForDebug(_ fields: borrowing FieldTable, _ bytes: UnsafePointer<UInt8>) -> Bool {
        for key in Self.debugFields where RequestKey.isThere(key, fields, bytes) { return true }
        return false
    }

    /// Adds fields to a head that ends with its empty line, as far as there is room.
    @inline(never)
    func addDebug(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ peer: Int32,
        to client: UnsafeMutablePointer<ClientConnection>
    ) {
        let token = pool.peers[Int(peer)].token
        guard let lines = pool.upstreams[Int(exchange.pointee.upstream)].settings?.debug[token],
            client.pointee.output.room > lines.count + Self.debugTimesMax
        else { return }
        let now = loop.now.nanoseconds
        client.pointee.output.end &-= 2
        lines.withUnsafeBufferPointer { text in
            if let start = text.baseAddress { client.pointee.output.append(start, text.count) }
        }
        client.pointee.output.append("X-Debug-Time-Total: ")
        client.pointee.output.append(
            decimal: Int(max(now - exchange.pointee.begunAt, 0) / 1_000_000)
        )
        client.pointee.output.append("\r\nX-Debug-Time-Backend: ")
        client.pointee.output.append(
            decimal: Int(max(now - exchange.pointee.chosenAt, 0) / 1_000_000)
        )
        client.pointee.output.append("\r\n\r\n")
    }

    /// Two fields with a number each.
    private static let debugTimesMax = 100
}
