// Who comes first after a key, and how is that found without looking at everybody?

import Health

/// Thirty-two rings, on each of which every member has one point. A key has a place on each ring, too;
/// the distance from there on to a member's point, divided by what the member weighs, is how far away the
/// member is on that ring, and the nearest on any ring takes the key.
///
/// How far away a member is depends on nobody but itself: when one goes only its keys move, and when one
/// comes, or weighs more, it takes keys and nobody else does. That is as on one ring with many points
/// a peer. But shares do not hang on the gaps between points, since only those who follow very closely
/// win: they are even within some 2 %, where one ring with 160 points a peer has 8 %. A ring is cut into
/// as many parts as there may be members, so that the next point is found in a step or two.
struct HashRings {
    private struct Node {
        var point: UInt64 = 0
        /// The next member in the same part of the ring; -1 at its end.
        var next: Int32 = -1
    }

    static let count = 32

    /// By ring, then by member.
    private var nodes: UnsafeMutablePointer<Node>
    /// By ring, then by part: the first member there, or -1.
    private var heads: UnsafeMutablePointer<Int32>
    /// Where a member stands among the candidates; of a number that nobody has, the next such number.
    private var places: UnsafeMutablePointer<Int32>
    /// A power of two: of members, and of parts.
    private var capacity = 1
    private var shift: UInt64 { UInt64(64 - capacity.trailingZeroBitCount) }
    private var highWater = 0
    private var vacant: Int32 = -1
    private(set) var members = 0

    /// Nobody weighs more; somebody may not weigh as much any more.
    private var heaviest: Int32 = 1
    /// Changes since it was found by looking at all.
    private var changes = 0

    init() {
        nodes = .allocate(capacity: Self.count)
        heads = .allocate(capacity: Self.count)
        places = .allocate(capacity: 1)
        heads.initialize(repeating: -1, count: Self.count)
    }

    func destroy() {
        nodes.deallocate()
        heads.deallocate()
        places.deallocate()
    }

    @inline(__always)
    private static func point(_ hash: UInt64, on ring: Int) -> UInt64 {
        StableHash.mix(hash ^ (UInt64(ring &+ 1) &* 0x9E37_79B9_7F4A_7C15))
    }

    /// A shift by 64 gives 0 in Swift: the only part there is.
    @inline(__always)
    private func part(of point: UInt64) -> Int { Int(truncatingIfNeeded: point >> shift) }

    // MARK: Finding

    /// The place of the first after `key` that is among `candidates`, is accepted and has room, or -1.
    @inline(__always)
    func first(
        after key: UInt64,
        _ candidates: UnsafeMutableBufferPointer<Candidate>,
        by balancer: Balancer,
        _ pick: borrowing Pick,
        _ room: LoadBound
    ) -> Int {
        // Where most of the members are no candidates, the few are looked at one by one.
        if candidates.count &* candidates.count < members {
            return firstOfFew(after: key, candidates, by: balancer, pick, room)
        }
        var best = Nearest()
        for ring in 0..<Self.count {
            let start = Self.point(key, on: ring)
            walk(ring, from: start, candidates, &best, by: balancer, pick, room)
            // A ring that was walked all round has shown everybody.
            if best.place < 0 { return -1 }
        }
        return best.place
    }

    private struct Nearest {
        var place = -1
        var distance = Double.infinity
        var identity: UInt64 = 0

        @inline(__always)
        mutating func take(_ candidate: Candidate, at place: Int, _ distance: UInt64) {
            let weighed = Double(distance) / Double(candidate.weight)
            guard
                weighed < self.distance
                    || (weighed == self.distance && candidate.identity < identity)
            else { return }
            self.place = place
            self.distance = weighed
            identity = candidate.identity
        }
    }

