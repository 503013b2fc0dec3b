// Is it this agent that is sick? One that is late, cut off or blind finds its peers dead when they are not.
// Doubt is a number from 0 to 1 with reasons; from one half on, what the agent finds is not to be believed,
// and it says so. Pure: it is told what happened, and when.

public import Vocabulary

public struct Doubt: Sendable {
    public enum Reason: String, Hashable, Sendable, CaseIterable {
        case loopLag = "loop-lag"
        case network
        case store
        case massFailure = "mass-failure"
    }

    /// How a target last answered.
    public enum Answer: UInt8, Sendable {
        /// Not probed yet.
        case none
        /// A byte, or a reset: the network is there.
        case answered
        /// A timeout, unreachable, no name.
        case silent
        /// It was not asked: this agent's own sockets failed.
        case unsent
    }

    /// What was known of a target before it was asked.
    public enum Known: Sendable {
        /// Somebody found it well, be it another agent: that it is silent is news.
        case up
        /// Nobody has found anything.
        case nothing
        /// Somebody found it down, and it may well be.
        case down
        /// No more than this agent found itself, which is as good as what it finds now.
        case `self`
    }

    private struct Target: Sendable {
        var host: UInt64
        var answer = Answer.none
        /// It has answered before: that it is silent is news.
        var hasAnswered = false
        /// It is silent, and whether it ever was well nobody knows.
        var isUnexplained = false
        /// When it was heard last: before or since the present silence began.
        var turn: UInt32 = 0

        var isSilent: Bool { answer == .silent || answer == .unsent }
    }

    private var targets: [Target] = []
    private var answered = 0
    /// Those that were not even asked among them.
    private var silent = 0
    private var unsent = 0
    /// Silent ones that answered before, by host: one host that is dead is no sign of anything.
    private var fellSilent = 0
    private var silentHosts: [UInt64: Int] = [:]
    private var unexplained = 0
    private var lately = Lately()

    private var lagWindow: (began: Instant, sum: Nanoseconds) = (
        Instant(nanoseconds: .min), .zero
    )
    private var lagDoubtUntil: Instant?
    private var isStoreAway = false
    /// False from when nothing went out to any target until one has answered.
    private var hasNetwork = true
    /// Most of what it probed fell silent, and nothing has spoken for the network since: that it gave away
    /// what fails is no sign that it sees again.
    private var isCutOff = false
    /// That was found by a few that were asked: those that were not heard since say nothing against it.
    private var isBySample = false
    /// Others took part when it was, who are not gone because this agent does not see them: only its own network ends it.
    private var isAmongOthers = false
    /// Most agents see most of what they probe fall silent.
    public private(set) var isWorld = false
    /// Since when it withholds.
    public private(set) var since: Instant?
    /// Since when that is for its own network, among others.
    public private(set) var networkSince: Instant?

    /// Doubt by lag needs so much of it within the window.
    static let lagMax = Nanoseconds.seconds(1)
    static let lagWindow = Nanoseconds.seconds(10)
    /// Fewer targets, or all on one host, are no sample.
    public static let targetsMin = 5
    static let hostsMin = 2
    /// From here on it withholds.
    public static let withheldFrom = 0.5

    public init() {}

    // MARK: What happened

    public mutating func define(_ pair: PairNumber, host: UInt64) {
        while targets.count <= Int(pair) { targets.append(Target(host: 0)) }
        leave(pair)
        targets[Int(pair)] = Target(host: host)
    }

    /// The pair is another agent's now: it says nothing of this one's network. That it has answered here before is
    /// known still where it was given away for as long as this agent doubts itself: silent again, it is news again.
    public mutating func leave(_ pair: PairNumber, inDoubt: Bool = false) {
        guard targets.indices.contains(Int(pair)) else { return }
        count(pair, by: -1)
        targets[Int(pair)].answer = .none
        targets[Int(pair)].isUnexplained = false
        if !inDoubt { targets[Int(pair)].hasAnswered = false }
    }

    public mutating func note(_ answer: Answer, of pair: PairNumber, after known: Known = .self) {
        guard targets.indices.contains(Int(pair)) else { return }
        let wasSilent = targets[Int(pair)].isSilent
        count(pair, by: -1)
        if known == .up { targets[Int(pair)].hasAnswered = true }
        targets[Int(pair)].isUnexplained =
            answer != .answered
            && (known == .nothing || known == .self && targets[Int(pair)].isUnexplained)
        targets[Int(pair)].answer = answer
        if answer == .answered {
            targets[Int(pair)].hasAnswered = true
            hasNetwork = true
            lately.noteAnswer()
        } else if !wasSilent, targets[Int(pair)].hasAnswered {
            lately.fell(on: targets[Int(pair)].host, isFixed: isCutOff)
        }
        targets[Int(pair)].turn = lately.turn
        count(pair, by: 1)
        if answer == .unsent, unsent == silent, answered == 0 { hasNetwork = false }
        if isMostSilent {
            isCutOff = true
            isBySample = false
        } else if answer == .answered, silent * 2 < silent + answered,
            !isBySample || lately.mostAnswer
        {
            isCutOff = false
        }
    }

    private mutating func count(_ pair: PairNumber, by step: Int) {
        let target = targets[Int(pair)]
        if target.answer != .none, target.turn == lately.turn {
            lately.count(isSilent: target.isSilent, by: step)
        }
        switch target.answer {
        case .none: break
        case .answered: answered += step
        case .silent, .unsent:
            silent += step
            if target.answer == .unsent { unsent += step }
            if target.hasAnswered { fellSilent += step }
            if target.isUnexplained, !target.hasAnswered { unexplained += step }
            let hosts = silentHosts[target.host, default: 0] + step
            silentHosts[target.host] = hosts == 0 ? nil : hosts
        }
    }

