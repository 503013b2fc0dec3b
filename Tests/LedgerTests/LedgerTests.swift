// Does a ledger keep what it acknowledges, on a real disk and on one that misbehaves, and does it say
// what is wrong?

import EventLoop
import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Ledger

/// A state that is a list of texts.
private final class Texts: LedgerClient {
    var all: [String] = []
    let recordKinds: Set<UInt8> = [1]

    func recover(_ record: LedgerRecord) {
        all.append(String(decoding: record.bytes, as: UTF8.self))
    }

    func snapshot() -> @Sendable () -> [LedgerRecord] {
        let all = all
        return { all.map(Self.record) }
    }

    static func record(_ text: String) -> LedgerRecord {
        LedgerRecord(kind: 1, bytes: Array(text.utf8))
    }
}

/// A loop whose time stands still, and any number of ledgers on one disk, written on that same loop.
private final class Rig {
    let loop: EventLoop
    let folder: TemporaryDirectory
    let disk: any Disk
    private let lines = Lines()
    private var open: [Ledger] = []

    var path: String { folder.path("state.ledger") }

    private init(_ loop: EventLoop, _ disk: any Disk) throws {
        self.loop = loop
        self.disk = disk
        folder = try TemporaryDirectory()
    }

    static func run(
        on disk: any Disk = LinuxDisk(),
        _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        let loop = try EventLoop.spawn(virtual: "ledger")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) {
            let rig = try Rig(loop, disk)
            try await body(rig)
            for ledger in rig.open { await ledger.stop() }
            #expect(loop.timerCount == 0, "every timer is cancelled")
        }
    }

    func ledger(at path: String? = nil, _ texts: Texts, on writer: EventLoop? = nil) -> Ledger {
        let journal = Journal(from: .info) { [lines] level, text in
            lines.all.withLock { $0.append("\(level.rawValue): \(text)") }
        }
        let ledger = Ledger(
            path: path ?? self.path,
            loop: loop,
            journal: journal,
            disk: disk,
            writer: writer ?? loop
        )
        ledger.join(texts)
        open.append(ledger)
        return ledger
    }

    func opened(at path: String? = nil) async throws -> (Ledger, Texts) {
        let texts = Texts()
        let ledger = ledger(at: path, texts)
        try await ledger.open()
        return (ledger, texts)
    }

    func stop(_ ledger: Ledger) async {
        await ledger.stop()
        open.removeAll { $0 === ledger }
    }

    var told: [String] { lines.all.withLock { $0 } }
}

private final class Lines: Sendable {
    let all = Mutex<[String]>([])
}

extension Ledger {
    /// As its clients have to do it: first the state, then the record.
    fileprivate func add(_ text: String, to texts: Texts) async -> LedgerError? {
        texts.all.append(text)
        do throws(LedgerError) {
            try await append(Texts.record(text))
            return nil
        } catch {
            return error
        }
    }
}

