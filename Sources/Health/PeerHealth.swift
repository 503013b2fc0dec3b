// How is this peer? Intent, verdicts and slow start are separate layers; here
// they are joined, once, into the status that everyone reads, with the chain of reasons for it.

public import Vocabulary

/// The layers of one peer, and their join.
public struct PeerHealth: Sendable {
    public private(set) var policy: PeerPolicy
    private var asked = Asked.nothing
    /// In the order of their monitors. There are one or two: an array finds them as fast as a
    /// dictionary would, and takes 300 bytes less a peer.
    public private(set) var verdicts: [Verdict] = []
    private var storedSlowStartFrom = PackedTime()
    private var ejected = Ejected.no
    private var storedStrangerUntil: PackedTime
    public private(set) var view: PeerView
    /// It came to peers that serve already, and has no verdict yet.
    private var isJoining: Bool
    /// It has had no status yet since this process knows it.
    private var isNew = true

    /// Apart from the rest: few peers have one, and it is large.
    private enum Asked {
        case nothing
        indirect case intent(Intent, since: WallTime?, weightSince: WallTime?)
    }

    /// What this process saw of its own requests, whatever the checks say. Apart for the same reason.
    private enum Ejected {
        case no
        indirect case now(Ejection)
    }

    /// A ramp begins at a tenth: less, and a peer with a small weight gets nothing to show itself.
    public static let slowStartShareMin = 0.1
    /// How often a ramping weight is recomputed.
    public static let slowStartStep = Nanoseconds.milliseconds(250)
    /// How long a new peer gets no requests because nobody has said yet how it is.
    public static let strangerTime = Nanoseconds.seconds(1)
    /// HAProxy caps an agent's weight at 256 times the configured one.
    public static let weightPercentMax = 25_600

    /// A peer that comes to others that serve begins slowly, as one does that recovers.
    public init(
        policy: PeerPolicy,
        now: WallTime,
        strangerTime: Nanoseconds = .zero,
        isJoining: Bool = false
    ) {
        self.policy = policy
        self.isJoining = isJoining
        storedStrangerUntil = PackedTime(now + strangerTime)
        view = PeerView(
            status: .unknown,
            routing: .unknown,
            since: now,
            reason: "not probed yet",
            weight: policy.weight,
            effectiveCentiweight: policy.weight * 100,
            isWeightless: policy.weight <= 0
        )
        _ = refresh(now: now)
    }

    private var slowStartFrom: WallTime? {
        get { storedSlowStartFrom.value }
        set { storedSlowStartFrom = PackedTime(newValue) }
    }

    /// When it has its whole weight, while it starts slowly.
    public var slowStartEnd: WallTime? { slowStartFrom.map { $0 + policy.slowStart } }

    /// Until then its first verdict is waited for; nil once that is there, or the wait is over.
    private var strangerUntil: WallTime? {
        get { storedStrangerUntil.value }
        set { storedStrangerUntil = PackedTime(newValue) }
    }

    public private(set) var intent: Intent? {
        get { if case .intent(let intent, _, _) = asked { intent } else { nil } }
        set {
            asked =
                newValue.map { .intent($0, since: askedSince, weightSince: weightSince) }
                ?? .nothing
        }
    }

    /// When that was asked for, where somebody told.
    public var askedSince: WallTime? {
        if case .intent(_, let since, _) = asked { since } else { nil }
    }

    public var weightSince: WallTime? {
        if case .intent(_, _, let since) = asked { since } else { nil }
    }

    public func verdict(by monitor: String) -> Verdict? {
        place(of: monitor).map { verdicts[$0] }
    }

    private func place(of monitor: String) -> Int? {
        for place in verdicts.indices where verdicts[place].key.monitor == monitor { return place }
        return nil
    }

