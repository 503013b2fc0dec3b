// How does muster talk with a service? A process group of its own on three pipes: questions go in as
// it takes them, answers come out line by line, and what it says on its standard error goes to the
// journal. What all of it means is for `ServiceRules` to say.

import EventLoop
import Glibc
import Health
import Plugins
import Vocabulary

/// What a service said to one probe.
struct ServiceReply: Sendable {
    var outcome: Outcome
    /// Empty where there was none.
    var line: [UInt8]
}

/// One service with the process that runs it now. Confined to its loop.
final class ServiceProcess: EventSink {
    /// Reads before the rest of the loop gets its turn.
    private static let readsInARowMax = 4
    private static let readBytes = 16_384
    private static let errorLineBytesMax = 1_024

    private enum Tag: Int { case input, output, errors, end, time, rest }

    private let command: ServiceCommand
    private let label: String
    private let loop: EventLoop
    private let journal: Journal
    /// Called once, when it is stopped and its process reaped.
    private let onStopped: () -> Void

    private var rules: ServiceRules
    private var quota = JournalQuota()
    private var waiters: [Int: UnsafeContinuation<ServiceReply, Never>] = [:]

    private var pid: pid_t?
    private var handles: [Tag: Handle] = [:]
    private var timer = TimerID.none
    private var timerAt = Instant.distantFuture
    private var turn = TimerID.none
    private var answers = LineCutter(lineBytesMax: ServiceAnswer.lineBytesMax)
    private var complaints = LineCutter(lineBytesMax: errorLineBytesMax)
    private var lastWords = ""
    private var buffer = [UInt8](repeating: 0, count: readBytes)

    /// Questions that are not written yet, the first of them perhaps in part.
    private var queue: [(id: Int, line: [UInt8])] = []
    private var queueHead = 0
    private var written = 0
    private var queued: Int { queue.count - queueHead }

    init(
        _ command: ServiceCommand,
        on loop: EventLoop,
        limits: ServiceLimits,
        journal: Journal,
        onStopped: @escaping () -> Void
    ) {
        self.command = command
        label = command.label
        self.loop = loop
        self.journal = journal
        self.onStopped = onStopped
        rules = ServiceRules(limits: limits)
        // A write to a pipe whose reader is gone raises it.
        _ = Self.brokenPipesAreErrors
    }

    deinit { assert(handles.isEmpty && timer.isNone, "a service must be stopped") }

    private static let brokenPipesAreErrors: Bool = {
        signal(SIGPIPE, SIG_IGN)
        return true
    }()

    // MARK: From outside

    /// Asks for a probe that began at `begin`, and waits for the answer until `deadline`. `question`
    /// makes the line of a number.
    func ask(
        by deadline: Instant,
        since begin: Instant,
        _ question: (Int) -> [UInt8]
    ) async -> ServiceReply {
        await withUnsafeContinuation { waiter in
            // All of it in one step: on the way here another probe may have had its turn.
            let (id, effects) = rules.ask(
                by: deadline,
                since: begin,
                queued: queued,
                now: loop.instant
            )
            waiters[id] = waiter
            perform(effects)
            if rules.isOpen(id) {
                queue.append((id, question(id)))
                flush()
            }
            arm()
        }
    }

    func stop() {
        if rules.isStopped { return }
        perform(rules.stop(now: loop.instant))
        arm()
        concludeIfStopped()
    }

    // MARK: Events

    override func ready(_ readiness: Readiness, tag: Int) {
        switch Tag(rawValue: tag) {
        case .input:
            flush()
        case .output:
            drainOutput()
        case .errors:
            drainErrors()
        case .end:
            concludeProcess()
        default: break
        }
        arm()
        concludeIfStopped()
    }

    override func due(tag: Int) {
        if tag == Tag.rest.rawValue {
            turn = .none
            drainOutput()
            drainErrors()
        } else {
            timer = .none
            timerAt = .distantFuture
            perform(rules.due(now: loop.instant))
        }
        arm()
        concludeIfStopped()
    }

    /// A timer that is early is left alone: it only looks, and a probe a millisecond would move it
    /// every time.
    private func arm() {
        guard let next = rules.next else {
            loop.cancel(timer)
            timer = .none
            timerAt = .distantFuture
            return
        }
        if timer.isNone {
            timer = loop.schedule(at: next, sink: self, tag: Tag.time.rawValue)
        } else if next < timerAt {
            loop.move(timer, to: next)
        } else {
            return
        }
        timerAt = next
    }

    private func concludeIfStopped() {
        guard rules.isStopped, pid == nil, handles.isEmpty else { return }
        onStopped()
    }

    // MARK: Effects

    private func perform(_ effects: [ServiceRules.Effect], line: [UInt8] = []) {
        for effect in effects {
            switch effect {
            case .start: start()
            case .settle(let id, let outcome):
                waiters.removeValue(forKey: id)?
                    .resume(returning: ServiceReply(outcome: outcome, line: line))
            case .endInput: close(.input)
            case .terminate: if let pid { Glibc.kill(-pid, SIGTERM) }
            case .kill: if let pid { Glibc.kill(-pid, SIGKILL) }
            case .say(let text): say(.warning, text)
            }
        }
    }

