// How do bytes go both ways unread? After an upgrade, and for a whole connection in TCP mode.

import EventLoop
import Glibc
import Vocabulary

extension Worker {
    func stepTunnel(_ index: Int) {
        let client = clients.elements + index
        guard client.pointee.peer >= 0 else {
            dropClient(index)
            return
        }
        let link = links.elements + Int(client.pointee.peer)
        // What the response head left for the client goes first.
        if !client.pointee.output.isEmpty {
            guard flush(index) else { return }
            guard client.pointee.output.isEmpty else { return }
        }
        let up = carry(
            from: client.pointee.handle.descriptor,
            &client.pointee.input,
            canRead: &client.pointee.canRead,
            hasEnded: client.pointee.hasEnded,
            isShut: &client.pointee.isShut,
            to: link.pointee.handle.descriptor,
            canWrite: &link.pointee.canWrite
        )
        let down = carry(
            from: link.pointee.handle.descriptor,
            &link.pointee.input,
            canRead: &link.pointee.canRead,
            hasEnded: link.pointee.hasEnded,
            isShut: &link.pointee.isShut,
            to: client.pointee.handle.descriptor,
            canWrite: &client.pointee.canWrite
        )
        if up == .broken || down == .broken || (client.pointee.isShut && link.pointee.isShut) {
            dropClient(index)
            return
        }
        if up == .moved || down == .moved { setDeadline(index, timeouts.tunnelIdle) }
    }

    private enum Carried { case nothing, moved, broken }

    /// Moves bytes one way until one side has to be waited for. An end is passed on as an end.
    private func carry(
        from source: Int32,
        _ buffer: inout Buffer,
        canRead: inout Bool,
        hasEnded: Bool,
        isShut: inout Bool,
        to sink: Int32,
        canWrite: inout Bool
    ) -> Carried {
        var moved = false
        while !isShut {
            if !buffer.isEmpty, let base = buffer.base {
                guard canWrite else { break }
                let (written, result) = write(
                    sink,
                    base + Int(buffer.start),
                    buffer.count,
                    canWrite: &canWrite
                )
                buffer.consume(written)
                moved = moved || written > 0
                if result == .failed { return .broken }
                if result == .blocked { break }
            }
            guard canRead else { break }
            switch read(source, into: &buffer, canRead: &canRead, hasEnded: hasEnded) {
            case .bytes: continue
            case .blocked: break
            case .failed: return .broken
            case .ended:
                isShut = true
                shutdown(sink, Int32(SHUT_WR))
            }
        }
        if buffer.isEmpty { buffers.release(&buffer) }
        return moved ? .moved : .nothing
    }
}
