// How does a program run beside the loop? In a process group of its own, heard through pipes and a
// descriptor for its end; killed with all its children when the time is up, and always reaped.

import EventLoop
import Glibc
import Synchronization
import Vocabulary

/// One run of a program, confined to its loop.
final class CommandRun: EventSink {
    enum End: Hashable, Sendable {
        case exited(Int)
        case killed(signal: Int)
        case timedOut
    }

    /// What is kept of each stream, as Consul does.
    static let outputBytesMax = 4_096
    /// What is read at all: a program that goes on for longer finds nobody listening.
    static let readBytesMax = 1_048_576
    /// Programs at a time, of all checks together.
    static let runsMax = 64

    private static let running = Atomic<Int>(0)

    private enum Tag: Int { case output, errors, end }

    private let loop: EventLoop
    private let pid: pid_t
    private var handles: [Tag: Handle] = [:]
    private var timer = TimerID.none
    private(set) var output: [UInt8] = []
    private(set) var errors: [UInt8] = []
    private var bytesRead = 0
    private var end: End?
    private var waiter: UnsafeContinuation<End, Never>?
    /// The loop does not retain sinks; a killed program may end after everybody stopped waiting.
    private var keeper: CommandRun?

    /// Starts `words` with `environment`. The number of runs at a time is limited: nil means that
    /// there is no room now.
    static func start(
        _ words: [String],
        environment: [String],
        on loop: EventLoop
    ) throws(SystemError) -> CommandRun? {
        guard running.add(1, ordering: .relaxed).newValue <= runsMax else {
            running.subtract(1, ordering: .relaxed)
            return nil
        }
        do throws(SystemError) {
            return try CommandRun(words, environment, loop)
        } catch {
            running.subtract(1, ordering: .relaxed)
            throw error
        }
    }

    private init(
        _ words: [String],
        _ environment: [String],
        _ loop: EventLoop
    ) throws(SystemError) {
        let output = try Pipe()
        let errors = try Pipe()
        pid = try Program.start(
            words,
            environment: environment,
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
        keeper = self
    }

    /// Waits for the end of the program, and ends it at `deadline`.
    func finish(by deadline: Instant) async -> End {
        if let end { return end }
        timer = loop.schedule(at: deadline, sink: self)
        return await withUnsafeContinuation { waiter = $0 }
    }

    // MARK: Events

    override func ready(_ readiness: Readiness, tag: Int) {
        guard let tag = Tag(rawValue: tag) else { return }
        if tag != .end { return drain(tag) }
        drain(.output)
        drain(.errors)
        // Still unreaped, so its group's number cannot belong to anybody else.
        kill(-pid, SIGKILL)
        conclude(reap())
    }

    override func due(tag: Int) {
        timer = .none
        kill(-pid, SIGKILL)
        // The kernel may need time to end it; the probe has none left. The end comes to `ready`.
        if end == nil { end = .timedOut }
        waiter.take()?.resume(returning: .timedOut)
    }

    private func conclude(_ end: End) {
        closeAll()
        loop.cancel(timer)
        if self.end == nil { self.end = end }
        waiter.take()?.resume(returning: end)
        Self.running.subtract(1, ordering: .relaxed)
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

    private func drain(_ tag: Tag) {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while let handle = handles[tag] {
            let count = read(handle.descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            bytesRead += max(count, 0)
            guard count > 0, bytesRead <= Self.readBytesMax else {
                loop.close(handle)
                handles[tag] = nil
                return
            }
            if tag == .output {
                keep(buffer[..<count], in: &output)
            } else {
                keep(buffer[..<count], in: &errors)
            }
        }
    }

    private func keep(_ bytes: ArraySlice<UInt8>, in kept: inout [UInt8]) {
        kept.append(contentsOf: bytes.prefix(Self.outputBytesMax - kept.count))
    }
}
