// How do bytes go both ways unread? After an upgrade, and for a whole connection in TCP mode. Either
// side sees of the other what it would see without us: an end is passed on as an end, and a reset as
// a reset, after what came before it.

import EventLoop
import Glibc
import Vocabulary

extension Worker {
    func stepTunnel(_ index: Int) {
        let client = clients.elements + index
        guard client.pointee.link >= 0 else {
            dropClient(index)
            return
        }
        let link = links.elements + Int(client.pointee.link)
        // What the response head left for the client goes first.
        if !client.pointee.output.isEmpty, !client.pointee.isReset {
            guard flush(index) else { return }
            guard client.pointee.output.isEmpty else { return }
        }
        var moved = carryUp(client, link)
        moved = carryDown(client, link) || moved
        // Writing to the client may have told that it is gone: what it had said is still to be read.
        if client.pointee.isReset { moved = carryUp(client, link) || moved }

        let clientIsDone = client.pointee.isShut && client.pointee.input.isEmpty
        let peerIsDone = link.pointee.isShut && link.pointee.input.isEmpty
        if client.pointee.isReset, link.pointee.isReset {
            dropClient(index, reset: true)
        } else if link.pointee.isReset && peerIsDone {
            dropLink(Int(client.pointee.link))
            beginCut(index)
        } else if client.pointee.isReset && clientIsDone {
            beginCut(index)
        } else if client.pointee.isShut, link.pointee.isShut {
            dropClient(index)
        } else if moved {
            setDeadline(index, timeouts.tunnelIdle)
        }
    }

    private func carryUp(
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ link: UnsafeMutablePointer<PeerConnection>
    ) -> Bool {
        if link.pointee.isReset { return false }
        let moved = carry(
            from: client.pointee.handle.descriptor,
            &client.pointee.input,
            canRead: &client.pointee.canRead,
            hasEnded: client.pointee.hasEnded,
            isShut: &client.pointee.isShut,
            isReset: &client.pointee.isReset,
            to: link.pointee.handle.descriptor,
            canWrite: &link.pointee.canWrite,
            isSinkReset: &link.pointee.isReset
        )
        noteReset(&link.pointee.isReset, &link.pointee.canRead, &link.pointee.hasEnded)
        return moved
    }

    private func carryDown(
        _ client: UnsafeMutablePointer<ClientConnection>,
        _ link: UnsafeMutablePointer<PeerConnection>
    ) -> Bool {
        if client.pointee.isReset { return false }
        let moved = carry(
            from: link.pointee.handle.descriptor,
            &link.pointee.input,
            canRead: &link.pointee.canRead,
            hasEnded: link.pointee.hasEnded,
            isShut: &link.pointee.isShut,
            isReset: &link.pointee.isReset,
            to: client.pointee.handle.descriptor,
            canWrite: &client.pointee.canWrite,
            isSinkReset: &client.pointee.isReset
        )
        noteReset(&client.pointee.isReset, &client.pointee.canRead, &client.pointee.hasEnded)
        return moved
    }

    /// Whoever was reset may still have something to read, and no event will say so.
    private func noteReset(_ isReset: inout Bool, _ canRead: inout Bool, _ hasEnded: inout Bool) {
        if !isReset { return }
        canRead = true
        hasEnded = true
    }

    /// Moves bytes one way until one side has to be waited for. Returns whether any were.
    private func carry(
        from source: Int32,
        _ buffer: inout Buffer,
        canRead: inout Bool,
        hasEnded: Bool,
        isShut: inout Bool,
        isReset: inout Bool,
        to sink: Int32,
        canWrite: inout Bool,
        isSinkReset: inout Bool
    ) -> Bool {
        var moved = false
        while true {
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
                if result == .failed {
                    isSinkReset = true
                    break
                }
                if result == .blocked { break }
            }
            guard canRead, !isShut else { break }
            switch read(source, into: &buffer, canRead: &canRead, hasEnded: hasEnded) {
            case .bytes: continue
            case .blocked: break
            case .failed:
                isReset = true
                isShut = true
            case .ended:
                isShut = true
                // An end after an error that some call has told already is no end.
                if !isReset { shutdown(sink, Int32(SHUT_WR)) }
            }
        }
        if buffer.isEmpty { buffers.release(&buffer) }
        return moved
    }

    // MARK: Passing a reset on

    /// Cuts the side that is left off, once everything has been delivered to it.
    func beginCut(_ index: Int) {
        let client = clients.elements + index
        client.pointee.phase = .cutting
        client.pointee.unsent = .max
        client.pointee.cutUntil = loop.now + timeouts.bodyIdle
        setDeadline(index, timeouts.bodyIdle)
        stepCut(index)
    }

    /// RST throws away what the kernel has not delivered, and the kernel does not say when it has: so
    /// that is looked at with every sweep.
    func stepCut(_ index: Int) {
        let client = clients.elements + index
        var sink = client.pointee.handle.descriptor
        if client.pointee.isReset {
            guard client.pointee.link >= 0 else {
                dropClient(index, reset: true)
                return
            }
            let link = links.elements + Int(client.pointee.link)
            if link.pointee.isReset {
                dropClient(index, reset: true)
                return
            }
            sink = link.pointee.handle.descriptor
        } else {
            guard flush(index) else { return }
            if !client.pointee.output.isEmpty { return }
        }
        let unsent = Socket.unsent(sink)
        if unsent < client.pointee.unsent {
            client.pointee.unsent = unsent
            client.pointee.cutUntil = loop.now + timeouts.bodyIdle
        }
        if unsent == 0 || loop.now >= client.pointee.cutUntil {
            dropClient(index, reset: true)
        } else {
            setDeadline(index, Self.sweepInterval)
        }
    }
}
