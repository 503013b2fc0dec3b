// Who may be chosen now, and who only in a panic? One array for both, so that a peer that goes or
// comes is a swap, and the beginning or the end of a panic changes where the list ends.

import EventLoop
import Health
import Vocabulary

/// The candidates of one tier of an upstream: those that are available stand first, and of these those in
/// the zone of this process; behind them those that may serve while the upstream fails open.
struct CandidateTier {
    /// Who chooses among them; nil where no upstream has this number.
    private(set) var balancer: Unmanaged<Balancer>?
    private(set) var storage: UnsafeMutableBufferPointer<Candidate>
    /// Available, and in the zone of this process.
    private var near = 0
    /// Of this zone, whether available or not.
    private var nearWanted = 0
    /// How many are looked at first: the near ones where they are enough, or all that are available.
    private var preferred = 0
    private(set) var available = 0
    /// The available ones included.
    private(set) var eligible = 0

    init() { storage = .allocate(capacity: 0) }

    func destroy() {
        balancer?.release()
        storage.deallocate()
    }

    /// None of those who are listed stands here any more.
    func forget(_ peers: UnsafeMutablePointer<PeerState>) {
        for place in 0..<eligible { peers[Int(storage[place].peer)].place = -1 }
    }

    /// Another balancer chooses from now on. It begins anew, with those who are listed.
    mutating func set(_ balancer: Balancer) {
        self.balancer?.release()
        self.balancer = .passRetained(balancer)
        for place in 0..<eligible {
            storage[place].current = 0
            balancer.listed(listed, at: place)
        }
    }

    private var listed: UnsafeMutableBufferPointer<Candidate> {
        UnsafeMutableBufferPointer(start: storage.baseAddress, count: eligible)
    }

    /// Chooses a peer for `pick`; -1 where nobody will do.
    @inline(__always)
    func choose(isPanic: Bool, _ pick: UnsafePointer<Pick>) -> Int32 {
        let count = isPanic ? eligible : preferred
        guard let balancer, count > 0 else { return -1 }
        let first = UnsafeMutableBufferPointer(start: storage.baseAddress, count: count)
        var place = balancer._withUnsafeGuaranteedRef { $0.choose(first, for: pick.pointee) }
        if place < 0, count < available {
            // Those of this zone are all full, or have been tried.
            let all = candidates(isPanic: false)
            place = balancer._withUnsafeGuaranteedRef { $0.choose(all, for: pick.pointee) }
        }
        return place >= 0 ? storage[place].peer : -1
    }

    /// How long an answer of what stands at `place` took to begin.
    func observe(_ latency: Nanoseconds, at place: Int, now: Instant) {
        guard let balancer else { return }
        balancer._withUnsafeGuaranteedRef { $0.observe(listed, at: place, latency, now: now) }
    }

    private mutating func prefer() {
        let isEnough = near < available && ZonePreference.isEnough(available: near, of: nearWanted)
        preferred = isEnough ? near : available
    }

    /// Whom a balancer may look at.
    @inline(__always)
    func candidates(isPanic: Bool) -> UnsafeMutableBufferPointer<Candidate> {
        UnsafeMutableBufferPointer(
            start: storage.baseAddress,
            count: isPanic ? eligible : available
        )
    }

    /// Takes a candidate in, and writes down in `peers` where it stands.
    mutating func insert(
        _ candidate: Candidate,
        isAvailable: Bool,
        _ peers: UnsafeMutablePointer<PeerState>
    ) {
        if eligible == storage.count { grow() }
        storage.initializeElement(at: eligible, to: candidate)
        peers[Int(candidate.peer)].place = Int32(eligible)
        eligible += 1
        if candidate.isNear { nearWanted += 1 }
        if let balancer {
            balancer._withUnsafeGuaranteedRef { $0.listed(listed, at: eligible - 1) }
        }
        if isAvailable { promote(eligible - 1, peers) }
        prefer()
    }

    /// What stands at `place` weighs so much, and takes so much, from now on.
    func set(weight: Int32, maxInFlight: Int32, slots: Unmanaged<PeerSlots>? = nil, at place: Int) {
        storage[place].maxInFlight = maxInFlight
        storage[place].slots = slots
        if storage[place].weight == weight { return }
        storage[place].weight = weight
        if let balancer {
            balancer._withUnsafeGuaranteedRef { $0.weighed(listed, at: place) }
        }
    }

    /// What stands at `place` is available, or is not, from now on.
    mutating func set(
        isAvailable: Bool,
        at place: Int,
        _ peers: UnsafeMutablePointer<PeerState>
    ) {
        if isAvailable == (place < available) { return }
        if isAvailable { promote(place, peers) } else { demote(place, peers) }
        prefer()
    }

    mutating func remove(_ place: Int, _ peers: UnsafeMutablePointer<PeerState>) {
        peers[Int(storage[place].peer)].place = -1
        if let balancer {
            balancer._withUnsafeGuaranteedRef { $0.unlisted(storage[place]) }
        }
        var place = place
        if storage[place].isNear { nearWanted -= 1 }
        if place < near {
            near -= 1
            move(near, to: place, peers)
            place = near
        }
        if place < available {
            available -= 1
            move(available, to: place, peers)
            place = available
        }
        eligible -= 1
        move(eligible, to: place, peers)
        prefer()
    }

    private mutating func promote(_ place: Int, _ peers: UnsafeMutablePointer<PeerState>) {
        swap(place, available, peers)
        available += 1
        guard storage[available - 1].isNear else { return }
        swap(available - 1, near, peers)
        near += 1
    }

    private mutating func demote(_ place: Int, _ peers: UnsafeMutablePointer<PeerState>) {
        var place = place
        if place < near {
            near -= 1
            swap(place, near, peers)
            place = near
        }
        available -= 1
        swap(place, available, peers)
    }

    private func swap(_ left: Int, _ right: Int, _ peers: UnsafeMutablePointer<PeerState>) {
        if left == right { return }
        storage.swapAt(left, right)
        stands(at: left, peers)
        stands(at: right, peers)
    }

    /// Over one that is gone.
    private func move(_ from: Int, to place: Int, _ peers: UnsafeMutablePointer<PeerState>) {
        if from == place { return }
        storage[place] = storage[from]
        stands(at: place, peers)
    }

    private func stands(at place: Int, _ peers: UnsafeMutablePointer<PeerState>) {
        peers[Int(storage[place].peer)].place = Int32(place)
        if let balancer {
            balancer._withUnsafeGuaranteedRef { $0.moved(listed, to: place) }
        }
    }

    private mutating func grow() {
        let grown = UnsafeMutableBufferPointer<Candidate>.allocate(
            capacity: max(8, storage.count * 2)
        )
        _ = grown.moveInitialize(fromContentsOf: storage[..<eligible])
        storage.deallocate()
        storage = grown
    }
}
