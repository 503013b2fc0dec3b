// Does the file of a unix socket still lead to us? A cleaner of /tmp, a package's script or a person may take
// it away, and from then on nobody can connect, though we listen on.

import Glibc
public import Vocabulary

/// The file that a socket of ours was bound to.
public struct SocketFile: Hashable, Sendable {
    public let path: String
    private let mark: Mark

    /// Numbers of files are given again; the time at which the file was made tells two apart.
    private struct Mark: Hashable, Sendable {
        var device: UInt64
        var inode: UInt64
        var seconds: Int
        var nanoseconds: Int

        init?(_ path: String) {
            var found = stat()
            guard lstat(path, &found) == 0 else { return nil }
            device = UInt64(found.st_dev)
            inode = UInt64(found.st_ino)
            seconds = found.st_mtim.tv_sec
            nanoseconds = found.st_mtim.tv_nsec
        }
    }

    /// Of a socket that was bound there just now; nil for other sorts of address.
    public init?(boundTo address: SocketAddress) {
        guard address.isUnix, let mark = Mark(address.host) else { return nil }
        path = address.host
        self.mark = mark
    }

    /// Whoever connects to the path comes to us.
    public var isThere: Bool { Mark(path) == mark }

    /// Takes it away; whatever stands in its place by now stays.
    public func remove() {
        if isThere { unlink(path) }
    }

    /// What became of a file that was gone. Told once for each thing that is in the way.
    public struct Remaking: Sendable {
        private var trouble: String?

        public init() {}

        /// Nil where that is known.
        public mutating func line(
            of owner: String,
            at path: String,
            _ error: SystemError?
        ) -> Journal.Line? {
            let fields: [Journal.Field] = [.event("socket-file"), .file(path)]
            guard let error else {
                trouble = nil
                return Journal.Line(
                    .warning,
                    "\(owner): the socket's file \(path) was gone and is made again; until then nobody "
                        + "could connect",
                    fields
                )
            }
            if trouble == error.reason { return nil }
            trouble = error.reason
            return Journal.Line(
                .error,
                "\(owner): the socket's file \(path) is gone and cannot be made again: \(error.reason); "
                    + "nobody can connect, and it is tried each second",
                fields
            )
        }
    }
}
