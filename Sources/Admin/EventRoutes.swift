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
    private static let limitMax = EventLog.capacityDefault * 2

    private static func events(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let limit = try limit(request[query: "limit"])
        let goesOn = try goesOn(request[query: "follow"])
        let plane = context.plane
        let agent = plane.agent
        guard let feed = plane.feed else { throw Problem(.notFound, "no events are kept here") }
        let seen = request[field: "last-event-id"].flatMap { $0.isEmpty ? nil : $0 }
        return Response(
            .ok,
            fields: Response.fields(ofType: "text/event-stream"),
            body: .events { writer throws(StreamError) in
                try await writer.write(Array("retry: \(retryMilliseconds)\n\n".utf8))
                // An id that is no number is of no event that is held.
                let from = seen.map { UInt64($0) ?? 0 }
                let (page, last) = await feed.call { $0.first(after: from) }
                let shown = page.events.suffix(limit)
                let hasGap = page.hasGap || seen != nil && shown.count < page.events.count
                try await send(Array(shown), hasGap: hasGap, by: agent, to: writer)
                var place = last
                while goesOn {
                    let after = place
                    let page = await plane.run { await feed.value.next(after: after) }
                    try await send(page.events, hasGap: page.hasGap, by: agent, to: writer)
                    place = page.events.last?.id ?? place
                }
            }
        )
    }

    private static func limit(_ text: String?) throws(Problem) -> Int {
        guard let text else { return limitMax }
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

    private static func send(
        _ events: [TransitionEvent],
        hasGap: Bool,
        by agent: String,
        to writer: AnswerWriter
    ) async throws(StreamError) {
        var text = ""
        if hasGap { text += "event: gap\ndata: {}\n\n" }
        for event in events { text += Self.text(of: event, by: agent) }
        // A comment, which clients pass over.
        if text.isEmpty { text = ":\n\n" }
        try await writer.write(Array(text.utf8))
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
