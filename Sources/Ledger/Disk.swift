// Which calls of the kernel does a ledger stand on? These, and each as thin as the call itself, so that
// a model of a disk that loses its power can stand in for it in tests.

public import EventLoop
import Glibc

/// A disk as a ledger needs it. Called on the writing thread only.
public protocol Disk: Sendable {
    /// Opens the file for reading and locks it against other processes; makes it where there is
    /// none. The lock lasts until `close`.
    func open(_ path: String) throws(LedgerError) -> Int32
    /// Makes an empty file, in place of one that may be there, and locks it.
    func create(_ path: String) throws(SystemError) -> Int32
    /// From the beginning; empty at the end of the file.
    func read(_ file: Int32, _ count: Int) throws(SystemError) -> [UInt8]
    /// Returns how many of the bytes it took, as `write` does.
    func write(_ file: Int32, _ bytes: ArraySlice<UInt8>) throws(SystemError) -> Int
    /// Returns when everything written to the file is on the disk.
    func sync(_ file: Int32) throws(SystemError)
    func rename(_ from: String, to path: String) throws(SystemError)
    /// A second name for a file, in place of a file of that name.
    func link(_ from: String, to path: String) throws(SystemError)
    /// Returns when names made in the folder of `path` are on the disk.
    func syncFolder(of path: String) throws(SystemError)
    /// How long the file is; nil where the path no longer names it.
    func length(of file: Int32, at path: String) -> Int?
    func close(_ file: Int32)
}

/// The kernel's.
public struct LinuxDisk: Disk {
    /// A process that was killed a moment ago may have left a child that is not yet another program
    /// and holds the lock until it is.
    private static let lockTries = 50
    private static let lockPause: useconds_t = 20_000

    public init() {}

    public func open(_ path: String) throws(LedgerError) -> Int32 {
        for _ in 0..<Self.lockTries {
            let file = try openOnce(path)
            if flock(file, LOCK_EX | LOCK_NB) != 0 {
                switch errno {
                case EWOULDBLOCK, EINTR:
                    Glibc.close(file)
                    usleep(Self.lockPause)
                    continue
                default:
                    // A file system without locks: nobody can be kept away.
                    break
                }
            }
            // Replaced between the two calls: what is locked is no longer what has the name.
            if length(of: file, at: path) != nil { return file }
            Glibc.close(file)
        }
        throw .inUse(path)
    }

    private func openOnce(_ path: String) throws(LedgerError) -> Int32 {
        var found = stat()
        // Looked at before it is opened: opening a device may already do something to it.
        let isThere = lstat(path, &found) == 0
        if isThere {
            if let sort = Self.sort(of: found) { throw .notAFile(path, sort) }
        } else if errno != ENOENT {
            throw .unreadable(SystemError("lstat \(path)"))
        }
        // O_NONBLOCK: should it have become a FIFO meanwhile, nobody waits for its other end.
        let flags = O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW
        let file = Glibc.open(path, isThere ? O_RDONLY | flags : O_RDWR | O_CREAT | flags, 0o600)
        if file >= 0 { return file }
        let error = SystemError("open \(path)")
        throw isThere ? .unreadable(error) : .failed(error)
    }

    public func length(of file: Int32, at path: String) -> Int? {
        var named = stat()
        var held = stat()
        guard lstat(path, &named) == 0, fstat(file, &held) == 0, named.st_ino == held.st_ino,
            named.st_dev == held.st_dev
        else { return nil }
        return Int(held.st_size)
    }

    /// Nil for a regular file.
    private static func sort(of found: stat) -> String? {
        switch found.st_mode & S_IFMT {
        case S_IFREG: nil
        case S_IFDIR: "a folder"
        case S_IFIFO: "a FIFO"
        case S_IFCHR, S_IFBLK: "a device"
        case S_IFLNK: "a symbolic link"
        default: "a socket"
        }
    }

    public func create(_ path: String) throws(SystemError) -> Int32 {
        // Left by a process that was killed; or somebody else's, and then the open fails.
        _ = unlink(path)
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        // Only for us: it tells which peers are ill.
        let file = Glibc.open(path, flags, 0o600)
        if file < 0 { throw SystemError("open \(path)") }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let error = SystemError("flock \(path)")
            Glibc.close(file)
            throw error
        }
        return file
    }

    public func read(_ file: Int32, _ count: Int) throws(SystemError) -> [UInt8] {
        var error: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let got = Glibc.read(file, buffer.baseAddress, count)
            if got < 0 { error = SystemError("read") }
            filled = max(got, 0)
        }
        if let error { throw error }
        return bytes
    }

    public func write(_ file: Int32, _ bytes: ArraySlice<UInt8>) throws(SystemError) -> Int {
        let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        if count < 0 { throw SystemError("write") }
        return count
    }

    public func sync(_ file: Int32) throws(SystemError) {
        if fdatasync(file) != 0 { throw SystemError("fdatasync") }
    }

    public func rename(_ from: String, to path: String) throws(SystemError) {
        if Glibc.rename(from, path) != 0 { throw SystemError("rename \(from)") }
    }

    public func link(_ from: String, to path: String) throws(SystemError) {
        _ = unlink(path)
        if Glibc.link(from, path) != 0 { throw SystemError("link \(path)") }
    }

    public func syncFolder(of path: String) throws(SystemError) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let raw = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if raw < 0 { throw SystemError("open \(folder)") }
        let file = Descriptor(owning: raw)
        // Some file systems cannot sync a folder and say so; they keep names in other ways.
        if fsync(file.raw) != 0, errno != EINVAL, errno != ENOTSUP {
            throw SystemError("fsync \(folder)")
        }
    }

    public func close(_ file: Int32) { Glibc.close(file) }
}