    /// Takes a verdict in unless a newer one is already here. Returns what changed, unless it is
    /// only the time of the next change.
    public mutating func apply(_ verdict: Verdict, now: WallTime) -> Change? {
        guard let place = place(of: verdict.key.monitor) else {
            let next = verdicts.firstIndex { verdict.key.monitor < $0.key.monitor }
            // Exactly as many as there are: growing by doubling would waste most of it.
            verdicts.reserveCapacity(verdicts.count + 1)
            verdicts.insert(verdict, at: next ?? verdicts.count)
            return refresh(now: now)
        }
        if verdicts[place].isNewer(than: verdict) { return nil }
        let held = verdicts[place]
        let isRenewal =
            isQuiet(now: now) && held.expiresAt >= now && verdict.expiresAt >= now
            && verdict.agrees(with: held)
        verdicts[place] = verdict
        if !isRenewal { return refresh(now: now) }
        view.nextChange = nextChange(now: now, ramp: nil)
        return nil
    }

    /// Nothing is due to change by itself: joining again would find the same.
    private func isQuiet(now: WallTime) -> Bool {
        guard ejection == nil, slowStartFrom == nil, let next = view.nextChange else {
            return false
        }
        return now < next
    }

    public mutating func set(
        intent: Intent?,
        since: WallTime? = nil,
        weightSince: WallTime? = nil,
        now: WallTime
    ) -> Change? {
        asked = intent.map { .intent($0, since: since, weightSince: weightSince) } ?? .nothing
        return refresh(now: now)
    }

    /// What was asked of another is asked of this one, since when it was.
    public mutating func take(askedOf other: PeerHealth, now: WallTime) -> Change? {
        asked = other.asked
        return refresh(now: now)
    }

    /// Its requests fail: none go to it for a while, unless it is down anyway.
    public mutating func eject(_ ejection: Ejection, now: WallTime) -> Change? {
        ejected = .now(ejection)
        return refresh(now: now)
    }

    /// What this process saw of its own requests; nil where it has nothing against the peer.
    public var ejection: Ejection? {
        if case .now(let ejection) = ejected { ejection } else { nil }
    }

    /// Nobody else is left.
    public mutating func liftEjection(now: WallTime) -> Change? {
        ejected = .no
        return refresh(now: now)
    }

    public mutating func set(policy: PeerPolicy, now: WallTime) -> Change? {
        self.policy = policy
        return refresh(now: now)
    }

    /// A monitor was detached: what it said no longer counts.
    public mutating func forget(monitor: String, now: WallTime) -> Change? {
        verdicts.removeAll { $0.key.monitor == monitor }
        return refresh(now: now)
    }

    /// A monitor asks something else from now on. Who was down gets no requests before it has said what it
    /// finds, for so long at most.
    public mutating func forget(
        monitor: String,
        now: WallTime,
        strangerTime: Nanoseconds
    ) -> Change? {
        if view.routing == .down, verdict(by: monitor) != nil { strangerUntil = now + strangerTime }
        return forget(monitor: monitor, now: now)
    }

    public struct Change: Hashable, Sendable {
        public var from: PeerView
        public var to: PeerView

        public init(from: PeerView, to: PeerView) {
            self.from = from
            self.to = to
        }

        /// People and logs hear of a new status; routing also of a new weight.
        public var isTransition: Bool { from.status != to.status }
    }

    /// Of the status that it has.
    public mutating func set(since: WallTime) { view.since = since }

    /// Joins the layers again, because time passed or one of them changed.
    public mutating func refresh(now: WallTime) -> Change? {
        let before = view
        // What has ended has ended, also where the clock is set back afterwards.
        if let held = intent, case let left = held.current(at: now), left != held { intent = left }
        let joined = join(now: now)
        var next = joined
        if joined.status != before.status {
            let found = origin(of: joined, now: now)
            next.since = isNew || isFound(joined, since: found) ? min(found, now) : now
        }
        // What was asked for may be known before what was found.
        if joined.checked != .unknown
            || policy.requiredMonitors.isEmpty && joined.status != .unknown
        {
            isNew = false
        }
        guard next != before else { return nil }
        view = next
        return Change(from: before, to: next)
    }

