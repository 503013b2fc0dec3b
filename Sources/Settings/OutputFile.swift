// Can this file be written, now and after it has been replaced? What stands in its place already must be
// a file. Its folder must be there and take new files by the time muster runs; on the machine where
// somebody only reads the configuration, it may be missing.

import EventLoop
import Glibc

enum OutputFile {
    /// What keeps it from ever being right; nil when nothing does.
    static func problem(with path: String) -> String? {
        WholeFile.obstacle(at: path).map {
            "expected a regular file or none at '\(path)', saw \($0)"
        }
    }

    /// What has to be different before muster runs; nil when nothing has.
    static func doubt(about path: String) -> String? {
        let folder = Self.folder(of: path)
        var status = stat()
        guard stat(folder, &status) == 0 else {
            return "expected a folder at '\(folder)' to write in, saw "
                + "\(String(cString: strerror(errno))); nothing is kept until then"
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            return "expected a folder at '\(folder)' to write in, saw "
                + "\(WholeFile.sort(of: status.st_mode)); nothing is kept until then"
        }
        guard access(folder, W_OK | X_OK) == 0 else {
            return "expected a folder at '\(folder)' to write in, saw "
                + "\(String(cString: strerror(errno))); nothing is kept until then"
        }
        return nil
    }

    /// The same text for the same file, however it is written: links and dots are followed, as far as
    /// they are there.
    static func real(_ path: String) -> String {
        func resolved(_ path: String) -> String? {
            guard let found = realpath(path, nil) else { return nil }
            defer { free(found) }
            return String(cString: found)
        }
        if let whole = resolved(path) { return whole }
        let folder = Self.folder(of: path)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return "\(resolved(folder) ?? folder)/\(name)"
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