@Suite struct LedgerTests {
    @Test func `what was appended is there for whoever opens it next`() async throws {
        try await Rig.run { rig in
            let (first, texts) = try await rig.opened()
            #expect(texts.all.isEmpty)
            for text in ["one", "two", "three"] { #expect(await first.add(text, to: texts) == nil) }
            #expect(first.status.error == nil)
            #expect(first.status.records == 3)
            await rig.stop(first)
            let (second, found) = try await rig.opened()
            #expect(found.all == ["one", "two", "three"])
            #expect(await second.add("four", to: found) == nil)
            await rig.stop(second)
            #expect(try await rig.opened().1.all == ["one", "two", "three", "four"])
            #expect(rig.told.isEmpty)
        }
    }

    /// The file as it lies on the disk when `append` returns, without a good end.
    @Test func `an acknowledged record is in the file at once`() async throws {
        try await Rig.run { rig in
            let (ledger, texts) = try await rig.opened()
            _ = await ledger.add("drain", to: texts)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: rig.path))
            #expect(Recovery(of: Array(bytes)).records == [Texts.record("drain")])
            #expect(!FileManager.default.fileExists(atPath: rig.path + ".new"))
        }
    }

    @Test func `a thousand records that come together cost a few syncs`() async throws {
        let disk = ModelDisk()
        try await Rig.run(on: disk) { rig in
            let (ledger, texts) = try await rig.opened()
            _ = await ledger.add("first", to: texts)
            let before = disk.calls.filter { $0 == .sync }.count
            let home = LoopBound((ledger, texts), on: rig.loop)
            await withTaskGroup(of: LedgerError?.self) { group in
                for number in 0..<1_000 {
                    group.addTask(executorPreference: rig.loop) {
                        await home.value.0.add("\(number)", to: home.value.1)
                    }
                }
                for await error in group { #expect(error == nil) }
            }
            let syncs = disk.calls.filter { $0 == .sync }.count - before
            #expect(syncs >= 1 && syncs <= 20, "\(syncs) syncs")
            #expect(ledger.status.records == 1_001)
        }
    }

    @Test func `a note comes to the disk soon, and nobody waits for it`() async throws {
        let disk = ModelDisk()
        try await Rig.run(on: disk) { rig in
            let (ledger, texts) = try await rig.opened()
            await rig.loop.advance(by: .milliseconds(1))
            texts.all.append("note")
            ledger.note(Texts.record("note"))
            await rig.loop.advance(by: Ledger.noteDelay + .milliseconds(1))
            let bytes = try #require(disk.bytes(of: rig.path))
            #expect(Recovery(of: bytes).records == [Texts.record("note")])
        }
    }

    @Test func `the file stays within four times its state`() async throws {
        let disk = ModelDisk()
        try await Rig.run(on: disk) { rig in
            let (ledger, texts) = try await rig.opened()
            let long = String(repeating: "x", count: 20_000)
            for _ in 0..<200 {
                texts.all = []
                #expect(await ledger.add(long, to: texts) == nil)
                #expect(ledger.status.bytes <= Commits.fileBytesMin + 30_000)
            }
            await rig.stop(ledger)
            #expect(try await rig.opened().1.all.last == long)
        }
    }

    @Test func `two processes never have one ledger`() async throws {
        try await Rig.run { rig in
            let (first, texts) = try await rig.opened()
            let second = rig.ledger(Texts())
            await #expect(throws: LedgerError.inUse(rig.path)) { try await second.open() }
            #expect("\(LedgerError.inUse(rig.path))".contains("locked by another process"))
            // Not even after the file was written anew, which makes it another file.
            first.rewrite()
            #expect(await first.add("mine", to: texts) == nil)
            let third = rig.ledger(Texts())
            await #expect(throws: LedgerError.inUse(rig.path)) { try await third.open() }
            await rig.stop(first)
            #expect(try await rig.opened().1.all == ["mine"])
        }
    }

    @Test func `what is no file is refused by name`() async throws {
        try await Rig.run { rig in
            let fifo = rig.folder.path("fifo")
            #expect(mkfifo(fifo, 0o600) == 0)
            let link = rig.folder.path("link")
            #expect(symlink("/dev/null", link) == 0)
            let cases = [
                (fifo, "a FIFO"), (rig.folder.path, "a folder"), ("/dev/null", "a device"),
                (link, "a symbolic link"),
            ]
            for (path, sort) in cases {
                let ledger = rig.ledger(at: path, Texts())
                await #expect(throws: LedgerError.notAFile(path, sort)) { try await ledger.open() }
            }
        }
    }

    @Test func `a folder that comes later is written to then, with everything since`()
        async throws
    {
        try await Rig.run { rig in
            let folder = rig.folder.path("later")
            let path = folder + "/state.ledger"
            let (ledger, texts) = try await rig.opened(at: path)
            let error = await ledger.add("one", to: texts)
            #expect(error == .failed(SystemError("open \(path)", code: ENOENT)))
            #expect(ledger.status.error?.contains("No such file") == true)
            #expect(mkdir(folder, 0o700) == 0)
            await rig.loop.advance(by: .seconds(31))
            #expect(ledger.status.error == nil)
            #expect(await ledger.add("two", to: texts) == nil)
            #expect(rig.told.count == 2, "\(rig.told)")
            #expect(rig.told.first?.hasPrefix("error: ledger \(path) cannot be written: ") == true)
            #expect(rig.told.last?.contains("is written again") == true)
            await rig.stop(ledger)
            #expect(try await rig.opened(at: path).1.all == ["one", "two"])
        }
    }

    @Test func `a failed sync is answered with a new file, and nobody hears of it but the log`()
        async throws
    {
        let disk = ModelDisk()
        try await Rig.run(on: disk) { rig in
            let (ledger, texts) = try await rig.opened()
            _ = await ledger.add("one", to: texts)
            let shot = Shot()
            disk.onCall { call, _ in call == .sync && shot.isFirst() ? .error(EIO) : nil }
            #expect(await ledger.add("two", to: texts) == nil)
            #expect(ledger.status.failures == 1)
            #expect(rig.told.count == 1)
            #expect(rig.told.first?.contains("Input/output error") == true)
            var dice = Dice(seed: 3)
            let after = try LedgerFile(path: rig.path, disk: disk.afterCrash(&dice)).open()
            #expect(after.records == [Texts.record("one"), Texts.record("two")])
        }
    }

    /// Says once that it is the first time.
    private final class Shot: Sendable {
        private let isOver = Mutex(false)

        func isFirst() -> Bool {
            isOver.withLock { isOver in
                defer { isOver = true }
                return !isOver
            }
        }
    }

    @Test func `a full disk is told of once, and in every answer, until it has room`()
        async throws
    {
        let disk = ModelDisk()
        try await Rig.run(on: disk) { rig in
            let (ledger, texts) = try await rig.opened()
            _ = await ledger.add("one", to: texts)
            disk.onCall { call, _ in call == .write ? .half(ENOSPC) : nil }
            let expected = LedgerError.failed(SystemError("write \(rig.path)", code: ENOSPC))
            for text in ["two", "three"] {
                #expect(await ledger.add(text, to: texts) == expected)
            }
            await rig.loop.advance(by: .seconds(120))
            #expect(ledger.status.error?.contains("No space left") == true)
            #expect(rig.told.filter { $0.hasPrefix("error") }.count == 1)
            disk.onCall(nil)
            await rig.loop.advance(by: .seconds(31))
            #expect(ledger.status.error == nil)
            await rig.stop(ledger)
            #expect(try await rig.opened().1.all == ["one", "two", "three"])
        }
    }

    @Test func `nobody waits for a disk that does not answer, not even the end`() async throws {
        let disk = ModelDisk()
        let writer = try EventLoop.spawn(name: "hung")
        defer { writer.stop() }
        let gate = DispatchSemaphore(value: 0)
        try await Rig.run(on: disk) { rig in
            let texts = Texts()
            let ledger = rig.ledger(texts, on: writer)
            try await ledger.open()
            #expect(await ledger.add("one", to: texts) == nil)
            disk.onCall { call, _ in
                if call == .write { gate.wait() }
                return nil
            }
            let home = LoopBound((ledger, texts), on: rig.loop)
            let answer = Task(executorPreference: rig.loop) {
                await home.value.0.add("two", to: home.value.1)
            }
            await rig.loop.advance(by: Ledger.patience + .seconds(1))
            #expect(await answer.value == .slow)
            let end = Task(executorPreference: rig.loop) { await home.value.0.stop() }
            await rig.loop.advance(by: Ledger.stopPatience + .seconds(1))
            await end.value
            gate.signal()
        }
    }

    @Test func `a damaged file is kept to be looked at, and what is whole in it counts`()
        async throws
    {
        try await Rig.run { rig in
            let (ledger, texts) = try await rig.opened()
            for text in ["one", "two", "three"] { _ = await ledger.add(text, to: texts) }
            await rig.stop(ledger)
            let place = URL(fileURLWithPath: rig.path)
            var bytes = try Data(contentsOf: place)
            let start = FileHead.bytes + Frame.headBytes + 3
            bytes[start + Frame.headBytes] ^= 0x20
            try bytes.write(to: place)
            #expect(try await rig.opened().1.all == ["one", "three"])
            let told = try #require(rig.told.first)
            #expect(
                told.hasPrefix("error: ledger \(rig.path) is damaged: expected records, saw 12 ")
            )
            #expect(told.hasSuffix("it is kept as \(rig.path).damaged"))
            #expect(try Data(contentsOf: URL(fileURLWithPath: rig.path + ".damaged")) == bytes)
        }
    }

    @Test(arguments: ["{}", "musterlg and something else entirely, longer than a head would be"])
    func `what is no ledger is kept aside, and the start goes on`(content: String) async throws {
        try await Rig.run { rig in
            try rig.folder.write(content, to: "state.ledger")
            let (ledger, texts) = try await rig.opened()
            #expect(texts.all.isEmpty)
            #expect(await ledger.add("one", to: texts) == nil)
            let aside = try String(contentsOfFile: rig.path + ".damaged", encoding: .utf8)
            #expect(aside == content)
            #expect(rig.told.first?.contains("starting without it") == true)
        }
    }

    @Test func `records of a kind that nobody knows are kept`() async throws {
        try await Rig.run { rig in
            let foreign = LedgerRecord(kind: 77, bytes: [1, 2, 3])
            let bytes = FileHead(salt: 9).encoded
            var all = bytes
            Frame.write(foreign, at: all.count, salt: 9, to: &all)
            try Data(all).write(to: URL(fileURLWithPath: rig.path))
            for text in ["one", "two"] {
                let (ledger, texts) = try await rig.opened()
                #expect(await ledger.add(text, to: texts) == nil)
                await rig.stop(ledger)
            }
            let left = try Data(contentsOf: URL(fileURLWithPath: rig.path))
            #expect(
                Recovery(of: Array(left)).records
                    == [foreign, Texts.record("one"), Texts.record("two")]
            )
        }
    }

    @Test func `a record that is too long is refused`() async throws {
        try await Rig.run { rig in
            let (ledger, _) = try await rig.opened()
            let count = LedgerRecord.bytesMax + 1
            let long = LedgerRecord(kind: 1, bytes: [UInt8](repeating: 0, count: count))
            await #expect(throws: LedgerError.tooLarge(count)) { try await ledger.append(long) }
            #expect(ledger.status.error == nil)
        }
    }
}
