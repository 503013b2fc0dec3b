// How do calls and answers travel? As words: what a script takes as ARGV, and the flat list of strings that it
// answers with. A verdict's text and a pair's field are the store's business and come from there.

public import Health
import Vocabulary

/// How the store writes a pair and a verdict.
public struct FleetWriting: Sendable {
    public var field: @Sendable (VerdictKey) -> String
    public var key: @Sendable (String) -> VerdictKey?
    public var text: @Sendable (Verdict) -> String
    public var verdict: @Sendable (VerdictKey, String) -> Verdict?

    public init(
        field: @escaping @Sendable (VerdictKey) -> String,
        key: @escaping @Sendable (String) -> VerdictKey?,
        text: @escaping @Sendable (Verdict) -> String,
        verdict: @escaping @Sendable (VerdictKey, String) -> Verdict?
    ) {
        self.field = field
        self.key = key
        self.text = text
        self.verdict = verdict
    }
}

extension FleetCall {
    public var script: FleetScript {
        switch self {
        case .beat: .beat
        case .claim: .claim
        case .publish: .publish
        case .release: .release
        case .tell: .tell
        }
    }

    /// ARGV of its script.
    public func words(_ signature: Signature, _ writing: FleetWriting) -> [String] {
        var words = [
            "\(signature.era)", signature.agent, "\(signature.instance)", "\(signature.count)",
        ]
        switch self {
        case .beat(let beat):
            words += [
                beat.state.rawValue, "\(beat.weight)", "\(max(beat.lag.milliseconds, 0))",
                "\(beat.doubt)", beat.isSilent ? "1" : "0", "\(beat.roster)", beat.about,
                beat.asksServer ? "1" : "0",
            ]
        case .claim(let roster, let claims):
            words.append("\(roster)")
            for claim in claims {
                words += [
                    writing.field(claim.pair), claim.reason.rawValue, "\(claim.epoch)",
                    claim.holder, "\(claim.mark.milliseconds)",
                ]
            }
        case .publish(let publications):
            for one in publications {
                var text = one.verdict.map(writing.text) ?? "{}"
                if one.isVouched { text = FleetVouching.vouched(text, by: signature.instance) }
                words += [writing.field(one.pair), "\(one.epoch)", "\(one.sequence)", text]
            }
        case .release(let holdings):
            for one in holdings { words += [writing.field(one.pair), "\(one.epoch)"] }
        case .tell(let letters):
            for letter in letters {
                let hint = letter.words.words(writing)
                words += [letter.to, "\(hint.count)"] + hint
            }
        }
        return words
    }
}

extension FleetReply {
    /// Nil where it is no answer to this call.
    public init?(
        _ words: [String],
        to call: FleetCall,
        by signature: Signature,
        _ writing: FleetWriting
    ) {
        var rest = Words(words)
        let first = rest.text()
        guard first == "ok" else {
            guard let refusal = Refusal(first, &rest) else { return nil }
            self = .refused(refusal)
            return
        }
        switch call {
        case .beat(let beat):
            guard let answer = BeatAnswer(&rest, known: beat.roster, of: signature.era) else {
                return nil
            }
            self = .beaten(answer)
        case .claim(_, let claims):
            guard let era = rest.number(), let time = rest.time() else { return nil }
            var answers: [ClaimAnswer] = []
            for claim in claims {
                guard let answer = ClaimAnswer(&rest, of: claim.pair, writing) else { return nil }
                answers.append(answer)
            }
            self = .claimed(era: era, at: time, answers)
        case .publish(let publications):
            var answers: [PublishAnswer] = []
            for _ in publications {
                guard let answer = PublishAnswer(&rest) else { return nil }
                answers.append(answer)
            }
            self = .published(answers)
        case .release, .tell:
            guard let count = rest.number() else { return nil }
            self = .done(Int(clamping: count))
        }
    }
}

/// Words that are taken one by one.
private struct Words {
    private var rest: ArraySlice<String>

    init(_ words: [String]) { rest = words[...] }

