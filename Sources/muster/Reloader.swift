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
            let (answer, warnings) = await Self.attempt(path, engine)
            await engine.call { $0.record.note(answer, at: $0.loop.wall) }
            Self.tell(answer, warnings, in: journal)
            return answer
        }
        last = task
        return await task.value
    }

    /// Worth a thought, each with its sort in the log.
    private typealias Warnings = [(event: String, text: String)]

    private static func emptiness(
        of new: MusterConfiguration,
        after old: MusterConfiguration
    ) -> String? {
        guard new.upstreams.isEmpty, new.sources.isEmpty else { return nil }
        if !old.upstreams.isEmpty {
            return
                "expected at least one upstream while \(old.upstreams.count) are running, saw none"
        }
        if !old.sources.isEmpty {
            return "expected at least one source while \(old.sources.count) are running, saw none"
        }
        return nil
    }

    private static func attempt(
        _ path: String,
        _ engine: LoopBound<Engine>
    ) async -> (ReloadAnswer, Warnings) {
        let configuration: MusterConfiguration
        do throws(ConfigurationError) {
            configuration = try MusterConfiguration.load(path)
        } catch {
            return (.refused(error.mistakes.map { "\($0)" }), [])
        }
        let (old, intents, now) = await engine.call {
            ($0.configuration, $0.board.everyIntent, $0.loop.wall)
        }
        // More likely a file that is half written than a wish: whoever wants nothing stops muster.
        if let mistake = Self.emptiness(of: configuration, after: old) {
            return (.refused(["\(path): \(mistake)"]), [])
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
        case .refused(let problems): return (.refused(problems), [])
        }
        let difference = ConfigurationDifference(changes, from: old, to: configuration)
        let remarks = await engine.call { $0.definitionRemarks }
        let left = LeftIntents(intents, changes, from: old, now: now)
        let foresight = Sufficiency.warnings(
            of: configuration,
            within: DescriptorBudget.ofThisProcess()
        )
        let certificate = CertificateWatch.foresight(of: configuration, at: now)
        let warnings: Warnings =
            (left.lines + remarks).map { ("reload-warning", $0) }
            + configuration.warnings.map { ("configuration", $0.description) }
            + foresight.map { ("descriptors", $0) } + certificate.map { ("certificate", $0) }
        let answer = ReloadAnswer.done(
            changes: difference.changes,
            later: difference.later,
            warnings: warnings.map(\.text)
        )
        return (answer, warnings)
    }

    private static func tell(
        _ answer: ReloadAnswer,
        _ warnings: Warnings,
        in journal: Journal
    ) {
        switch answer {
        case .done(let changes, let later, _):
            let what =
                !changes.isEmpty
                ? changes.joined(separator: "; ")
                : later.isEmpty
                    ? "nothing has changed" : "what has changed waits for the next start"
            journal.notice("reloaded: \(what)", [.event("reload"), .count(changes.count)])
            for line in later {
                journal.warning(
                    "reloaded, but not all: from the next start on: \(line)",
                    [.event("reload-later")]
                )
            }
            for (event, text) in warnings { journal.warning("\(text)", [.event(event)]) }
        case .refused(let mistakes):
            for mistake in mistakes {
                journal.error("not reloaded: \(mistake)", [.event("reload-refused")])
            }
        }
    }
}
