// Which peers did the last process of this agent have in drain or maint? HAProxy keeps those words
// over our restart; if one of them was lifted meanwhile, somebody must still say `ready`. One small
// JSON file remembers: `{"format":1,"asked":{"web/10.0.0.1:8080":"drain"}}`.
//
// Losing the file costs that `ready` and nothing else, so it is replaced whole and never waited for.

import EventLoop
import Health
import Vocabulary

/// Confined to its loop's thread; files are written on a thread of their own.
final class AdminMemory {
    private let path: String
    private let journal: Journal
    private var writer: EventLoop?
    private var held: [String: Intent.Mode]?

    private static let format: Int64 = 1
    /// Beyond this the rest is forgotten: nobody drains so many by hand.
    static let peersMax = 10_000
    private static let bytesMax = 8 << 20

    init(path: String, journal: Journal) {
        self.path = path
        self.journal = journal
    }

    /// Empty where there is no file, or none that can be read.
    func load() -> [String: Intent.Mode] {
        do throws(WholeFile.Problem) {
            guard let bytes = try WholeFile.read(path, atMost: Self.bytesMax) else { return [:] }
            let json = try? JSON(parsing: bytes, limits: JSONLimits(bytes: Self.bytesMax))
            guard let json, json["format"]?.integer == Self.format,
                let members = json["asked"]?.members
            else {
                journal.warning(
                    "agent-check: \(path) cannot be used, starting without it",
                    [.event("memory-file"), .file(path)]
                )
                return [:]
            }
            var asked: [String: Intent.Mode] = [:]
            for member in members.prefix(Self.peersMax) {
                asked[member.key] = member.value.string.flatMap(Intent.Mode.init(rawValue:))
            }
            held = asked
            return asked
        } catch {
            journal.warning(
                "agent-check: \(path) cannot be read: \(error)",
                [.event("memory-file"), .file(path)]
            )
            return [:]
        }
    }

    /// Writes what changed, soon.
    func keep(_ asked: [String: Intent.Mode]) {
        guard asked != held else { return }
        held = asked
        do throws(SystemError) {
            if writer == nil { writer = try EventLoop.spawn(name: "agent-memory") }
        } catch {
            journal.warning(
                "agent-check: \(path) cannot be written: \(error)",
                [.event("memory-file"), .file(path)]
            )
            return
        }
        let bytes = Self.bytes(of: asked)
        writer?.execute { [path, journal] in
            do throws(WholeFile.Problem) {
                try WholeFile.replace(path, with: bytes)
            } catch {
                journal.warning(
                    "agent-check: \(path) cannot be written: \(error)",
                    [.event("memory-file"), .file(path)]
                )
            }
        }
    }

    /// Ends the writing thread once it has written everything.
    func close() {
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
