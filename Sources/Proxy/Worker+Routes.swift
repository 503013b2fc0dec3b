// What becomes of a request whose host no table knows, where a source of routes may? It stays unread in its
// connection until the answer is there, and begins then: until that moment nothing was taken for it.

import EventLoop
import HTTP1
import Vocabulary

extension Worker {
    enum RouteState {
        case known(Int32)
        case absent
        /// The client waits in a list now.
        case waits
        /// Too many are being asked for.
        case busy
    }

    /// Of a host that no table has.
    @inline(never)
    func askSource(_ index: Int, _ name: UnsafeBufferPointer<UInt8>) -> RouteState {
        guard let host = HostBook.host(name), let key = hosts.key(of: host) else { return .absent }
        if hosts.isDue(at: key, now: loop.now), hosts.ask(host, at: key, now: loop.now) {
            onAsk(String(decoding: host, as: UTF8.self).lowercased(), key)
        }
        let isAsked = hosts.entries[key]?.isAsked == true
        switch hosts.answer(at: key) {
        case .upstream(let number): return .known(number)
        case .none where !isAsked: return .absent
        // It may be there by now.
        case .none, .unknown:
            guard isAsked else { return .busy }
            wait(index, for: key)
            return .waits
        }
    }

    /// Puts a client among those that wait for one host.
    private func wait(_ index: Int, for key: UInt64) {
        let client = clients.elements + index
        client.pointee.phase = .routing
        client.pointee.routeKey = key
        client.pointee.older = -1
        client.pointee.newer = hosts.first(at: key)
        if client.pointee.newer >= 0 {
            clients.elements[Int(client.pointee.newer)].older = Int32(truncatingIfNeeded: index)
        }
        hosts.setFirst(Int32(truncatingIfNeeded: index), at: key)
        setDeadline(index, timeouts.route)
    }

    /// It does not wait any more.
    func endWait(_ index: Int) {
        let client = clients.elements + index
        let (before, after) = (client.pointee.older, client.pointee.newer)
        if before >= 0 {
            clients.elements[Int(before)].newer = after
        } else {
            hosts.setFirst(after, at: client.pointee.routeKey)
        }
        if after >= 0 { clients.elements[Int(after)].older = before }
        client.pointee.phase = .head
        client.pointee.parser = HeadParser()
    }

    /// The source has answered, or cannot: nil.
    func found(_ answer: HostBook.Answer?, at key: UInt64, for span: Nanoseconds) {
        var (next, answer) = hosts.take(answer, at: key, until: loop.now + span)
        while next >= 0 {
            let index = Int(next)
            let client = clients.elements + index
            next = client.pointee.newer
            client.pointee.phase = .head
            client.pointee.parser = HeadParser()
            // Whoever is driven may go, and the next may not: it is out of the list by then.
            if next >= 0 { clients.elements[Int(next)].older = -1 }
            switch answer {
            case .unknown: refuseRouting(index)
            // It may not have been kept, and would be asked for again.
            case .none:
                refuseHead(index, absentStatus, FailureNote(cause: .noRoute))
                drive(index)
            case .upstream:
                setDeadline(index, timeouts.requestHead)
                drive(index)
            }
        }
    }

    func refuseRouting(_ index: Int) {
        refuseHead(index, 503, FailureNote(cause: .routeUnknown))
        drive(index)
    }
}
