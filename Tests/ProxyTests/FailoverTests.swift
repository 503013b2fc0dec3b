// The table of what comes after a failed attempt, over every state there is.

import Testing

@testable import Proxy

@Suite struct FailoverTests {
    private static let failures: [AttemptFailure] = [
        .connect, .timeout, .malformed, .midResponse,
        .diedSilent(isReused: false, wroteBytes: false),
        .diedSilent(isReused: false, wroteBytes: true),
        .diedSilent(isReused: true, wroteBytes: false),
        .diedSilent(isReused: true, wroteBytes: true),
    ]

    private static let states: [AttemptState] = {
        var states: [AttemptState] = []
        for bits in 0..<32 {
            for triesMax in 1...3 {
                for tries in 1...triesMax {
                    states.append(
                        AttemptState(
                            isIdempotent: bits & 1 != 0,
                            isReplayable: bits & 2 != 0,
                            interimWasSent: bits & 4 != 0,
                            tries: tries,
                            triesMax: triesMax,
                            usedFreeRetry: bits & 8 != 0,
                            hasBudget: bits & 16 != 0
                        )
                    )
                }
            }
        }
        return states
    }()

    /// The table as rows, first match first; written from the words of it, not from the code.
    private static func row(_ failure: AttemptFailure, _ state: AttemptState) -> FailoverDecision {
        let isLast = state.tries == state.triesMax
        switch failure {
        case .midResponse:
            return .abort
        case .timeout:
            return .respond(status: 504)
        case .malformed:
            return .respond(status: 502)
        case _ where state.interimWasSent || !state.isReplayable:
            return .respond(status: 502)
        case .connect:
            return isLast ? .respond(status: 502) : .anotherPeer
        case .diedSilent(_, wroteBytes: true) where !state.isIdempotent:
            return .respond(status: 502)
        case .diedSilent(isReused: true, _) where !state.usedFreeRetry:
            return .freshConnection
        case .diedSilent:
            return isLast || !state.hasBudget ? .respond(status: 502) : .anotherPeer
        }
    }

    @Test func `every state decides as the table says`() {
        for failure in Self.failures {
            for state in Self.states {
                #expect(
                    Failover.decide(failure, state) == Self.row(failure, state),
                    "\(failure) \(state)"
                )
            }
        }
    }

    @Test func `what is not idempotent is never sent twice`() {
        for state in Self.states where !state.isIdempotent {
            for isReused in [false, true] {
                let decision = Failover.decide(
                    .diedSilent(isReused: isReused, wroteBytes: true),
                    state
                )
                #expect(decision == .respond(status: 502))
            }
        }
    }

    @Test func `nothing is sent again once the client heard something`() {
        for state in Self.states where state.interimWasSent {
            for failure in Self.failures {
                let decision = Failover.decide(failure, state)
                #expect(decision != .anotherPeer && decision != .freshConnection)
            }
        }
    }

    @Test func `an empty budget stops all but connect failures and the free retry`() {
        for state in Self.states where !state.hasBudget {
            for failure in Self.failures where Failover.decide(failure, state) == .anotherPeer {
                #expect(failure == .connect)
            }
        }
    }

    @Test func `the budget is a fifth of the requests`() {
        var budget = RetryBudget()
        var withdrawn = 0
        while !budget.isEmpty {
            budget.withdraw()
            withdrawn += 1
        }
        #expect(withdrawn == Int(RetryBudget.tokensMax / 2))
        for _ in 0..<1_000 {
            budget.deposit()
            if !budget.isEmpty {
                budget.withdraw()
                withdrawn += 1
            }
        }
        // A fifth of 1,000 added up in binary fractions may be a hair less than 200.
        #expect((199...200).contains(withdrawn - Int(RetryBudget.tokensMax / 2)))
    }

    @Test func `the budget does not grow without end`() {
        var budget = RetryBudget()
        for _ in 0..<100_000 { budget.deposit() }
        var withdrawn = 0.0
        while !budget.isEmpty {
            budget.withdraw()
            withdrawn += 1
        }
        #expect(withdrawn == RetryBudget.tokensMax)
    }
}
