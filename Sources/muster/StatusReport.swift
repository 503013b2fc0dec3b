// How is the state of all peers told? One row each, and the worst of them as the exit code. Who asks for
// one upstream sees what each check says, who asks for one peer sees why.

import Spans
import Vocabulary

struct StatusReport {
    struct Row {
        var upstream: String
        var peer: String
        var status: String
        /// `5`, or `2.5/5` where less than the weight holds now.
        var weight: String
        var isBackup: Bool
        /// How many of the checks are well, or the word of each.
        var checks: String
        /// Empty where it is the peer's name.
        var address: String
        var since: String
        var reason: String
    }

    let rows: [Row]
    private let peer: String?
    /// Of the one peer that was asked for.
    private let checks: [JSON]
    /// What concerns a whole upstream, or all of them; and what is asked of the peers in detail.
    let remarks: [String]
    /// An upstream has nobody who may be sent a request, however well its peers are.
    private let answersNobody: Bool
    /// A check failed, and `store.mass-change` holds its peer as it was.
    private let holdsPeers: Bool
    /// A setting of an upstream cost requests lately, however well its peers are.
    private let refusesRequests: Bool

    /// `body` is one upstream, a list of them, or a map that holds the list. `readiness` is what
    /// `/ready` says, where it could be had.
    init(_ body: JSON, peer: String?, readiness: JSON? = nil) {
        self.peer = peer
        let list = body.items ?? body["upstreams"]?.items
        let upstreams = list ?? [body]
        rows = upstreams.flatMap { upstream in
            (upstream["peers"]?.items ?? []).compactMap { item in
                let id = item["id"]?.string ?? ""
                if let peer, peer != id { return nil }
                return Self.row(item, of: upstream, inDetail: list == nil)
            }
        }
        let only = peer.flatMap { peer in
            body["peers"]?.items?.first { $0["id"]?.string == peer }
        }
        checks = only?["checks"]?.items ?? []
        // Of one peer alone the answer is about that peer.
        let sources = Set((readiness?["sources"]?.items ?? []).compactMap { $0["name"]?.string })
        // Lists of a source that name nobody leave nobody without an answer.
        let counted = upstreams.filter { upstream in
            !(upstream["peers"]?.items?.isEmpty == true
                && sources.contains(upstream["name"]?.string ?? ""))
        }
        answersNobody = peer == nil && counted.contains { $0["status"] == "down" }
        let held = upstreams.flatMap { Self.held(in: $0, peer: peer) }
        holdsPeers = !held.isEmpty
        refusesRequests =
            peer == nil && upstreams.contains { $0["refusals"]?.items?.isEmpty == false }
        let peers = list == nil ? (only.map { [$0] } ?? body["peers"]?.items ?? []) : []
        remarks =
            counted.compactMap(Self.remark) + Self.remark(onHeld: held, readiness)
            + upstreams.flatMap(Self.refusals) + upstreams.flatMap(Self.disagreements)
            + peers.flatMap { Self.orders(on: $0, of: body) }
            + Self.remarks(on: readiness)
            + [readiness?["store"]?["file_error"]?.string].compactMap(\.self)
            + Self.remarks(onOthersIn: readiness) + Self.remarks(onProbesIn: readiness)
            + Self.remarks(onFleetIn: readiness)
            + Self.remarks(onLedgerIn: readiness) + Self.remarks(onHistoryIn: readiness)
            + Self.remarks(onFilesIn: readiness)
            + Self.remarks(onSourcesIn: readiness) + Self.remarks(onTracingIn: readiness)
    }

    /// Agents do not mean the same by a name.
    private static func remarks(onOthersIn readiness: JSON?) -> [String] {
        guard let others = readiness?["other_definitions"], let first = others["first"]?.string
        else {
            return []
        }
        let more = (others["pairs"]?.int ?? 1) - 1
        return [
            first + (more > 0 ? ", and so it is with \(more) more" : "")
                + ". Give all agents the same definition"
        ]
    }

    /// What is shown may be old: nobody has looked since.
    private static func remarks(onProbesIn readiness: JSON?) -> [String] {
        guard let overdue = readiness?["overdue"], let pairs = overdue["pairs"]?.int else {
            return []
        }
        let longest = Nanoseconds.milliseconds(overdue["longest_ms"]?.integer ?? 0)
        return [
            "\(pairs) probe\(pairs == 1 ? " is" : "s are") due for up to \(longest.rounded) and not begun: "
                + (overdue["text"]?.string ?? "?")
        ]
    }

