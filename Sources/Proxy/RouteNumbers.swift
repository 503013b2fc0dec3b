// Which route has which number? The same as long as it is there, over reloads and whoever defines it, so that what
// workers count by number can be told by name. Pure.

/// What a route is known by.
public struct RouteName: Hashable, Comparable, Sendable {
    public let host: String
    public let path: String

    init(_ route: RouteConfiguration) {
        host = route.host
        path = route.path
    }

    public static func < (one: RouteName, other: RouteName) -> Bool {
        (one.host, one.path) < (other.host, other.path)
    }
}

struct RouteNumbers: Sendable {
    /// Of more routes nothing is counted apart: a series each would be more than a scraper wants.
    static let max = 4_096

    private(set) var numbers: [RouteName: Int32] = [:]
    private var free: [Int32] = []
    /// Given out so far, whether or not they are somebody's now.
    private var made: Int32 = 0

    /// Numbers that now are nobody's: what was counted under them is to be forgotten before they are given away
    /// again, which is at the next call at the earliest.
    mutating func take(_ listeners: [ListenerConfiguration]) -> [Int32] {
        var wanted: Set<RouteName> = []
        for listener in listeners {
            guard case .http(let routes) = listener.mode else { continue }
            for route in routes where wanted.count < Self.max { wanted.insert(RouteName(route)) }
        }
        let gone = numbers.filter { !wanted.contains($0.key) }
        for name in gone.keys { numbers[name] = nil }
        for name in wanted.sorted() where numbers[name] == nil {
            if let number = free.popLast() {
                numbers[name] = number
            } else if made < Int32(Self.max) {
                numbers[name] = made
                made += 1
            }
        }
        free += gone.values
        return Array(gone.values)
    }

    var names: [Int32: RouteName] {
        Dictionary(uniqueKeysWithValues: numbers.map { ($0.value, $0.key) })
    }
}
