// Which due probe may start now? Free places go round the upstreams that wait, within one of them
// first come first served; limits on the whole, on each upstream and on each target address say when
// the lines move. Pure: time is an argument.

public import EventLoop
import Vocabulary

/// How much probing there may be at once.
public struct ProbeLimits: Hashable, Sendable {
    /// Probes in flight. Each holds a descriptor or two.
    public var inFlight: Int
    /// Probes in flight to one address: a peer with many monitors is not hit by all at once.
    public var perAddress: Int
    /// Probes started in a second; 0 sets no limit.
    public var perSecond: Int
    /// What to do where `inFlight` is too few.
    public var remedy = ""

    public init(inFlight: Int = 1_024, perAddress: Int = 4, perSecond: Int = 0) {
        self.inFlight = inFlight
        self.perAddress = perAddress
        self.perSecond = perSecond
    }

    /// What the descriptors there are allow; nil where nobody counts them.
    public init(within budget: DescriptorBudget?) {
        self.init()
        guard let budget else { return }
        inFlight = budget.probesInFlight
        remedy = budget.remedy(for: .probes)
    }
}

/// The lines of due probes, one for each group of pairs: those of an upstream.
///
/// Probes of peers that say nothing hold their places for the whole timeout. In one line for all, an
/// upstream of such peers would make every other upstream wait behind it.
struct Admission {
    /// Names a pair. The generation makes the ticket of a pair that was removed void.
    struct Ticket: Hashable {
        var pair: Int
        var generation: UInt32
        var group: UInt32
        var address: Address
        /// How many probes at once it is: one for each address of a name.
        var places = 1
    }

    enum Decision: Hashable {
        case start(Ticket)
        /// The budget of the second is used up until then.
        case wait(until: Instant)
        /// Nobody can start before somebody has finished or comes to the line.
        case idle
    }

    private struct Group {
        var pairs = 0
        var running = 0
        var line = Line<Ticket>()
        /// Waited long enough: their address has room again.
        var returned = Line<Ticket>()
        /// Its number is in `turns`.
        var hasTurn = false

        var first: Ticket? { returned.first ?? line.first }

        mutating func removeFirst() {
            if returned.isEmpty { line.removeFirst() } else { returned.removeFirst() }
        }
    }

    var limits: ProbeLimits
    private(set) var running = 0
    private(set) var waiting = 0
    private var groups: [Group] = []
    /// Groups with pairs.
    private var populated = 0
    /// Groups that wait and have room, in the order in which places go to them.
    private var turns = Line<Int>()
    private var parked: [Address: Line<Ticket>] = [:]
    private var busy: [Address: Int] = [:]

    /// Starts allowed now; fractions grow with time.
    private var tokens: Double
    private var filledAt: Instant?
    /// What an idle time saves up for later: a tenth of a second's worth.
    private var tokensMax: Double { max(1, Double(limits.perSecond) / 10) }

    init(limits: ProbeLimits) {
        self.limits = limits
        tokens = max(1, Double(limits.perSecond) / 10)
    }

    /// The places that one group may hold: all while it is alone, three quarters beside another. The
    /// rest is there for those whose probes end soon.
    var share: Int { Self.share(of: limits.inFlight, isAlone: populated <= 1) }

    static func share(of inFlight: Int, isAlone: Bool) -> Int {
        isAlone ? inFlight : max(1, inFlight * 3 / 4)
    }

    // MARK: Groups

    /// A pair of the group is there, whether it waits or not.
    mutating func join(_ number: UInt32) {
        makeRoom(for: number)
        groups[Int(number)].pairs += 1
        if groups[Int(number)].pairs == 1 { populate(1) }
    }

    /// A pair of the group is there no more.
    mutating func part(_ number: UInt32) {
        groups[Int(number)].pairs -= 1
        if groups[Int(number)].pairs == 0 { populate(-1) }
    }

    private mutating func populate(_ change: Int) {
        let before = share
        populated += change
        // Whoever stood at the old share has room again.
        if share > before { for group in groups.indices { giveTurn(group) } }
    }

    private mutating func makeRoom(for number: UInt32) {
        while groups.count <= Int(number) { groups.append(Group()) }
    }

    /// Puts the group at the end of the round, if it waits and has room.
    private mutating func giveTurn(_ group: Int) {
        guard !groups[group].hasTurn, groups[group].running < share, groups[group].first != nil
        else { return }
        groups[group].hasTurn = true
        turns.append(group)
    }

    private mutating func endTurn(of group: Int) {
        turns.removeFirst()
        groups[group].hasTurn = false
    }

    // MARK: Probes

    mutating func enter(_ ticket: Ticket) {
        makeRoom(for: ticket.group)
        let group = Int(ticket.group)
        groups[group].line.append(ticket)
        waiting += 1
        giveTurn(group)
    }

    mutating func next(now: Instant) -> Decision {
        while running < limits.inFlight, let group = turns.first {
            guard groups[group].running < share, let ticket = groups[group].first,
                groups[group].running == 0 || groups[group].running + ticket.places <= share
            else {
                endTurn(of: group)
                continue
            }
            // One that needs more than there are begins when nobody else is at it.
            if running > 0, running + ticket.places > limits.inFlight { return .idle }
            let isFull = busy[ticket.address, default: 0] >= limits.perAddress
            if !isFull, let until = waitForToken(now: now) { return .wait(until: until) }
            groups[group].removeFirst()
            if isFull {
                parked[ticket.address, default: Line()].append(ticket)
                continue
            }
            if limits.perSecond > 0 { tokens -= 1 }
            busy[ticket.address, default: 0] += 1
            groups[group].running += ticket.places
            running += ticket.places
            waiting -= 1
            endTurn(of: group)
            giveTurn(group)
            return .start(ticket)
        }
        return .idle
    }

    /// Of each line the one that has stood in it for longest.
    var firstInLine: [Ticket] {
        groups.flatMap { [$0.returned.first, $0.line.first].compactMap(\.self) }
            + parked.values.compactMap(\.first)
    }

    /// A started probe has ended, or was not wanted any more.
    mutating func leave(_ ticket: Ticket) {
        running -= ticket.places
        groups[Int(ticket.group)].running -= ticket.places
        let left = busy[ticket.address, default: 1] - 1
        busy[ticket.address] = left > 0 ? left : nil
        giveTurn(Int(ticket.group))
        guard var line = parked[ticket.address], let next = line.first else { return }
        line.removeFirst()
        parked[ticket.address] = line.isEmpty ? nil : line
        groups[Int(next.group)].returned.append(next)
        giveTurn(Int(next.group))
    }

    /// Nil when a start is allowed now, otherwise when the next one is.
    private mutating func waitForToken(now: Instant) -> Instant? {
        guard limits.perSecond > 0 else { return nil }
        let rate = Double(limits.perSecond)
        if let filledAt, now > filledAt {
            tokens = min(tokensMax, tokens + (now - filledAt).seconds * rate)
        }
        filledAt = now
        if tokens >= 1 { return nil }
        return now + Nanoseconds(Int64(((1 - tokens) / rate * 1e9).rounded(.up)) + 1)
    }
}

/// First in, first out, over one array: what was taken out is dropped when it is half of it.
struct Line<Element> {
    private var elements: [Element] = []
    private var head = 0

    var first: Element? { head < elements.count ? elements[head] : nil }
    var isEmpty: Bool { head == elements.count }
    var count: Int { elements.count - head }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func removeFirst() {
        precondition(!isEmpty)
        head += 1
        if head >= 64, head * 2 >= elements.count {
            elements.removeFirst(head)
            head = 0
        }
    }
}
