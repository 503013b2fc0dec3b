// What do handlers draw on? The values of the process, given to each with the request: so the table of
// routes needs none of them.

import Front

struct AdminContext: Sendable {
    let plane: ControlPlane
    /// How busy the endpoint itself is.
    let front: FrontTally
}
