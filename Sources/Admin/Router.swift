// Which route is meant? Segment by segment, a word before a parameter. Slashes that are doubled or at the end
// change nothing, and a word has one spelling: only parameters are decoded, each by itself, so that
// `%2F` in a name is no slash.

struct Router<Context: Sendable>: Sendable {
    enum Finding: Sendable {
        case route(Route<Context>, parameters: [String: String])
        /// The path is known, the method is not; these know others.
        case otherMethods([Route<Context>])
        case nothing

        /// What it takes to hear of it. That there is no such thing is for those who may read, and
        /// so is an open path in another spelling than its own.
        func scope(of path: String) -> Scope {
            switch self {
            case .route(let route, _):
                route.scope == .open && route.path.description != path ? .read : route.scope
            case .otherMethods(let routes):
                routes.allSatisfy { $0.scope == .open && $0.path.description == path }
                    ? .open : .read
            case .nothing: .read
            }
        }
    }

    private struct Node: Sendable {
        var words: [String: Int] = [:]
        var parameter: Int?
        var routes: [Route<Context>] = []
    }

    let routes: [Route<Context>]
    /// The first is the root.
    private var nodes = [Node()]

    init(_ routes: [Route<Context>]) {
        self.routes = routes
        for route in routes {
            let place = place(of: route.path)
            nodes[place].routes.append(route)
        }
    }

    private mutating func place(of path: PathTemplate) -> Int {
        var place = 0
        for segment in path.segments {
            let next =
                switch segment {
                case .word(let word): nodes[place].words[word]
                case .parameter: nodes[place].parameter
                }
            if let next {
                place = next
                continue
            }
            switch segment {
            case .word(let word): nodes[place].words[word] = nodes.count
            case .parameter: nodes[place].parameter = nodes.count
            }
            place = nodes.count
            nodes.append(Node())
        }
        return place
    }

    func find(_ method: String, _ path: String) -> Finding {
        let segments = path.utf8.split(separator: UInt8(ascii: "/"))
        var values: [Substring.UTF8View] = []
        guard let place = descend(from: 0, segments[...], &values) else { return .nothing }
        let known = nodes[place].routes
        guard let route = known.first(where: { $0.methods.contains(method) }) else {
            return .otherMethods(known)
        }
        let pairs = zip(route.path.parameters, values.map(Request.decoded))
        return .route(route, parameters: Dictionary(pairs) { first, _ in first })
    }

    /// Where a word leads nowhere, the parameter beside it may still lead on. Never deeper than the
    /// longest path of the table.
    private func descend(
        from place: Int,
        _ segments: ArraySlice<Substring.UTF8View>,
        _ values: inout [Substring.UTF8View]
    ) -> Int? {
        let node = nodes[place]
        guard let segment = segments.first else { return node.routes.isEmpty ? nil : place }
        if let next = node.words[String(Substring(segment))],
            let found = descend(from: next, segments.dropFirst(), &values)
        {
            return found
        }
        guard let next = node.parameter else { return nil }
        values.append(segment)
        if let found = descend(from: next, segments.dropFirst(), &values) { return found }
        values.removeLast()
        return nil
    }
}
