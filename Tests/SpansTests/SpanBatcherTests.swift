// Does every span go out once, or is it counted why not; and is the queue bounded whatever the receiver does? In
// time that the test moves.

import Testing
import Vocabulary

@testable import Spans

private func span(_ number: Int) -> SpanRecord {
    SpanRecord(
        trace: TraceID(high: 1, low: UInt64(number + 1))!,
        span: SpanID(UInt64(number + 1))!,
        parent: nil,
        name: "\(number)",
        kind: .server,
        begun: 0,
        ended: 1
    )
}

private func spans(_ range: Range<Int>) -> [SpanRecord] { range.map(span) }

private func names(_ batch: [SpanRecord]?) -> [String] { batch?.map(\.name) ?? [] }

@Suite struct SpanBatcherTests {
    private static let start = Instant(nanoseconds: 1_000_000_000_000)

    private static func at(_ milliseconds: Int64) -> Instant {
        start + .milliseconds(milliseconds)
    }

    private static func small() -> SpanBatcher {
        var rules = SpanBatcher.Rules()
        rules.queue = 8
        rules.batch = 4
        rules.gather = .seconds(1)
        return SpanBatcher(rules)
    }

    @Test func `the first waits a while for others, a full batch does not`() {
        var batcher = Self.small()
        #expect(batcher.wakeAt(Self.at(0)) == nil)
        let isFirst = batcher.add(spans(0..<1), at: Self.at(0))
        #expect(isFirst)
        let isNews = batcher.add(spans(1..<2), at: Self.at(500))
        #expect(!isNews, "it is known already when to look")
        #expect(batcher.wakeAt(Self.at(600)) == Self.at(1_000))
        let early = batcher.next(Self.at(999))
        #expect(early == nil)
        let isFull = batcher.add(spans(2..<5), at: Self.at(999))
        #expect(isFull)
        let batch = batcher.next(Self.at(999))
        #expect(names(batch) == ["0", "1", "2", "3"])
        let second = batcher.next(Self.at(2_000))
        #expect(second == nil, "one at a time")
        batcher.ended(.arrived(rejected: 0, ""), Self.at(1_100))
        // What was left waits no longer than the first that came after.
        let rest = batcher.next(Self.at(2_000))
        #expect(names(rest) == ["4"])
        batcher.ended(.arrived(rejected: 0, ""), Self.at(2_000))
        #expect(batcher.isEmpty && batcher.status.sent == 5 && batcher.status.waiting == 0)
        #expect(batcher.wakeAt(Self.at(2_000)) == nil)
    }

    @Test func `while the receiver is away the oldest go, and all are counted`() {
        var batcher = Self.small()
        _ = batcher.add(spans(0..<4), at: Self.at(0))
        let first = batcher.next(Self.at(0))
        #expect(names(first) == ["0", "1", "2", "3"])
        batcher.ended(.failed("refused", later: nil), Self.at(10))
        #expect(batcher.status.problem == "refused")
        #expect(batcher.status.failingSince == Self.at(10))
        _ = batcher.add(spans(4..<30), at: Self.at(20))
        #expect(batcher.status.waiting == 12, "eight in the queue, four to be tried again")
        #expect(batcher.status.dropped == [.queue: 18])

        // It is tried again after one second, two, four, and so on, with what it was tried with.
        var now: Int64 = 10
        for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] as [Int64] {
            #expect(batcher.wakeAt(Self.at(now)) == Self.at(now + pause))
            let early = batcher.next(Self.at(now + pause - 1))
            #expect(early == nil)
            let again = batcher.next(Self.at(now + pause))
            #expect(names(again) == ["0", "1", "2", "3"])
            now += pause
            batcher.ended(.failed("refused", later: nil), Self.at(now))
        }
        #expect(batcher.status.failingSince == Self.at(10))

