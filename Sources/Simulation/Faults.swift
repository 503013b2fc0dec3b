// What befalls a simulated fleet? Faults with a time and a length; `Themes` draws them. They are a list, so that a failing
// seed can be tried again without some of them, until only those are left that it takes.

import Vocabulary

/// Times are milliseconds of the world.
public struct Fault: Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// kill -9, and a new start when it is over.
        case crash(agent: Int)
        /// SIGSTOP, and SIGCONT when it is over.
        case pause(agent: Int)
        /// A clean stop, and a new start when it is over.
        case leave(agent: Int)
        /// No way from the agent to the store.
        case cutFromStore(agent: Int)
        /// No way from the agent to any target: silence.
        case cutFromTargets(agent: Int)
        /// Not a probe of the agent goes out: its own sockets say so at once.
        case socketsFail(agent: Int)
        /// No way from the agent to one target.
        case cutFromTarget(agent: Int, target: Int)
        /// The target refuses.
        case targetDown(Int)
        /// The target says nothing.
        case targetSilent(Int)
        /// The target answers, and its answers say nothing of its health.
        case targetMute(Int)
        /// The target refuses so many of a hundred probes.
        case targetFlaky(Int, share: Int)
        /// So many of a hundred targets say nothing.
        case manySilent(share: Int)
        /// The store does not answer, and executes what waits when it is over.
        case storeStalls
        /// The store can be read, and takes no writes.
        case storeRefuses
        /// The store lets nobody add to a stream: beats pass, and no word from one agent to another.
        case storeForbids
        /// The store is gone, and comes back with what it had, or empty.
        case storeGone(keeps: Bool)
        /// A replica takes over that lacks the last writes.
        case failover(lost: Int64)
        case flush
        /// The store's clock is set.
        case storeClock(by: Int64)
        /// Connections to the store break, letters are lost and late, so many of a hundred.
        case badNetwork(share: Int)
        /// An agent's own clock on the wall is set, and set right when it is over.
        case agentClock(agent: Int, by: Int64)
        /// Another process is started with the agent's id.
        case twin(agent: Int)
        /// The agent does not know the pair: another configuration.
        case otherCatalogue(agent: Int, target: Int)
        /// What the agent reads of the store, letters and changes, stands still: its calls are another connection.
        case slowReading(agent: Int)
        /// Answers to its calls take up to a second, and some longer.
        case slowCalls(agent: Int)
    }

    public var at: Int64
    public var length: Int64
    public var kind: Kind

    public var description: String {
        let what =
            switch kind {
            case .crash(let agent): "a\(agent) is killed"
            case .pause(let agent): "a\(agent) is stopped (SIGSTOP)"
            case .leave(let agent): "a\(agent) stops cleanly"
            case .cutFromStore(let agent): "a\(agent) is cut off from the store"
            case .cutFromTargets(let agent): "a\(agent) is cut off from all targets"
            case .socketsFail(let agent): "the sockets of a\(agent) fail"
            case .cutFromTarget(let agent, let target): "a\(agent) is cut off from p\(target)"
            case .targetDown(let target): "p\(target) refuses"
            case .targetSilent(let target): "p\(target) falls silent"
            case .targetMute(let target): "p\(target) says nothing of its health"
            case .targetFlaky(let target, let share): "p\(target) refuses \(share)% of its probes"
            case .manySilent(let share): "\(share)% of the targets fall silent"
            case .storeStalls: "the store stalls"
            case .storeRefuses: "the store takes no writes"
            case .storeForbids: "the store takes beats, and no words"
            case .storeGone(let keeps):
                "the store is gone, \(keeps ? "with its state on disk" : "and its state")"
            case .failover(let lost): "the store fails over and loses the last \(lost)ms"
            case .flush: "FLUSHALL"
            case .storeClock(let span): "the store's clock is set by \(span)ms"
            case .badNetwork(let share): "\(share)% of the messages are lost"
            case .agentClock(let agent, let span): "the clock of a\(agent) is set by \(span)ms"
            case .twin(let agent): "a second process has the id of a\(agent)"
            case .otherCatalogue(let agent, let target): "a\(agent) does not define p\(target)"
            case .slowReading(let agent): "a\(agent) reads nothing of the store"
            case .slowCalls(let agent): "the answers to a\(agent) are slow"
            }
        return "\(Self.clock(at)) \(what)" + (length > 0 ? ", for \(length)ms" : "")
    }

    static func clock(_ time: Int64) -> String {
        let text = "\(time % 1_000)"
        return "\(time / 1_000)." + String(repeating: "0", count: 3 - text.count) + text
    }
}

// MARK: Another world

extension Fault {
    /// The same in a world in which agents and targets have other numbers; nil where what it befalls is not
    /// there.
    func renumbered(agents: (Int) -> Int?, targets: (Int) -> Int?) -> Fault? {
        var fault = self
        switch kind {
        case .crash(let agent): fault.kind = .crash(agent: agents(agent) ?? -1)
        case .pause(let agent): fault.kind = .pause(agent: agents(agent) ?? -1)
        case .leave(let agent): fault.kind = .leave(agent: agents(agent) ?? -1)
        case .cutFromStore(let agent): fault.kind = .cutFromStore(agent: agents(agent) ?? -1)
        case .cutFromTargets(let agent): fault.kind = .cutFromTargets(agent: agents(agent) ?? -1)
        case .socketsFail(let agent): fault.kind = .socketsFail(agent: agents(agent) ?? -1)
        case .twin(let agent): fault.kind = .twin(agent: agents(agent) ?? -1)
        case .slowReading(let agent): fault.kind = .slowReading(agent: agents(agent) ?? -1)
        case .slowCalls(let agent): fault.kind = .slowCalls(agent: agents(agent) ?? -1)
        case .agentClock(let agent, let span):
            fault.kind = .agentClock(agent: agents(agent) ?? -1, by: span)
        case .cutFromTarget(let agent, let target):
            fault.kind = .cutFromTarget(agent: agents(agent) ?? -1, target: targets(target) ?? -1)
        case .otherCatalogue(let agent, let target):
            fault.kind = .otherCatalogue(agent: agents(agent) ?? -1, target: targets(target) ?? -1)
        case .targetDown(let target): fault.kind = .targetDown(targets(target) ?? -1)
        case .targetSilent(let target): fault.kind = .targetSilent(targets(target) ?? -1)
        case .targetMute(let target): fault.kind = .targetMute(targets(target) ?? -1)
        case .targetFlaky(let target, let share):
            fault.kind = .targetFlaky(targets(target) ?? -1, share: share)
        case .manySilent, .storeStalls, .storeRefuses, .storeForbids, .storeGone, .failover, .flush,
            .storeClock,
            .badNetwork:
            return fault
        }
        return fault.agent == -1 || fault.target == -1 ? nil : fault
    }

    /// Whom it befalls, where that is one.
    var agent: Int? {
        switch kind {
        case .crash(let agent), .pause(let agent), .leave(let agent), .cutFromStore(let agent),
            .cutFromTargets(let agent), .socketsFail(let agent), .twin(let agent),
            .agentClock(let agent, _),
            .cutFromTarget(let agent, _), .otherCatalogue(let agent, _), .slowReading(let agent),
            .slowCalls(let agent):
            agent
        default: nil
        }
    }

    var target: Int? {
        switch kind {
        case .targetDown(let target), .targetSilent(let target), .targetMute(let target),
            .targetFlaky(let target, _),
            .cutFromTarget(_, let target), .otherCatalogue(_, let target):
            target
        default: nil
        }
    }
}
