// Which kernel call failed, and how? One error for all of them, with the errno that says why.

import Glibc

public struct SystemError: Error, Hashable, Sendable {
    /// The call, for example `connect`.
    public var operation: String
    public var code: Int32

    public init(_ operation: String, code: Int32 = errno) {
        self.operation = operation
        self.code = code
    }

    /// The errno's own words, for example `Connection refused`.
    public var reason: String { String(cString: strerror(code)) }

    /// The same of an address that could not be listened on, with what helps.
    public func reason(of place: SocketAddress) -> String {
        switch code {
        case EADDRINUSE where !place.isUnix:
            "\(reason); another process, or another part of this one, has that port: `ss -ltnp` shows which"
        case EACCES where (place.port ?? 1_024) < 1_024:
            "\(reason); a port below 1024 is for root, or for a binary that may: "
                + "`sudo setcap cap_net_bind_service=+ep` and its path"
        default: reason
        }
    }
}

extension SystemError: CustomStringConvertible {
    public var description: String { "\(operation): \(reason)" }
}
