// Who goes when a newcomer needs the place? Client connections from which nothing is under way stand
// in a list, the one that has rested longest first: it is closed for a newcomer, as nginx does it.
// Where the process has no descriptor left, an idle connection to a peer does as well. Nothing here
// walks through all connections.

import Glibc
import Vocabulary

/// The resting client connections of a worker, by index: newest and oldest, -1 where there is none.
struct RestingList {
    var newest: Int32 = -1
    var oldest: Int32 = -1
    /// Where the search for an idle connection to a peer goes on.
    var nextLink = 0
}

extension Worker {
    /// Looked at for one newcomer; the rest are about to say something.
    private static let restingTries = 16
    /// Places looked at for an idle connection to a peer.
    private static let linksLookedAt = 256

    // MARK: The list

    /// Nothing of this client is under way: it waits between two requests, or before its first, or has
    /// had its last answer.
    @inline(__always)
    func rest(_ index: Int) {
        let client = clients.elements + index
        if client.pointee.isResting { return }
        let number = Int32(truncatingIfNeeded: index)
        client.pointee.isResting = true
        client.pointee.newer = -1
        client.pointee.older = resting.newest
        if resting.newest >= 0 {
            clients.elements[Int(resting.newest)].newer = number
        } else {
            resting.oldest = number
        }
        resting.newest = number
    }

    /// Something has come, or the connection goes.
    @inline(__always)
    func endRest(_ index: Int) {
        let client = clients.elements + index
        guard client.pointee.isResting else { return }
        client.pointee.isResting = false
        let (newer, older) = (client.pointee.newer, client.pointee.older)
        if newer >= 0 {
            clients.elements[Int(newer)].older = older
        } else {
            resting.newest = older
        }
        if older >= 0 { clients.elements[Int(older)].newer = newer } else { resting.oldest = newer }
    }

    // MARK: Making room

    /// Closes the client connection that has rested longest. False where nobody rests. `code` is that of
    /// the call that found no descriptor; without one the table is full.
    func displaceClient(code: Int32 = 0) -> Bool {
        for _ in 0..<Self.restingTries {
            let index = Int(resting.oldest)
            guard index >= 0 else { return false }
            endRest(index)
            let client = clients.elements + index
            // A request has come, of which the kernel has not told yet: it will, and that is served.
            if client.pointee.phase == .head, hasBytes(client.pointee.wire.handle.descriptor) {
                continue
            }
            counters.displaced += 1
            let cause = code == 0 ? FailureCause.displaced : .displacedForDescriptor
            let detail = code == 0 ? Int32(truncatingIfNeeded: clients.capacity) : code
            tell(FailureNote(cause: cause, code: detail), of: -1, .cut)
            dropClient(index)
            return true
        }
        return false
    }

    /// The process has no descriptor left: gives back one that serves nobody. False where all serve.
    func giveBack(code: Int32) -> Bool {
        guard Self.isShortage(code) else { return false }
        return displaceClient(code: code) || closeSomeIdleLink(code: code)
    }

    private static func isShortage(_ code: Int32) -> Bool { code == EMFILE || code == ENFILE }

    /// Bounded: goes on another time where it ended.
    private func closeSomeIdleLink(code: Int32) -> Bool {
        guard idleLinks > 0 else { return false }
        for _ in 0..<min(links.highWater, Self.linksLookedAt) {
            let index = resting.nextLink < links.highWater ? resting.nextLink : 0
            resting.nextLink = index + 1
            let link = links.elements + index
            // A free place keeps its last content, but no handle.
            guard link.pointee.phase == .idle, !link.pointee.wire.handle.isNone else { continue }
            tell(FailureNote(cause: .spareClosed, code: code), of: -1, .retried)
            closeIdle(link: index)
            return true
        }
        return false
    }

    private func hasBytes(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) > 0
    }
}
