// How does the same key keep going to the same peer, with as little movement as possible when peers
// come and go?

import Health
import Vocabulary

/// The highest score of the `Rendezvous` serves. A ring does the same with more memory and less
/// evenness; what it wins, a binary search instead of a scan, does not pay below some hundreds of
/// peers.
final class ConsistentHash: Balancer {
    override class var name: String { "consistent-hash" }

    private let hashed: HashKey
    override var key: HashKey? { hashed }

    required init(_ options: inout Options) throws(SettingError) {
        var key = HashKey.ip
        if let setting = options.take("key") {
            let path = "\(options.path).key"
            guard let parsed = HashKey(try setting.string(at: path)) else {
                throw setting.expected("ip, path or header:NAME, NAME being a field's", at: path)
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
                let score = Rendezvous.score(
                    key: pick.key,
                    identity: candidates[index].identity,
                    weight: Double(candidates[index].weight)
                )
                if score > bestScore {
                    best = index
                    bestScore = score
                }
            }
            index &+= 1
        }
        return best
    }
}
