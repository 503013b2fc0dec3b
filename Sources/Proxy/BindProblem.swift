// May a listener be opened there? Asked before anything of a reload has happened.

import EventLoop
import Vocabulary

enum BindProblem {
    /// Nobody may listen there but those who listen now as `own`: of 127.0.0.1:80 and 0.0.0.0:80 the one
    /// may take the other's place. Nil when nothing is in the way.
    static func of(_ bind: Address, besides own: Set<Address>) -> String? {
        guard let address = SocketAddress(bind) else { return nil }
        let isOverOwn = own.contains { SocketAddress($0)?.port == address.port }
        do throws(SystemError) {
            if isOverOwn {
                try Socket.requireFreeOfOthers(address)
            } else {
                try Socket.requireFree(address)
            }
            return nil
        } catch {
            return "listener \(bind): \(error.reason(of: address))"
        }
    }
}