        now += 30_000
        var sent: [String] = []
        while let batch = batcher.next(Self.at(now)) {
            sent += names(batch)
            batcher.ended(.arrived(rejected: 0, ""), Self.at(now))
        }
        #expect(sent == (0..<4).map { "\($0)" } + (22..<30).map { "\($0)" })
        #expect(batcher.status.problem == nil && batcher.status.failingSince == nil)
        #expect(batcher.status.made == 30 && batcher.status.sent == 12)
        // The next trouble begins with a short pause.
        _ = batcher.add(spans(0..<4), at: Self.at(now))
        _ = batcher.next(Self.at(now))
        batcher.ended(.failed("again", later: nil), Self.at(now))
        #expect(batcher.wakeAt(Self.at(now)) == Self.at(now + 1_000))
    }

    @Test func `who says when to come again is believed, within limits`() {
        for (later, wait) in [(0, 1), (7, 7), (3_600, 300)] as [(Int64, Int64)] {
            var batcher = Self.small()
            _ = batcher.add(spans(0..<4), at: Self.at(0))
            _ = batcher.next(Self.at(0))
            batcher.ended(.failed("429", later: .seconds(later)), Self.at(0))
            #expect(batcher.wakeAt(Self.at(0)) == Self.at(wait * 1_000))
        }
    }

    @Test func `what the receiver does not want is dropped and counted`() {
        var batcher = Self.small()
        _ = batcher.add(spans(0..<8), at: Self.at(0))
        _ = batcher.next(Self.at(0))
        batcher.ended(.refused("400"), Self.at(0))
        #expect(batcher.status.dropped == [.refused: 4] && batcher.status.refusal == "400")
        #expect(batcher.status.problem == "400" && batcher.status.failingSince == Self.at(0))
        #expect(batcher.wakeAt(Self.at(0)) == Self.at(0), "it answers: nothing waits")
        _ = batcher.next(Self.at(1_000))
        batcher.ended(.arrived(rejected: 3, "too old"), Self.at(1_000))
        #expect(batcher.status.dropped == [.refused: 4, .rejected: 3])
        #expect(batcher.status.sent == 1 && batcher.status.refusal == "too old")
        #expect(batcher.status.problem == nil && batcher.status.failingSince == nil)
        // Whoever counts more than there were is not believed.
        _ = batcher.add(spans(0..<4), at: Self.at(2_000))
        _ = batcher.next(Self.at(2_000))
        batcher.ended(.arrived(rejected: 99, "all"), Self.at(2_000))
        #expect(batcher.status.dropped[.rejected] == 7 && batcher.status.sent == 1)
        #expect(batcher.status.problem == "all" && batcher.status.isRefused)
        // Who says nothing of it is told of all the same.
        _ = batcher.add(spans(0..<4), at: Self.at(3_000))
        _ = batcher.next(Self.at(3_000))
        batcher.ended(.arrived(rejected: 4, ""), Self.at(3_000))
        #expect(batcher.status.refusal == "the receiver left spans out, and did not say why")
        #expect(batcher.status.failingSince == Self.at(2_000))
    }

    /// OTLP has one member for both: `partialSuccess` without any span that was left out is a warning.
    @Test func `words of a receiver that took everything are kept, and are no trouble`() {
        var batcher = Self.small()
        _ = batcher.add(spans(0..<4), at: Self.at(0))
        _ = batcher.next(Self.at(0))
        batcher.ended(.arrived(rejected: 0, "half of the quota is used"), Self.at(0))
        #expect(batcher.status.warning == "half of the quota is used")
        #expect(batcher.status.sent == 4 && batcher.status.dropped.isEmpty)
        #expect(batcher.status.refusal == nil && batcher.status.problem == nil)
    }

    @Test func `at the end all goes out at once, and what fails then is not tried again`() {
        var batcher = Self.small()
        _ = batcher.add(spans(0..<6), at: Self.at(0))
        batcher.end()
        let first = batcher.next(Self.at(0))
        #expect(names(first).count == 4)
        batcher.ended(.arrived(rejected: 0, ""), Self.at(1))
        let rest = batcher.next(Self.at(1))
        #expect(names(rest) == ["4", "5"], "it waits for no others")
        batcher.ended(.failed("gone", later: .seconds(60)), Self.at(2))
        #expect(batcher.isEmpty && batcher.status.dropped == [.end: 2])
        #expect(batcher.status.waiting == 0)
        // Whoever comes later still is counted, and wakes nobody.
        let isDue = batcher.add(spans(6..<8), at: Self.at(2))
        #expect(!isDue && batcher.isEmpty && batcher.status.dropped == [.end: 4])
        let nothing = batcher.next(Self.at(2))
        #expect(nothing == nil)
    }

    /// Whatever happens in whatever order: what was made is sent, dropped, or waits, and never more than fits.
    @Test(arguments: 0..<50)
    func `nothing is lost without being counted`(seed: Int) {
        var dice = Dice(seed: UInt64(seed + 1))
        var batcher = Self.small()
        var now = Self.start
        var made = 0
        var isSending = false
        var seen: [String: Int] = [:]
        var batch: [SpanRecord] = []
        for _ in 0..<2_000 {
            switch Int.random(in: 0..<6, using: &dice) {
            case 0, 1:
                let count = Int.random(in: 0..<7, using: &dice)
                _ = batcher.add(spans(made..<made + count), at: now)
                made += count
            case 2: now = now + .milliseconds(Int64.random(in: 0..<4_000, using: &dice))
            case 3, 4:
                if isSending { break }
                if let next = batcher.next(now) {
                    batch = next
                    isSending = true
                    #expect(!next.isEmpty && next.count <= 4)
                }
            default:
                guard isSending else { break }
                isSending = false
                switch Int.random(in: 0..<4, using: &dice) {
                case 0: batcher.ended(.failed("x", later: nil), now)
                case 1: batcher.ended(.refused("x"), now)
                default:
                    for span in batch { seen[span.name, default: 0] += 1 }
                    batcher.ended(.arrived(rejected: 0, ""), now)
                }
            }
            let status = batcher.status
            let dropped = status.dropped.values.reduce(0, +)
            #expect(status.made == UInt64(made))
            #expect(status.waiting <= 12)
            #expect(status.sent + dropped + UInt64(status.waiting) == UInt64(made))
            // Nobody forgets to look again.
            if status.waiting > 0, !isSending { #expect(batcher.wakeAt(now) != nil) }
        }
        #expect(seen.values.allSatisfy { $0 == 1 })
        #expect(seen.count == Int(batcher.status.sent))
    }
}
