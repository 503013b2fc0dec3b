// What befalls a simulated fleet? Faults with a time and a length, drawn from the seed. They are a list, so that a
// failing seed can be tried again without some of them, until only those are left that it takes.

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
        /// No way from the agent to one target.
        case cutFromTarget(agent: Int, target: Int)
        /// The target refuses.
        case targetDown(Int)
        /// The target says nothing.
        case targetSilent(Int)
        /// The target refuses so many of a hundred probes.
        case targetFlaky(Int, share: Int)
        /// So many of a hundred targets say nothing.
        case manySilent(share: Int)
        /// The store does not answer, and executes what waits when it is over.
        case storeStalls
        /// The store can be read, and takes no writes.
        case storeRefuses
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
            case .cutFromTarget(let agent, let target): "a\(agent) is cut off from p\(target)"
            case .targetDown(let target): "p\(target) refuses"
            case .targetSilent(let target): "p\(target) falls silent"
            case .targetFlaky(let target, let share): "p\(target) refuses \(share)% of its probes"
            case .manySilent(let share): "\(share)% of the targets fall silent"
            case .storeStalls: "the store stalls"
            case .storeRefuses: "the store takes no writes"
            case .storeGone(let keeps):
                "the store is gone, \(keeps ? "with its state on disk" : "and its state")"
            case .failover(let lost): "the store fails over and loses the last \(lost)ms"
            case .flush: "FLUSHALL"
            case .storeClock(let span): "the store's clock is set by \(span)ms"
            case .badNetwork(let share): "\(share)% of the messages are lost"
            case .agentClock(let agent, let span): "the clock of a\(agent) is set by \(span)ms"
            case .twin(let agent): "a second process has the id of a\(agent)"
            case .otherCatalogue(let agent, let target): "a\(agent) does not define p\(target)"
            }
        return "\(Self.clock(at)) \(what)" + (length > 0 ? ", for \(length)ms" : "")
    }

    static func clock(_ time: Int64) -> String {
        let text = "\(time % 1_000)"
        return "\(time / 1_000)." + String(repeating: "0", count: 3 - text.count) + text
    }
}

extension Fault {
    /// A mix of faults between the start and `end`.
    static func draw(
        _ dice: inout Dice,
        agents: Int,
        targets: Int,
        until end: Int64
    ) -> [Fault] {
        func number(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &dice) }
        var faults: [Fault] = []
        // Some targets are never quite well: there is always something to say of them.
        for target in 0..<targets where number(0...5) == 0 {
            let share = Int(number(5...60))
            faults.append(
                Fault(at: 1, length: end - 1, kind: .targetFlaky(target, share: share))
            )
        }
        var time = number(6_000...15_000)
        while time < end - 1_000 {
            let agent = Int(number(0...Int64(agents - 1)))
            let target = Int(number(0...Int64(targets - 1)))
            var length = number(200...12_000)
            let kind: Kind
            switch number(0...99) {
            case 0..<10: kind = .crash(agent: agent)
            case 10..<22: kind = .pause(agent: agent)
            case 22..<28: kind = .leave(agent: agent)
            case 28..<38: kind = .cutFromStore(agent: agent)
            case 38..<44: kind = .cutFromTargets(agent: agent)
            case 44..<52: kind = .cutFromTarget(agent: agent, target: target)
            case 52..<62: kind = .targetDown(target)
            case 62..<70: kind = .targetSilent(target)
            case 70..<72: kind = .manySilent(share: Int(number(30...100)))
            case 72..<75: kind = .storeStalls
            case 75..<77:
                kind = .storeRefuses
                length = number(200...20_000)
            case 77..<81: kind = .storeGone(keeps: number(0...1) == 0)
            case 81..<86:
                kind = .failover(lost: number(0...1_500))
                length = number(50...1_000)
            case 86..<89:
                kind = .flush
                length = 0
            case 89..<92:
                let span = number(0...1) == 0 ? number(-5_000...5_000) : number(-600_000...600_000)
                kind = .storeClock(by: span)
                length = 0
            case 92..<94: kind = .badNetwork(share: Int(number(1...15)))
            case 94: kind = .twin(agent: agent)
            case 95..<97:
                let span = number(0...1) == 0 ? number(-3_000...3_000) : number(-600_000...600_000)
                kind = .agentClock(agent: agent, by: span)
            default: kind = .otherCatalogue(agent: agent, target: target)
            }
            if case .leave = kind { length = max(length, 3_000) }
            length = min(length, end - time)
            faults.append(Fault(at: time, length: length, kind: kind))
            time += number(0...2) == 0 ? number(0...2_000) : number(2_000...20_000)
        }
        return faults
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
        case .twin(let agent): fault.kind = .twin(agent: agents(agent) ?? -1)
        case .agentClock(let agent, let span):
            fault.kind = .agentClock(agent: agents(agent) ?? -1, by: span)
        case .cutFromTarget(let agent, let target):
            fault.kind = .cutFromTarget(agent: agents(agent) ?? -1, target: targets(target) ?? -1)
        case .otherCatalogue(let agent, let target):
            fault.kind = .otherCatalogue(agent: agents(agent) ?? -1, target: targets(target) ?? -1)
        case .targetDown(let target): fault.kind = .targetDown(targets(target) ?? -1)
        case .targetSilent(let target): fault.kind = .targetSilent(targets(target) ?? -1)
        case .targetFlaky(let target, let share):
            fault.kind = .targetFlaky(targets(target) ?? -1, share: share)
        case .manySilent, .storeStalls, .storeRefuses, .storeGone, .failover, .flush, .storeClock,
            .badNetwork:
            return fault
        }
        return fault.agent == -1 || fault.target == -1 ? nil : fault
    }

    /// Whom it befalls, where that is one.
    var agent: Int? {
        switch kind {
        case .crash(let agent), .pause(let agent), .leave(let agent), .cutFromStore(let agent),
            .cutFromTargets(let agent), .twin(let agent), .agentClock(let agent, _),
            .cutFromTarget(let agent, _), .otherCatalogue(let agent, _):
            agent
        default: nil
        }
    }

    var target: Int? {
        switch kind {
        case .targetDown(let target), .targetSilent(let target), .targetFlaky(let target, _),
            .cutFromTarget(_, let target), .otherCatalogue(_, let target):
            target
        default: nil
        }
    }
}