    @inline(__always)
    private func walk(
        _ ring: Int,
        from start: UInt64,
        _ candidates: UnsafeMutableBufferPointer<Candidate>,
        _ best: inout Nearest,
        by balancer: Balancer,
        _ pick: borrowing Pick,
        _ room: LoadBound
    ) {
        let nodes = nodes + ring &* capacity
        let heads = heads + ring &* capacity
        var part = part(of: start)
        var member = heads[part]
        while member >= 0, nodes[Int(member)].point < start { member = nodes[Int(member)].next }
        var parts = 0
        while true {
            while member < 0 {
                parts &+= 1
                if parts > capacity { return }
                part = (part &+ 1) & (capacity &- 1)
                member = heads[part]
            }
            let node = nodes[Int(member)]
            // All round, and back in the part where the walk began.
            if parts == capacity, node.point >= start { return }
            let distance = node.point &- start
            if Double(distance) > best.distance * Double(heaviest) { return }
            let place = Int(places[Int(member)])
            if place < candidates.count, balancer.accepts(candidates[place], pick),
                room.isLeft(at: candidates[place])
            {
                best.take(candidates[place], at: place, distance)
            }
            member = node.next
        }
    }

    private func firstOfFew(
        after key: UInt64,
        _ candidates: UnsafeMutableBufferPointer<Candidate>,
        by balancer: Balancer,
        _ pick: borrowing Pick,
        _ room: LoadBound
    ) -> Int {
        var best = Nearest()
        for place in 0..<candidates.count {
            guard balancer.accepts(candidates[place], pick), room.isLeft(at: candidates[place])
            else { continue }
            let identity = candidates[place].identity
            for ring in 0..<Self.count {
                let distance = Self.point(identity, on: ring) &- Self.point(key, on: ring)
                best.take(candidates[place], at: place, distance)
            }
        }
        return best.place
    }

    // MARK: Changing

    /// Takes a member in and returns its number.
    mutating func insert(_ identity: UInt64, at place: Int32) -> Int {
        if vacant < 0, highWater == capacity { grow() }
        let member: Int
        if vacant >= 0 {
            member = Int(vacant)
            vacant = places[member]
        } else {
            member = highWater
            highWater += 1
        }
        places[member] = place
        members += 1
        for ring in 0..<Self.count {
            let node = nodes + (ring * capacity + member)
            node.initialize(to: Node(point: Self.point(identity, on: ring)))
            link(member, on: ring)
        }
        return member
    }

    func move(_ member: Int, to place: Int32) { places[member] = place }

    mutating func remove(_ member: Int) {
        for ring in 0..<Self.count { unlink(member, on: ring) }
        places[member] = vacant
        vacant = Int32(member)
        members -= 1
        changes += 1
    }

    /// Hears what one weighs. Looking at all now and then is less than one look a change.
    mutating func weigh(_ candidates: UnsafeMutableBufferPointer<Candidate>, at place: Int) {
        heaviest = max(heaviest, candidates[place].weight)
        changes += 1
        guard changes > candidates.count else { return }
        changes = 0
        heaviest = candidates.reduce(1) { max($0, $1.weight) }
    }

    private func link(_ member: Int, on ring: Int) {
        let nodes = nodes + ring * capacity
        let head = heads + (ring * capacity + part(of: nodes[member].point))
        var before: Int32 = -1
        var next = head.pointee
        while next >= 0, nodes[Int(next)].point < nodes[member].point {
            before = next
            next = nodes[Int(next)].next
        }
        nodes[member].next = next
        if before < 0 {
            head.pointee = Int32(member)
        } else {
            nodes[Int(before)].next = Int32(member)
        }
    }

    private func unlink(_ member: Int, on ring: Int) {
        let nodes = nodes + ring * capacity
        let head = heads + (ring * capacity + part(of: nodes[member].point))
        if head.pointee == Int32(member) {
            head.pointee = nodes[member].next
            return
        }
        var before = Int(head.pointee)
        while nodes[before].next != Int32(member) { before = Int(nodes[before].next) }
        nodes[before].next = nodes[member].next
    }

    /// Only when every number is taken.
    private mutating func grow() {
        let old = self
        capacity *= 2
        nodes = .allocate(capacity: Self.count * capacity)
        heads = .allocate(capacity: Self.count * capacity)
        heads.initialize(repeating: -1, count: Self.count * capacity)
        places = .allocate(capacity: capacity)
        places.initialize(from: old.places, count: highWater)
        for ring in 0..<Self.count {
            (nodes + ring * capacity).initialize(
                from: old.nodes + ring * old.capacity,
                count: highWater
            )
            for member in 0..<highWater { link(member, on: ring) }
        }
        old.destroy()
    }
}
