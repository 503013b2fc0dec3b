// Are the open files of this process enough for what a configuration asks of it? Counted before, so
// that nobody learns it on the day when everything is silent.

import EventLoop
import Glibc
import Monitor
import Proxy
import Settings

enum Sufficiency {
    /// Two descriptors a proxied connection: the soft limit of 1,024 is an old default that programs
    /// are meant to raise themselves (systemd's release notes, version 240).
    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// What is asked of probes and proxy, and cannot be had within `budget`.
    static func warnings(
        of configuration: MusterConfiguration,
        within budget: DescriptorBudget?
    ) -> [String] {
        ProbeDemand(configuration.upstreams).warnings(within: ProbeLimits(within: budget))
            + configuration.proxy.warnings(within: budget?.proxy)
    }

    /// All that there is to say of it before a start. `budget` is nil where `run` would refuse.
    static func foresight(
        of configuration: MusterConfiguration,
        within budget: DescriptorBudget?
    ) -> [String] {
        guard let budget else {
            let limit = DescriptorBudget.limitOfThisProcess()
            return [
                "\(DescriptorBudget.refusal(limit: limit)); muster run refuses to start with it"
            ]
        }
        return [budget.warning].compactMap { $0 } + warnings(of: configuration, within: budget)
    }
}
