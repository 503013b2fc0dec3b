// Which due probe may start now? Those that are due wait in line, first come first served; limits
// on the whole and on each target address say when the line moves. Pure: time is an argument.

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
}

/// The line of due probes.
struct Admission {
    /// Names a pair. The generation makes the ticket of a pair that was removed void.
    struct Ticket: Hashable {
        var pair: Int
        var generation: UInt32
        var address: Address
    }

    enum Decision: Hashable {
        case start(Ticket)
        /// The budget of the second is used up until then.
        case wait(until: Instant)
        /// Nobody can start before somebody has finished or comes to the line.
        case idle
    }

    var limits: ProbeLimits
    private(set) var running = 0
    private var line = Line<Ticket>()
    /// Waited long enough: their address has room again.
    private var returned = Line<Ticket>()
    private var parked: [Address: Line<Ticket>] = [:]
    private var busy: [Address: Int] = [:]
    private(set) var waiting = 0

    /// Starts allowed now; fractions grow with time.
    private var tokens: Double
    private var filledAt: Instant?
    /// What an idle time saves up for later: a tenth of a second's worth.
    private var tokensMax: Double { max(1, Double(limits.perSecond) / 10) }

    init(limits: ProbeLimits) {
        self.limits = limits
        tokens = max(1, Double(limits.perSecond) / 10)
    }

    mutating func enter(_ ticket: Ticket) {
        line.append(ticket)
        waiting += 1
    }

    mutating func next(now: Instant) -> Decision {
        while running < limits.inFlight {
            guard let ticket = returned.first ?? line.first else { return .idle }
            let isFull = busy[ticket.address, default: 0] >= limits.perAddress
            if !isFull, let until = waitForToken(now: now) { return .wait(until: until) }
            if returned.isEmpty { line.removeFirst() } else { returned.removeFirst() }
            if isFull {
                parked[ticket.address, default: Line()].append(ticket)
                continue
            }
            if limits.perSecond > 0 { tokens -= 1 }
            busy[ticket.address, default: 0] += 1
            running += 1
            waiting -= 1
            return .start(ticket)
        }
        return .idle
    }

    /// A started probe has ended, or was not wanted any more.
    mutating func leave(_ address: Address) {
        running -= 1
        let left = busy[address, default: 1] - 1
        busy[address] = left > 0 ? left : nil
        guard var line = parked[address], let ticket = line.first else { return }
        line.removeFirst()
        parked[address] = line.isEmpty ? nil : line
        returned.append(ticket)
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
