// Is the admin address free? The admin server binds last, when probes and the proxy are at work
// already, and on a unix socket it takes a living process's place without asking. So it is tried
// before anything starts.

import EventLoop
import Vocabulary

enum AdminAddress {
    /// What keeps us from listening there; nil when nothing does, or when only the server can tell.
    static func problem(with bind: Address) -> String? {
        guard let place = SocketAddress(bind) else { return nil }
        do throws(SystemError) {
            try Socket.requireFree(place)
            return nil
        } catch {
            return "admin: \(error)"
        }
    }
}
