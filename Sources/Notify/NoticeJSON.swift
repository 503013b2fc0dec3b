// How does a notice look to a program? As JSON with the names of the API: on the standard input of a
// command, in the body of a webhook, and in the ledger.

import Health
public import Vocabulary

extension Notice {
    public var json: JSON {
        JSON.object([
            .init("kind", .string(kind.rawValue)),
            .init("upstream", .string(peer.upstream)),
            .init("peer", .string(peer.peer)),
            .init("from", .string(from.rawValue)),
            .init("to", .string(to.rawValue)),
            .init("time", .string(at.description)),
            .init("reason", .string(reason)),
            .init("lasted_ms", lasted.map { .integer($0.milliseconds) } ?? .null),
            .init("changes", changes > 0 ? .integer(Int64(changes)) : .null),
            .init("trouble", .bool(isTrouble)),
            .init("available", JSON(supply?.available)),
            .init("wanted", JSON(supply?.wanted)),
            .init("text", .string(line.printable)),
        ]).withoutNulls()
    }

    /// As the ledger keeps it.
    var kept: JSON {
        JSON.object([
            .init("id", .integer(Int64(clamping: id))),
            .init("kind", .string(kind.rawValue)),
            .init("upstream", .string(peer.upstream)),
            .init("peer", .string(peer.peer)),
            .init("from", .string(from.rawValue)),
            .init("to", .string(to.rawValue)),
            .init("at", .integer(at.milliseconds)),
            .init("reason", .string(reason)),
            .init("lasted", lasted.map { .integer($0.milliseconds) } ?? .null),
            .init("changes", changes > 0 ? .integer(Int64(changes)) : .null),
            .init("trouble", .bool(isTrouble)),
            .init("available", JSON(supply?.available)),
            .init("wanted", JSON(supply?.wanted)),
        ]).withoutNulls()
    }

    init?(kept json: JSON) {
        guard let id = json["id"]?.integer, id >= 0,
            let kind = json["kind"]?.string.flatMap(Kind.init(rawValue:)),
            let upstream = json["upstream"]?.string, let peer = json["peer"]?.string,
            let from = json["from"]?.string.flatMap(PeerStatus.init(rawValue:)),
            let to = json["to"]?.string.flatMap(PeerStatus.init(rawValue:)),
            let at = json["at"]?.integer, let isTrouble = json["trouble"]?.bool
        else { return nil }
        self.init(
            id: UInt64(id),
            kind: kind,
            peer: PeerKey(upstream: upstream, peer: peer),
            from: from,
            to: to,
            at: WallTime(clamping: at),
            reason: json["reason"]?.string ?? "",
            isTrouble: isTrouble
        )
        lasted = json["lasted"]?.integer.map { .milliseconds($0) }
        changes = json["changes"]?.int ?? 0
        if let available = json["available"]?.int, let wanted = json["wanted"]?.int {
            supply = Supply(available: available, wanted: wanted)
        }
    }
}

extension Herald.Turns {
    /// As the ledger keeps it.
    var kept: JSON {
        JSON.object([
            .init("upstream", .string(peer.upstream)),
            .init("peer", .string(peer.peer)),
            .init("status", .string(status.rawValue)),
            .init("since", .integer(since.milliseconds)),
            .init("reason", .string(reason)),
            .init("trouble", .bool(isTrouble)),
            .init("times", .array(times.map { .integer($0.milliseconds) })),
            .init("count", JSON(flapping?.count)),
            .init("last", flapping.map { .integer($0.last.milliseconds) } ?? .null),
        ]).withoutNulls()
    }

    init?(kept json: JSON) {
        guard let upstream = json["upstream"]?.string, let peer = json["peer"]?.string,
            let status = json["status"]?.string.flatMap(PeerStatus.init(rawValue:)),
            let since = json["since"]?.integer, let isTrouble = json["trouble"]?.bool,
            let times = json["times"]?.items
        else { return nil }
        self.init(
            peer: PeerKey(upstream: upstream, peer: peer),
            status: status,
            since: WallTime(clamping: since),
            reason: json["reason"]?.string ?? "",
            isTrouble: isTrouble,
            times: times.prefix(Herald.turnsMax).compactMap {
                $0.integer.map { WallTime(clamping: $0) }
            }
        )
        if let count = json["count"]?.int, let last = json["last"]?.integer {
            flapping = ComingAndGoing(count: max(count, 0), last: WallTime(clamping: last))
        }
    }
}

extension Batch {
    public var json: JSON {
        .object([
            .init("receiver", .string(receiver)),
            .init("agent", .string(agent)),
            .init("summary", .string(summary)),
            .init("left_out", JSON(leftOut)),
            .init("troubled", JSON(troubled)),
            .init("notices", .array(notices.map(\.json))),
        ])
    }
}
