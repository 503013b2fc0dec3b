// Where do log lines go, and in which shape? To standard error, one line each: text for people, JSON
// for machines.

import Glibc
import Logging
import Settings
import Vocabulary

enum Log {
    static func make(_ configuration: LogConfiguration) -> Logger {
        let format = configuration.format
        var logger = Logger(label: "muster") { _ in LineHandler(format: format) }
        logger.logLevel = level(configuration.level)
        return logger
    }

    /// What everything below the command line writes to.
    static func journal(_ logger: Logger, _ configuration: LogConfiguration) -> Journal {
        Journal(from: least(configuration.level)) { level, text in
            logger.log(level: Self.level(level), "\(text)")
        }
    }

    private static func level(_ level: LogConfiguration.Level) -> Logger.Level {
        Logger.Level(rawValue: level.rawValue) ?? .info
    }

    private static func level(_ level: Journal.Level) -> Logger.Level {
        Logger.Level(rawValue: level.rawValue) ?? .info
    }

    private static func least(_ level: LogConfiguration.Level) -> Journal.Level {
        switch level {
        case .trace, .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error, .critical: .error
        }
    }
}

/// One `write` a line: lines of several threads never mix.
private struct LineHandler: LogHandler {
    let format: LogConfiguration.Format
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let now = WallTime(
            milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        )
        Console.error(line(event, at: now))
    }

    private func line(_ event: LogEvent, at now: WallTime) -> String {
        switch format {
        case .text:
            var text = "\(now) \(event.level.rawValue) \(event.message)"
            for (key, value) in event.metadata ?? [:] { text += " \(key)=\(value)" }
            return text
        case .json:
            var members: [JSON.Member] = [
                .init("time", .string(now.description)),
                .init("level", .string(event.level.rawValue)),
                .init("message", .string(event.message.description)),
            ]
            for (key, value) in event.metadata ?? [:] {
                members.append(.init(key, .string(value.description)))
            }
            return JSON.object(members).text
        }
    }
}
