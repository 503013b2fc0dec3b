// What is left on a disk when the power goes? What was synced, and of everything else as much or as
// little as the disk likes. This one lives in memory, fails where a test says so, and can be asked what
// it might hold after a crash at this very moment.

import EventLoop
import Glibc
public import Ledger
import Synchronization
public import Vocabulary

/// A disk that forgets what was not synced.
public final class ModelDisk: Disk {
    public enum Call: String, Sendable, CaseIterable {
        case open, create, read, write, sync, rename, link, syncFolder
    }

    public enum Fault: Sendable {
        /// The call does nothing and fails so.
        case error(Int32)
        /// A write takes one byte only.
        case short
        /// A write takes half and then fails so, as on a disk that runs full.
        case half(Int32)
    }

    private struct File {
        var bytes: [UInt8] = []
        /// As they were at the last sync.
        var synced: [UInt8] = []
        var isLocked = false
    }

    private struct State {
        var files: [Int: File] = [:]
        var names: [String: Int] = [:]
        var syncedNames: [String: Int] = [:]
        /// The names after each change since they were synced.
        var pendingNames: [[String: Int]] = []
        var open: [Int32: (file: Int, offset: Int)] = [:]
        var nextFile = 0
        var nextDescriptor: Int32 = 100
        var calls: [Call] = []
        var isDead = false
        var deathAt = Int.max
        var fault: (@Sendable (Call, Int) -> Fault?)?
        /// Writes that a sync has failed to bring to the disk: the next sync says that all is well.
        var lost: Set<Int> = []
    }

    private let state = Mutex(State())

    public init() {}

    // MARK: What a test sees and sets

    /// All calls so far.
    public var calls: [Call] { state.withLock { $0.calls } }

    /// Asked before each call, with how many calls came before it.
    public func onCall(_ fault: (@Sendable (Call, Int) -> Fault?)?) {
        state.withLock { $0.fault = fault }
    }

    /// After so many calls nothing works any more, and nothing changes.
    public func die(after calls: Int) { state.withLock { $0.deathAt = calls } }

    public var isDead: Bool { state.withLock { $0.isDead } }

    public func bytes(of path: String) -> [UInt8]? {
        state.withLock { state in state.names[path].flatMap { state.files[$0]?.bytes } }
    }

    /// Somebody else writes or removes a file, and syncs that.
    public func put(_ bytes: [UInt8]?, at path: String) {
        state.withLock { state in
            if let bytes {
                state.files[state.nextFile] = File(bytes: bytes, synced: bytes)
                state.names[path] = state.nextFile
                state.nextFile += 1
            } else {
                state.names[path] = nil
            }
            state.syncedNames = state.names
            state.pendingNames = []
        }
    }

    /// What the machine may find after the power has come back. Nobody holds a lock on it.
    public func afterCrash(_ dice: inout Dice) -> ModelDisk {
        let after = ModelDisk()
        let before = state.withLock { $0 }
        let kept = Int.random(in: 0...before.pendingNames.count, using: &dice)
        let names = kept == 0 ? before.syncedNames : before.pendingNames[kept - 1]
        after.state.withLock { state in
            for (path, number) in names {
                let content = Self.remains(of: before.files[number] ?? File(), &dice)
                state.files[state.nextFile] = File(bytes: content, synced: content)
                state.names[path] = state.nextFile
                state.nextFile += 1
            }
            state.syncedNames = state.names
        }
        return after
    }

    /// Of what was written since the last sync: nothing, all, some, or as many zeros.
    private static func remains(of file: File, _ dice: inout Dice) -> [UInt8] {
        guard file.bytes.starts(with: file.synced) else { return file.bytes }
        let rest = file.bytes[file.synced.count...]
        switch Int.random(in: 0...3, using: &dice) {
        case 0: return file.synced
        case 1: return file.bytes
        case 2: return file.synced + rest.prefix(Int.random(in: 0...rest.count, using: &dice))
        default:
            let whole = Int.random(in: 0...rest.count, using: &dice)
            return file.synced + rest.prefix(whole)
                + [UInt8](repeating: 0, count: rest.count - whole)
        }
    }

    // MARK: Disk

    private func begin(_ call: Call, _ state: inout State) throws(SystemError) -> Fault? {
        let index = state.calls.count
        state.calls.append(call)
        if index >= state.deathAt { state.isDead = true }
        if state.isDead { throw SystemError(call.rawValue, code: EIO) }
        let fault = state.fault?(call, index)
        if case .error(let code) = fault {
            if call == .sync { state.lost.formUnion(state.open.values.map(\.file)) }
            throw SystemError(call.rawValue, code: code)
        }
        return fault
    }

