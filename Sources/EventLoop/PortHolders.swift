// Who listens on a port already: sockets of our own, or somebody else's? Sockets that share a port do not
// notice one another, and an address as wide as 0.0.0.0 meets the narrower ones of the same process.

import Glibc

enum PortHolders {
    struct Listener: Hashable {
        /// As the kernel writes it, in hexadecimal.
        var address: Substring
        var inode: UInt64
    }

    private static let listening = "0A"

    /// The sockets that listen on `port`, of the text of /proc/net/tcp or tcp6.
    static func listeners(in table: String, port: UInt16) -> [Listener] {
        table.split(separator: "\n").dropFirst().compactMap { line in
            // `sl local rem st tx:rx tr:when retrnsmt uid timeout inode …`
            let words = line.split(separator: " ")
            guard words.count > 9, words[3] == listening,
                let colon = words[1].lastIndex(of: ":"),
                UInt16(words[1][words[1].index(after: colon)...], radix: 16) == port,
                let inode = UInt64(words[9])
            else { return nil }
            return Listener(address: words[1][..<colon], inode: inode)
        }
    }

    /// Whether another process than this one listens on `port`, on whatever address.
    static func isHeldByOthers(_ port: UInt16) -> Bool {
        let own = ownInodes()
        return ["/proc/net/tcp", "/proc/net/tcp6"].contains { path in
            guard let bytes = try? WholeFile.contents(of: path, atMost: tableBytesMax) else {
                return false
            }
            return listeners(in: String(decoding: bytes, as: UTF8.self), port: port)
                .contains { !own.contains($0.inode) }
        }
    }

    /// Some hundred thousand connections.
    private static let tableBytesMax = 64 << 20

    private static func ownInodes() -> Set<UInt64> {
        var inodes = Set<UInt64>()
        guard let folder = opendir("/proc/self/fd") else { return inodes }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let number = Int32(name) else { continue }
            var found = stat()
            if fstat(number, &found) == 0, found.st_mode & S_IFMT == S_IFSOCK {
                inodes.insert(UInt64(found.st_ino))
            }
        }
        return inodes
    }
}
