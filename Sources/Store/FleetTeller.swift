// What do people hear of an agent's part in the fleet? Who came and who left, why it doubts itself, where agents do not find
// the same, and what is wrong with the store: each once, and what goes on at most once in a minute.

import EventLoop
import Fleet
import Vocabulary

struct FleetTeller {
    private let agent: String
    private let journal: Journal
    private var throttle = Throttle()
    private var news = FleetNews()
    /// Why it doubts itself, as was told last.
    private var reasonsTold: [Doubt.Reason] = []
    private var isTwinTold = false
    private var isHoldTold = false
    private var isFormatTold = false
    private var refusedSince: Instant?
    private var isRefusalTold = false

    init(agent: String, journal: Journal) {
        self.agent = agent
        self.journal = journal
    }

    // MARK: The store

    mutating func allowed() {
        defer { (refusedSince, isRefusalTold) = (nil, false) }
        // Of what nobody was told of.
        if !isRefusalTold { return }
        journal.notice(
            "the store lets this agent take part in the fleet again",
            [.event("fleet-allowed"), .store("redis")]
        )
    }

    mutating func refused(_ text: String, at now: Instant) {
        let since = refusedSince ?? now
        refusedSince = since
        let lasts = !isRefusalTold && now - since >= Outage.brief
        guard throttle.note("refusal", at: now) != nil || lasts else { return }
        isRefusalTold = true
        var line =
            "the store does not let this agent take part in the fleet: \(text.printable)"
        if let advice = Refusal.advice(text) { line += "; \(advice)" }
        journal.warning(
            line + "; it goes on probing what it has, and publishes nothing",
            [.event("fleet-refused"), .store("redis"), .error(text)]
        )
    }

    static func words(ofNewer format: Int) -> String {
        "expected the fleet's state in the store to be of format \(FleetTerms.format) at most, saw format \(format): a "
            + "newer muster is there; this one takes no part until it is upgraded"
    }

    mutating func formatIsKnown() {
        if !isFormatTold { return }
        isFormatTold = false
        journal.notice(
            "the fleet's state in the store is of a format that this version knows again: it takes part",
            [.event("format-known"), .store("redis")]
        )
    }

    /// A beat was answered at that time of the store; where none was for longer than `span`, nobody was heard.
    mutating func beaten(at time: WallTime, within span: Nanoseconds) {
        news.beaten(at: time, within: span)
    }

    // MARK: Another process of the same name

    static func words(ofTwin agent: String) -> String {
        "another process with agent.id '\(agent)' is alive and speaks for it; this one probes and "
            + "publishes nothing until that is gone. Give each agent an id of its own"
    }

    private mutating func twinIsThere(at now: Instant) {
        isTwinTold = true
        _ = throttle.note("twin", at: now)
        tellOfTwin()
    }

    mutating func twinIsStillThere(at now: Instant) {
        if isTwinTold, throttle.note("twin", at: now) != nil { tellOfTwin() }
    }

    mutating func twinIsGone() {
        if !isTwinTold { return }
        isTwinTold = false
        journal.notice(
            "no other process speaks for agent '\(agent)' any more: this one takes its part",
            [.event("twin-gone"), .agent(agent)]
        )
    }

    private func tellOfTwin() {
        journal.warning(Self.words(ofTwin: agent), [.event("twin"), .agent(agent)])
    }

    // MARK: Changes

    mutating func tell(_ membership: Membership, patience: Nanoseconds, at now: Instant) {
        let line = news.line(
            of: membership.roster.members,
            late: membership.late,
            era: membership.era,
            seenBy: agent,
            patience: patience,
            at: now
        )
        guard let line else { return }
        let count = Int64(membership.roster.members.count)
        journal.notice(line, [.event("fleet"), .init("agents", count)])
    }

    mutating func tell(
        _ reasons: [Doubt.Reason],
        at now: Instant,
        words: (Doubt.Reason) -> String
    ) {
        // That the store is away is told by the store.
        let reasons = reasons.filter { $0 != .store }
        if reasons == reasonsTold { return }
        let (isNew, before) = (!reasons.isEmpty, reasonsTold)
        reasonsTold = reasons
        if isNew {
            guard throttle.note("doubt", at: now) != nil else { return }
            let words = reasons.map(words).joined(separator: "; ")
            journal.warning(
                "this agent doubts itself: \(words); its failures do not count, and it votes on nothing",
                [.event("doubt"), .init("reasons", reasons.map(\.rawValue).joined(separator: " "))]
            )
        } else if !before.isEmpty {
            journal.notice("this agent does not doubt itself any more", [.event("doubt-over")])
        }
    }

