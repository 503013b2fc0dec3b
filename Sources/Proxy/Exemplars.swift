// Which request is an example of how long some took? For each bucket of a histogram the last one that was
// traced, so that from "some take two seconds" a click leads to one that did.

public import Spans
public import Vocabulary

/// Whose histogram it is, by number.
enum ExemplarKey: Hashable, Sendable {
    case upstream(Int32)
    case route(Int32)
}

/// Examples of one histogram of `PhaseTimes`. Never more than it has buckets.
public struct Exemplars: Hashable, Sendable {
    public struct Exemplar: Hashable, Sendable {
        public var trace: TraceID
        public var value: Nanoseconds
        /// Nanoseconds since 1970.
        public var at: Int64
    }

    private struct Place: Hashable {
        var phase: RequestPhase
        var bucket: Int
    }
    private var places: [Place: Exemplar] = [:]

    public init() {}

    mutating func note(_ span: Nanoseconds, _ phase: RequestPhase, _ trace: TraceID, at: Int64) {
        let place = Place(phase: phase, bucket: PhaseTimes.bucket(of: span.count))
        places[place] = Exemplar(trace: trace, value: span, at: at)
    }

    /// Of the bucket with this place among `PhaseTimes.bounds`, or behind them.
    public func of(_ phase: RequestPhase, bucket: Int) -> Exemplar? {
        places[Place(phase: phase, bucket: bucket)]
    }

    /// The later one of each.
    mutating func add(_ other: Exemplars) {
        places.merge(other.places) { $0.at >= $1.at ? $0 : $1 }
    }
}

extension Worker {
    /// A request took so long in a part of it; if it is traced it is the example from now on.
    @inline(never)
    func exemplify(
        _ phase: RequestPhase,
        since begin: Int64,
        _ exchange: UnsafeMutablePointer<Exchange>
    ) {
        guard let trace = exchange.pointee.trace?.pointee.trace else { return }
        let span = loop.now - Instant(nanoseconds: begin)
        let now = loop.epoch
        exemplars[.upstream(exchange.pointee.upstream), default: Exemplars()]
            .note(span, phase, trace, at: now)
        guard exchange.pointee.route >= 0 else { return }
        exemplars[.route(exchange.pointee.route), default: Exemplars()]
            .note(span, phase, trace, at: now)
    }
}

extension Proxy {
    func exemplars() async -> ([String: Exemplars], [RouteName: Exemplars]) {
        var upstreams: [String: Exemplars] = [:]
        var routes: [RouteName: Exemplars] = [:]
        guard tracing != nil else { return (upstreams, routes) }
        let names = routing.routeNumbers.names
        for (_, worker) in workers {
            for (key, found) in await worker.call({ $0.exemplars }) {
                switch key {
                case .upstream(let number):
                    guard let name = routing.upstream(number) else { continue }
                    upstreams[name, default: Exemplars()].add(found)
                case .route(let number):
                    guard let name = names[number] else { continue }
                    routes[name, default: Exemplars()].add(found)
                }
            }
        }
        return (upstreams, routes)
    }
}
