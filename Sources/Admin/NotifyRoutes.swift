// Who is told of transitions, does it arrive, and can it be tried? A line for each receiver of `notify`, and
// a message that tests one.

import Checks
import Notify
import Vocabulary

enum NotifyRoutes {
    static let table: [AdminTable.Row] = [
        .init(.get, "/v1/notify", .read, list),
        .init(.post, "/v1/notify/{receiver}/test", .operate, test),
    ]

    private static func list(_: Request, _ context: AdminContext) async -> Response {
        let status = await context.plane.notifyStatus()
        return .json(.object([.init("receivers", .array(status.map(json)))]))
    }

    private static func test(
        _ request: Request,
        _ context: AdminContext
    ) async throws(Problem) -> Response {
        let plane = context.plane
        let name = request[parameter: "receiver"]
        let asker = request[field: "user-agent"].map { Excerpt.text($0.utf8) } ?? "somebody"
        let notifier = plane.notifier
        let end: OutgoingEnd? = await plane.run { await notifier?.value.test(name, by: asker) }
        switch end {
        case nil:
            throw Problem(.notFound, "no receiver '\(name)'; GET /v1/notify lists them")
        case .arrived:
            return .json(.object([.init("receiver", .string(name)), .init("arrived", true)]))
        case .failed(let text, _), .refused(let text):
            return .json(
                .object([
                    .init("receiver", .string(name)), .init("arrived", false),
                    .init("error", .string(text.printable)),
                ])
            )
        }
    }

    static func json(_ status: NotifyStatus) -> JSON {
        .object([
            .init("name", .string(status.name)),
            .init("kind", .string(status.kind)),
            .init("state", .string(status.state.rawValue)),
            .init("agent", .string(status.teller)),
            .init("waiting", JSON(status.waiting)),
            .init("troubled", JSON(status.troubled)),
            .init("sent", .integer(Int64(clamping: status.counts.sent))),
            .init("failed", .integer(Int64(clamping: status.counts.failed))),
            .init("left_out", .integer(Int64(clamping: status.counts.leftOut))),
            .init("suppressed", .integer(Int64(clamping: status.counts.suppressed))),
            .init("last_sent", JSON(status.lastSent?.description)),
            .init("quiet_until", JSON(status.quietUntil?.description)),
            .init("failing_since", JSON(status.failingSince?.description)),
            .init("next_attempt", JSON(status.nextAttempt?.description)),
            .init("error", JSON(status.lastError?.printable)),
        ])
    }
}

extension ControlPlane {
    func notifyStatus() async -> [NotifyStatus] { await notifier?.call { $0.status } ?? [] }
}

extension MetricsText {
    /// What became of what receivers were to be told.
    static func notify(_ receivers: [NotifyStatus]) -> String {
        if receivers.isEmpty { return "" }
        var text = MetricsText(isPerPeer: false)
        text.family(
            "muster_notify_messages_total",
            "counter",
            "Attempts to tell a receiver of notify."
        )
        for receiver in receivers {
            for (result, count) in [
                ("sent", receiver.counts.sent), ("failed", receiver.counts.failed),
            ] {
                text.sample(
                    "muster_notify_messages_total",
                    [("receiver", receiver.name), ("result", result)],
                    Double(count)
                )
            }
        }
        let counters: [(String, String, (NotifyStatus) -> UInt64)] = [
            (
                "muster_notify_left_out_total",
                "Notices that had no room, or were refused again and again.", { $0.counts.leftOut }
            ),
            (
                "muster_notify_suppressed_total",
                "Changes not told one by one, because their peer comes and goes.",
                { $0.counts.suppressed }
            ),
        ]
        for (name, help, value) in counters {
            text.family(name, "counter", help)
            for receiver in receivers {
                text.sample(name, [("receiver", receiver.name)], Double(value(receiver)))
            }
        }
        let gauges: [(String, String, (NotifyStatus) -> Double)] = [
            (
                "muster_notify_waiting", "Notices that wait to be sent, or to be heard of as sent.",
                { Double($0.waiting) }
            ),
            (
                "muster_notify_failing", "1 while messages to the receiver do not arrive.",
                { $0.state == .failing ? 1 : 0 }
            ),
        ]
        for (name, help, value) in gauges {
            text.family(name, "gauge", help)
            for receiver in receivers {
                text.sample(name, [("receiver", receiver.name)], value(receiver))
            }
        }
        return text.text
    }
}
