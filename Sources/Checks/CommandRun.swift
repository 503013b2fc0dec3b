// How does a program run beside the loop? In a process group of its own, heard through pipes and a
// descriptor for its end; killed with all its children when the time is up, and always reaped.

import EventLoop
import Glibc
import Synchronization
import Vocabulary

/// Ends every program that a `command` check of this process runs, with its children: for a process
/// that has to end itself.
public func endPrograms() { CommandRun.killAll() }

/// One run of a program, confined to its loop.
final class CommandRun: EventSink {
    enum End: Hashable, Sendable {
        case exited(Int)
        case killed(signal: Int)
        case timedOut
    }

    /// What is kept of each stream: performance data stands at the end, and a plugin that looks at
    /// many disks has much of it.
    static let outputBytesMax = 65_536
    private static let pieceBytes = 4_096
    /// What is read of a stream before the rest of the loop gets its turn. A program is heard to its
    /// end, or one that says much would die of a closed pipe, but one without an end must not take
    /// the loop for itself.
    static let turnBytesMax = 65_536
    /// From one turn to the next: what goes on without an end costs a few per cent of a processor.
    static let turnPause = Nanoseconds.milliseconds(1)
    /// Programs at a time, of all checks together.
    static let runsMax = 64

    /// The groups of those that run, and of those that are just being started.
    private static let running = Mutex<(count: Int, groups: Set<pid_t>)>((0, []))

    static func killAll() {
        running.withLock { running in
            for group in running.groups { kill(-group, SIGKILL) }
        }
    }

    private enum Tag: Int { case output, errors, end }
    private enum Alarm: Int { case deadline, turn }

    private let loop: EventLoop
    private let pid: pid_t
    private var handles: [Tag: Handle] = [:]
    private var timer = TimerID.none
    /// Set while a stream has more to say than one turn takes.
    private var turn = TimerID.none
    private(set) var output: [UInt8] = []
    private(set) var errors: [UInt8] = []
    private var end: End?
    private var waiter: UnsafeContinuation<End, Never>?
    /// The loop does not retain sinks; a killed program may end after everybody stopped waiting.
    private var keeper: CommandRun?

    /// Starts `words` with `environment`. The number of runs at a time is limited: nil means that
    /// there is no room now.
    static func start(
        _ words: [String],
        environment: [String],
        input: Int32? = nil,
        on loop: EventLoop
    ) throws(SystemError) -> CommandRun? {
        let hasRoom = running.withLock { running in
            guard running.count < runsMax else { return false }
            running.count += 1
            return true
        }
        guard hasRoom else { return nil }
        do throws(SystemError) {
            return try CommandRun(words, environment, input, loop)
        } catch {
            running.withLock { $0.count -= 1 }
            throw error
        }
    }

    private init(
        _ words: [String],
        _ environment: [String],
        _ input: Int32?,
        _ loop: EventLoop
    ) throws(SystemError) {
        let output = try Pipe()
        let errors = try Pipe()
        pid = try Program.start(
            words,
            environment: environment,
            input: input,
            output: output.write.raw,
            errors: errors.write.raw
        )
        self.loop = loop
        super.init()
        do throws(SystemError) {
            handles[.end] = try loop.register(
                try Descriptor.watching(child: pid),
                sink: self,
                tag: Tag.end.rawValue
            )
            handles[.output] = try loop.register(
                output.takeRead(),
                sink: self,
                tag: Tag.output.rawValue
            )
            handles[.errors] = try loop.register(
                errors.takeRead(),
                sink: self,
                tag: Tag.errors.rawValue
            )
        } catch {
            closeAll()
            kill(-pid, SIGKILL)
            _ = reap()
            throw error
        }
        let group = pid
        Self.running.withLock { _ = $0.groups.insert(group) }
        keeper = self
    }

    /// Waits for the end of the program, and ends it at `deadline`.
    func finish(by deadline: Instant) async -> End {
        if let end { return end }
        timer = loop.schedule(at: deadline, sink: self, tag: Alarm.deadline.rawValue)
        return await withUnsafeContinuation { waiter = $0 }
    }

    // MARK: Events

    override func ready(_ readiness: Readiness, tag: Int) {
        guard let tag = Tag(rawValue: tag) else { return }
        if tag != .end { return takeTurn([tag]) }
        readRest(.output)
        readRest(.errors)
        // Still unreaped, so its group's number cannot belong to anybody else.
        kill(-pid, SIGKILL)
        let group = pid
        Self.running.withLock { _ = $0.groups.remove(group) }
        conclude(reap())
    }

    override func due(tag: Int) {
        if tag == Alarm.turn.rawValue {
            turn = .none
            return takeTurn([.output, .errors])
        }
        timer = .none
        kill(-pid, SIGKILL)
        // The kernel may need time to end it; the probe has none left. The end comes to `ready`.
        if end == nil { end = .timedOut }
        waiter.take()?.resume(returning: .timedOut)
    }

    private func conclude(_ end: End) {
        closeAll()
        loop.cancel(timer)
        loop.cancel(turn)
        if self.end == nil { self.end = end }
        waiter.take()?.resume(returning: end)
        Self.running.withLock { $0.count -= 1 }
        keeper = nil
    }

    private func closeAll() {
        for handle in handles.values { loop.close(handle) }
        handles = [:]
    }

    private func reap() -> End {
        switch Program.reap(pid) {
        case .exited(let code): .exited(code)
        case .killed(let signal): .killed(signal: signal)
        }
    }

    // MARK: Reading

    /// Reads what there is, or as much as a turn takes of each stream. What lies beyond what is kept
    /// is thrown away.
    private func takeTurn(_ tags: [Tag]) {
        // The next turn is set, and takes what comes meanwhile too.
        guard turn.isNone else { return }
        var buffer = [UInt8](repeating: 0, count: Self.pieceBytes)
        var hasMore = false
        for tag in tags {
            var count = 0
            while count < Self.turnBytesMax {
                let more = readPiece(tag, &buffer)
                if more == 0 { break }
                count += more
            }
            if count >= Self.turnBytesMax { hasMore = true }
        }
        guard hasMore else { return }
        turn = loop.schedule(
            at: loop.instant + Self.turnPause,
            sink: self,
            tag: Alarm.turn.rawValue
        )
    }

    /// Reads what is still to be kept of a program that has ended; a child of it may write on.
    private func readRest(_ tag: Tag) {
        var buffer = [UInt8](repeating: 0, count: Self.pieceBytes)
        while (tag == .output ? output : errors).count < Self.outputBytesMax {
            if readPiece(tag, &buffer) == 0 { return }
        }
    }

    /// Zero where there is nothing more: nothing yet, or nothing at all.
    private func readPiece(_ tag: Tag, _ buffer: inout [UInt8]) -> Int {
        guard let handle = handles[tag] else { return 0 }
        var count = 0
        repeat {
            count = read(handle.descriptor, &buffer, buffer.count)
        } while count < 0 && errno == EINTR
        if count < 0, errno == EAGAIN { return 0 }
        guard count > 0 else {
            loop.close(handle)
            handles[tag] = nil
            return 0
        }
        if tag == .output {
            keep(buffer[..<count], in: &output)
        } else {
            keep(buffer[..<count], in: &errors)
        }
        return count
    }

    private func keep(_ bytes: ArraySlice<UInt8>, in kept: inout [UInt8]) {
        kept.append(contentsOf: bytes.prefix(Self.outputBytesMax - kept.count))
    }
}
