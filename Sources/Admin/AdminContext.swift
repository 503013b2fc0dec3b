// What do handlers draw on? The values of the process, given to each with the request: so the table of
// routes needs none of them.

import Front
import Vocabulary

struct AdminContext: Sendable {
    let plane: ControlPlane
    /// How busy the endpoint itself is.
    let front: FrontTally
    /// The API, told to programs.
    let document: JSON

    init(plane: ControlPlane, front: FrontTally) {
        self.plane = plane
        self.front = front
        document = OpenAPI.document(version: plane.version)
    }
}
