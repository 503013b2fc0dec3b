// Which peers did the last process of this agent have in drain or maint? HAProxy keeps those words
// over our restart; if one of them was lifted meanwhile, somebody must still say `ready`. One small
// JSON file remembers: `{"format":1,"asked":{"web/10.0.0.1:8080":"drain"}}`.
//
// It is replaced whole and never waited for. A write that fails is told of and tried again; a file that
// makes no sense is moved aside, so that somebody can look at it.

import EventLoop
import Glibc
import Health
import Vocabulary

/// How the file is, for the API, the metrics and the log.
public struct MemoryFileStatus: Hashable, Sendable {
    public var path: String
    /// Why what was last asked for is not in it; nil while it is.
    public var error: String?

    public init(path: String, error: String? = nil) {
        self.path = path
        self.error = error
    }
}

/// Confined to its loop's thread; files are written on a thread of their own.
final class AdminMemory {
    private let path: String
    private let loop: EventLoop
    private let journal: Journal
    private var writer: EventLoop?
    /// What the file holds; nil where nobody knows.
    private var held: [String: Intent.Mode]?
    /// What is on its way into it.
    private var inFlight: [String: Intent.Mode]?
    /// Nil after a write that went well.
    private var nextTry: Instant?
    private let timers: Timers
    private var soon: Timers.Token?
    private(set) var status: MemoryFileStatus

    private static let format: Int64 = 1
    /// Beyond this the rest is forgotten: nobody drains so many by hand.
    static let peersMax = 10_000
    private static let bytesMax = 8 << 20
    /// What could not be written is tried again after this, as the state file is.
    static let tryAgainAfter = Nanoseconds.seconds(5)
    /// What is asked for is on its way to the disk so soon: a load balancer hears of it about then, and keeps it.
    static let soonAfter = Nanoseconds.milliseconds(20)

    init(path: String, loop: EventLoop, journal: Journal) {
        self.path = path
        self.loop = loop
        self.journal = journal
        timers = Timers(loop: loop)
        status = MemoryFileStatus(path: path)
    }

    // MARK: Reading

    private struct Damage: Error, CustomStringConvertible {
        var description: String
    }

    /// Empty where there is no file, or none that can be read.
    func load() -> [String: Intent.Mode] {
        let bytes: [UInt8]
        do throws(WholeFile.Problem) {
            guard let found = try WholeFile.read(path, atMost: Self.bytesMax) else { return [:] }
            bytes = found
        } catch {
            note(error: "cannot be read: \(error)", "starting without it")
            return [:]
        }
        do throws(Damage) {
            let (asked, leftOut) = try Self.parse(bytes)
            if leftOut > 0 {
                note("\(leftOut) of its entries make no sense and were left out", .warning)
            }
            held = asked
            return asked
        } catch {
            let aside = path + ".damaged"
            let isMoved = rename(path, aside) == 0
            note(
                "cannot be used: \(error); "
                    + (isMoved ? "moved to \(aside), " : "left where it is, ")
                    + "starting without it",
                .error
            )
            return [:]
        }
    }

    private static func parse(
        _ bytes: [UInt8]
    ) throws(Damage) -> (asked: [String: Intent.Mode], leftOut: Int) {
        let json: JSON
        do throws(JSONError) {
            json = try JSON(parsing: bytes, limits: JSONLimits(bytes: bytesMax))
        } catch {
            throw Damage(description: "\(error)")
        }
        guard json["format"]?.integer == format else {
            let saw = json["format"]?.text.printable ?? "none"
            throw Damage(description: "expected format \(format), saw \(saw)")
        }
        guard let members = json["asked"]?.members else {
            throw Damage(description: "expected a map 'asked', saw none")
        }
        var asked: [String: Intent.Mode] = [:]
        for member in members.prefix(peersMax) {
            asked[member.key] = member.value.string.flatMap(Intent.Mode.init(rawValue:))
        }
        return (asked, members.count - asked.count)
    }

    // MARK: Writing

    /// Something else is asked for: it is written in a moment, with what else changes until then.
    func keepSoon(_ asked: @escaping () -> [String: Intent.Mode]) {
        guard soon == nil else { return }
        soon = timers.schedule(after: Self.soonAfter) { [unowned self] in
            soon = nil
            if inFlight != nil { return keepSoon(asked) }
            keep(asked())
        }
    }

    /// Writes what changed; called about once a second.
    func keep(_ asked: [String: Intent.Mode]) {
        guard asked != held, inFlight == nil else { return }
        if let nextTry, loop.instant < nextTry { return }
        do throws(SystemError) {
            try write(asked)
        } catch {
            written(asked, "\(error)")
        }
    }

    private func write(_ asked: [String: Intent.Mode]) throws(SystemError) {
        let writer: EventLoop
        if let spawned = self.writer {
            writer = spawned
        } else {
            writer = try EventLoop.spawn(name: "agent-memory")
            self.writer = writer
        }
        inFlight = asked
        let bytes = Self.bytes(of: asked)
        let home = LoopBound(self, on: loop)
        writer.execute { [path, loop] in
            var error: String?
            do throws(WholeFile.Problem) {
                try WholeFile.replace(path, with: bytes)
            } catch let problem {
                error = "\(problem)"
            }
            let outcome = error
            loop.execute { home.value.written(asked, outcome) }
        }
    }

    private func written(_ asked: [String: Intent.Mode], _ error: String?) {
        inFlight = nil
        if let error {
            held = nil
            nextTry = loop.instant + Self.tryAgainAfter
            return note(error: "cannot be written: \(error)", "it is tried again")
        }
        held = asked
        nextTry = nil
        if status.error != nil { note("can be written again", .notice) }
        status.error = nil
    }

    /// Told once, not every five seconds for as long as the disk is full.
    private func note(error: String, _ rest: String) {
        if status.error != error { note("\(error); \(rest)", .error) }
        status.error = error
    }

    private func note(_ text: String, _ level: Journal.Level) {
        journal.log(
            level,
            "agent-check.memory-file \(path) \(text)",
            [.event("memory-file"), .file(path)]
        )
    }

    /// Brings this to the file at last, and ends the writing thread once it has written everything.
    func close(keeping asked: [String: Intent.Mode]) {
        timers.cancelAll()
        if asked != inFlight ?? held { try? write(asked) }
        writer?.stop()
        writer = nil
    }

    private static func bytes(of asked: [String: Intent.Mode]) -> [UInt8] {
        let members = asked.sorted { $0.key < $1.key }.prefix(peersMax)
            .map { JSON.Member($0.key, JSON($0.value.rawValue)) }
        return JSON.object([.init("format", .integer(format)), .init("asked", .object(members))])
            .bytes
    }
}
