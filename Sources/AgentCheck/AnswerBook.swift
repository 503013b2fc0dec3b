// What is the answer about this peer, right now? Looked up, not computed: an answer is kept as bytes
// until the peer, its admin word or the number of askers changes.

import EventLoop
import Health
import Store
import Vocabulary

/// The answers of the peers on the board that somebody asked for, or that have an admin word. Most
/// peers of most agents are neither. Confined to its loop's thread.
final class AnswerBook: BoardObserver {
    /// What the load balancer has still to hear, should nobody know of the peer's health any more.
    enum Owed {
        /// The last opinion took no requests away.
        case nothing
        /// It did: `down`, or less than its weight.
        case up
        /// There was none in this process. What the one before said, the load balancer still goes by.
        case unknown
    }

    final class Page {
        let key: PeerKey
        var hold: AdminHold
        var answer = AgentAnswer(text: "", httpStatus: 0)
        var bytes: [UInt8] = []
        /// Something that the answer rests on changed; or, at `goodUntil`, will have by itself.
        var isDirty = true
        var goodUntil = Instant.distantFuture
        /// The answer divides a connection limit.
        var isShared = false
        var askers = 1
        var owes = Owed.unknown

        init(key: PeerKey, hold: AdminHold) {
            self.key = key
            self.hold = hold
        }
    }

    private let loop: EventLoop
    private let board: Board
    let memory: AdminMemory?
    private var pages: [String: Page] = [:]
    /// Pages by upstream, so that one upstream that changes touches no other.
    private var names: [String: Set<String>] = [:]
    private var askers: [String: AskerCount] = [:]
    /// Holds of peers that are not defined now: they may come back.
    private var absent: [String: AdminHold] = [:]
    private var isStoreLost = false
    private var connectedSince: Instant?

    var policy: AgentCheckPolicy {
        didSet { if policy != oldValue { touchAll() } }
    }

    /// A store that has just come back may still be telling what it holds.
    static let settleTime = Nanoseconds.seconds(2)

    init(loop: EventLoop, board: Board, policy: AgentCheckPolicy, memory: AdminMemory?) {
        self.loop = loop
        self.board = board
        self.policy = policy
        self.memory = memory
    }

    func open(at now: Instant) {
        if let memory { absent = memory.load().mapValues { AdminHold(remembering: $0) } }
        noteStore(at: now)
        board.subscribe(self)
        for view in board.upstreams {
            for peer in view.peers {
                openIfNeeded(PeerKey(upstream: view.name, peer: peer.definition.id))
            }
        }
    }

    func close() {
        board.unsubscribe(self)
        memory?.close(keeping: outstanding)
    }

    // MARK: Answering

    /// `upstream/peer`; nil when there is no such peer.
    func page(named name: String) -> Page? {
        if let page = pages[name] { return page }
        // An upstream's name has no slash; a peer's may, in the path of its socket.
        guard let slash = name.firstIndex(of: "/") else { return nil }
        let key = PeerKey(
            upstream: String(name[..<slash]),
            peer: String(name[name.index(after: slash)...])
        )
        return board.view(of: key) == nil ? nil : open(name, key)
    }

    private func open(_ name: String, _ key: PeerKey) -> Page {
        let page = Page(key: key, hold: absent.removeValue(forKey: name) ?? AdminHold())
        pages[name] = page
        names[key.upstream, default: []].insert(name)
        return page
    }

    /// Brings the page's answer up to date. `asker` is only called where the answer depends on it.
    func refresh(_ page: Page, at now: Instant, asker: (() -> String)? = nil) {
        if page.isShared, policy.askers == nil {
            if let asker { askers[page.key.upstream, default: AskerCount()].note(asker(), at: now) }
            if page.askers != askers[page.key.upstream]?.count ?? 1 { page.isDirty = true }
        }
        if page.isDirty || now >= page.goodUntil {
            rewrite(page, at: now)
            // Who asked is only noted once it is known to matter, which it now may be.
            if page.isShared, let asker, askers[page.key.upstream] == nil {
                askers[page.key.upstream, default: AskerCount()].note(asker(), at: now)
            }
        }
    }

    private func rewrite(_ page: Page, at now: Instant) {
        guard let report = board.report(of: page.key) else { return }
        let (definition, view) = (report.definition, report.view)
        observe(page, asked: view.asked, at: now)
        page.askers = askers[page.key.upstream]?.count ?? 1
        let question = AgentQuestion(
            definition: definition,
            view: view,
            admin: word(of: page, asked: view.asked, at: now),
            askers: page.askers,
            isStoreLost: isStoreLost,
            // Asked in vain, that is: before a check has run, it may find the peer down.
            owesUp: page.owes == .up || (page.owes == .unknown && view.wasAsked),
            policy: policy
        )
        page.answer = question.answer
        let line = question.line
        if let health = line.health {
            if health == .down || (line.weightPercent ?? 100) < 100 {
                page.owes = .up
            } else if view.checked != .unknown, !view.isStale {
                // An `up` that only takes back is said until then: not every asker has heard it.
                page.owes = .nothing
            }
        }
        page.bytes = Array(page.answer.text.utf8)
        page.isShared = definition.maxConnections != nil || view.maxConnections != nil
        page.isDirty = false
        page.goodUntil = page.hold.endsAt.flatMap { now < $0 ? $0 : nil } ?? .distantFuture
    }

