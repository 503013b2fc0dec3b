// Does everybody get a share of the descriptors, however few there are?

import EventLoop
import Testing

@Suite struct DescriptorBudgetTests {
    /// The limit, and the shares of admin, agent-check, probes and proxy.
    @Test(arguments: [
        (128, [10, 10, 21, 43]), (256, [26, 26, 53, 107]), (1_024, [122, 122, 245, 491]),
        (65_536, [512, 4_096, 2_048, 58_836]), (1_048_576, [512, 4_096, 2_048, 1_041_876]),
    ])
    func `everybody has a share, and together they are the limit`(limit: Int, shares: [Int]) throws
    {
        let budget = try #require(DescriptorBudget(limit: limit))
        #expect([budget.admin, budget.agentCheck, budget.probes, budget.proxy] == shares)
        #expect(budget.shares.reduce(0) { $0 + $1.count } == limit)
        #expect((budget.warning != nil) == (limit < 1_024))
        #expect(budget.probesInFlight <= 1_024)
    }

    @Test func `too few are refused, and every limit from there on gives each something`() throws {
        #expect(DescriptorBudget(limit: 95) == nil)
        for limit in 96...2_000 {
            let budget = try #require(DescriptorBudget(limit: limit))
            #expect(budget.shares.allSatisfy { $0.count >= 4 })
            #expect(budget.shares.reduce(0) { $0 + $1.count } == limit)
        }
    }

    @Test func `a small limit is told with its numbers`() throws {
        let budget = try #require(DescriptorBudget(limit: 256))
        #expect(
            budget.warning
                == "of 256 descriptors 96 are kept for admin, agent-check, store, names and files; at "
                + "most 26 probes run at once, and the proxy has 107, two a client. Raise the limit "
                + "(LimitNOFILE, ulimit -n) to 1024 or more"
        )
    }
}