    /// The wall clock was set by `step`: what is measured by it moves along, so that nothing begins,
    /// ends or expires because of it. What an operator asked for until a time of day ends at that time,
    /// or when it would have ended had nobody touched the clock.
    public mutating func shift(by step: Nanoseconds) {
        view.since = view.since + step
        view.nextChange = view.nextChange.map { $0 + step }
        slowStartFrom = slowStartFrom.map { $0 + step }
        strangerUntil = strangerUntil.map { $0 + step }
        if case .now(var ejection) = ejected {
            ejection.shift(by: step)
            ejected = .now(ejection)
        }
        for place in verdicts.indices { verdicts[place].shift(by: step) }
        guard var intent else { return }
        if step < .zero {
            intent.until = intent.until.map { $0 + step }
            intent.weightUntil = intent.weightUntil.map { $0 + step }
            self.intent = intent
        }
        let ends = [intent.until, intent.weightUntil, view.nextChange].compactMap { $0 }
        view.nextChange = ends.min()
    }

    // MARK: The join

    private mutating func join(now: WallTime) -> PeerView {
        var reasons: [String] = []
        let mode = activeMode(now: now, reasons: &reasons)
        let checks = joinChecks(now: now, reasons: &reasons)
        let agentDrains = mode == .ready && agentAdmin(now: now) == .drain
        let isStranger = isStranger(checks, now: now, reasons: &reasons)
        let isNowhere = isNowhere(checks)
        if isNowhere { reasons.append("its name has no address, so it gets no requests") }
        let ramp = slowStart(checks, now: now)
        let ejection = ejection(checks, now: now)

        let status: PeerStatus
        if mode == .maint || (mode == .ready && agentAdmin(now: now) == .maint) {
            status = .maint
            if mode != .maint { reasons.insert("agent asked for maint", at: 0) }
        } else if checks.status == .down {
            status = .down
        } else if mode == .drain || agentDrains {
            status = .drain
            if agentDrains { reasons.insert("agent asked for drain", at: 0) }
        } else if let ejection {
            status = .ejected
            reasons.insert(ejection, at: 0)
        } else if !checks.isFresh, !policy.requiredMonitors.isEmpty || !verdicts.isEmpty {
            status = .unknown
            if let ramp { reasons.append(Self.describe(ramp: ramp)) }
        } else if let ramp {
            status = .starting
            reasons.append(Self.describe(ramp: ramp))
        } else if checks.status == .degraded {
            status = .degraded
        } else {
            status = .up
        }

        let weight = intent?.current(at: now)?.weight ?? policy.weight
        let percent = min(max(agentWeightPercent() ?? 100, 0), Self.weightPercentMax)
        // Of a great weight a great percentage is no more than the greatest weight, as in HAProxy.
        var centiweight = min(
            Double(weight) * Double(percent),
            Double(PeerDefinition.weightMax) * 100
        )
        if let ramp { centiweight = max(centiweight * ramp, centiweight > 0 ? 1 : 0) }
        if centiweight <= 0, status != .maint {
            let intent = intent?.current(at: now)
            let who: Weightless =
                percent == 0
                ? .agent
                : intent?.weight == 0 ? .operator(intent, since: weightSince) : .configured
            reasons.append(who.words)
        }

        // While unknown, routing keeps what it had: a stale verdict is no news.
        let routing = status == .unknown ? lastKnownRouting(checks) : status
        var joined = PeerView(
            status: status,
            routing: routing,
            since: view.since,
            reason: reasons.joined(separator: "; "),
            weight: weight,
            effectiveCentiweight: Int(centiweight.rounded()),
            isWeightless: centiweight <= 0,
            maxConnections: verdicts.compactMap(\.hints.maxConnections).min(),
            nextChange: nextChange(now: now, ramp: ramp),
            downAddresses: joinDownAddresses()
        )
        joined.asked = status == .maint ? .maint : mode == .drain || agentDrains ? .drain : .ready
        joined.checked = checks.opinion
        joined.isStale = checks.opinion != .unknown && checks.status != .down && !checks.isFresh
        joined.isPassing = checks.isPassing
        joined.wasAsked = checks.wasAsked
        joined.isStranger = isStranger
        joined.isNowhere = isNowhere
        joined.isRamping = ramp != nil
        return joined
    }

