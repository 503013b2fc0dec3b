// Which records of the ledger are whose? The numbers stay what they are for ever: they are in files.

import Health
import Ledger
import Vocabulary

enum RecordKind {
    static let intent: UInt8 = 1
    static let event: UInt8 = 2
    static let eventMark: UInt8 = 3
}

extension TransitionEvent {
    var record: LedgerRecord { LedgerRecord(kind: RecordKind.event, bytes: json.bytes) }

    private var json: JSON {
        .object([
            .init("id", .integer(Int64(clamping: id))),
            .init("at", .integer(at.milliseconds)),
            .init("peer", .string(peer.field)),
            .init("from", .string(from.rawValue)),
            .init("to", .string(to.rawValue)),
            .init("reason", .string(reason)),
        ])
    }

    init?(json: JSON) {
        guard let id = json["id"]?.integer, id > 0,
            let at = json["at"]?.integer.flatMap(Believable.stamp),
            let peer = json["peer"]?.string.flatMap(PeerKey.init(field:)),
            let from = json["from"]?.string.flatMap(PeerStatus.init(rawValue:)),
            let to = json["to"]?.string.flatMap(PeerStatus.init(rawValue:))
        else { return nil }
        self.init(
            id: UInt64(id),
            at: at,
            peer: peer,
            from: from,
            to: to,
            reason: json["reason"]?.string ?? ""
        )
    }
}
