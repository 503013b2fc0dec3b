// What does a checker that speaks HTTP hear of a peer? The agent-check line, with a status that plain
// HTTP checks understand.

import Foundation
import Health
import Hummingbird
import Vocabulary

struct AgentRoutes: Sendable {
    let plane: ControlPlane

    func add(to router: inout AdminRouter) {
        router.get("/agent/:upstream/:peer") { _, context in
            try await answer(context)
        }
    }

    private func answer(_ context: AdminContext) async throws -> Response {
        let upstream = try context.parameters.require("upstream")
        let peer = try context.parameters.require("peer")
        let key = PeerKey(
            upstream: upstream.removingPercentEncoding ?? upstream,
            peer: peer.removingPercentEncoding ?? peer
        )
        let answer = await plane.endpoint.call { $0.line(for: key) }
        return .text(
            answer.text,
            type: "text/plain",
            status: HTTPResponse.Status(code: answer.httpStatus)
        )
    }
}