    /// Why it is ejected, if it is.
    private mutating func ejection(_ checks: Checks, now: WallTime) -> String? {
        guard case .now(var ejection) = ejected else { return nil }
        ejection.consider(
            verdicts.filter { policy.requiredMonitors.contains($0.key.monitor) },
            isDown: checks.status == .down,
            now: now
        )
        if now >= ejection.until {
            ejected = .no
            return nil
        }
        ejected = .now(ejection)
        let isContradicted = checks.opinion == .up && !policy.requiredMonitors.isEmpty
        return "\(ejection.reason)\(isContradicted ? ", and its checks pass" : ""), until "
            + "\(ejection.until)"
    }

    /// No request goes to a peer before its first verdict, for as long as one may take.
    private mutating func isStranger(
        _ checks: Checks,
        now: WallTime,
        reasons: inout [String]
    ) -> Bool {
        guard let until = strangerUntil else { return false }
        if checks.opinion != .unknown || now >= until {
            strangerUntil = nil
            return false
        }
        reasons.append("gets no requests before its first verdict")
        return true
    }

    /// No monitor ever got as far as an opinion, and one says that the name does not resolve.
    private func isNowhere(_ checks: Checks) -> Bool {
        policy.isNamed && checks.opinion == .unknown
            && verdicts.allSatisfy { $0.status == .unknown }
            && verdicts.contains { $0.reason == .resolver }
    }

    /// Which share of its weight a peer has that has just come, or come back.
    private mutating func slowStart(_ checks: Checks, now: WallTime) -> Double? {
        if checks.status == .down {
            slowStartFrom = nil
            isJoining = false
        } else if policy.slowStart > .zero {
            // Also where a monitor that cannot speak keeps the status unknown: it gets requests again.
            if view.routing == .down, checks.lastKnown != .down {
                slowStartFrom = now
            } else if checks.isFresh, isJoining, !verdicts.isEmpty {
                // Another agent may have found it up long ago.
                let found = verdicts.filter { policy.requiredMonitors.contains($0.key.monitor) }
                slowStartFrom = found.map(\.since).max().map { min($0, now) }
            }
        }
        if checks.isFresh { isJoining = false }
        return slowStartShare(now: now)
    }

    /// What every monitor says, however old: as with the status, routing keeps what it had until
    /// somebody knows better.
    private func joinDownAddresses() -> [String] {
        var down: [String] = []
        for verdict in verdicts where !verdict.downAddresses.isEmpty {
            for address in verdict.downAddresses where !down.contains(address) {
                down.append(address)
            }
        }
        return down.count > 1 ? down.sorted() : down
    }

    /// Another agent found it so, and could not be heard at once.
    private func isFound(_ next: PeerView, since time: WallTime) -> Bool {
        let found: Set<PeerStatus> = [.up, .degraded, .down]
        return found.contains(view.status) && found.contains(next.status) && time > view.since
    }

    /// Since when a status holds that this process finds the peer in: a restart is no change.
    private func origin(of view: PeerView, now: WallTime) -> WallTime {
        let required = verdicts.filter { policy.requiredMonitors.contains($0.key.monitor) }
        switch view.status {
        case .down: return required.filter { $0.status == .down }.map(\.since).min() ?? now
        case .up, .degraded:
            return required.filter { $0.status == .up }.map(\.since).max() ?? now
        case .maint, .drain: return askedSince ?? now
        case .ejected, .starting, .unknown: return now
        }
    }

