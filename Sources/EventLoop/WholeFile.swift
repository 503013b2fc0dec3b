// How is a small file read and written so that nobody is hurt? Read whole and within a bound, replaced whole:
// written beside, forced to the disk, renamed over. Only a regular file or none: a FIFO would make us wait
// for its other end, and renaming over a device takes it from everybody else.

import Glibc

public enum WholeFile {
    public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        public var description: String
        /// The path leads to something that is no file: nothing was touched, nor may it be.
        public var isNoFile = false

        init(_ description: String, isNoFile: Bool = false) {
            self.description = description
            self.isNoFile = isNoFile
        }

        fileprivate init(_ error: SystemError) { self.init("\(error)") }
    }

    /// Why there can be no file of ours at this path; nil where one is, or may be made.
    public static func problem(at path: String) -> Problem? {
        obstacle(at: path).map {
            Problem("expected a regular file or none, saw \($0)", isNoFile: true)
        }
    }

    /// What is there and is no file; nil where one is, or may be made.
    public static func obstacle(at path: String) -> String? {
        var found = stat()
        guard lstat(path, &found) == 0 else { return nil }
        // Through links, as far as they lead.
        if found.st_mode & S_IFMT == S_IFLNK, stat(path, &found) != 0 {
            return "a link that leads nowhere"
        }
        return found.st_mode & S_IFMT == S_IFREG ? nil : sort(of: found.st_mode)
    }

    /// What stands in a file's place.
    public static func sort(of mode: mode_t) -> String {
        switch mode & S_IFMT {
        case S_IFREG: "a file"
        case S_IFDIR: "a folder"
        case S_IFIFO: "a FIFO"
        case S_IFCHR, S_IFBLK: "a device"
        default: "a socket"
        }
    }

    /// The bytes of a file that has to be there, in the kernel's words where it is not.
    public static func contents(of path: String, atMost most: Int) throws(Problem) -> [UInt8] {
        if let problem = sourceProblem(at: path) { throw problem }
        guard let bytes = try load(path, atMost: most, words: \.reason) else {
            throw Problem(String(cString: strerror(ENOENT)))
        }
        return bytes
    }

    /// Why nothing can be read from this path; nil where it is a file. For what libraries open
    /// themselves: a FIFO would keep them for ever.
    public static func sourceProblem(at path: String) -> Problem? {
        var found = stat()
        guard stat(path, &found) == 0 else {
            let problem = String(cString: strerror(errno))
            return Problem(link(at: path).map { "it is a link to \($0): \(problem)" } ?? problem)
        }
        switch found.st_mode & S_IFMT {
        case S_IFREG: return nil
        case S_IFDIR: return Problem(String(cString: strerror(EISDIR)), isNoFile: true)
        default:
            return Problem(
                "expected a regular file, saw \(sort(of: found.st_mode))",
                isNoFile: true
            )
        }
    }

    /// Where a link leads to, as it says itself; nil where the path is none.
    private static func link(at path: String) -> String? {
        var text = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &text, text.count)
        guard count > 0 else { return nil }
        return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Nil when there is no such file.
    public static func read(_ path: String, atMost most: Int) throws(Problem) -> [UInt8]? {
        if let problem = problem(at: path) { throw problem }
        return try load(path, atMost: most, words: \.description)
    }

    private static func load(
        _ path: String,
        atMost most: Int,
        words: (SystemError) -> String
    ) throws(Problem) -> [UInt8]? {
        // O_NONBLOCK: should it have become a FIFO meanwhile, nobody waits for its other end.
        let raw = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if raw < 0 {
            if errno == ENOENT { return nil }
            throw Problem(words(SystemError("open")))
        }
        let file = Descriptor(owning: raw)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(file.raw, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw Problem(words(SystemError("read"))) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            if bytes.count > most { throw Problem("expected at most \(most) bytes, saw more") }
        }
    }

    /// The file holds the old bytes or the new ones, never half of either, also after the power failed.
    /// Waits for the disk.
    public static func replace(_ path: String, with bytes: [UInt8]) throws(Problem) {
        if let problem = problem(at: path) { throw problem }
        let target = target(of: path)
        let beside = target + ".new"
        do throws(SystemError) {
            try write(bytes, to: beside)
            if rename(beside, target) != 0 { throw SystemError("rename \(beside)") }
        } catch {
            // What is half written would take the room that is lacking.
            _ = unlink(beside)
            throw Problem(error)
        }
        syncFolder(of: target)
    }

    /// Where a link leads to: the link itself stays.
    private static func target(of path: String) -> String {
        guard let found = realpath(path, nil) else { return path }
        defer { free(found) }
        return String(cString: found)
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(SystemError) {
        // Left by a process that was killed, or put there by somebody: not written through.
        _ = unlink(path)
        // Only for us: it may tell which peers are ill.
        let raw = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        if raw < 0 { throw SystemError("open \(path)") }
        let file = Descriptor(owning: raw)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file.raw, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw SystemError("write \(path)") }
            rest = rest.dropFirst(count)
        }
        if fsync(file.raw) != 0 { throw SystemError("fsync \(path)") }
    }

    /// Without this the rename itself can be lost with the power. A folder that cannot be synced
    /// still holds the new file.
    private static func syncFolder(of path: String) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let raw = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard raw >= 0 else { return }
        fsync(Descriptor(owning: raw).raw)
    }
}
