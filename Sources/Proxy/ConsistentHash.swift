// How does the same key keep going to the same peer, with as little movement as possible when peers
// come and go?

import Health
import Vocabulary

/// Whoever comes first of all after the key on any of the `HashRings` serves.
///
/// Where the load is bounded, whoever has so much under way already that one more would be beyond
/// `bounded-load` of its share is passed over, and the next after the key serves.
class ConsistentHash: Balancer {
    override class var name: String { "consistent-hash" }
    class var takesKey: Bool { true }

    private var hashed = HashKey.ip
    override final var key: HashKey? { hashed }
    private var rings = HashRings()
    /// How much more than its share a peer may have; 0 where the load is not bounded.
    private var bound = 0.0

    private static let boundPercent = 101...10_000

    required init(_ options: inout Options) throws(SettingError) {
        try super.init(&options)
        if Self.takesKey, let setting = options.take("key") {
            let path = "\(options.path).key"
            guard let parsed = HashKey(try setting.string(at: path)) else {
                throw setting.expected(HashKey.expected, at: path)
            }
            hashed = parsed
        }
        if let setting = options.take("bounded-load") {
            let path = "\(options.path).bounded-load"
            guard case .scalar(let text, _) = setting.value, text.hasSuffix("%"),
                let percent = Int(text.dropLast()), Self.boundPercent.contains(percent)
            else { throw setting.expected("a share from 101% to 10000%, or nothing", at: path) }
            bound = Double(percent) / 100
        }
    }

    deinit { rings.destroy() }

    override final func choose(_ candidates: Candidates, for pick: borrowing Pick) -> Int {
        if bound > 0 {
            let room = LoadBound(candidates, bound: bound)
            let place = rings.first(after: pick.key, candidates, by: self, pick, room)
            // Those with room may all have been tried.
            if place >= 0 { return place }
        }
        return rings.first(after: pick.key, candidates, by: self, pick, LoadBound())
    }

    // MARK: Who is on the rings

    override final func listed(_ candidates: Candidates, at place: Int) {
        candidates[place].current = Int64(
            rings.insert(candidates[place].identity, at: Int32(place))
        )
        rings.weigh(candidates, at: place)
    }

    override final func moved(_ candidates: Candidates, to place: Int) {
        rings.move(Int(candidates[place].current), to: Int32(place))
    }

    override final func weighed(_ candidates: Candidates, at place: Int) {
        rings.weigh(candidates, at: place)
    }

    override final func unlisted(_ candidate: Candidate) {
        rings.remove(Int(candidate.current))
    }
}

/// How much each may have under way.
struct LoadBound {
    /// For a weight of one; endless where there is no bound.
    private var each = Double.infinity

    init() {}

    /// A look at every candidate.
    init(_ candidates: UnsafeMutableBufferPointer<Candidate>, bound: Double) {
        var inFlight: Int64 = 1
        var weight: Int64 = 0
        for candidate in candidates {
            inFlight &+= Int64(candidate.inFlight)
            weight &+= Int64(candidate.weight)
        }
        each = bound * Double(inFlight) / Double(max(weight, 1))
    }

    /// Rounded up, so that among few requests everybody may have one.
    @inline(__always)
    func isLeft(at candidate: Candidate) -> Bool {
        Double(candidate.inFlight) < (each * Double(candidate.weight)).rounded(.up)
    }
}
