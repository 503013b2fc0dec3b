// In which row is a pair? By upstream, monitor and peer, a dictionary in a dictionary: one of all three names
// together would take three times as much a pair.

import Health

struct PairIndex {
    /// Rows by peer, by monitor, by upstream.
    private var rows: [String: [String: [String: Int32]]] = [:]
    private(set) var count = 0

    subscript(_ key: VerdictKey) -> Int? {
        get { rows[key.upstream]?[key.monitor]?[key.peer].map { Int($0) } }
        set {
            guard let newValue else { return remove(key) }
            let old = rows[key.upstream, default: [:]][key.monitor, default: [:]]
                .updateValue(Int32(newValue), forKey: key.peer)
            if old == nil { count += 1 }
        }
    }

    var all: [Int] { rows.values.flatMap(\.values).flatMap(\.values).map { Int($0) } }

    /// Who has a pair with this monitor.
    func peers(of upstream: String, with monitor: String) -> [String] {
        Array((rows[upstream]?[monitor] ?? [:]).keys)
    }

    private mutating func remove(_ key: VerdictKey) {
        if rows[key.upstream]?[key.monitor]?.removeValue(forKey: key.peer) != nil { count -= 1 }
        if rows[key.upstream]?[key.monitor]?.isEmpty == true {
            rows[key.upstream]?[key.monitor] = nil
        }
        if rows[key.upstream]?.isEmpty == true { rows[key.upstream] = nil }
    }
}
