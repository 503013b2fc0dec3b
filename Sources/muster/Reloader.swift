// How is the configuration read again while muster runs? Read and checked whole first; a mistake
// anywhere leaves everything as it is. One attempt at a time, whoever asks.

import Admin
import EventLoop
import Monitor
import Settings
import Vocabulary

/// Reads the file again and brings the engine there.
actor Reloader {
    private let path: String
    private let engine: LoopBound<Engine>
    private let journal: Journal
    private var last: Task<ReloadAnswer, Never>?

    init(_ path: String, engine: LoopBound<Engine>, journal: Journal) {
        self.path = path
        self.engine = engine
        self.journal = journal
    }

    func reload() async -> ReloadAnswer {
        let before = last
        let task = Task { [path, engine, journal] in
            _ = await before?.value
            let answer = await Self.attempt(path, engine)
            Self.tell(answer, in: journal)
            return answer
        }
        last = task
        return await task.value
    }

    private static func attempt(_ path: String, _ engine: LoopBound<Engine>) async -> ReloadAnswer {
        let configuration: MusterConfiguration
        do throws(ConfigurationError) {
            configuration = try MusterConfiguration.load(path)
        } catch {
            return .refused(error.mistakes.map { "\($0)" })
        }
        let (old, intents, now) = await engine.call {
            ($0.configuration, $0.board.everyIntent, $0.loop.wall)
        }
        // More likely a file that is half written than a wish: whoever wants nothing stops muster.
        if configuration.upstreams.isEmpty, !old.upstreams.isEmpty {
            return .refused([
                "\(path): expected at least one upstream while \(old.upstreams.count) are running, "
                    + "saw none"
            ])
        }
        let outcome = await Task(executorPreference: engine.loop) {
            do {
                return try await engine.value.reload(configuration)
            } catch {
                return Engine.Reloaded.refused(["\(error)"])
            }
        }.value
        let changes: [CatalogueChange]
        switch outcome {
        case .done(let done): changes = done
        case .refused(let problems): return .refused(problems)
        }
        let difference = ConfigurationDifference(changes, from: old, to: configuration)
        let left = LeftIntents(intents, changes, from: old, now: now)
        let foresight = Sufficiency.warnings(
            of: configuration,
            within: DescriptorBudget.ofThisProcess()
        )
        let warnings = (left.lines + configuration.warnings.map(\.description) + foresight)
            .map { "warning: \($0)" }
        return .done(changes: difference.changes, later: difference.later + warnings)
    }

    private static func tell(_ answer: ReloadAnswer, in journal: Journal) {
        switch answer {
        case .done(let changes, let later):
            let what = changes.isEmpty ? "nothing has changed" : changes.joined(separator: "; ")
            journal.notice("reloaded: \(what)", [.event("reload"), .count(changes.count)])
            for line in later { journal.warning("reloaded: \(line)", [.event("reload-later")]) }
        case .refused(let mistakes):
            for mistake in mistakes {
                journal.error("not reloaded: \(mistake)", [.event("reload-refused")])
            }
        }
    }
}
