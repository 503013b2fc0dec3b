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
}

extension SystemError: CustomStringConvertible {
    public var description: String { "\(operation): \(reason)" }
}
