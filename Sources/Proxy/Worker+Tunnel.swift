// How do bytes go both ways unread? After an upgrade, and for a whole connection in TCP mode. Either
// side sees of the other what it would see without us: an end is passed on as an end, and a reset as
// a reset, after what came before it.

import EventLoop
import Glibc
import Vocabulary

extension Worker {
    func stepTunnel(_ index: Int) {
        let client = clients.elements + index
        let exchange = Int(client.pointee.exchange)
        let link = links.elements + Int(exchanges.elements[exchange].link)
        // What the response head left for the client goes first.
        if !client.pointee.output.isEmpty, !client.pointee.wire.isReset {
            guard flush(index) else { return }
            guard client.pointee.output.isEmpty else { return }
        }
        var moved = carry(&client.pointee.wire, to: &link.pointee.wire, of: index)
        moved = carry(&link.pointee.wire, to: &client.pointee.wire, of: index) || moved
        // Writing to the client may have told that it is gone: what it had said is still to be read.
        if client.pointee.wire.isReset {
            moved = carry(&client.pointee.wire, to: &link.pointee.wire, of: index) || moved
        }

        let clientIsDone = client.pointee.wire.isShut && client.pointee.wire.input.isEmpty
        let peerIsDone = link.pointee.wire.isShut && link.pointee.wire.input.isEmpty
        if client.pointee.wire.isReset, link.pointee.wire.isReset {
            end(exchange, .reset)
        } else if link.pointee.wire.isReset && peerIsDone {
            end(exchange, .cut)
        } else if client.pointee.wire.isReset && clientIsDone {
            // The peer is the one to be cut: the connection to it stays until then.
            beginCut(index)
        } else if client.pointee.wire.isShut, link.pointee.wire.isShut {
            end(exchange, .gone)
        } else if moved {
            setDeadline(index, timeouts.tunnelIdle)
        }
    }

    /// Moves bytes one way until one side has to be waited for. Returns whether any were.
    private func carry(_ source: inout Wire, to sink: inout Wire, of client: Int) -> Bool {
        if sink.isReset { return false }
        var moved = false
        var reads = 0
        moving: while true {
            if !source.input.isEmpty, let base = source.input.base {
                guard sink.canWrite else { break }
                let (written, result) = sink.write(
                    base + Int(source.input.start),
                    source.input.count
                )
                source.input.consume(written)
                moved = moved || written > 0
                if result == .failed {
                    sink.noteReset()
                    break
                }
                if result == .blocked { break }
            }
            guard source.canRead, !source.isShut else { break }
            if reads >= Self.readsATurn, goOnLater(client) { break }
            // Whoever has filled a block has more to say.
            let result = reads > 0 ? readMuch(&source) : read(&source)
            reads &+= source.input.isLarge ? Self.readsATurn : 1
            switch result {
            case .bytes: continue
            case .blocked: break moving
            case .failed:
                source.isReset = true
                source.isShut = true
            case .ended:
                source.isShut = true
                // An end after an error that some call has told already is no end.
                if !source.isReset { shutdown(sink.handle.descriptor, Int32(SHUT_WR)) }
            }
        }
        buffers.shrink(&source.input)
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
        var sink = client.pointee.wire.handle.descriptor
        if client.pointee.wire.isReset {
            let link =
                client.pointee.exchange < 0
                ? -1 : Int(exchanges.elements[Int(client.pointee.exchange)].link)
            guard link >= 0, !links.elements[link].wire.isReset else {
                dropClient(index, reset: true)
                return
            }
            sink = links.elements[link].wire.handle.descriptor
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