    private func lastKnownRouting(_ checks: Checks) -> PeerStatus {
        if checks.lastKnown == .down { return .down }
        return [.maint, .drain, .ejected, .down].contains(view.routing) ? .unknown : view.routing
    }

    private struct Checks {
        /// `.down`, `.degraded` or `.up` of what is fresh.
        var status: PeerStatus
        /// Every required monitor has a verdict that has not expired.
        var isFresh: Bool
        /// The same from verdicts of any age; nil before the first.
        var lastKnown: PeerStatus?
        /// Some required monitor has never said up or down.
        var isUnprobed: Bool
        /// Both as in `PeerView`.
        var isPassing: Bool
        var wasAsked: Bool

        /// Up or down, from verdicts of any age if need be.
        var opinion: HealthCounter.Status {
            if status == .down || lastKnown == .down { return .down }
            return isUnprobed ? .unknown : .up
        }
    }

    private func joinChecks(now: WallTime, reasons: inout [String]) -> Checks {
        var status = PeerStatus.up
        var lastKnown: PeerStatus?
        var stale: [String] = []
        var warnings: [String] = []
        var held: [String] = []
        for verdict in verdicts where verdict.status != .unknown {
            let isRequired = policy.requiredMonitors.contains(verdict.key.monitor)
            let opinion: PeerStatus =
                if verdict.status == .down { isRequired ? .down : .degraded } else {
                    verdict.isDegraded ? .degraded : .up
                }
            if isRequired { lastKnown = lastKnown == .down ? .down : opinion }
            if verdict.expiresAt < now {
                if isRequired { stale.append(expired(verdict)) }
                continue
            }
            switch opinion {
            case .down:
                status = .down
                reasons.append(describe(verdict))
            case .degraded:
                if status == .up { status = .degraded }
                warnings.append(describe(verdict))
            default: break
            }
            if verdict.status == .up, let why = verdict.withheld {
                held.append(Self.describe(verdict, withheld: why))
            }
        }
        let unprobed = policy.requiredMonitors.filter {
            (verdict(by: $0)?.status ?? .unknown) == .unknown
        }
        let passing = verdicts.filter {
            policy.requiredMonitors.contains($0.key.monitor) && $0.status == .up
                && $0.expiresAt >= now
        }
        let wasAsked = unprobed.allSatisfy { verdict(by: $0) != nil }
        let isPassing =
            !passing.isEmpty && lastKnown != .down && status != .down && wasAsked
        for name in unprobed.sorted() {
            // Probed, but every outcome so far was neutral: an agent that cannot be asked, say.
            let silent = verdict(by: name).map { "no opinion yet: \(describe($0))" }
            stale.append(silent ?? "\(name): not probed yet")
        }
        if isPassing, !unprobed.isEmpty {
            let names = passing.map(\.key.monitor).joined(separator: " and ")
            stale.append("it gets requests because of \(names)")
        }
        reasons += held + stale + warnings
        return Checks(
            status: status,
            isFresh: stale.isEmpty,
            lastKnown: lastKnown,
            isUnprobed: !unprobed.isEmpty,
            isPassing: isPassing,
            wasAsked: wasAsked
        )
    }

    private static func describe(ramp: Double) -> String {
        "slow start at \(Int(ramp * 100))%"
    }

