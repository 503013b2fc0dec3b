// Who of several takes a key, so that as little as possible moves when one comes or goes? Probes are
// shared out among agents by it.

public import func Glibc.log

/// Weighted rendezvous hashing: everyone draws a number from (key, itself), scaled by its weight, and
/// the highest takes the key. When one goes, only its keys move; when one comes, it takes its share
/// evenly from all.
public enum Rendezvous {
    /// -weight / ln(u) for a u in (0, 1) drawn from the key and who asks for it: the highest of these
    /// falls on each in proportion to its weight (Efraimidis and Spirakis).
    @inlinable
    public static func score(key: UInt64, identity: UInt64, weight: Double) -> Double {
        let hash = StableHash.mix(key ^ (identity &* 0x9E37_79B9_7F4A_7C15))
        let draw = (Double(hash >> 11) + 0.5) / Double(UInt64(1) << 53)
        return -weight / log(draw)
    }
}
