// Which configuration runs, since when, and was a newer one refused? The line in the log goes by; this
// stays until the file can be used.

public import Vocabulary

/// Confined to the control loop.
public final class ConfigurationRecord {
    /// A file that has mistakes, while the one before runs on.
    public struct Refusal: Hashable, Sendable {
        public var at: WallTime
        /// One line each; never none.
        public var mistakes: [String]
    }

    public struct Status: Hashable, Sendable {
        public var file: String
        /// When what runs was read.
        public var loadedAt: WallTime
        public var refusal: Refusal?
        /// What is otherwise in the file and only a start can change, and since when that is known; none
        /// where a start would change nothing.
        public var waiting: [String] = []
        public var waitingSince: WallTime?

        public init(file: String, loadedAt: WallTime, refusal: Refusal? = nil) {
            self.file = file
            self.loadedAt = loadedAt
            self.refusal = refusal
        }
    }

    public private(set) var status: Status

    public init(file: String, loadedAt: WallTime) {
        status = Status(file: file, loadedAt: loadedAt)
    }

    /// An attempt to read the file again came to this.
    public func note(_ answer: ReloadAnswer, at now: WallTime) {
        switch answer {
        case .done(_, let later, _):
            status.loadedAt = now
            status.refusal = nil
            status.waiting = later
            status.waitingSince = later.isEmpty ? nil : status.waitingSince ?? now
        case .refused(let mistakes):
            let mistakes = mistakes.isEmpty ? ["no reason was given"] : mistakes
            status.refusal = Refusal(at: now, mistakes: mistakes)
        }
    }
}

extension ConfigurationRecord.Status {
    var json: JSON {
        .object([
            .init("file", .string(file.printable)),
            .init("loaded_at", .string(loadedAt.description)),
            .init("refused_at", JSON(refusal?.at.description)),
            .init("mistakes", .integer(Int64(refusal?.mistakes.count ?? 0))),
            .init("mistake", JSON(refusal?.mistakes.first?.printable)),
            .init("restart_due_since", JSON(waitingSince?.description)),
            .init("waiting", .array(waiting.map { .string($0.printable) })),
        ])
    }
}