    /// What this agent finds is not to be believed now, and why.
    private static func remarks(onFleetIn readiness: JSON?) -> [String] {
        guard let fleet = readiness?["fleet"], (fleet["doubt"]?.double ?? 0) >= 0.5,
            // Of a store that is away the store itself tells.
            fleet["reasons"]?.items?.contains(where: { $0 != "store" }) == true,
            let text = fleet["text"]?.string
        else { return [] }
        return ["this agent doubts itself: \(text.printable)"]
    }

    /// Who is shown as before though it fell silent with too many others.
    private static func held(in upstream: JSON, peer: String?) -> [String] {
        (upstream["peers"]?.items ?? []).compactMap { item in
            let id = item["id"]?.string ?? ""
            let checks = item["checks"]?.items ?? []
            guard peer == nil || peer == id, checks.contains(where: { $0["held"] == "mass-change" })
            else { return nil }
            return "\(upstream["name"]?.string ?? "")/\(id)"
        }
    }

    private static func remark(onHeld held: [String], _ readiness: JSON?) -> [String] {
        guard let first = held.first else { return [] }
        let since = readiness?["fleet"]?["held"]?["since"]?.string.map { " since \($0)" } ?? ""
        let count = held.count
        let who =
            count == 1 ? "\(first) is held as it was" : "\(count) peers are held as they were"
        return [
            "\(who)\(since): too many fell silent at once, for other agents too (store.mass-change); their "
                + "checks fail, and count when most answer again"
        ]
    }

    private static func row(_ item: JSON, of upstream: JSON, inDetail: Bool) -> Row {
        let id = item["id"]?.string ?? ""
        let address = item["address"]?.string ?? id
        let status = item["status"]?.string ?? "unknown"
        let reason = item["reason"].flatMap(Self.reason) ?? ""
        return Row(
            upstream: (upstream["name"]?.string ?? "").printable,
            peer: (id + (item["source"]?.string.map { " (\($0))" } ?? "")).printable,
            status: status.printable,
            weight: weight(of: item),
            isBackup: item["backup"]?.bool ?? false,
            checks: checks(of: item, inDetail: inDetail),
            address: address == id ? "" : address.printable,
            since: item["since"].flatMap(Self.time) ?? "-",
            reason: reason.printable
        )
    }

    /// What somebody asked of the peer, why, and until when.
    private static func orders(on item: JSON, of upstream: JSON) -> [String] {
        let name = "\(upstream["name"]?.string ?? "")/\(item["id"]?.string ?? "")"
        let weight = weightOrder(on: item)
        var lines: [String] = []
        if let intent = item["intent"]?.string, intent != "ready" {
            lines.append(
                "\(name): \(item["intent_by"]?.string ?? "an operator") asked for \(intent)"
                    + end(item["intent_until"], because: item["intent_reason"])
            )
        }
        if let weight { lines.append("\(name): \(weight)") }
        return lines
    }

    /// Nil where the configured weight holds.
    static func weightOrder(on item: JSON) -> String? {
        guard let weight = item["weight"], let configured = item["configured_weight"],
            weight != configured
        else { return nil }
        let by = item["weight_by"]?.string ?? "hand"
        let verb = configured.text == "1" ? "is" : "are"
        return "weight \(weight.text) was set by \(by), configured \(verb) \(configured.text)"
            + end(item["weight_until"], because: item["weight_reason"])
    }

    private static func end(_ until: JSON?, because reason: JSON?) -> String {
        var text = until?.string.map { ", until \($0)" } ?? ""
        if let reason = reason?.string, !reason.isEmpty { text += ": \(reason)" }
        return text
    }

    /// `5`; `0/5` while nothing goes there, also where somebody set it to 0; `2.5/5` while it starts
    /// slowly.
    static func weight(of item: JSON) -> String {
        guard let weight = item["configured_weight"] ?? item["weight"],
            let effective = item["effective_weight"]
        else { return "-" }
        return weight.double == effective.double ? weight.text : "\(effective.text)/\(weight.text)"
    }

