// Why is something not on the disk? In words that name the file, and what can be done.

public import EventLoop

public enum LedgerError: Error, Hashable, Sendable {
    /// Another process has it.
    case inUse(String)
    /// The path names something else than a regular file.
    case notAFile(String, String)
    /// There is a file, and it cannot be read: what was acknowledged lies in it.
    case unreadable(SystemError)
    /// A file that holds something came to be where none could be made at the start.
    case appeared(String)
    /// Another one was put in its place while ours was in use.
    case replaced(String)
    /// Somebody removed, replaced or cut the file while it was in use.
    case touched(String)
    /// A call of the kernel failed.
    case failed(SystemError)
    /// It holds something else, which cannot be kept under another name.
    case foreign(String)
    /// One record was larger than any may be.
    case tooLarge(Int)
    /// The file is larger than any ledger may be.
    case fileTooLarge(String)
    /// The disk has not answered for so long that nobody waits any more.
    case slow
    /// The ledger has ended, or was never opened.
    case closed

    /// A start cannot go on with this: going on would harm another process, or somebody's file.
    public var isRefusal: Bool {
        switch self {
        case .inUse, .notAFile, .fileTooLarge, .foreign, .unreadable: true
        case .failed, .appeared, .replaced, .touched, .tooLarge, .slow, .closed: false
        }
    }
}

extension LedgerError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .inUse(let path):
            "\(path): expected to be its only user, saw it locked by another process; give each "
                + "muster a state-file of its own, or let them share a Redis"
        case .notAFile(let path, let sort):
            "\(path): expected a regular file or none, saw \(sort)"
        case .unreadable(let error):
            "\(error); what operators asked for is in this file: make it readable, or move it aside "
                + "to start without it"
        case .appeared(let path):
            "\(path): expected none, as at the start, saw a file that holds something; restart "
                + "muster to read it"
        case .replaced(let path):
            "\(path): expected the ledger in use, saw another in its place; remove that, and all is written "
                + "anew, or restart muster to have what it holds"
        case .foreign(let path):
            "\(path): expected a ledger of format \(FileHead.format), saw something else; move it "
                + "aside to start without it"
        case .touched(let path):
            "\(path): expected the file as it was written, saw it removed, replaced or cut by "
                + "somebody else"
        case .failed(let error): "\(error)"
        case .tooLarge(let count):
            "expected a record of at most \(LedgerRecord.bytesMax) bytes, saw \(count)"
        case .fileTooLarge(let path):
            "\(path): expected at most \(LedgerFile.bytesMax) bytes, saw more; move it aside to "
                + "start without it"
        case .slow: "the disk does not answer"
        case .closed: "the ledger is closed"
        }
    }
}
