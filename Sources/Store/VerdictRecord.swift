// How is a verdict kept? As compact JSON, the same in the state file and in Redis, readable with redis-cli:
// docs/STATE.md describes every member. One agent at a time speaks for a pair.

public import Health
public import Vocabulary

extension Verdict: FencedRecord {
    /// `renews` says the same of the value itself.
    static let silent = ["latency_us", "checked_at", "expires_at", "sequence"]

    /// What a script compares has to be no list and no object: it compares references of those.
    public static let sort = RecordSort(
        name: "verdict",
        collection: "verdicts",
        names: "pair",
        rule: .fenced(silent: silent, about: ["address", "kind", "check"])
    )

    public mutating func renew(at time: WallTime, for life: Nanoseconds) {
        checkedAt = time
        expiresAt = time + life
    }

    public mutating func loseOrder() { (epoch, sequence) = (0, 0) }

    public static func read(_ json: JSON, of key: VerdictKey) -> Verdict? {
        Verdict(key: key, json: json)
    }
}

extension Verdict: StoreChange {}

extension Verdict {
    public var json: JSON {
        JSON.object([
            .init("status", .string(status.rawValue)),
            .init("degraded", isDegraded ? .bool(true) : .null),
            .init("held", JSON(withheld?.rawValue)),
            .init("found", isFound ? .null : .bool(false)),
            .init("health", JSON(health)),
            .init("rise", JSON(rise)),
            .init("fall", JSON(fall)),
            .init("kind", .string(kind)),
            .init("address", JSON(subject?.address)),
            .init("check", JSON(subject.map { $0.checkText })),
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
            subject: Subject(json: json),
            status: status,
            isDegraded: json["degraded"]?.bool ?? false,
            withheld: json["held"]?.string.flatMap(Withheld.init(rawValue:)),
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
            isFound: json["found"]?.bool ?? true,
            expiresAt: Believable.time(expiresAt),
            agent: agent,
            epoch: epoch,
            sequence: sequence
        )
    }
}

extension Subject {
    var checkText: String { String(check, radix: 16) }

    /// Nil where an older version wrote it, or what it says is none.
    fileprivate init?(json: JSON) {
        guard let address = json["address"]?.string, Believable.isName(address),
            let check = json["check"]?.string.flatMap({ UInt32($0, radix: 16) })
        else { return nil }
        self.init(address: address, check: check)
    }
}
