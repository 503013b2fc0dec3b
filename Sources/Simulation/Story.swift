// What happened, in few words? A seed is a whole run. One that goes wrong is tried again in ever smaller worlds, and
// the smallest that still goes wrong in the same way is told line by line.

public import EventLoop
import Fleet
import Health
import Vocabulary

public struct SeedReport: Sendable {
    public var seed: UInt64
    public var violation: Violation?
    /// The smallest world in which it happens: its size, its faults, and what was said.
    public var setting: WorldSetting
    public var faults: [Fault] = []
    public var story: [String] = []

    public var isFine: Bool { violation == nil }

    /// `seed 7: ok`, or a story.
    public var text: String { text(last: 60) }

    public func text(last count: Int) -> String {
        guard let violation else { return "seed \(seed): ok" }
        let readers = setting.readers
        var lines = ["seed \(seed): \(violation.text), at \(Fault.clock(violation.at))"]
        lines.append(
            "it takes \(setting.agents) agents"
                + (readers > 0 ? " (\(readers) of them only read)" : "")
                + ", \(setting.targets) peers, and:"
        )
        lines += faults.map { "  \($0)" }
        lines.append(
            violation.target.map { "what happened last, and to no other peer than p\($0):" }
                ?? "what happened last:"
        )
        lines += story.suffix(count).map { "  \($0)" }
        return lines.joined(separator: "\n")
    }
}

public enum Simulation {
    /// How large a world a seed makes, where nobody says.
    public static func setting(
        seed: UInt64,
        agents: Int? = nil,
        targets: Int? = nil,
        minutes: Int = 5
    ) -> WorldSetting {
        var dice = Dice(seed: seed &* 0x9E37_79B9)
        let some = Int.random(in: 3...7, using: &dice)
        let many = Int.random(in: 8...30, using: &dice)
        let readers = Int.random(in: 0...1, using: &dice)
        var setting = WorldSetting(
            agents: (agents ?? some) + readers,
            targets: targets ?? many,
            minutes: minutes
        )
        setting.readers = readers
        // Of a quarter each target is looked at by two agents, of an eighth by three.
        switch Int.random(in: 0...7, using: &dice) {
        case 0, 1: setting.observers = 2
        case 2: setting.observers = 3
        default: break
        }
        // Of a third nobody said who is asked.
        switch Int.random(in: 0...11, using: &dice) {
        case 0...3: setting.confirm = .byDefault
        case 4, 5: setting.confirm = .off
        case 6: setting.confirm = ConfirmRule(agents: 1)
        case 7: setting.confirm = ConfirmRule(agents: 3)
        case 8: setting.confirm = ConfirmRule(agents: 2, quorum: .all)
        default: break
        }
        if Int.random(in: 0...3, using: &dice) == 0 { setting.massAction = .publish }
        return setting
    }

    static func faults(seed: UInt64, _ setting: WorldSetting) -> [Fault] {
        var draw = FaultDraw(Dice(seed: seed), setting)
        return draw.draw(Theme.of(seed: seed))
    }

    /// Runs one seed; where it goes wrong, finds out what it takes.
    public static func run(
        seed: UInt64,
        _ setting: WorldSetting,
        shrinks: Bool = true
    ) throws(SystemError) -> SeedReport {
        let scenario = Scenario(seed: seed, setting: setting, faults: faults(seed: seed, setting))
        let violation = try scenario.run()
        var report = SeedReport(seed: seed, violation: violation, setting: setting)
        guard let violation else { return report }
        var least = scenario
        if shrinks {
            var shrinker = Shrinker(scenario, violation)
            try shrinker.shrink()
            least = shrinker.least
        }
        let world = least.world(isTold: true)
        report.violation = try world.run() ?? violation
        world.close()
        (report.setting, report.faults) = (least.setting, least.faults)
        let target = report.violation?.target
        report.story = world.story.filter {
            $0.target == nil || target == nil || $0.target == target
        }
        .map(\.text)
        return report
    }
}

/// One world that can be tried again.
struct Scenario: Hashable {
    var seed: UInt64
    var setting: WorldSetting
    var faults: [Fault]

