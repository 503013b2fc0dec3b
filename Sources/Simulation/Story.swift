// What happened, in few words? A seed is a whole run. One that goes wrong is tried again with fewer faults, until
// only those are left that it takes, and then told line by line.

import Vocabulary

public struct SeedReport: Sendable {
    public var seed: UInt64
    public var violation: Violation?
    /// The faults that it takes, and what was said.
    public var faults: [Fault] = []
    public var story: [String] = []

    public var isFine: Bool { violation == nil }

    /// `seed 7: ok`, or a story.
    public var text: String { text(last: 60) }

    public func text(last count: Int) -> String {
        guard let violation else { return "seed \(seed): ok" }
        var lines = ["seed \(seed): \(violation.text), at \(Fault.clock(violation.at))"]
        lines.append("it takes:")
        lines += faults.map { "  \($0)" }
        lines.append("what happened last:")
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
        return WorldSetting(agents: agents ?? some, targets: targets ?? many, minutes: minutes)
    }

    static func faults(seed: UInt64, _ setting: WorldSetting) -> [Fault] {
        var dice = Dice(seed: seed)
        return Fault.draw(
            &dice,
            agents: setting.agents,
            targets: setting.targets,
            until: setting.faultsUntil
        )
    }

    /// Runs one seed; where it goes wrong, finds out what it takes.
    public static func run(
        seed: UInt64,
        _ setting: WorldSetting,
        shrinks: Bool = true
    ) -> SeedReport {
        let faults = faults(seed: seed, setting)
        var report = SeedReport(seed: seed)
        let world = World(setting, seed: seed, faults: faults)
        report.violation = world.run()
        if report.isFine { return report }
        report.faults = shrinks ? shrink(faults, seed: seed, setting) : faults
        let told = World(
            setting,
            seed: seed,
            faults: report.faults,
            isTold: true
        )
        report.violation = told.run() ?? report.violation
        report.story = told.story
        return report
    }

    /// The faults without which it goes well, found by leaving out ever smaller parts.
    private static func shrink(
        _ faults: [Fault],
        seed: UInt64,
        _ setting: WorldSetting
    ) -> [Fault] {
        var kept = faults
        var size = max(kept.count / 2, 1)
        while true {
            var start = 0
            var hasShrunk = false
            while start < kept.count {
                var fewer = kept
                fewer.removeSubrange(start..<min(start + size, kept.count))
                let world = World(setting, seed: seed, faults: fewer)
                if world.run() != nil {
                    kept = fewer
                    hasShrunk = true
                } else {
                    start += size
                }
            }
            if size == 1 && !hasShrunk { return kept }
            size = max(size / 2, 1)
        }
    }
}