    var isEmpty: Bool { rest.isEmpty }
    mutating func text() -> String { rest.popFirst() ?? "" }
    mutating func number() -> UInt64? { rest.popFirst().flatMap(UInt64.init) }
    mutating func time() -> WallTime? {
        rest.popFirst().flatMap(Int64.init).map { WallTime(milliseconds: $0) }
    }
}

extension FleetReply.Refusal {
    fileprivate init?(_ word: String, _ rest: inout Words) {
        switch word {
        case "format": self = .format(Int(clamping: rest.number() ?? 0))
        case "era": self = .era(rest.number() ?? 0)
        case "lease": self = .lease
        case "roster": self = .roster(rest.number() ?? 0)
        case "taken": self = .taken(until: rest.time() ?? WallTime(milliseconds: 0))
        case "expired": self = .expired
        case "twin": self = .twin
        default: return nil
        }
    }
}

extension FleetReply.BeatAnswer {
    fileprivate init?(_ rest: inout Words, known: UInt64, of knownEra: UInt64) {
        guard let era = rest.number(), let time = rest.time(), let isMember = rest.number(),
            let roster = rest.number(), let size = rest.number(), let lateCount = rest.number(),
            lateCount <= FleetTerms.lateMax
        else { return nil }
        var late: [Late] = []
        for _ in 0..<lateCount {
            let agent = rest.text()
            guard let mark = rest.time() else { return nil }
            late.append(Late(agent: agent, mark: mark))
        }
        guard let doubtCount = rest.number(), doubtCount < 1 << 20 else { return nil }
        var doubting: [Doubting] = []
        for _ in 0..<doubtCount {
            let agent = rest.text()
            doubting.append(Doubting(agent: agent, isSilent: rest.text() == "silent"))
        }
        var members: [RosterMember] = []
        while !rest.isEmpty {
            let id = rest.text()
            let parts = rest.text().split(separator: " ")
            guard parts.count == 2, let instance = UInt64(parts[0]), let weight = Double(parts[1])
            else { return nil }
            members.append(RosterMember(id: id, instance: instance, weight: weight))
        }
        self.init(
            era: era,
            time: time,
            isMember: isMember == 1,
            roster: roster,
            members: roster == known && era == knownEra ? nil : members.sorted { $0.id < $1.id },
            late: late.sorted { $0.agent < $1.agent },
            doubting: doubting.sorted { $0.agent < $1.agent },
            size: Int(clamping: size)
        )
    }
}

extension FleetReply.ClaimAnswer {
    fileprivate init?(_ rest: inout Words, of pair: VerdictKey, _ writing: FleetWriting) {
        let word = rest.text()
        guard let epoch = rest.number() else { return nil }
        let text = rest.text()
        switch word {
        case "granted":
            let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, let from = Int64(parts[0]), let begun = Int64(parts[1]) else {
                return nil
            }
            self = .granted(
                epoch: epoch,
                from: WallTime(milliseconds: from),
                begun: WallTime(milliseconds: begun),
                writing.verdict(pair, String(parts[2]))
            )
        case "held": self = .held(by: text, epoch: epoch)
        case "fresh": self = .fresh
        case "joining": self = .joining
        case "frozen": self = .frozen
        default: return nil
        }
    }
}

extension FleetReply.PublishAnswer {
    fileprivate init?(_ rest: inout Words) {
        let word = rest.text()
        guard let epoch = rest.number() else { return nil }
        let agent = rest.text()
        let writer = rest.text()
        switch word {
        case "written": self = .written
        case "held": self = .held(by: agent, epoch: epoch, writer: writer)
        case "known": self = .known
        default: return nil
        }
    }
}

// MARK: Vouching

/// A verdict that names the life of its agent, as its last member, holds for as long as that life's mark moves on.
public enum FleetVouching {
    public static let member = "instance"

    static func vouched(_ text: String, by instance: UInt64) -> String {
        text.hasSuffix("}") ? text.dropLast() + ",\"\(member)\":\"\(instance)\"}" : text
    }
}

