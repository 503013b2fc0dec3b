// What does a worker know of a socket? The edges that the kernel has told of and no call has used up,
// and the bytes that were read and not yet understood. Clients and peers are the same here; whatever
// shall stand between a connection and its bytes stands here.

import EventLoop
import Glibc

/// One socket, as the connection on it uses it.
struct Wire {
    var handle = Handle.none

    // Edges that no call has used up yet.
    var canRead = false
    var canWrite = false
    var hasEnded = false
    /// It was reset from there. The error is told once only, so that it has to be remembered.
    var isReset = false
    /// In a tunnel: no more will come from here, and the other side has been told.
    var isShut = false

    var input = Buffer()

    /// Takes in what the kernel told. Whoever broke can be read to the end, and be written to: the
    /// call will say what is wrong.
    @inline(__always)
    mutating func note(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.readEnded, .hungUp, .failed]) {
            hasEnded = true
            canRead = true
        } else if readiness.contains(.readable) {
            canRead = true
        }
        if !readiness.isDisjoint(with: [.writable, .hungUp, .failed]) { canWrite = true }
    }

    /// Writing failed. There may still be something to read, and no event will say so; reading will
    /// not tell again that this was a reset.
    mutating func noteReset() {
        isReset = true
        canRead = true
        hasEnded = true
    }

    enum WriteResult { case all, blocked, failed }

    /// Writes `count` bytes from `bytes` on. Returns how far it got. After what `isLast` the caller closes or shuts down
    /// before it does anything else.
    @inline(__always)
    mutating func write(
        _ bytes: UnsafePointer<UInt8>,
        _ count: Int,
        isLast: Bool = false
    ) -> (written: Int, result: WriteResult) {
        var written = 0
        while written < count {
            let next = bytes + written
            let sent =
                isLast
                ? Socket.sendLast(handle.descriptor, next, count &- written)
                : Socket.send(handle.descriptor, next, count &- written)
            if sent >= 0 {
                written &+= sent
                continue
            }
            if errno == EINTR { continue }
            canWrite = false
            return (written, errno == EAGAIN ? .blocked : .failed)
        }
        return (written, .all)
    }

    enum ReadResult { case bytes, blocked, ended, failed }

    /// Reads once into `input`, which has a block. A short read has drained the socket, except that
    /// an end already announced still has to be read. `blocked` also where there is no room.
    @inline(__always)
    mutating func read() -> ReadResult {
        if input.isEmpty {
            input.start = 0
            input.end = 0
        } else if input.room == 0 {
            input.compact()
        }
        let room = input.room
        guard room > 0, let base = input.base else { return .blocked }
        while true {
            let count = Socket.receive(handle.descriptor, base + Int(input.end), room)
            if count > 0 {
                input.end &+= Int32(truncatingIfNeeded: count)
                if count < room, !hasEnded { canRead = false }
                return .bytes
            }
            if count == 0 {
                canRead = false
                return .ended
            }
            if errno == EINTR { continue }
            canRead = false
            return errno == EAGAIN ? .blocked : .failed
        }
    }
}
