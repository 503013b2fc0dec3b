// In which state of the store did one accept what one knows? What a process finds missing after its start was lifted
// only where it reads that state, or what followed from it; where another one lies there, or an older one, it was lost.

import Health
import Vocabulary

/// What readings before told of the store, as it is kept beside what was read.
struct StoreOrigin: Hashable, Sendable {
    /// The name that the state was given when it was made.
    var id: String
    var revision: UInt64
    /// Which life of which server it was; nil where that may not be asked.
    var server: String?
    /// Of each hash of orders that is whole, by its collection.
    var marks: [String: String]
}

extension StoreOrigin {
    static let member = "store"

    var json: JSON {
        JSON.object([
            .init("id", .string(id)), .init("revision", .string("\(revision)")),
            .init("server", JSON(server)),
            .init(
                "marks",
                .object(
                    marks.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) }
                )
            ),
        ]).withoutNulls()
    }

    /// Nil where it is none, or was noted at a time from which nobody remembers what was lifted since.
    init?(_ json: JSON?, notedAt time: WallTime?, now: WallTime) {
        guard let json, let id = json["id"]?.string, Believable.isName(id),
            let revision = json["revision"]?.string.flatMap(UInt64.init),
            let time, now - time < Retention.span
        else { return nil }
        self.init(
            id: id,
            revision: revision,
            server: json["server"]?.string.flatMap { Believable.isName($0) ? $0 : nil },
            marks: [:]
        )
        for member in json["marks"]?.members ?? [] {
            guard let text = member.value.string, Believable.isName(text) else { continue }
            marks[member.key] = text
        }
    }
}

extension RedisStore {
    /// What a start finds is compared with that.
    func remember(_ origin: StoreOrigin?) {
        self.origin = origin
        guard let origin else { return }
        (storeID, revision, serverRead) = (origin.id, origin.revision, origin.server)
        for side in counted { side.remember(mark: origin.marks[side.sort.collection] ?? "") }
    }

    /// As it is kept with what is known now. What the store has still to be told of it does not know yet: until then it is
    /// another state than that in which this was accepted.
    func noteOrigin() -> StoreOrigin? {
        guard hasRead, let storeID, counted.allSatisfy({ $0.orderCount == 0 }) else {
            return origin
        }
        var marks: [String: String] = [:]
        for side in counted { marks[side.sort.collection] = side.mark }
        origin = StoreOrigin(
            id: storeID,
            revision: max(revision, revisionWritten),
            server: serverRead,
            marks: marks
        )
        return origin
    }

    /// Everything was read once more: what is kept says so soon.
    func noteRead() {
        hasRead = true
        var before = origin
        let after = noteOrigin()
        before?.revision = after?.revision ?? revision
        if after != before { touchFile(within: StateFile.renewalDelay) }
    }
}