    /// What it says now where it still speaks, since when it says nothing of health, and its last word.
    private func expired(_ verdict: Verdict) -> String {
        let name = verdict.key.monitor
        let status = verdict.status.rawValue
        // It was looked at since, and failed: that does not count, or not often enough yet.
        if verdict.status == .up, verdict.checkedAt > verdict.expiresAt {
            let end = "; last up, verdict expired at \(verdict.expiresAt)"
            if let why = verdict.withheld { return Self.describe(verdict, withheld: why) + end }
            if verdict.aside == nil, !verdict.isAtItsBest { return describe(verdict) + end }
        }
        guard let aside = verdict.aside else {
            return "\(name): last \(status) at \(verdict.checkedAt), verdict expired at "
                + "\(verdict.expiresAt)"
        }
        var word = Self.failures(of: verdict) + verdict.reason.rawValue
        if let code = verdict.code, verdict.reason.layer == "L7" { word += "/\(code)" }
        if !aside.before.isEmpty { word += " \(aside.before)" }
        return "\(name): \(aside.now), which says nothing of its health, and nothing else since "
            + "\(verdict.isFound ? verdict.expiresAt : verdict.checkedAt); last \(status), \(word)"
    }

    /// Up though the last probe failed: on the way down, and this is how far.
    private static func failures(of verdict: Verdict) -> String {
        let failures = verdict.status == .up ? verdict.rise + verdict.fall - 1 - verdict.health : 0
        return failures > 0 ? "\(failures) of \(verdict.fall) failures: " : ""
    }

    /// The reason comes first: `L4CON Connection refused (http)`.
    private func describe(_ verdict: Verdict) -> String {
        // Down though the last probe passed: on the way back, and this is how far.
        let isRising = verdict.status == .down && verdict.health > 0
        var text = isRising ? "passed \(verdict.health)/\(verdict.rise): " : ""
        text += Self.failures(of: verdict) + verdict.reason.rawValue
        if let code = verdict.code, verdict.reason.layer == "L7" { text += "/\(code)" }
        if !verdict.message.isEmpty { text += " \(verdict.message)" }
        return "\(text) (\(verdict.key.monitor))"
    }

    /// Up, and its last probe failed.
    private static func describe(_ verdict: Verdict, withheld why: Withheld) -> String {
        let found = verdict.aside.map { "; \(Verdict.asideMark)\($0.now)" } ?? ""
        return "\(why.words)\(found) (\(verdict.key.monitor))"
    }

    private func activeMode(now: WallTime, reasons: inout [String]) -> Intent.Mode {
        guard let intent = intent?.current(at: now), let mode = intent.mode else {
            if policy.isDisabled { reasons.append("configured down") }
            return policy.isDisabled ? .maint : .ready
        }
        if mode != .ready {
            var text = "operator asked for \(mode.rawValue)"
            if !intent.reason.isEmpty { text += ": \(intent.reason)" }
            if let until = intent.until { text += " (until \(until))" }
            reasons.append(text)
        }
        return mode
    }

    /// The worst admin word that an agent line set and has not taken back.
    private func agentAdmin(now: WallTime) -> Hints.Admin {
        var worst = Hints.Admin.ready
        for admin in verdicts.compactMap(\.hints.admin) {
            if admin == .maint || worst == .maint {
                worst = .maint
            } else if admin == .drain {
                worst = .drain
            }
        }
        return worst
    }

    private func agentWeightPercent() -> Int? {
        verdicts.compactMap(\.hints.weightPercent).min()
    }

    // MARK: Time

    private mutating func slowStartShare(now: WallTime) -> Double? {
        guard let from = slowStartFrom, policy.slowStart > .zero else { return nil }
        let share = (now - from).seconds / policy.slowStart.seconds
        if share >= 1 {
            slowStartFrom = nil
            return nil
        }
        return max(share, Self.slowStartShareMin)
    }

    private func nextChange(now: WallTime, ramp: Double?) -> WallTime? {
        var next: WallTime?
        func consider(_ time: WallTime) { next = next.map { min($0, time) } ?? time }
        for verdict in verdicts where verdict.expiresAt >= now {
            consider(verdict.expiresAt + .milliseconds(1))
        }
        if let end = intent?.nextEnd(after: now) { consider(end) }
        if ramp != nil { consider(now + Self.slowStartStep) }
        if let strangerUntil { consider(strangerUntil) }
        if let ejection { consider(ejection.until) }
        return next
    }
}
