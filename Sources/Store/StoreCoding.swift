// How do verdicts and intents look at rest? As compact JSON, the same in the state file and in
// Redis, readable with redis-cli. docs/STATE.md describes every key.

import Health
import Vocabulary

extension VerdictKey {
    /// `web|127.0.0.1:9001|http`. A `|` or `%` in a name is written as in a URL.
    var field: String {
        [upstream, peer, monitor].map(Field.escape).joined(separator: "|")
    }

    init?(field: String) {
        let parts = Field.split(field)
        guard parts.count == 3 else { return nil }
        self.init(upstream: parts[0], peer: parts[1], monitor: parts[2])
    }
}

extension PeerKey {
    /// `web|127.0.0.1:9001`.
    var field: String { [upstream, peer].map(Field.escape).joined(separator: "|") }

    init?(field: String) {
        let parts = Field.split(field)
        guard parts.count == 2 else { return nil }
        self.init(upstream: parts[0], peer: parts[1])
    }
}

private enum Field {
    static func escape(_ name: String) -> String {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "|") || $0 == UInt8(ascii: "%") })
        else { return name }
        var escaped = ""
        for character in name.unicodeScalars {
            switch character {
            case "|": escaped += "%7C"
            case "%": escaped += "%25"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    static func split(_ field: String) -> [String] {
        // By bytes: a name that begins with an accent makes one letter of it and the `|`.
        field.utf8.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false)
            .map { unescape($0) }
    }

    private static func unescape(_ part: Substring.UTF8View) -> String {
        var bytes: [UInt8] = []
        var rest = Array(part)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.starts(with: "7C".utf8) {
                bytes.append(UInt8(ascii: "|"))
                rest = rest.dropFirst(2)
            } else if byte == UInt8(ascii: "%"), rest.starts(with: "25".utf8) {
                bytes.append(UInt8(ascii: "%"))
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Verdict {
    /// Without its key, which is the field's name.
    var json: JSON {
        JSON.object([
            .init("status", .string(status.rawValue)),
            .init("degraded", isDegraded ? .bool(true) : .null),
            .init("health", JSON(health)),
            .init("rise", JSON(rise)),
            .init("fall", JSON(fall)),
            .init("kind", .string(kind)),
            .init("reason", .string(reason.rawValue)),
            .init("code", JSON(code)),
            .init("message", message.isEmpty ? .null : .string(message)),
            .init("latency_us", .integer(latency.count / 1_000)),
            .init("weight_percent", JSON(hints.weightPercent)),
            .init("max_connections", JSON(hints.maxConnections)),
            .init("admin", JSON(hints.admin?.rawValue)),
            .init(
                "down_addresses",
                // One string, which the script in Redis can compare.
                downAddresses.isEmpty
                    ? .null : .string(downAddresses.joined(separator: " "))
            ),
            .init("since", .integer(since.milliseconds)),
            .init("checked_at", .integer(checkedAt.milliseconds)),
            .init("expires_at", .integer(expiresAt.milliseconds)),
            .init("agent", .string(agent)),
            .init("epoch", .integer(Int64(clamping: epoch))),
            .init("sequence", .integer(Int64(clamping: sequence))),
        ]).withoutNulls()
    }

    /// Nil where something is missing, of the wrong type or not to be believed: another version of
    /// muster, or another program, wrote it.
    init?(key: VerdictKey, json: JSON) {
        guard let status = json["status"]?.string.flatMap(HealthCounter.Status.init(rawValue:)),
            let health = json["health"]?.int,
            let rise = json["rise"]?.int,
            let fall = json["fall"]?.int,
            let kind = json["kind"]?.string,
            let reason = json["reason"]?.string.flatMap(Reason.init(rawValue:)),
            let latency = json["latency_us"]?.integer,
            let since = json["since"]?.integer,
            let checkedAt = json["checked_at"]?.integer,
            let expiresAt = json["expires_at"]?.integer,
            let agent = json["agent"]?.string,
            let epoch = json["epoch"]?.integer.flatMap(UInt64.init(exactly:)),
            let sequence = json["sequence"]?.integer.flatMap(UInt64.init(exactly:)),
            [key.upstream, key.peer, key.monitor, kind, agent].allSatisfy(Believable.isName),
            Believable.isCount(status, health: health, rise: rise, fall: fall),
            Believable.isOrder(epoch: epoch, sequence: sequence)
        else { return nil }
        self.init(
            key: key,
            kind: kind,
            status: status,
            isDegraded: json["degraded"]?.bool ?? false,
            health: health,
            rise: rise,
            fall: fall,
            reason: reason,
            code: json["code"]?.int,
            message: Believable.message(json["message"]?.string ?? ""),
            latency: Believable.latency(microseconds: latency),
            hints: Hints(
                weightPercent: json["weight_percent"]?.int.map {
                    min(max($0, 0), PeerHealth.weightPercentMax)
                },
                maxConnections: json["max_connections"]?.int.map { max($0, 0) },
                admin: json["admin"]?.string.flatMap(Hints.Admin.init(rawValue:))
            ),
            downAddresses: Believable.addresses(json["down_addresses"]?.string ?? ""),
            since: Believable.time(since),
            checkedAt: Believable.time(checkedAt),
            expiresAt: Believable.time(expiresAt),
            agent: agent,
            epoch: epoch,
            sequence: sequence
        )
    }

    /// Says the same as `other`, only later: nobody needs to be woken for it.
    func renews(_ other: Verdict) -> Bool {
        var other = other
        other.checkedAt = checkedAt
        other.expiresAt = expiresAt
        other.latency = latency
        other.sequence = sequence
        return self == other
    }
}