    // MARK: Words of the member

    /// `name` says of which peer and monitor.
    mutating func tell(_ word: FleetWord, at now: Instant, name: (PairNumber) -> String) {
        switch word {
        case .tookPart: break
        case .stoodStill(let span):
            journal.warning(
                "this agent stood still for \(span.rounded): others have what it probed; it joins anew",
                [.event("stood-still")]
            )
        case .doubled: twinIsThere(at: now)
        case .newEra(let era):
            journal.notice(
                "the store is another than before, or has lost its state (era \(era)): claiming again what "
                    + "this agent probes",
                [.event("era")]
            )
        case .newerFormat(let format):
            guard throttle.note("format", at: now) != nil else { return }
            isFormatTold = true
            journal.error(Self.words(ofNewer: format), [.event("format")])
        case .disagreement(let pair, let passes, let size):
            guard throttle.note("disagreement \(pair)", at: now) != nil else { return }
            journal.warning(
                "agents disagree on \(name(pair)): it fails here, and \(passes) of \(size) see it pass; it "
                    + "stays up",
                [.event("disagreement")]
            )
        case .observerDiffers(let pair, let other, let word):
            guard throttle.note("disagreement \(pair)", at: now) != nil else { return }
            journal.warning(
                "agents disagree on \(name(pair)): it \(word.rawValue) here, and \(other), which looks at it too, "
                    + "sees that it \(word == .passes ? "fails" : "passes")",
                [.event("disagreement"), .agent(other)]
            )
        case .otherDefinition(let pair, let other):
            guard throttle.note("definition \(other)", at: now) != nil else { return }
            journal.warning(
                "\(name(pair)): agent \(other) has another address or check under this name: that it fails there does "
                    + "not count when it is asked, nor that it passes at another address. Give all agents the same definition",
                [.event("other-definition"), .agent(other)]
            )
        case .stranger(let other, let pair):
            guard throttle.note("stranger \(other)", at: now) != nil else { return }
            journal.warning(
                "expected verdicts by agents that share the probing, saw \(other.printable) write of "
                    + "\(name(pair)) again and again without a claim: an older muster, or another program; "
                    + "what it writes is written over. Upgrade it, or stop it",
                [.event("older-agent"), .agent(other)]
            )
        case .gaveAway(let pair, let to, let parting):
            let reason =
                switch parting {
                case .doubt: "which does not doubt itself as this agent does: it fails here"
                case .outvoted: "which sees it pass: it fails here only"
                case .unheard: "to which it says something: it says nothing here"
                }
            journal.notice(
                "\(name(pair)) is given to \(to), \(reason)",
                [.event("given-away"), .agent(to)]
            )
        case .massHeld:
            guard throttle.note("mass", at: now) != nil else { return }
            isHoldTold = true
            journal.warning(
                "too many peers would go down at once: those that fall silent are held as they were "
                    + "(store.mass-change) until they answer, or most others do; muster agents says how many",
                [.event("mass-held")]
            )
        case .massOver(let hold, let lasted):
            guard isHoldTold else { return }
            isHoldTold = false
            journal.notice(
                "store.mass-change holds no peer any more, after \(lasted.rounded): \(hold.words)",
                [.event("mass-over")]
            )
        }
    }
}

extension MassChange.Hold {
    /// What became of the pairs: `5 answer again, 1 is down`.
    var words: String {
        MassChange.End.allCases.compactMap { end in
            guard let count = ends[end] else { return nil }
            switch end {
            case .passed: return "\(count) answer\(count == 1 ? "s" : "") again"
            case .fell: return "\(count) \(count == 1 ? "is" : "are") down"
            case .left: return "\(count) \(count == 1 ? "is" : "are") not probed here any more"
            }
        }.joined(separator: ", ")
    }
}

extension Doubt.Reason {
    /// For people.
    public var words: String {
        switch self {
        case .loopLag: "it is late, with a second or more of ten lost"
        case .network: "its own network is gone"
        case .store: "the store does not answer it"
        case .massFailure: "most of what it probes fell silent, and the others do not say the same"
        }
    }
}
