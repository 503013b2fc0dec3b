// What does a run of outcomes mean? One integer says it all: how far up, how far down, and how many
// more outcomes it takes to change that. The idea is HAProxy's (check-t.h, field `health`).

/// How many passes bring a peer up and how many failures take it down.
public struct Thresholds: Hashable, Sendable {
    // Half the bytes of `Int`: there is one for every pair.
    private let storedRise: Int32
    private let storedFall: Int32

    public var rise: Int { Int(storedRise) }
    public var fall: Int { Int(storedFall) }

    /// More than this is no threshold but a wish: at a second each it is a day.
    public static let countMax = 86_400

    public init(rise: Int, fall: Int) {
        precondition((1...Self.countMax).contains(rise))
        precondition((1...Self.countMax).contains(fall))
        storedRise = Int32(rise)
        storedFall = Int32(fall)
    }

    var top: Int { rise + fall - 1 }
}

/// Health as one integer in `0 … rise+fall-1`: up while it is at least `rise`.
///
/// A pass while up jumps to the top, so one pass forgives every failure before it. A failure while
/// down drops to zero, so a peer must pass `rise` times in a row. The first outcome ever decides at
/// once: waiting for `rise` probes would leave a freshly started proxy with nowhere to send to.
public struct HealthCounter: Hashable, Sendable {
    public enum Status: String, Sendable { case unknown, up, down }

    public struct Transition: Hashable, Sendable {
        public let from: Status
        public let to: Status
    }

    public let thresholds: Thresholds
    private var storedHealth: Int32
    public private(set) var status: Status

    /// Meaningless while `status` is unknown.
    public private(set) var health: Int {
        get { Int(storedHealth) }
        set { storedHealth = Int32(newValue) }
    }

    public init(thresholds: Thresholds) {
        self.thresholds = thresholds
        storedHealth = 0
        status = .unknown
    }

    /// Continues a count that another agent, or this one before a restart, had reached. A health
    /// outside the range of these thresholds (they changed meanwhile) is brought into it, on the
    /// same side.
    public init(thresholds: Thresholds, resuming status: Status, health: Int) {
        self.thresholds = thresholds
        self.status = status
        let kept =
            switch status {
            case .unknown: 0
            case .up: min(max(health, thresholds.rise), thresholds.top)
            case .down: min(max(health, 0), thresholds.rise - 1)
            }
        storedHealth = Int32(kept)
    }

    /// A change is pending: the next outcome may be the one that decides.
    public var isInTransition: Bool {
        switch status {
        case .unknown: true
        case .up: health < thresholds.top
        case .down: health > 0
        }
    }

    /// Records one outcome and returns the transition it completed, if any.
    public mutating func observe(passed: Bool, isImmediate: Bool = false) -> Transition? {
        let before = status
        if status == .unknown || (isImmediate && !passed) {
            health = passed ? thresholds.top : 0
        } else if passed {
            health = min(health + 1, thresholds.top)
            if health >= thresholds.rise { health = thresholds.top }
        } else {
            health = max(health - 1, 0)
            if health < thresholds.rise { health = 0 }
        }
        status = health >= thresholds.rise ? .up : .down
        return status == before ? nil : Transition(from: before, to: status)
    }
}

extension HealthCounter: CustomStringConvertible {
    /// As HAProxy's statistics page has it: `UP`, `UP 1/3`, `DOWN 1/2`.
    public var description: String {
        switch status {
        case .unknown: "INI"
        case .up where health == thresholds.top: "UP"
        case .up: "UP \(health - thresholds.rise + 1)/\(thresholds.fall)"
        case .down where health == 0: "DOWN"
        case .down: "DOWN \(health)/\(thresholds.rise)"
        }
    }
}
