// Is a file still the one that was read? Its stamp tells without reading it again.

import Glibc

/// Apart from its text, what tells one state of a file from the next.
public struct FileStamp: Hashable, Sendable {
    private var device: UInt
    private var inode: UInt
    private var size: Int
    private var seconds: Int
    private var nanoseconds: Int

    /// Nil where there is none.
    public init?(of file: String) {
        var found = stat()
        guard stat(file, &found) == 0 else { return nil }
        device = UInt(found.st_dev)
        inode = UInt(found.st_ino)
        size = Int(found.st_size)
        seconds = found.st_mtim.tv_sec
        nanoseconds = found.st_mtim.tv_nsec
    }
}
