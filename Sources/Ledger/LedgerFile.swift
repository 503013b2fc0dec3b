// What is done to the files, call by call? Read and locked once at the start; then written from the
// beginning beside, and put in place with one rename; then appended to. A file that has failed once is
// never written to again: after a failed sync nobody knows which of its bytes are on the disk, and the
// next sync would say that all is well. The next write makes a new one from memory.

import EventLoop
import Glibc

/// Confined to the writing thread.
final class LedgerFile {
    let path: String
    private let disk: any Disk
    /// What has the name. It holds the lock, and is appended to while there is an `end`.
    private var file: Int32?
    /// Where the next frame goes; nil while the file cannot be trusted, or is not ours.
    private var end: Int?
    private var salt: UInt64 = 0
    /// Ours was there once, and lost its name.
    private var hasHadFile = false

    /// A larger file was not written by a ledger.
    static let bytesMax = 256 << 20
    private static let chunkBytes = 64 << 10

    init(path: String, disk: any Disk) {
        self.path = path
        self.disk = disk
    }

    /// Bytes of the file that is appended to.
    var bytes: Int { end ?? 0 }

    // MARK: Reading

    func open() throws(LedgerError) -> Recovery {
        let file = try disk.open(path)
        self.file = file
        return Recovery(of: try read(file))
    }

    private func read(_ file: Int32) throws(LedgerError) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let chunk: [UInt8]
            do throws(SystemError) {
                chunk = try disk.read(file, Self.chunkBytes)
            } catch {
                if error.code == EINTR { continue }
                throw .unreadable(SystemError("read \(path)", code: error.code))
            }
            if chunk.isEmpty { return bytes }
            bytes += chunk
            if bytes.count > Self.bytesMax { throw .fileTooLarge(path) }
        }
    }

    /// Keeps what is there under another name, to be looked at. Returns the name if that worked.
    func keepAside() -> String? {
        let aside = path + ".damaged"
        do throws(SystemError) { try disk.link(path, to: aside) } catch { return nil }
        return aside
    }

    // MARK: Writing

    /// Replaces everything by these records.
    func rewrite(_ records: [LedgerRecord], salt: UInt64) throws(LedgerError) {
        end = nil
        try lock()
        let beside = path + ".new"
        var bytes = FileHead(salt: salt).encoded
        for record in records {
            Frame.write(record, at: bytes.count, salt: salt, to: &bytes)
        }
        do throws(SystemError) {
            let made = try disk.create(beside)
            do throws(SystemError) {
                try write(bytes, to: made)
                try sync(made)
                try disk.rename(beside, to: path)
            } catch {
                disk.close(made)
                throw error
            }
            // It has the name, and its own lock since it was made: the one before may go.
            if let file { disk.close(file) }
            file = made
            try disk.syncFolder(of: path)
        } catch {
            throw .failed(error)
        }
        end = bytes.count
        self.salt = salt
    }

    /// Where no file could be made at the start, or ours was removed, there may be one by now: made
    /// by another process, or brought by a file system that was mounted. It is not ours to replace.
    private func lock() throws(LedgerError) {
        if let file {
            if disk.length(of: file, at: path) != nil { return }
            hasHadFile = true
            disk.close(file)
            self.file = nil
        }
        let made = try disk.open(path)
        do throws(LedgerError) {
            if try !read(made).isEmpty { throw hasHadFile ? .replaced(path) : .appeared(path) }
        } catch {
            disk.close(made)
            throw error
        }
        file = made
    }

    /// Adds to the file. Returns when all of it is on the disk.
    func append(_ records: [LedgerRecord]) throws(LedgerError) {
        guard let file, let start = end else { throw .closed }
        var bytes: [UInt8] = []
        for record in records {
            Frame.write(record, at: start + bytes.count, salt: salt, to: &bytes)
        }
        // Until all of it has gone well.
        end = nil
        guard disk.length(of: file, at: path) == start else { throw .touched(path) }
        do throws(SystemError) {
            try write(bytes, to: file)
            try sync(file)
        } catch {
            throw .failed(error)
        }
        // A file without a name is on the disk for nobody.
        guard disk.length(of: file, at: path) == start + bytes.count else { throw .touched(path) }
        end = start + bytes.count
    }

    func close() {
        if let file { disk.close(file) }
        file = nil
        end = nil
    }

    private func write(_ bytes: [UInt8], to file: Int32) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            do throws(SystemError) {
                let count = try disk.write(file, rest)
                // A disk that takes nothing and says nothing has no room.
                if count == 0 { throw SystemError("write", code: ENOSPC) }
                rest = rest.dropFirst(count)
            } catch {
                if error.code == EINTR { continue }
                throw SystemError("write \(path)", code: error.code)
            }
        }
    }

    /// Never tried twice, not even for EINTR.
    private func sync(_ file: Int32) throws(SystemError) {
        do throws(SystemError) {
            try disk.sync(file)
        } catch {
            throw SystemError("fdatasync \(path)", code: error.code)
        }
    }
}
