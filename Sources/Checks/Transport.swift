// What does an exchange run over? A plain connection or TLS on top of one: the same three verbs.

import EventLoop
import TLS
import Vocabulary

/// Bytes to and from a peer, confined to the probe's loop.
protocol Transport {
    /// Reads what is there, at least one byte. Zero means the other side has ended.
    func read(into buffer: UnsafeMutableRawBufferPointer) async throws(StreamError) -> Int

    func write(_ bytes: [UInt8]) async throws(StreamError)

    /// Ends the connection with RST: a thousand probes a second must not leave TIME_WAIT behind.
    func reset()

    /// What the layer between the connection and the protocol said when a call failed.
    var complaint: String? { get }

    /// Set once the other side takes no more. A write that found out about it has returned when
    /// there was something to read.
    var broken: SystemError? { get }
}

extension ByteStream: Transport {
    var complaint: String? { nil }
}

extension TLSStream: Transport {
    var complaint: String? { lastFailure.map { "\($0)" } }
}

/// Room for one read of a probe.
final class ReadBuffer {
    /// One page: most answers to a probe fit in it.
    static let bytes = 4_096

    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: 16)

    deinit { room.deallocate() }

    func prefix(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: room[..<count])
    }
}
