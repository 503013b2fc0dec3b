// Through which door does every order pass? Through this one, whoever gives it: what is there is read,
// what shall be is decided, and it is written, in one step, so that no two orders undo one another. What
// the caller has to wait for, a body say, it has before it comes here.

public import EventLoop
public import Health
public import Vocabulary

/// Nothing was changed, and why.
public enum OperationError: Error, Hashable, Sendable {
    case noUpstream(String)
    case noPeer(PeerKey)
    /// The order makes no sense.
    case mistake(String)
    /// Another came first. This is what it is now.
    case outdated(Revision)
    /// Whether another came first cannot be known.
    case unknown(String)
    /// The store refused.
    case refused(String)
}

/// An order that was taken.
public struct Operation: Hashable, Sendable {
    public let change: IntentChange
    public let reach: IntentReach
    /// Right after it.
    public let revision: Revision
    /// The peer as it is now.
    public let report: PeerReport
    public let monitors: [MonitorSummary]
    /// It took out the last peer that could serve, and what requests get now; nil where it did not.
    public let warning: String?
}

/// Something was defined, or taken away.
public struct Definition: Sendable {
    public let decision: DefinitionDecision
    public let reach: IntentReach
    /// Of its upstream, right after it; nil where there is none.
    public let revision: Revision?
}

/// An upstream at one moment.
public struct SeenUpstream: Hashable, Sendable {
    public let view: UpstreamView
    public let revision: Revision
}

/// A peer at one moment.
public struct SeenPeer: Hashable, Sendable {
    public let report: PeerReport
    public let monitors: [MonitorSummary]
    /// Of its upstream.
    public let revision: Revision
}

/// Every write passes here. Confined to the control loop.
public final class Operations {
    private let loop: EventLoop
    private let board: Board
    private let store: any Store
    /// Of those who define, by upstream.
    let turns = Turns()

    public init(loop: EventLoop, board: Board, store: any Store) {
        self.loop = loop
        self.board = board
        self.store = store
    }

    // MARK: Reading

    public func revision(of upstream: String) -> Revision? {
        board.digest(of: upstream).map {
            Revision(definition: $0, stamps: store.stampSum(of: upstream))
        }
    }

    public func upstream(_ name: String) -> SeenUpstream? {
        guard let view = board.upstream(named: name), let revision = revision(of: name) else {
            return nil
        }
        return SeenUpstream(view: view, revision: revision)
    }

    /// One peer, without a look at the others of its upstream.
    public func peer(_ key: PeerKey) -> SeenPeer? {
        guard let report = board.report(of: key), let revision = revision(of: key.upstream) else {
            return nil
        }
        return SeenPeer(
            report: report,
            monitors: board.monitors(of: key.upstream),
            revision: revision
        )
    }

    // MARK: Writing

    /// Changes what is asked of a peer to what `decide` makes of it, if it is as `expected`.
    public func change(
        _ key: PeerKey,
        expecting expected: Precondition,
        _ decide: (PeerReport, WallTime) throws(OperationError) -> IntentChange
    ) async throws(OperationError) -> Operation {
        _ = try find(key)
        try await compare(key.upstream, expected)
        // From here to the store's own step nobody else has a turn.
        let (report, revision) = try find(key)
        let change = try decide(report, loop.wall)
        guard let digest = board.digest(of: key.upstream) else {
            throw .noUpstream(key.upstream)
        }
        var stamps = expected == .anything ? nil : store.stampSum(of: key.upstream)
        // Then only what holds already is taken: whoever asks again because the answer was lost.
        if !expected.holds(for: revision) { stamps = StampSum.none }
        do throws(StoreError) {
            let answer = try await store.change(Intent.self, change, of: key, expecting: stamps)
            let isTaken =
                report.view.isAvailable && board.report(of: key)?.view.isAvailable == false
            return Operation(
                change: change,
                reach: answer.reach,
                revision: Revision(definition: digest, stamps: answer.stampSum),
                report: board.report(of: key) ?? report,
                monitors: board.monitors(of: key.upstream),
                warning: isTaken ? board.shortage(of: key.upstream) : nil
            )
        } catch {
            throw translated(error, of: key.upstream)
        }
    }