    func world(isTold: Bool = false) -> World {
        World(setting, seed: seed, faults: faults, isTold: isTold)
    }

    func run() throws(SystemError) -> Violation? {
        let world = world()
        defer { world.close() }
        return try world.run()
    }

    /// Nil where too few are left.
    func without(agent number: Int) -> Scenario? {
        let isReader = number >= setting.agents - setting.readers
        if !isReader && setting.agents - setting.readers <= 1 { return nil }
        var smaller = self
        smaller.setting.agents -= 1
        if isReader { smaller.setting.readers -= 1 }
        smaller.faults = faults.compactMap {
            $0.renumbered(
                agents: { $0 == number ? nil : $0 > number ? $0 - 1 : $0 },
                targets: { $0 }
            )
        }
        return smaller
    }

    func keeping(targets count: Int) -> Scenario? {
        if count < 1 || count >= setting.targets { return nil }
        var smaller = self
        smaller.setting.targets = count
        smaller.faults = faults.compactMap {
            $0.renumbered(agents: { $0 }, targets: { $0 < count ? $0 : nil })
        }
        return smaller
    }
}

/// Looks for the smallest world that goes wrong in the same way, by leaving out ever smaller parts.
struct Shrinker {
    private(set) var least: Scenario
    private(set) var violation: Violation
    private var runs = 0

    /// More is patience that nobody has.
    static let runsMax = 1_500

    init(_ scenario: Scenario, _ violation: Violation) {
        least = scenario
        self.violation = violation
    }

    mutating func shrink() throws(SystemError) {
        while runs < Self.runsMax {
            let before = least
            try dropFaults()
            try dropAgents()
            try dropTargets()
            try shorten()
            try moveTogether()
            if least == before { return }
        }
    }

    /// Takes a smaller world, where that goes wrong too.
    private mutating func take(_ scenario: Scenario?) throws(SystemError) -> Bool {
        guard let scenario, runs < Self.runsMax else { return false }
        runs += 1
        guard let other = try scenario.run(), other.kind == violation.kind else { return false }
        (least, violation) = (scenario, other)
        return true
    }

    private mutating func dropFaults() throws(SystemError) {
        var size = max(least.faults.count / 2, 1)
        while true {
            var start = 0
            var hasShrunk = false
            while start < least.faults.count {
                var fewer = least
                fewer.faults.removeSubrange(start..<min(start + size, least.faults.count))
                if try take(fewer) { hasShrunk = true } else { start += size }
            }
            if size == 1 && !hasShrunk { return }
            size = max(size / 2, 1)
        }
    }

    private mutating func dropAgents() throws(SystemError) {
        var number = least.setting.agents - 1
        while number >= 0 {
            _ = try take(least.without(agent: number))
            number -= 1
        }
    }

    private mutating func dropTargets() throws(SystemError) {
        while try take(least.keeping(targets: least.setting.targets / 2)) {}
        while try take(least.keeping(targets: least.setting.targets - 1)) {}
    }

    private mutating func shorten() throws(SystemError) {
        for place in least.faults.indices {
            while least.faults[place].length > 400 {
                var shorter = least
                shorter.faults[place].length = least.faults[place].length / 2 / 100 * 100
                if try !take(shorter) { break }
            }
        }
        // What follows the last fault is for coming to rest, and has its own length.
        let end = least.faults.map { $0.at + $0.length }.max() ?? 0
        var shorter = least
        let rest = least.setting.length - least.setting.faultsUntil
        shorter.setting.faultsUntil = max((end + 999) / 1_000 * 1_000, 10_000)
        shorter.setting.length = shorter.setting.faultsUntil + rest
        if shorter.setting.length < least.setting.length { _ = try take(shorter) }
    }

    /// The pauses between faults, and before the first.
    private mutating func moveTogether() throws(SystemError) {
        for place in least.faults.indices {
            let before = place == 0 ? 6_000 : least.faults[place - 1].at
            while least.faults[place].at - before > 2_000 {
                let span = (least.faults[place].at - before) / 2 / 1_000 * 1_000
                if span == 0 { break }
                var sooner = least
                for later in place..<least.faults.count { sooner.faults[later].at -= span }
                if try !take(sooner) { break }
            }
        }
    }
}
