// What does a checker that speaks HTTP hear of a peer? The agent-check line, with a status that plain
// HTTP checks understand.

import AgentCheck
import Health

enum AgentRoutes {
    static let table: [AdminTable.Row] = [
        .init(.get, "/agent/{upstream}/{peer}", .read, line)
    ]

    private static func line(_ request: Request, _ context: AdminContext) async -> Response {
        let key = PeerKey(
            upstream: request[parameter: "upstream"],
            peer: request[parameter: "peer"]
        )
        let answer = await context.plane.endpoint.call { $0.line(for: key) }
        return .text(answer.text, type: "text/plain", Status(answer.httpStatus))
    }
}
