// When does it end? After a time (`10m`), at a time of day (`18:00`), or at a moment (RFC 3339). A person
// says it as it suits; muster is told how long from now, or which moment.

import ArgumentParser
import Glibc
import Vocabulary

enum EndTime {
    static let help = ArgumentHelp(
        "Ends by itself after this time, or then: 10m, 18:00, 2026-12-24T18:00:00Z.",
        valueName: "time"
    )

    /// For commands, which run no loop that could be asked.
    static var now: WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(
            milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
        )
    }

    /// What `until` of the API takes.
    static func text(of words: String) throws -> String {
        guard let text = text(of: words, at: now) else {
            throw ValidationError(
                "--until: expected a duration such as 10m, a time of day to come such as 18:00, or a "
                    + "moment to come such as 2026-12-24T18:00:00Z, saw '\(words.printable)'"
            )
        }
        return text
    }

    /// Nil when it is no time, or one that has passed.
    static func text(of words: String, at now: WallTime) -> String? {
        if Nanoseconds(text: words) != nil { return words }
        guard let end = dayTime(words, after: now) ?? WallTime(rfc3339: words), end > now else {
            return nil
        }
        // The moment itself: a time from now would be a moment later for each millisecond on the way.
        return "\(end)"
    }

    /// Today or tomorrow, as the clock on the wall here shows it.
    private static func dayTime(_ words: String, after now: WallTime) -> WallTime? {
        let parts = words.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.count <= 2 && !$0.isEmpty }),
            let hour = Int32(parts[0]), let minute = Int32(parts[1]),
            (0...23).contains(hour), (0...59).contains(minute)
        else { return nil }
        var seconds = time_t(now.milliseconds / 1_000)
        var local = tm()
        localtime_r(&seconds, &local)
        for day in 0...1 {
            var end = local
            end.tm_mday += Int32(day)
            (end.tm_hour, end.tm_min, end.tm_sec) = (hour, minute, 0)
            end.tm_isdst = -1
            let found = WallTime(milliseconds: Int64(mktime(&end)) * 1_000)
            if found > now { return found }
        }
        return nil
    }
}
