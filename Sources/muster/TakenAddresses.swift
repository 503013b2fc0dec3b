// Are the addresses free that this process shall listen on? Asked before anything starts, and of all at
// once: who has to free one port wants to know of the others too. The admin server binds last, when
// probes and the proxy are at work already, and on a unix socket it takes a living process's place
// without asking.

import EventLoop
import Settings
import Vocabulary

enum TakenAddresses {
    /// One line each; none when nothing keeps us from listening, or when only the listener can tell.
    static func problems(of configuration: MusterConfiguration) -> [String] {
        var binds: [(what: String, bind: Address)] = [("admin", configuration.admin.bind)]
        if let compat = configuration.admin.compatConfig {
            binds.append(("admin.compat-config", compat.bind))
        }
        if let bind = configuration.admin.compatDurpina {
            binds.append(("admin.compat-durpina", bind))
        }
        if let socket = configuration.admin.haproxySocket {
            binds.append(("admin.haproxy-socket", socket.bind))
        }
        if let page = configuration.statusPage { binds.append(("status-page", page.bind)) }
        binds += configuration.proxy.listeners.map { ("proxy: listener", $0.bind) }
        if let agentCheck = configuration.agentCheck {
            binds.append(("agent-check", agentCheck.bind))
            binds += agentCheck.ports.map {
                ("agent-check: port of \($0.peer.upstream)/\($0.peer.peer)", $0.bind)
            }
        }
        return binds.compactMap { what, bind in
            guard let place = SocketAddress(bind) else { return nil }
            do throws(SystemError) {
                try Socket.requireFree(place)
                return nil
            } catch {
                return "\(what): \(bind): \(error.reason(of: place))"
            }
        }
    }
}
