// What happened, and what happens from now on? Transitions as server-sent events (HTML, section 9.2): those
// that are held, and then each as it comes. Whoever comes back says which was the last.

import EventLoop
import Front
import Store
import Vocabulary

enum EventRoutes {
    static let table: [AdminTable.Row] = [.init(.get, "/v1/events", .read, events)]

    /// How soon a browser that lost the stream comes back.
    private static let retryMilliseconds = 1_000
    private static let limitMax = EventLog.capacityDefault
    /// What somebody gets who has seen nothing and does not say how much he wants. Who comes back gets all.
    private static let limitDefault = 1_000

    static let gap = "event: gap\ndata: {}\n\n"

    private static func events(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let limit = try limit(request[query: "limit"])
        let goesOn = try goesOn(request[query: "follow"])
        let plane = context.plane
        guard let feed = plane.feed else { throw Problem(.notFound, "no events are kept here") }
        // An id that is no number is of no event that is held.
        let seen = request[field: "last-event-id"].flatMap { $0.isEmpty ? nil : UInt64($0) ?? 0 }
        let shown = limit ?? (seen == nil ? limitDefault : Int.max)
        return Response(
            .ok,
            fields: Response.fields(ofType: "text/event-stream"),
            body: .events { writer throws(StreamError) in
                let start = await feed.call { $0.start(after: seen, limit: shown) }
                var greeting = "retry: \(retryMilliseconds)\n"
                // Whoever is cut before the first event has a place to come back to as well.
                if start.after == start.end { greeting += "id: \(start.end)\n" }
                greeting += "\n" + (start.hasGap ? gap : "")
                try await writer.write(Array(greeting.utf8))
                var place = start.after
                while place < start.end {
                    let after = place
                    let telling = await feed.call { $0.telling(after: after) }
                    try await writer.write(telling.bytes)
                    place = telling.last ?? start.end
                }
                while goesOn {
                    let after = place
                    let telling = await plane.run { await feed.value.next(after: after) }
                    try await writer.write(telling.bytes)
                    place = telling.last ?? place
                }
            }
        )
    }

    private static func limit(_ text: String?) throws(Problem) -> Int? {
        guard let text else { return nil }
        guard let limit = Int(text), (0...limitMax).contains(limit) else {
            throw Problem(
                .badRequest,
                "limit: expected a whole number from 0 to \(limitMax), saw '\(text.printable)'"
            )
        }
        return limit
    }

    private static func goesOn(_ text: String?) throws(Problem) -> Bool {
        switch text {
        case nil, "true": return true
        case "false": return false
        case let text?:
            throw Problem(
                .badRequest,
                "follow: expected true or false, saw '\(text.printable)'"
            )
        }
    }

    /// JSON has no line breaks, so one line of data holds it.
    static func text(of event: TransitionEvent, by agent: String) -> String {
        let json = JSON.object([
            .init("time", .string(event.at.description)),
            .init("upstream", .string(event.peer.upstream)),
            .init("peer", .string(event.peer.peer)),
            .init("from", .string(event.from.rawValue)),
            .init("to", .string(event.to.rawValue)),
            .init("reason", .string(event.reason.printable)),
            .init("agent", .string(agent)),
        ])
        return "id: \(event.id)\nevent: transition\ndata: \(json.text)\n\n"
    }
}