    /// Defines, or takes away, what `decide` makes of what is there: nothing else than it saw, wherever
    /// others write at the same time.
    public func define(
        in upstream: String?,
        expecting expected: Precondition,
        _ decide: () throws(OperationError) -> DefinitionDecision
    ) async throws(OperationError) -> Definition {
        let group = upstream ?? LiveKey.routes
        let begun = loop.instant
        guard await turns.take(group) else {
            throw .unknown("\(Turns.waitingMax) others wait to change it; ask once more")
        }
        defer { turns.giveOn(group) }
        let isGuarded = expected != .anything && revision(inGroup: group) != nil
        if isGuarded { try await compare(group, expected) }
        var isCompared = true
        repeat {
            // From here to the store's own step nobody else has a turn.
            let decision = try decide()
            let holds = revision(inGroup: group).map { expected.holds(for: $0) } ?? true
            // Whoever asks again because the answer was lost gets it again.
            if isGuarded, !holds, decision.outcome != .same {
                throw translated(.outdated, of: group)
            }
            guard let (key, definition) = decision.change else {
                return Definition(
                    decision: decision,
                    reach: .everywhere,
                    revision: revision(inGroup: group)
                )
            }
            let stamps = isCompared && decision.outcome != .same ? store.stampSum(of: group) : nil
            do throws(StoreError) {
                let answer = try await store.change(
                    LiveDefinition.self,
                    definition,
                    of: key,
                    expecting: stamps
                )
                await sweep(after: decision)
                return Definition(
                    decision: decision,
                    reach: answer.reach,
                    revision: revision(inGroup: group)
                )
            } catch {
                switch error.kind {
                // Somebody else wrote in between: it is decided anew, by what is there now.
                case .outdated where !isGuarded: continue
                // The store is away: what is decided here is as good as anything that is known.
                case .unknown where !isGuarded && isCompared: isCompared = false
                default: throw translated(error, of: group)
                }
            }
        } while loop.instant - begun < Self.decidingTime
        throw .unknown(
            "others have changed it again and again for \(Self.decidingTime); ask once more"
        )
    }

    /// Of the agents that write one upstream at one moment one comes first each time, whichever it is: so long, from
    /// when it was asked, each of the others decides anew. Several that ask one agent have their turns.
    static let decidingTime = Nanoseconds.seconds(5)

    private func revision(inGroup group: String) -> Revision? {
        if group != LiveKey.routes { return revision(of: group) }
        return Revision(definition: 0, stamps: store.stampSum(of: group))
    }

    public var revisionOfRoutes: Revision {
        Revision(definition: 0, stamps: store.stampSum(of: LiveKey.routes))
    }

    /// Takes back what counts no more. Nothing hangs on it, so nobody hears where it fails.
    private func sweep(after decision: DefinitionDecision) async {
        for key in decision.swept {
            _ = try? await store.change(LiveDefinition.self, nil, of: key, expecting: nil)
        }
        // What was asked of a peer was not asked of the one that comes after it.
        guard decision.outcome == .gone, case .peer(let key) = decision.subject,
            board.report(of: key) == nil, board.intents[key] != nil
        else { return }
        let lifted = IntentChange(mode: .init(nil), weight: .init(nil))
        _ = try? await store.change(Intent.self, lifted, of: key, expecting: nil)
    }

    private func find(
        _ key: PeerKey
    ) throws(OperationError) -> (PeerReport, Revision) {
        guard let revision = revision(of: key.upstream) else { throw .noUpstream(key.upstream) }
        guard let report = board.report(of: key) else { throw .noPeer(key) }
        return (report, revision)
    }

    /// Who expects something else than is known here may have seen what this process has not heard of.
    private func compare(
        _ upstream: String,
        _ expected: Precondition
    ) async throws(OperationError) {
        guard let revision = revision(inGroup: upstream), !expected.holds(for: revision)
        else { return }
        do throws(StoreError) {
            try await store.refresh(upstream)
        } catch {
            throw translated(error, of: upstream)
        }
    }

    private func translated(_ error: StoreError, of upstream: String) -> OperationError {
        switch error.kind {
        case .refused: .refused(error.description)
        case .unknown: .unknown(error.description)
        case .outdated: revision(inGroup: upstream).map { .outdated($0) } ?? .noUpstream(upstream)
        }
    }
}
