// The table of what comes after a failed attempt, over every state there is.

import Health
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
        for bits in 0..<64 {
            for (tries, triesMax) in [(1, 1), (1, 2), (2, 2), (2, 3)] {
                for occasions in 0..<UInt8(16) {
                    states.append(
                        AttemptState(
                            isIdempotent: bits & 1 != 0,
                            isSafe: bits & 32 != 0,
                            isReplayable: bits & 2 != 0,
                            interimWasSent: bits & 4 != 0,
                            tries: tries,
                            triesMax: triesMax,
                            usedFreeRetry: bits & 8 != 0,
                            hasBudget: bits & 16 != 0,
                            occasions: TryingDefinition.Occasions(rawValue: occasions)
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
        let isStuck = state.interimWasSent || !state.isReplayable
        let isWanted: Bool =
            switch failure {
            case .connect: state.occasions.contains(.connectFailure)
            case .diedSilent: state.occasions.contains(.emptyResponse)
            case .timeout: state.occasions.contains(.responseTimeout)
            case .malformed: state.occasions.contains(.malformedResponse)
            case .midResponse: false
            }
        let mayFollow = !isLast && isWanted
        switch failure {
        case .midResponse:
            return .abort
        case .timeout:
            let mayGo = mayFollow && !isStuck && state.isIdempotent && state.hasBudget
            return mayGo ? .anotherPeer : .respond(status: 504)
        case _ where isStuck:
            return .respond(status: 502)
        case .malformed:
            let mayGo =
                mayFollow && state.isSafe && state.isIdempotent && state.hasBudget
            return mayGo ? .anotherPeer : .respond(status: 502)
        case .connect:
            return mayFollow ? .anotherPeer : .respond(status: 502)
        case .diedSilent(_, wroteBytes: true) where !state.isIdempotent:
            return .respond(status: 502)
        case .diedSilent(isReused: true, _) where !state.usedFreeRetry:
            return .freshConnection
        case .diedSilent:
            return mayFollow && state.hasBudget ? .anotherPeer : .respond(status: 502)
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

    @Test
    func `a fifth of what is under way may be under way a second time, and three at any rate`() {
        var budget = RetryBudget()
        func room() -> Int {
            var copy = budget
            var count = 0
            while !copy.isEmpty {
                copy.take()
                count += 1
            }
            return count
        }
        #expect(room() == 3)
        budget.underWay = 15
        #expect(room() == 3)
        budget.underWay = 100
        #expect(room() == 20)
        budget.take()
        #expect(room() == 19)
        budget.giveBack()
        budget.least = 0
        budget.share = 0
        #expect(room() == 0)
    }
}
