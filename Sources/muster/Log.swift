// Where do log lines go, and in which shape? To standard error, one line each: text for people, JSON
// for machines. Whoever says something never waits: `LogWriter` writes.

import Glibc
import Logging
import Settings
import Vocabulary

/// The log of one run.
struct Log {
    let writer: LogWriter
    /// For the packages that log through swift-log.
    let logger: Logger
    /// What everything below the command line writes to.
    let journal: Journal

    init(
        _ configuration: LogConfiguration,
        agent: String? = nil,
        descriptor: Int32 = STDERR_FILENO
    ) {
        // Else a log whose reader is gone ends the process.
        signal(SIGPIPE, SIG_IGN)
        let writer = LogWriter(
            descriptor: descriptor,
            format: configuration.format,
            agent: agent
        )
        self.writer = writer
        var logger = Logger(label: "muster") { _ in LineHandler(writer: writer) }
        logger.logLevel = Logger.Level(rawValue: configuration.level.rawValue) ?? .info
        self.logger = logger
        journal = Journal(from: Self.least(configuration.level)) { line in writer.add(line) }
    }

    /// The configuration and the packages use swift-log's levels, which are more than ours.
    fileprivate static func least(_ level: LogConfiguration.Level) -> Journal.Level {
        switch level {
        case .trace, .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error, .critical: .error
        }
    }
}

/// What packages say, as lines like ours.
private struct LineHandler: LogHandler {
    let writer: LogWriter
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let fields =
            [.event("library")]
            + all.sorted { $0.key < $1.key }.map { key, value in
                Journal.Field(key, value.description, isForPeople: true)
            }
        let level = LogConfiguration.Level(rawValue: event.level.rawValue).map(Log.least)
        writer.add(Journal.Line(level ?? .error, event.message.description, fields))
    }
}
