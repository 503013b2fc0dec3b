// How does a test say what a probe finds? With a check that asks the test.

import Checks
import EventLoop
import Health
import Synchronization
import Vocabulary

/// Answers what `answer` says, at once or when the test lets it.
struct ScriptedCheck: Check {
    static let kind = "scripted"
    static let summary = "answers what a test wants"

    let script: Script

    init(_ script: Script) { self.script = script }

    init(options: inout Options) throws(SettingError) { script = Script { _ in .pass } }

    func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        await script.play(target)
    }
}

extension Outcome {
    static var pass: Outcome { Outcome(.pass, .layer7OK, code: 200) }
    static var refused: Outcome {
        Outcome(.fail, .layer4Connect, code: 111, message: "Connection refused")
    }
    static var unconnected: Outcome {
        Outcome(.fail, .layer4Timeout, message: "expected a connection within 500ms, saw no answer")
    }
    static var unanswered: Outcome {
        Outcome(.fail, .layer7Timeout, message: "expected an HTTP status within 500ms, saw nothing")
    }
    static var unresolved: Outcome { Outcome(.neutral, .resolver, message: "no such name") }
}

/// What a scripted check answers, and what it was asked.
final class Script: Sendable {
    private struct Guarded {
        var answer: @Sendable (Target) -> Outcome
        var asked: [Target] = []
        var running: [String: Int] = [:]
        var mostAtOnce: [String: Int] = [:]
        var mostInAll = 0
        var isHeld = false
        var held: [CheckedContinuation<Void, Never>] = []
    }
    private let guarded: Mutex<Guarded>

    init(_ answer: @escaping @Sendable (Target) -> Outcome) {
        guarded = Mutex(Guarded(answer: answer))
    }

    func set(_ answer: @escaping @Sendable (Target) -> Outcome) {
        guarded.withLock { $0.answer = answer }
    }

    /// From now on probes wait until they are released.
    func hold() { guarded.withLock { $0.isHeld = true } }

    /// Lets go of everyone who waits, and of those who come later.
    func release() {
        let held = guarded.withLock { guarded in
            guarded.isHeld = false
            defer { guarded.held = [] }
            return guarded.held
        }
        for continuation in held { continuation.resume() }
    }

    /// Lets go of the first who waits.
    func releaseOne() {
        guarded.withLock { $0.held.isEmpty ? nil : $0.held.removeFirst() }?.resume()
    }

    var asked: [Target] { guarded.withLock { $0.asked } }
    var waiting: Int { guarded.withLock { $0.held.count } }
    /// By address: how many probes are in flight.
    var running: [String: Int] { guarded.withLock { $0.running } }
    /// By address: how many probes were in flight at once at most.
    var mostAtOnce: [String: Int] { guarded.withLock { $0.mostAtOnce } }
    /// How many probes have ended.
    var ended: Int { guarded.withLock { $0.asked.count - $0.running.values.reduce(0, +) } }
    var mostInAll: Int { guarded.withLock { $0.mostInAll } }

    func play(_ target: Target) async -> Outcome {
        let address = "\(target.address)"
        guarded.withLock { guarded in
            guarded.asked.append(target)
            guarded.running[address, default: 0] += 1
            let now = guarded.running[address, default: 0]
            guarded.mostAtOnce[address] = max(now, guarded.mostAtOnce[address] ?? 0)
            guarded.mostInAll = max(guarded.mostInAll, guarded.running.values.reduce(0, +))
        }
        if guarded.withLock({ $0.isHeld }) {
            await withCheckedContinuation { continuation in
                let goesOn = guarded.withLock { guarded in
                    if guarded.isHeld { guarded.held.append(continuation) }
                    return !guarded.isHeld
                }
                if goesOn { continuation.resume() }
            }
        }
        return guarded.withLock { guarded in
            guarded.running[address, default: 1] -= 1
            return guarded.answer(target)
        }
    }
}