    private static func checks(of item: JSON, inDetail: Bool) -> String {
        let checks = item["checks"]?.items ?? []
        if checks.isEmpty { return "-" }
        if inDetail {
            return checks.map { check in
                let name = check["monitor"]?.string ?? ""
                return "\(name)=\(word(of: check))".printable
            }.joined(separator: ",")
        }
        return "\(checks.count { word(of: $0) == "up" })/\(checks.count)"
    }

    /// Of one that was up long ago, and was looked at since without being found well, that is not the word.
    private static func word(of check: JSON) -> String {
        let status = check["status"]?.string ?? "unknown"
        guard status == "up", let checked = check["checked_at"]?.string,
            let end = check["expires_at"]?.string
        else { return status }
        // Both in one form, and sorted as texts.
        return end < checked ? "unknown" : status
    }

    private static func time(_ value: JSON) -> String? {
        value.string?.printable
            ?? value.integer.map { WallTime(milliseconds: $0).description }
    }

    /// One reason, or the chain of them.
    private static func reason(_ value: JSON) -> String? {
        value.string ?? value.items?.compactMap { $0.string }.joined(separator: "; ")
    }

    private static func remark(on upstream: JSON) -> String? {
        guard let peers = upstream["peers"]?.items, let name = upstream["name"]?.string else {
            return nil
        }
        let serving = peers.filter { ($0["effective_weight"]?.double ?? 1) > 0 }
        let isBackup = { (peer: JSON) in peer["backup"]?.bool ?? false }
        if upstream["panic"]?.bool == true {
            // As the log counts: who was told to take nothing is not lost.
            let available = upstream["available"]?.int ?? 0
            let wanted = upstream["wanted"]?.int ?? peers.count
            let since = upstream["panic_since"]?.string.map { " since \($0)" } ?? ""
            let left =
                wanted == 0
                ? "no peer but backups is meant to serve, and none of them is"
                : "\(available) of \(wanted) peer\(wanted == 1 ? "" : "s")"
            return
                "\(name) is in panic\(since): \(left) available; requests go to all that are not in "
                + "maint, in drain or at weight 0"
        }
        let answer = upstream["unavailable_status"]?.int ?? 503
        if peers.isEmpty { return "\(name) has no peers: requests are answered \(answer)" }
        if serving.isEmpty {
            // Well, and told to take nothing: no check is to blame.
            let idle = peers.count {
                ["up", "degraded", "starting"].contains($0["status"]?.string ?? "")
            }
            let why = idle > 0 ? ", and \(idle) with weight 0" : ""
            return "\(name) has no available peer\(why): requests are answered \(answer)"
        }
        if serving.allSatisfy(isBackup) { return "\(name) is served by its backups" }
        return nil
    }

    /// What settings of an upstream cost its requests lately.
    private static func refusals(of upstream: JSON) -> [String] {
        (upstream["refusals"]?.items ?? []).map { refusal in
            let count = refusal["count"]?.int ?? 0
            let were = count == 1 ? " was" : "s were"
            let (since, last) = (refusal["since"]?.string ?? "?", refusal["last"]?.string ?? "?")
            return "\(upstream["name"]?.string ?? ""): \(count) request\(were) answered "
                + "\(refusal["answer"]?.int ?? 503) since \(since), the last at \(last): "
                + (refusal["text"]?.string ?? "?")
        }
    }

    /// Requests and probes do not find the same.
    private static func disagreements(on upstream: JSON) -> [String] {
        (upstream["peers"]?.items ?? []).compactMap { peer in
            let what: String
            switch peer["disagreement"]?.string {
            case "traffic-fails":
                what = "requests to it fail\(elsewhere(peer)), and its checks pass"
            case "probes-fail": what = "its checks fail, and requests to it are answered"
            case "agents-differ": what = "agents do not find the same of it"
            default: return nil
            }
            let name = "\(upstream["name"]?.string ?? "")/\(peer["id"]?.string ?? "")"
            return "\(name): \(what) (\(peer["disagreement"]?.string ?? ""))"
        }
    }

    /// ` at a2 (5 of 12)`, where this process is not among them.
    private static func elsewhere(_ peer: JSON) -> String {
        let votes = peer["traffic"]?["votes"]?.items ?? []
        if peer["status"]?.string == "ejected" || votes.isEmpty { return "" }
        let words = votes.map { vote in
            let count = "\(vote["failures"]?.int ?? 0) of \(vote["requests"]?.int ?? 0)"
            return "\(vote["agent"]?.string ?? "") (\(count))"
        }
        return " at " + words.joined(separator: ", ")
    }

