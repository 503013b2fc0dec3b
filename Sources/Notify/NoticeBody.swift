// What does each service want to be sent? The shapes that chat, paging and alerting services document for
// whoever posts to them, and our own. Pure: a batch in, a body out.

import Health
import Vocabulary

/// The shape of what is posted.
public enum NoticeBody: Sendable, Hashable {
    /// Our own JSON: see docs/NOTIFY.md.
    case muster
    case slack
    case teams
    /// Events API v2, with the integration's key.
    case pagerduty(key: String)
    /// API v2.
    case alertmanager
    case template(Template, contentType: String)

    /// Some services take one thing at a time.
    public var batchMax: Int? {
        switch self {
        case .pagerduty: 1
        case .template(let template, _): template.isOfOneNotice ? 1 : nil
        case .muster, .slack, .teams, .alertmanager: nil
        }
    }

    public var contentType: String {
        if case .template(_, let type) = self { return type }
        return "application/json"
    }

    public func text(of batch: Batch) -> String {
        switch self {
        case .muster: return batch.json.text
        case .slack: return Self.slack(batch).text
        case .teams: return Self.teams(batch).text
        case .pagerduty(let key): return Self.pagerduty(batch, key).text
        case .alertmanager: return Self.alertmanager(batch).text
        case .template(let template, let type):
            return template.fill(with: batch, asJSON: type.lowercased().contains("json"))
        }
    }

    // MARK: Chat

    private static func slack(_ batch: Batch) -> JSON {
        // Three characters mean something there, in texts too.
        func safe(_ text: String) -> String {
            text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
                .replacing(">", with: "&gt;")
        }
        let isTrouble = batch.notices.contains { $0.isTrouble }
        var members: [JSON.Member] = [.init("text", .string(safe(batch.summary)))]
        if batch.notices.count > 1 {
            members.append(
                .init(
                    "attachments",
                    [
                        [
                            "color": .string(isTrouble ? "danger" : "good"),
                            "text": .string(safe(batch.text)),
                        ]
                    ]
                )
            )
        }
        return .object(members)
    }

    private static func teams(_ batch: Batch) -> JSON {
        let isTrouble = batch.notices.contains { $0.isTrouble }
        var blocks: [JSON] = [
            [
                "type": "TextBlock", "weight": "bolder", "wrap": true,
                "color": .string(isTrouble ? "attention" : "good"),
                "text": .string(batch.summary),
            ]
        ]
        if batch.notices.count > 1 {
            blocks += batch.notices.map { notice in
                ["type": "TextBlock", "wrap": true, "text": .string(notice.line.printable)]
            }
        }
        return [
            "type": "message",
            "attachments": [
                [
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "content": [
                        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                        "type": "AdaptiveCard", "version": "1.4", "body": .array(blocks),
                    ],
                ]
            ],
        ]
    }

    // MARK: Paging and alerting

    /// What ties the end of an incident to its beginning.
    private static func incident(_ notice: Notice) -> String {
        let whole = "muster/\(notice.peer)"
        guard whole.utf8.count > incidentBytesMax else { return whole }
        // Two long names may begin alike, so what is cut off is told apart by a number that is the same in every agent.
        var hash = StableHash()
        hash.combine(whole)
        let digits = String(hash.value, radix: 16)
        let mark = "#" + String(repeating: "0", count: 16 - digits.count) + digits
        var start = whole[...]
        while start.utf8.count + mark.utf8.count > incidentBytesMax { start.removeLast() }
        return start + mark
    }

    /// No longer key is taken by the service.
    static let incidentBytesMax = 255

    private static func severity(_ notice: Notice) -> String {
        switch notice.to {
        case .down: "critical"
        case .degraded, .ejected, .unknown: "warning"
        case .maint, .drain, .starting, .up: "info"
        }
    }

    private static func pagerduty(_ batch: Batch, _ key: String) -> JSON {
        guard let notice = batch.notices.first else { return [:] }
        var members: [JSON.Member] = [
            .init("routing_key", .string(key)),
            .init("event_action", .string(notice.isTrouble ? "trigger" : "resolve")),
            .init("dedup_key", .string(incident(notice))),
        ]
        if notice.isTrouble {
            members.append(
                .init(
                    "payload",
                    [
                        // No longer than the service takes.
                        "summary": .string(String(notice.line.printable.prefix(1_024))),
                        "source": .string("\(notice.peer)"),
                        "severity": .string(severity(notice)),
                        "timestamp": .string(notice.at.description),
                        "component": .string(notice.peer.peer),
                        "group": .string(notice.peer.upstream),
                        "class": .string(notice.to.rawValue),
                        "custom_details": [
                            "reason": .string(notice.reason), "from": .string(notice.from.rawValue),
                            "agent": .string(batch.agent), "left_out": JSON(batch.leftOut),
                        ],
                    ]
                )
            )
        }
        return .object(members)
    }

    private static func alertmanager(_ batch: Batch) -> JSON {
        .array(
            batch.notices.filter { $0.kind != .test || batch.notices.count == 1 }.map { notice in
                var members: [JSON.Member] = [
                    .init(
                        "labels",
                        // The same at the end as at the beginning, or it is another alert.
                        [
                            "alertname": .string(
                                notice.kind == .test ? "MusterTest" : "MusterPeer"
                            ),
                            "upstream": .string(notice.peer.upstream),
                            "peer": .string(notice.peer.peer),
                        ]
                    ),
                    .init(
                        "annotations",
                        [
                            "summary": .string(notice.line.printable),
                            "status": .string(notice.to.rawValue),
                            "reason": .string(notice.reason),
                            "agent": .string(batch.agent),
                        ]
                    ),
                ]
                if notice.isTrouble {
                    members.append(.init("startsAt", .string(notice.at.description)))
                    // Told again before then while it goes on.
                    if let holds = batch.holds, let now = batch.sentAt {
                        members.append(.init("endsAt", .string((now + holds).description)))
                    }
                } else {
                    members.append(.init("endsAt", .string(notice.at.description)))
                }
                return .object(members)
            }
        )
    }
}
