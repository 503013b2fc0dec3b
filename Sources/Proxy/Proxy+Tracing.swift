// How do traced requests become spans? Workers know peers and upstreams by number; here they get their names
// and their times, and go to whoever sends them on.

import EventLoop
public import Spans
import Vocabulary

/// Who records requests.
public struct RequestTracing: Sendable {
    /// Takes what has ended, and how many spans workers had no room for.
    public typealias Take = @Sendable ([SpanRecord], _ lost: Int) -> Void

    public var sampler: Sampler
    public var take: Take

    public init(sampler: Sampler, take: @escaping Take) {
        self.sampler = sampler
        self.take = take
    }
}

extension Proxy {
    /// Workers are not asked more often.
    private static let tracesApart = Nanoseconds.milliseconds(100)

    /// Some worker has requests that were traced.
    func tracesWait() {
        if asksForTraces || isDrained { return }
        asksForTraces = true
        timers.schedule(after: Self.tracesApart) { [weak self] in
            guard let self else { return }
            let here = LoopBound(self, on: loop)
            Task(executorPreference: loop) {
                here.value.asksForTraces = false
                await here.value.takeTraces()
            }
        }
    }

    func takeTraces() async {
        guard let tracing else { return }
        for (_, worker) in workers {
            let (exchanges, lost) = await worker.call { $0.takeTraced() }
            if exchanges.isEmpty, lost == 0 { continue }
            let routes = routing.routeNumbers.names
            // The wall may have been set since: a span lasts as long as it lasted.
            let offset = loop.epoch - loop.instant.nanoseconds
            var records: [SpanRecord] = []
            for exchange in exchanges {
                records += exchange.records(
                    offset: offset,
                    upstream: routing.upstream(exchange.upstream),
                    route: routes[exchange.route]
                ) { [routing] number in
                    routing.peer(number).map { ($0.peer, routing.address(of: number)) }
                }
            }
            tracing.take(records, lost)
        }
    }
}

extension TracedExchange {
    /// One of the request, then one of each try. The words are those of OpenTelemetry's conventions for HTTP,
    /// and for what they have no word our own.
    func records(
        offset: Int64,
        upstream: String?,
        route: RouteName?,
        peer: (Int32) -> (id: String, address: Address?)?
    ) -> [SpanRecord] {
        let verb = method == Self.otherMethod ? "HTTP" : method
        let ours = upstream.map { [SpanRecord.Attribute("muster.upstream", $0)] } ?? []
        var request = SpanRecord(
            trace: trace,
            span: span,
            parent: parent,
            name: route.map { "\(verb) \($0.path)" } ?? verb,
            kind: .server,
            begun: begun + offset,
            ended: ended + offset
        )
        request.state = state
        request.attributes = [
            .init("http.request.method", method), .init("url.scheme", "http"),
            .init("url.path", SpanRecord.shortened(path)),
        ]
        if !host.isEmpty { request.attributes.append(.init("server.address", host)) }
        if !client.isEmpty { request.attributes.append(.init("client.address", client)) }
        if let route { request.attributes.append(.init("http.route", route.path)) }
        if status != 0 {
            request.attributes.append(.init("http.response.status_code", Int(status)))
        }
        request.attributes += ours
        if let trouble {
            request.attributes.append(.init("error.type", trouble))
            if status == 0 || status >= 500 || cause.isOfPeer { request.status = .error(trouble) }
        }
        return [request]
            + tries.enumerated().map { number, one in
                record(of: one, number: number, offset: offset, ours: ours, peer: peer(one.peer))
            }
    }

    /// What went wrong, in a word; nil where nothing did.
    private var trouble: String? {
        if let ending { return ending.rawValue }
        if cause != .none { return cause.word }
        return status >= 500 ? "\(status)" : nil
    }

    private func record(
        of one: TracedTry,
        number: Int,
        offset: Int64,
        ours: [SpanRecord.Attribute],
        peer: (id: String, address: Address?)?
    ) -> SpanRecord {
        var record = SpanRecord(
            trace: trace,
            span: one.span,
            parent: span,
            name: method == Self.otherMethod ? "HTTP" : method,
            kind: .client,
            begun: one.begun + offset,
            ended: one.ended + offset
        )
        record.attributes = [.init("http.request.method", method)] + ours
        if let peer {
            record.attributes.append(.init("muster.peer", peer.id))
            switch peer.address {
            case .host(let host, let port):
                record.attributes.append(.init("server.address", host))
                record.attributes.append(.init("server.port", Int(port)))
            case .unix(let path): record.attributes.append(.init("server.address", path))
            case nil: break
            }
        }
        if one.status != 0 {
            record.attributes.append(.init("http.response.status_code", Int(one.status)))
        }
        if number > 0 { record.attributes.append(.init("http.request.resend_count", number)) }
        if one.isDropped { record.attributes.append(.init("muster.dropped", .bool(true))) }
        if one.cause != .none, one.cause != .status {
            record.attributes.append(.init("error.type", one.cause.word))
            record.status = .error(one.cause.word)
        } else if one.status >= 400 {
            record.attributes.append(.init("error.type", "\(one.status)"))
            record.status = .error("")
        }
        return record
    }
}