    private static func remarks(on readiness: JSON?) -> [String] {
        guard let store = readiness?["store"] else { return [] }
        let kind = store["kind"]?.string ?? ""
        if store["connected"]?.bool != false {
            let standing = store["twin"]?.string ?? store["waits"]?.string
            if let standing { return ["store \(kind): \(standing)"] }
            if let error = store["fleet_error"]?.string {
                let then = store["as_of"]?.string.map { "; what other agents found is as of \($0)" }
                return ["store \(kind): \(error)\(then ?? "")"]
            }
            if let error = store["write_error"]?.string {
                let since = store["since"]?.string.map { " since \($0)" } ?? ""
                let advice = store["advice"]?.string.map { "; \($0)" } ?? ""
                return [
                    "store \(kind) takes no writes\(since): \(error)\(advice)\(horizon(of: store))"
                ]
            }
            return store["error"]?.string.map { ["store \(kind): \($0)"] } ?? []
        }
        var text = "store \(store["kind"]?.string ?? "") is away"
        if let since = store["since"]?.string { text += " since \(since)" }
        if let error = store["error"]?.string { text += ": \(error)" }
        if let advice = store["advice"]?.string { text += "; \(advice)" }
        return [text + horizon(of: store)]
    }

    /// The words of others hold for as long as nobody can hear them.
    private static func horizon(of store: JSON) -> String {
        guard let time = store["as_of"]?.string else { return "" }
        let when = time == store["since"]?.string ? "then" : time
        return "; what other agents found is as of \(when)"
    }

    private static func remarks(onSourcesIn readiness: JSON?) -> [String] {
        (readiness?["sources"]?.items ?? []).compactMap { source in
            let name = source["name"]?.string ?? ""
            let error = source["error"]?.string
            if source["connected"]?.bool != false { return error.map { "source \(name): \($0)" } }
            return "source \(name) \(source["url"]?.string ?? "") is away since "
                + "\(source["since"]?.string ?? "?")\(error.map { ": \($0)" } ?? ""); routing goes on "
                + "with what was read"
        }
    }

    private static func remarks(onTracingIn readiness: JSON?) -> [String] {
        guard let tracing = readiness?["tracing"], !tracing.isNull else { return [] }
        var lines: [String] = []
        if tracing["state"] == "failing" {
            lines.append(
                "tracing: spans do not arrive since \(tracing["since"]?.string ?? "?"): "
                    + "\(tracing["error"]?.string ?? "?"); \(tracing["waiting"]?.int ?? 0) wait"
            )
        }
        let dropped = tracing["dropped"]?.members ?? []
        if !dropped.isEmpty {
            let count = dropped.reduce(0) { $0 + ($1.value.int ?? 0) }
            let words = dropped.map { "\($0.value.text) \(word(ofLoss: $0.key))" }
            lines.append(
                "tracing: of \(tracing["made"]?.text ?? "?") spans \(count) \(count == 1 ? "was" : "were") dropped: "
                    + words.joined(separator: ", ")
                    + (tracing["refusal"]?.string.map { " (\($0))" } ?? "")
            )
        }
        if let warning = tracing["warning"]?.string {
            lines.append("tracing: the receiver takes spans, and warned: \(warning)")
        }
        return lines
    }

    private static func word(ofLoss why: String) -> String {
        switch SpanLoss(rawValue: why) {
        case .worker: "before the queue, where too many came at once"
        case .queue: "from the queue, which was full"
        case .refused: "that the receiver refused"
        case .rejected: "that the receiver left out"
        case .end, nil: "at the end"
        }
    }

    private static func remarks(onLedgerIn readiness: JSON?) -> [String] {
        guard let ledger = readiness?["ledger"], ledger["durable"]?.bool == false else { return [] }
        let path = ledger["path"]?.string ?? "the ledger"
        return ["what is asked of peers is not kept: \(path): \(ledger["error"]?.string ?? "?")"]
    }

    private static func remarks(onHistoryIn readiness: JSON?) -> [String] {
        guard let file = readiness?["history"], file["durable"]?.bool == false else { return [] }
        let path = file["path"]?.string ?? "its file"
        return ["the history of peers is not kept: \(path): \(file["error"]?.string ?? "?")"]
    }

