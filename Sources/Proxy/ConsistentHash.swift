// How does the same key keep going to the same peer, with as little movement as possible when peers
// come and go?

import Glibc
import Vocabulary

/// Weighted rendezvous hashing: every peer draws a number from (key, peer), scaled by its weight,
/// and the highest serves. When a peer goes, only its keys move; when one comes, it takes its share
/// evenly from all. A ring does the same with more memory and less evenness; what it wins, a binary
/// search instead of a scan, does not pay below some hundreds of peers.
final class ConsistentHash: Balancer {
    override class var name: String { "consistent-hash" }

    private let hashed: HashKey
    override var key: HashKey? { hashed }

    required init(_ options: inout Options) throws(SettingError) {
        var key = HashKey.ip
        if let setting = options.take("key") {
            let path = "\(options.path).key"
            guard let parsed = HashKey(try setting.string(at: path)) else {
                throw setting.expected("ip, path or header:NAME", at: path)
            }
            key = parsed
        }
        hashed = key
        try super.init(&options)
    }

    override func choose(
        _ candidates: UnsafeMutableBufferPointer<Candidate>,
        for pick: borrowing Pick
    ) -> Int {
        var best = -1
        var bestScore = -Double.infinity
        var index = 0
        while index < candidates.count {
            if pick.accepts(candidates[index]) {
                let score = Self.score(pick.key, candidates[index])
                if score > bestScore {
                    best = index
                    bestScore = score
                }
            }
            index &+= 1
        }
        return best
    }

    /// -weight / ln(u) for a u in (0, 1) drawn from key and peer: the highest of these falls on
    /// each peer in proportion to its weight (Efraimidis and Spirakis).
    private static func score(_ key: UInt64, _ candidate: Candidate) -> Double {
        var hash = key ^ (candidate.identity &* 0x9E37_79B9_7F4A_7C15)
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ (hash >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        hash ^= hash >> 33
        let draw = (Double(hash >> 11) + 0.5) / Double(UInt64(1) << 53)
        return -Double(candidate.weight) / log(draw)
    }
}
