// Who goes when a newcomer needs the place? Client connections from which nothing is under way stand
// in a list, the one that has rested longest first: it is closed for a newcomer, as nginx does it. So is
// whoever has been sending one head for longer than that: a head that takes its time serves nobody.
// Where the process has no descriptor left, an idle connection to a peer does as well. Nothing here
// walks through all connections.

import Glibc
import Vocabulary

/// Client connections of a worker in some order, by index: newest and oldest, -1 where there is none.
struct ClientList {
    var newest: Int32 = -1
    var oldest: Int32 = -1

    @inline(__always)
    mutating func add(_ index: Int, of clients: UnsafeMutablePointer<ClientConnection>) {
        let number = Int32(truncatingIfNeeded: index)
        clients[index].newer = -1
        clients[index].older = newest
        if newest >= 0 { clients[Int(newest)].newer = number } else { oldest = number }
        newest = number
    }

    @inline(__always)
    mutating func remove(_ index: Int, of clients: UnsafeMutablePointer<ClientConnection>) {
        let (newer, older) = (clients[index].newer, clients[index].older)
        if newer >= 0 { clients[Int(newer)].older = older } else { newest = older }
        if older >= 0 { clients[Int(older)].newer = newer } else { oldest = newer }
    }
}

extension Worker {
    /// Looked at for one newcomer; the rest are about to say something.
    private static let restingTries = 16
    /// Places looked at for an idle connection to a peer.
    private static let linksLookedAt = 256

    /// A head comes in a moment, from wherever on earth. Who has taken longer goes first where there is no room.
    private static let headPatience = Nanoseconds.seconds(1)

    // MARK: The lists

    /// Nothing of this client is under way: it waits between two requests, or before its first, or has
    /// had its last answer.
    @inline(__always)
    func rest(_ index: Int) {
        let client = clients.elements + index
        if client.pointee.isResting { return }
        client.pointee.isResting = true
        resting.add(index, of: clients.elements)
    }

    /// Something has come, or the connection goes.
    @inline(__always)
    func endRest(_ index: Int) {
        let client = clients.elements + index
        guard client.pointee.isResting else { return }
        client.pointee.isResting = false
        resting.remove(index, of: clients.elements)
    }

    /// A head has begun, and is not whole. Later pieces leave it in its place.
    func beginHead(_ index: Int) {
        let client = clients.elements + index
        if client.pointee.isBeginning { return }
        client.pointee.isBeginning = true
        beginning.add(index, of: clients.elements)
    }

    /// It is whole, or refused, or the connection goes.
    @inline(__always)
    func endHead(_ index: Int) {
        let client = clients.elements + index
        guard client.pointee.isBeginning else { return }
        client.pointee.isBeginning = false
        beginning.remove(index, of: clients.elements)
    }

    // MARK: Making room

    /// Closes the client connection that has done nothing for longest: one that rests, or one whose head is under
    /// way for too long. False where there is none. `code` is that of the call that found no descriptor; without
    /// one the table is full.
    func displaceClient(code: Int32 = 0) -> Bool {
        let slow = slowestHead()
        for _ in 0..<Self.restingTries {
            let index = Int(resting.oldest)
            guard index >= 0 else { break }
            if let slow, slow.begun < restingSince(index) { break }
            endRest(index)
            let client = clients.elements + index
            // A request has come, of which the kernel has not told yet: it will, and that is served.
            if client.pointee.phase == .head, hasBytes(client.pointee.wire.handle.descriptor) {
                continue
            }
            displace(index, code)
            return true
        }
        guard let slow else { return false }
        displace(slow.index, code)
        return true
    }

    /// The head that began first, if it has been coming for longer than heads do.
    private func slowestHead() -> (index: Int, begun: Instant)? {
        let index = Int(beginning.oldest)
        guard index >= 0 else { return nil }
        let begun = Instant(nanoseconds: deadlines[index]) + -timeouts.requestHead
        return loop.now - begun >= Self.headPatience ? (index, begun) : nil
    }

    private func restingSince(_ index: Int) -> Instant {
        Instant(nanoseconds: deadlines[index]) + -timeouts.clientIdle
    }

    private func displace(_ index: Int, _ code: Int32) {
        counters.displaced += 1
        let cause = code == 0 ? FailureCause.displaced : .displacedForDescriptor
        let detail = code == 0 ? Int32(truncatingIfNeeded: clients.capacity) : code
        tell(FailureNote(cause: cause, code: detail), of: -1, .cut)
        dropClient(index)
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
            let index = nextIdleLink < links.highWater ? nextIdleLink : 0
            nextIdleLink = index + 1
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
