// Does every connection stand in exactly one queue, oldest first?

import EventLoop
import Testing
import Vocabulary

@testable import AgentCheck

@Suite struct ConnectionQueuesTests {
    private static func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test func `the one who waits longest is first`() {
        var queues = ConnectionQueues()
        let slots = (0..<3).map { queues.insert(Self.connection(Int32($0), since: Int64($0))) }
        #expect(queues.first(in: .asking) == slots[0])
        #expect(queues.deadline(of: .asking) == Self.at(0) + Phase.asking.patience)
        queues.move(slots[0], to: .answered, at: Self.at(10))
        #expect(queues.first(in: .asking) == slots[1])
        #expect(queues.first(in: .answered) == slots[0])
        #expect(queues.remove(slots[1]).raw == 1)
        #expect(queues.first(in: .asking) == slots[2])
        #expect(queues.count == 2)
    }

    /// Against a plain array of pairs, which is slow and obviously right.
    @Test func `ten thousand random steps agree with a plain list`() {
        var generator = Dice(seed: 42)
        var queues = ConnectionQueues()
        var plain: [(slot: Int, phase: Phase)] = []
        for step in 0..<10_000 {
            switch Int.random(in: 0..<3, using: &generator) {
            case 0:
                let slot = queues.insert(Self.connection(Int32(step), since: Int64(step)))
                #expect(!plain.contains { $0.slot == slot })
                plain.append((slot, .asking))
            case 1:
                guard let entry = plain.randomElement(using: &generator) else { continue }
                let phase = Phase.allCases.randomElement(using: &generator) ?? .ended
                queues.move(entry.slot, to: phase, at: Self.at(Int64(step)))
                plain.removeAll { $0.slot == entry.slot }
                plain.append((entry.slot, phase))
            default:
                guard let entry = plain.randomElement(using: &generator) else { continue }
                _ = queues.remove(entry.slot)
                plain.removeAll { $0.slot == entry.slot }
            }
            #expect(queues.count == plain.count)
            for phase in Phase.allCases {
                #expect(queues.first(in: phase) == plain.first { $0.phase == phase }?.slot)
            }
        }
        #expect(Set(queues.all) == Set(plain.map(\.slot)))
    }

    private static func connection(_ raw: Int32, since: Int64) -> AskerConnection {
        AskerConnection(raw: raw, port: 0, since: at(since))
    }
}
