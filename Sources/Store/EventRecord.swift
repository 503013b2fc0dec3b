// How does an event look in the ledger? As JSON, readable with `strings`.

import Health
import Ledger
import Vocabulary

extension TransitionEvent {
    var record: LedgerRecord { LedgerRecord(kind: LedgerKind.event, bytes: json.bytes) }

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
