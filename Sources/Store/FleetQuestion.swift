// What did other agents say of a pair when its holder asked them? The holder tells it beside its beats, so that
// whichever agent a person asks can show it.

import Fleet
public import Health
import Vocabulary

extension FleetReport {
    /// So many are told.
    static let questionsMax = 24
    /// As many as may be asked about one.
    static let votesMax = 17

    public struct Question: Hashable, Sendable {
        public struct Vote: Hashable, Sendable {
            public var agent: String
            /// Nil while it has not answered.
            public var status: String?
            /// What it saw; nil where it did not say that.
            public var reason: String?
            /// When it probed, by the clock of the store.
            public var at: WallTime?
        }

        public var key: VerdictKey
        public var votes: [Vote]
        /// `2 of 3`: so many saw it fail, and took it down.
        public var confirmed: String?
        /// Others see otherwise than the holder.
        public var isLost: Bool

        var json: JSON {
            JSON.object([
                .init("pair", .string(key.field)),
                .init("votes", .array(votes.map(\.json))),
                .init("confirmed", JSON(confirmed)),
                .init("lost", isLost ? .bool(true) : .null),
            ]).withoutNulls()
        }
    }
}

extension FleetReport.Question.Vote {
    fileprivate var json: JSON {
        JSON.object([
            .init("agent", .string(agent)), .init("status", JSON(status)),
            .init("reason", JSON(reason)),
            .init("at", at.map { .integer($0.milliseconds) } ?? .null),
        ])
        .withoutNulls()
    }

    /// Nil where it is none that an agent would write.
    fileprivate init?(json: JSON) {
        guard let agent = json["agent"]?.string, Believable.isName(agent) else { return nil }
        let word = json["status"]?.string.flatMap(Fleet.Vote.Word.init(rawValue:))
        let reason = json["reason"]?.string.flatMap(Reason.init(rawValue:))
        let at = json["at"]?.integer.map(Believable.time)
        self.init(agent: agent, status: word?.rawValue, reason: reason?.rawValue, at: at)
    }
}

extension FleetReport.Question {
    init?(json: JSON) {
        guard let key = json["pair"]?.string.flatMap(VerdictKey.init(field:)) else { return nil }
        self.init(
            key: key,
            votes: (json["votes"]?.items ?? []).prefix(FleetReport.votesMax)
                .compactMap(Vote.init(json:)),
            confirmed: json["confirmed"]?.string.map(Believable.message),
            isLost: json["lost"]?.bool ?? false
        )
    }
}