    /// The lock's `withLock` takes no typed throws.
    private func run<Answer: Sendable>(
        _ call: Call,
        _ body: (inout State, Fault?) throws(SystemError) -> Answer
    ) throws(SystemError) -> Answer {
        let result: Result<Answer, SystemError> = state.withLock { state in
            do throws(SystemError) {
                return .success(try body(&state, try begin(call, &state)))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func descriptor(of file: Int, _ state: inout State) -> Int32 {
        state.nextDescriptor += 1
        state.open[state.nextDescriptor] = (file, 0)
        state.files[file]?.isLocked = true
        return state.nextDescriptor
    }

    public func open(_ path: String) throws(LedgerError) -> Int32 {
        do throws(SystemError) {
            return try run(.open) { state, _ throws(SystemError) in
                if let file = state.names[path] {
                    if state.files[file]?.isLocked == true {
                        throw SystemError("open", code: EWOULDBLOCK)
                    }
                    return Self.descriptor(of: file, &state)
                }
                return Self.make(path, &state)
            }
        } catch {
            throw error.code == EWOULDBLOCK ? .inUse(path) : .failed(error)
        }
    }

    private static func make(_ path: String, _ state: inout State) -> Int32 {
        let file = state.nextFile
        state.nextFile += 1
        state.files[file] = File()
        rename(&state) { $0[path] = file }
        return descriptor(of: file, &state)
    }

    private static func rename(_ state: inout State, _ change: (inout [String: Int]) -> Void) {
        change(&state.names)
        state.pendingNames.append(state.names)
    }

    public func create(_ path: String) throws(SystemError) -> Int32 {
        try run(.create) { state, _ throws(SystemError) in Self.make(path, &state) }
    }

    public func read(_ file: Int32, _ count: Int) throws(SystemError) -> [UInt8] {
        try run(.read) { state, _ throws(SystemError) in
            guard let (number, offset) = state.open[file] else {
                throw SystemError("read", code: EBADF)
            }
            let bytes = state.files[number]?.bytes.dropFirst(offset).prefix(count) ?? []
            state.open[file]?.offset += bytes.count
            return Array(bytes)
        }
    }

    public func write(_ file: Int32, _ bytes: ArraySlice<UInt8>) throws(SystemError) -> Int {
        try run(.write) { state, fault throws(SystemError) in
            guard let (number, _) = state.open[file] else {
                throw SystemError("write", code: EBADF)
            }
            switch fault {
            case .short:
                state.files[number]?.bytes += bytes.prefix(1)
                return 1
            case .half(let code):
                state.files[number]?.bytes += bytes.prefix(bytes.count / 2)
                throw SystemError("write", code: code)
            case .error, nil:
                state.files[number]?.bytes += bytes
                return bytes.count
            }
        }
    }

    public func sync(_ file: Int32) throws(SystemError) {
        try run(.sync) { state, _ throws(SystemError) in
            guard let (number, _) = state.open[file], let bytes = state.files[number]?.bytes else {
                throw SystemError("sync", code: EBADF)
            }
            // The pages count as clean since the sync that failed, and are never written.
            if !state.lost.contains(number) { state.files[number]?.synced = bytes }
        }
    }

    public func rename(_ from: String, to path: String) throws(SystemError) {
        try run(.rename) { state, _ throws(SystemError) in
            guard let file = state.names[from] else { throw SystemError("rename", code: ENOENT) }
            Self.rename(&state) {
                $0[path] = file
                $0[from] = nil
            }
        }
    }

    public func link(_ from: String, to path: String) throws(SystemError) {
        try run(.link) { state, _ throws(SystemError) in
            guard let file = state.names[from] else { throw SystemError("link", code: ENOENT) }
            Self.rename(&state) { $0[path] = file }
        }
    }

    public func syncFolder(of path: String) throws(SystemError) {
        try run(.syncFolder) { state, _ throws(SystemError) in
            state.syncedNames = state.names
            state.pendingNames = []
        }
    }

    public func length(of file: Int32, at path: String) -> Int? {
        state.withLock { state in
            guard let (number, _) = state.open[file], state.names[path] == number else {
                return nil
            }
            return state.files[number]?.bytes.count
        }
    }

    public func close(_ file: Int32) {
        state.withLock { state in
            guard let (number, _) = state.open.removeValue(forKey: file) else { return }
            state.files[number]?.isLocked = false
        }
    }
}