    private func say(_ level: Journal.Level, _ text: String) {
        guard case .say(let leftOut) = quota.ask(now: loop.instant) else { return }
        if leftOut > 0 {
            journal.log(level, "service \(label): \(leftOut) lines left out", [.event("service")])
        }
        journal.log(level, "service \(label): \(text)", [.event("service")])
    }

    private func start() {
        assert(pid == nil)
        do throws(SystemError) {
            try launch()
            rules.started(now: loop.instant)
            say(.info, "is started")
        } catch {
            perform(rules.couldNotStart("\(error)", now: loop.instant))
        }
    }

    private func launch() throws(SystemError) {
        let input = try Pipe(ours: .write)
        let output = try Pipe()
        let errors = try Pipe()
        let pid = try Program.start(
            [CommandCheck.find(command.words.first ?? "")] + command.words.dropFirst(),
            environment: command.environment,
            input: input.read.raw,
            output: output.write.raw,
            errors: errors.write.raw
        )
        do throws(SystemError) {
            handles[.end] = try watch(try Descriptor.watching(child: pid), .end)
            handles[.input] = try watch(input.takeWrite(), .input)
            handles[.output] = try watch(output.takeRead(), .output)
            handles[.errors] = try watch(errors.takeRead(), .errors)
        } catch {
            for tag in handles.keys { close(tag) }
            kill(-pid, SIGKILL)
            _ = Program.reap(pid)
            throw error
        }
        self.pid = pid
        lastWords = ""
        answers = LineCutter(lineBytesMax: ServiceAnswer.lineBytesMax)
        complaints = LineCutter(lineBytesMax: Self.errorLineBytesMax)
    }

    private func watch(
        _ descriptor: consuming Descriptor,
        _ tag: Tag
    ) throws(SystemError) -> Handle {
        try loop.register(descriptor, sink: self, tag: tag.rawValue)
    }

    private func close(_ tag: Tag) {
        guard let handle = handles.removeValue(forKey: tag) else { return }
        loop.close(handle)
        if tag == .input {
            queue = []
            queueHead = 0
            written = 0
        }
    }

    /// The process has ended: what it said last still counts.
    private func concludeProcess() {
        guard let pid else { return }
        drainOutput()
        if let piece = answers.finish() { hear(piece) }
        drainErrors()
        if let piece = complaints.finish() { complain(piece) }
        // Still unreaped, so its group's number cannot belong to anybody else.
        kill(-pid, SIGKILL)
        let end = Program.reap(pid)
        self.pid = nil
        for tag in handles.keys { close(tag) }
        loop.cancel(turn)
        turn = .none
        perform(rules.ended(end, words: lastWords, now: loop.instant))
    }

    // MARK: Questions

    private func flush() {
        while let handle = handles[.input], queueHead < queue.count {
            let (id, line) = queue[queueHead]
            // Whoever asked is gone; half a line has to be finished all the same.
            if written > 0 || rules.isOpen(id) {
                let count = line.withUnsafeBytes {
                    write(
                        handle.descriptor,
                        $0.baseAddress.map { $0 + written },
                        $0.count - written
                    )
                }
                if count < 0 {
                    if errno == EINTR { continue }
                    if errno == EAGAIN { return }
                    close(.input)
                    return perform(rules.closed("input", now: loop.instant))
                }
                written += count
                if written < line.count { continue }
                rules.sent(id)
            }
            written = 0
            queueHead += 1
            if queueHead == queue.count {
                queue.removeAll(keepingCapacity: true)
                queueHead = 0
            }
        }
    }

    // MARK: Answers

    private func drainOutput() {
        drain(.output) { process, bytes in
            for piece in process.answers.add(bytes) { process.hear(piece) }
        }
    }

    private func drainErrors() {
        drain(.errors) { process, bytes in
            for piece in process.complaints.add(bytes) { process.complain(piece) }
        }
    }

    private func drain(_ tag: Tag, _ body: (ServiceProcess, ArraySlice<UInt8>) -> Void) {
        for _ in 0..<Self.readsInARowMax {
            guard let handle = handles[tag] else { return }
            let count = read(handle.descriptor, &buffer, buffer.count)
            if count > 0 {
                body(self, buffer[..<count])
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN {
                return
            } else {
                close(tag)
                if tag == .output { perform(rules.closed("output", now: loop.instant)) }
                return
            }
        }
        // There may be more, and no further edge will say so.
        if turn.isNone { turn = loop.schedule(at: loop.now, sink: self, tag: Tag.rest.rawValue) }
    }

    private func hear(_ piece: LineCutter.Piece) {
        var line: [UInt8] = []
        if case .line(let bytes) = piece { line = bytes }
        perform(rules.heard(piece, now: loop.instant), line: line)
    }

    private func complain(_ piece: LineCutter.Piece) {
        switch piece {
        case .tooLong: say(.notice, "a line of more than \(Self.errorLineBytesMax) bytes")
        case .line(let bytes):
            var text = ""
            for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
                text.unicodeScalars.append(
                    scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar
                )
            }
            lastWords = text
            say(.notice, text)
        }
    }
}
