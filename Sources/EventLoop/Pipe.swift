// How does the loop hear of a child process? Through a pipe for what it prints, and a descriptor
// that becomes readable when it ends: no SIGCHLD, which belongs to whoever came first.

import CLinux
import Glibc

/// A pipe between a child and us. Both ends close on exec; the child gets its own copy of one.
public struct Pipe: ~Copyable {
    public let read: Descriptor
    public let write: Descriptor

    public enum End: Sendable { case read, write }

    public init(ours: End = .read) throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemError("pipe2") }
        read = Descriptor(owning: ends[0])
        write = Descriptor(owning: ends[1])
        // Our end only: programs do not expect EAGAIN when they read or print.
        _ = muster_set_nonblocking(ours == .read ? read.raw : write.raw)
    }

    /// Gives the reading end away and closes the other.
    public consuming func takeRead() -> Descriptor { read }

    /// Gives the writing end away and closes the other.
    public consuming func takeWrite() -> Descriptor { write }
}

extension Descriptor {
    /// Becomes readable when the child `pid` ends, and stays so until it is reaped.
    public static func watching(child pid: pid_t) throws(SystemError) -> Descriptor {
        let raw = muster_pidfd_open(pid)
        if raw < 0 { throw SystemError("pidfd_open") }
        return Descriptor(owning: raw)
    }
}