// MARK: Lives

/// What the store keeps of an agent's last beat.
public struct FleetLife: Sendable {
    public var instance: UInt64
    public var state: FleetCall.State
    public var weight: Double
    public var seen: WallTime
    public var mark: WallTime
    public var isMember: Bool
    /// The life of this agent before, and its last mark.
    public var former: (instance: UInt64, mark: WallTime)

    /// Nil where it is none of ours: instance, beats, state, weight, since when it lives, when it was seen, mark,
    /// doubt, word, its weight in the roster, and instance and mark of its life before.
    public init?(_ line: String) {
        let parts = line.split(separator: " ")
        guard parts.count == 12, let instance = UInt64(parts[0]),
            let state = FleetCall.State(rawValue: String(parts[2])),
            let weight = Double(parts[3]), weight.isFinite, let seen = Int64(parts[5]),
            let mark = Int64(parts[6]), let formerInstance = UInt64(parts[10]),
            let formerMark = Int64(parts[11])
        else { return nil }
        self.instance = instance
        self.mark = WallTime(milliseconds: mark)
        former = (formerInstance, WallTime(milliseconds: formerMark))
        self.state = state
        self.weight = weight
        self.seen = WallTime(milliseconds: seen)
        isMember = parts[9] != "-"
    }
}

// MARK: Hints

extension FleetHint {
    /// Names and values of an entry of a stream.
    public func words(_ writing: FleetWriting) -> [String] {
        switch self {
        case .ceded(let pair, let epoch, let from, let by):
            [
                "word", "ceded", "field", writing.field(pair), "epoch", "\(epoch)", "from",
                "\(from.milliseconds)", "by", by,
            ]
        case .offered(let pair, let epoch, let by):
            ["word", "offered", "field", writing.field(pair), "epoch", "\(epoch)", "by", by]
        case .asked(let pair, let ask):
            [
                "word", "asked", "field", writing.field(pair), "epoch", "\(ask.epoch)", "number",
                "\(ask.number)", "at", "\(ask.askedAt.milliseconds)", "by", ask.by,
            ]
        case .voted(let pair, let vote):
            [
                "word", "voted", "field", writing.field(pair), "epoch", "\(vote.epoch)", "number",
                "\(vote.number)", "at", "\(vote.at.milliseconds)", "by", vote.by, "vote",
                vote.word.rawValue,
            ] + (vote.reason.map { ["reason", $0.rawValue] } ?? [])
                + (vote.about.map { ["about", "\($0.number)"] } ?? [])
        }
    }

    /// Nil where it is none of ours.
    public init?(_ words: [String], _ writing: FleetWriting) {
        var values: [String: String] = [:]
        for index in stride(from: 0, to: words.count - 1, by: 2) {
            values[words[index]] = words[index + 1]
        }
        func number(_ name: String) -> UInt64? { values[name].flatMap(UInt64.init) }
        func time(_ name: String) -> WallTime? {
            values[name].flatMap(Int64.init).map { WallTime(milliseconds: $0) }
        }
        guard let pair = values["field"].flatMap(writing.key), let epoch = number("epoch"),
            let by = values["by"], !by.isEmpty
        else { return nil }
        switch values["word"] {
        case "ceded":
            guard let from = time("from") else { return nil }
            self = .ceded(pair, epoch: epoch, from: from, by: by)
        case "offered": self = .offered(pair, epoch: epoch, by: by)
        case "asked":
            guard let count = number("number"), let at = time("at") else { return nil }
            self = .asked(pair, Ask(by: by, epoch: epoch, number: count, askedAt: at))
        case "voted":
            guard let count = number("number"), let at = time("at"),
                let word = values["vote"].flatMap(Vote.Word.init)
            else { return nil }
            let vote = Vote(
                by: by,
                word: word,
                epoch: epoch,
                number: count,
                at: at,
                reason: values["reason"].flatMap(Reason.init),
                about: number("about").map(About.init)
            )
            self = .voted(pair, vote)
        default: return nil
        }
    }
}
