// Does everybody get a share of the descriptors, however few there are?

import EventLoop
import Testing

@Suite struct DescriptorBudgetTests {
    /// The limit, and the shares of admin, agent-check, probes and proxy.
    @Test(arguments: [
        (128, [10, 10, 21, 43]), (256, [26, 26, 53, 107]), (1_024, [122, 122, 245, 491]),
        (65_536, [256, 4_096, 2_048, 59_092]), (1_048_576, [256, 4_096, 2_048, 1_042_132]),
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

    @Test func `a share that the limit cut is told how to grow, and no other`() throws {
        let few = try #require(DescriptorBudget(limit: 256))
        let many = try #require(DescriptorBudget(limit: 65_536))
        for owner in DescriptorBudget.Owner.allCases {
            #expect(few.share(of: owner) > 0)
            #expect(
                few.remedy(for: owner)
                    == "raise the limit of open files (LimitNOFILE, ulimit -n), which is 256"
            )
        }
        #expect(many.remedy(for: .admin) == "that is the most that admin may have")
        #expect(many.remedy(for: .agentCheck) == "that is the most that agent-check may have")
        #expect(many.remedy(for: .probes) == "that is the most that probes may have")
        #expect(many.remedy(for: .proxy).hasSuffix("which is 65536"))
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