    private func word(of page: Page, asked: Intent.Mode, at now: Instant) -> Intent.Mode? {
        switch policy.adminWords {
        case .never: nil
        case .whenSet: page.hold.word(at: now)
        // Before the store has told what is asked for, `ready` would be a guess.
        case .always: asked == .ready && isStoreLost && connectedSince == nil ? nil : asked
        }
    }

    func answer(to fallback: AgentCheckPolicy.Fallback, about name: String) -> AgentAnswer {
        let reason = "muster knows no peer \(name)"
        let line: AgentLine =
            switch fallback {
            case .unchanged, .lastKnown: .neutral
            case .up: AgentLine(health: .up, reason: reason)
            case .down: AgentLine(health: .down, reason: reason)
            }
        return AgentAnswer(text: line.text, httpStatus: policy.statuses.noSuchPeer)
    }

    // MARK: Hearing of changes

    func peerChanged(_ key: PeerKey, _ change: PeerHealth.Change) {
        let name = "\(key.upstream)/\(key.peer)"
        let isAsked = change.to.asked != .ready
        guard let page = pages[name] ?? (isAsked ? open(name, key) : nil) else { return }
        page.isDirty = true
        if change.from.asked != change.to.asked {
            observe(page, asked: change.to.asked, at: loop.instant)
        }
    }

    func defined(_ upstreams: [String], _ peers: [PeerKey]) {
        for upstream in upstreams {
            for name in names[upstream] ?? [] { pages[name]?.isDirty = true }
            if board.definition(of: upstream) == nil { askers[upstream] = nil }
        }
        for key in peers {
            if board.view(of: key) == nil {
                close(key)
            } else {
                pages["\(key.upstream)/\(key.peer)"]?.isDirty = true
                openIfNeeded(key)
            }
        }
    }

    private func close(_ key: PeerKey) {
        let name = "\(key.upstream)/\(key.peer)"
        guard let page = pages.removeValue(forKey: name) else { return }
        names[key.upstream]?.remove(name)
        if names[key.upstream]?.isEmpty == true { names[key.upstream] = nil }
        if page.hold.outstanding != nil, absent.count < AdminMemory.peersMax {
            absent[name] = page.hold
        }
    }

    /// Also where nobody asked yet: what was asked for once has to be taken back once.
    private func openIfNeeded(_ key: PeerKey) {
        guard let view = board.view(of: key) else { return }
        if view.asked == .ready, absent.isEmpty { return }
        let name = "\(key.upstream)/\(key.peer)"
        guard view.asked != .ready || absent[name] != nil, pages[name] == nil else { return }
        observe(open(name, key), asked: view.asked, at: loop.instant)
    }

    private func observe(_ page: Page, asked: Intent.Mode, at now: Instant) {
        let before = page.hold.outstanding
        page.hold.observe(asked, at: now, hold: policy.hold, isCertain: isCertain(at: now))
        if page.hold.outstanding != before {
            memory?.keepSoon { [unowned self] in outstanding }
        }
    }

    /// What is not asked for is really not asked for: the store has told all it holds.
    private func isCertain(at now: Instant) -> Bool {
        connectedSince.map { now - $0 >= Self.settleTime } ?? false
    }

    // MARK: Time

    /// Called about once a second.
    func tidy(at now: Instant) {
        noteStore(at: now)
        for upstream in askers.keys { askers[upstream]?.forgetSilent(at: now) }
        for page in pages.values where page.hold.outstanding != nil {
            let before = page.hold
            if let view = board.view(of: page.key) { observe(page, asked: view.asked, at: now) }
            if page.hold != before { page.isDirty = true }
        }
        memory?.keep(outstanding)
    }

    private func noteStore(at now: Instant) {
        let isConnected = board.storeStatus?.isConnected
        if isConnected == true, connectedSince == nil { connectedSince = now }
        if isConnected == false { connectedSince = nil }
        let isLost = isConnected == false
        if isLost != isStoreLost {
            isStoreLost = isLost
            touchAll()
        }
    }

    private func touchAll() {
        for page in pages.values { page.isDirty = true }
    }

    /// What HAProxy was told, and nobody has taken back.
    private var outstanding: [String: Intent.Mode] {
        var asked = absent.compactMapValues(\.outstanding)
        for (name, page) in pages {
            if let mode = page.hold.outstanding { asked[name] = mode }
        }
        return asked
    }
}