    /// A configuration that was refused, a certificate that is not as it should be.
    private static func remarks(onFilesIn readiness: JSON?) -> [String] {
        var lines: [String] = []
        if let file = readiness?["memory_file"], let error = file["error"]?.string {
            lines.append("agent-check.memory-file \(file["path"]?.string ?? "") \(error)")
        }
        if let record = readiness?["configuration"], let at = record["refused_at"]?.string {
            let more = (record["mistakes"]?.int ?? 1) - 1
            lines.append(
                "the configuration was refused at \(at): \(record["mistake"]?.string ?? "?")"
                    + (more > 0 ? " (and \(more) more)" : "")
                    + "; what runs is the one of \(record["loaded_at"]?.string ?? "before")"
            )
        }
        if let record = readiness?["configuration"], let since = record["restart_due_since"]?.string
        {
            let names = (record["waiting"]?.items ?? []).compactMap(\.string)
            lines.append(
                "a restart is due: \(names.joined(separator: "; ")) changed in the file (seen at \(since))"
            )
        }
        if let problem = readiness?["certificate"]?["problem"]?.string {
            lines.append("admin.tls: \(problem)")
        }
        return lines
    }

    // MARK: Telling

    var text: String {
        let hasAddresses = rows.contains { !$0.address.isEmpty }
        let hasBackups = rows.contains(where: \.isBackup)
        let head =
            ["UPSTREAM", "PEER", "STATUS", "WEIGHT"] + (hasBackups ? ["ROLE"] : []) + ["CHECKS"]
            + (hasAddresses ? ["ADDRESS"] : []) + ["SINCE", "REASON"]
        let table = rows.map { row in
            [row.upstream, row.peer, row.status, row.weight]
                + (hasBackups ? [row.isBackup ? "backup" : "-"] : []) + [row.checks]
                + (hasAddresses ? [row.address.isEmpty ? "-" : row.address] : [])
                + [row.since, row.reason]
        }
        var lines = Table.lines([head] + table)
        if !checks.isEmpty { lines += [""] + Table.lines(checkTable) }
        if !remarks.isEmpty { lines += [""] + remarks.map(\.printable) }
        return lines.joined(separator: "\n")
    }

    private var checkTable: [[String]] {
        [["CHECK", "KIND", "STATUS", "HEALTH", "LATENCY", "CHECKED", "AGENT", "REASON"]]
            + checks.map { check in
                var reason = check["reason"]?.string ?? ""
                if let code = check["code"]?.int, check["layer"] == "L7" { reason += "/\(code)" }
                if let message = check["message"]?.string, !message.isEmpty {
                    reason += " \(message)"
                }
                if check["required"]?.bool == false { reason += " (optional)" }
                let latency = check["latency_ms"]?.double.map {
                    "\(($0 * 10).rounded() / 10)ms"
                }
                return [
                    check["monitor"]?.string ?? "", check["kind"]?.string ?? "",
                    check["status"]?.string ?? "unknown", Self.health(of: check),
                    latency ?? "-", check["checked_at"]?.string ?? "-",
                    check["agent"]?.string ?? "-", reason,
                ].map(\.printable)
            }
    }

    /// How far it is from the other status: `1/3 fails` while up, `1/2 passes` while down.
    private static func health(of check: JSON) -> String {
        guard let health = check["health"]?.int, let rise = check["rise"]?.int,
            let fall = check["fall"]?.int, check["status"] != "unknown"
        else { return "-" }
        return health >= rise
            ? "\(max(0, rise + fall - 1 - health))/\(fall) fails" : "\(health)/\(rise) passes"
    }

    /// What came, cut down to the peer that was asked for.
    func json(of body: JSON) -> JSON {
        guard let peer else { return body }
        return body["peers"]?.items?.first { $0["id"]?.string == peer } ?? body
    }

    /// Down is worse than unknown, as a pager sees it; and an upstream may be down while all its peers
    /// are up, with weight 0.
    var exitStatus: ExitStatus {
        let statuses = Set(rows.map { $0.status })
        if statuses.contains("down") || answersNobody { return .failing }
        if statuses.contains("unknown") { return .unknown }
        let isFine = statuses.subtracting(["up"]).isEmpty && !holdsPeers && !refusesRequests
        return isFine ? .fine : .warning
    }
}