    /// The loop was kept from what was due for so long.
    public mutating func note(lag: Nanoseconds, at now: Instant) {
        if lag <= .zero { return }
        if now - lagWindow.began > Self.lagWindow { lagWindow = (now, .zero) }
        lagWindow.sum = lagWindow.sum + lag
        if lagWindow.sum >= Self.lagMax { lagDoubtUntil = now + Self.lagWindow }
    }

    public mutating func note(storeAway: Bool) { isStoreAway = storeAway }

    /// How many of how many say that what they probe fell silent, this one among them.
    public mutating func note(silentAgents: Int, of size: Int) {
        isWorld = silentAgents >= 2 && silentAgents * 2 >= size
    }

    /// Those on whom it counted did not come: it is alone with what it sees.
    public mutating func forgetOthers() { isAmongOthers = false }

    /// Of so many targets of others that were tried so many answered. More than half of them are a network again.
    public mutating func sampled(answers: Int, of size: Int) {
        guard answers * 2 > size else { return }
        isCutOff = false
        hasNetwork = true
    }

    /// The same of those that it probes itself and that were not heard since others fell silent. Half of them silent is a
    /// network that is gone, where that makes enough of a sample.
    public mutating func sampledUnheard(answers: Int, of size: Int) {
        if answers * 2 <= size, lately.isMass, !isCutOff {
            isCutOff = true
            isBySample = true
        } else if !isCutOff {
            lately.dismiss()
        }
    }

    // MARK: What follows

    /// Many fell silent one after the other, and of the rest not all were heard since: until a few of these were asked
    /// nobody knows whether it is the targets or the network.
    public var isSuspicious: Bool { !isCutOff && lately.isSuspicious(of: answered + silent) }

    /// Some fell silent, and of what was heard since nothing answered. One of them that is to be taken down waits for what
    /// those say that were not heard.
    public var isDark: Bool { !isCutOff && lately.isDark(of: answered + silent) }

    /// It has answered before the present silence, and was not heard since.
    public func isUnheard(_ pair: PairNumber) -> Bool {
        guard targets.indices.contains(Int(pair)) else { return false }
        let target = targets[Int(pair)]
        return target.answer != .none && target.turn != lately.turn
    }

    /// Most of what it probes fell silent: told to the others whether it is doubted or not.
    public var isSilent: Bool { isCutOff || isMostSilent }

    private var isMostSilent: Bool {
        fellSilent >= Self.targetsMin && silentHosts.count >= Self.hostsMin
            && silent * 2 >= silent + answered
    }

    /// What this target said last: something.
    public func isAnswering(_ pair: PairNumber) -> Bool {
        targets.indices.contains(Int(pair)) && targets[Int(pair)].answer == .answered
    }

    /// What this target said last: nothing at all.
    public func isSilent(_ pair: PairNumber) -> Bool {
        targets.indices.contains(Int(pair))
            && targets[Int(pair)].isSilent
    }

    /// Nothing has answered at all, and what is silent was well, or might be: among others that is this agent's own network
    /// until something answers.
    private var isSightless: Bool {
        answered == 0 && fellSilent + unexplained >= Self.targetsMin
            && silentHosts.count >= Self.hostsMin
    }

    /// Something was asked, and nothing has answered.
    public var isUnanswered: Bool { answered == 0 && silent > 0 }

    /// At the start: nothing has answered yet, and what was asked is enough of a sample.
    public var isBlind: Bool {
        answered == 0 && silent >= Self.targetsMin && silentHosts.count >= Self.hostsMin
    }

    /// Others can be asked whether they see the same: one agent alone must decide.
    public func reasons(hasOthers: Bool, at now: Instant) -> [Reason] {
        var reasons: [Reason] = []
        if let until = lagDoubtUntil, now < until { reasons.append(.loopLag) }
        if !hasNetwork { reasons.append(.network) }
        if isStoreAway { reasons.append(.store) }
        if isSilent && (hasOthers || isAmongOthers) && !isWorld { reasons.append(.massFailure) }
        return reasons
    }

    public func value(hasOthers: Bool, at now: Instant, ofStore isOfStore: Bool = true) -> Double {
        var value = 0.0
        for reason in reasons(hasOthers: hasOthers, at: now) where isOfStore || reason != .store {
            switch reason {
            case .massFailure:
                let share = Double(silent) / Double(max(silent + answered, 1))
                value = max(value, share, Self.withheldFrom)
            case .loopLag, .network, .store: value = 1
            }
        }
        return value
    }

    /// It is its own network that it doubts.
    public func isOfNetwork(hasOthers: Bool, at now: Instant) -> Bool {
        reasons(hasOthers: hasOthers, at: now).contains { $0 == .network || $0 == .massFailure }
    }

    /// Its own failures are not to be counted: the store being away is no reason for that.
    public func withholdsFailures(hasOthers: Bool, at now: Instant) -> Bool {
        reasons(hasOthers: hasOthers, at: now).contains { $0 != .store }
    }

    /// Keeps since when it withholds. Ask with each beat.
    public mutating func settle(hasOthers: Bool, at now: Instant) {
        if hasOthers, isSightless { isCutOff = true }
        isAmongOthers = isSilent && (hasOthers || isAmongOthers)
        if withholdsFailures(hasOthers: hasOthers, at: now) {
            since = since ?? now
        } else {
            since = nil
        }
        if isOfNetwork(hasOthers: hasOthers, at: now) {
            networkSince = networkSince ?? now
        } else {
            networkSince = nil
        }
    }
}
