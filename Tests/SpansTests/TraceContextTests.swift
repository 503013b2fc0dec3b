// Is a `traceparent` read as W3C Trace Context has it, and nothing else taken for one?

import Testing
import Vocabulary

@testable import Spans

private let trace = "0af7651916cd43dd8448eb211c80319c"
private let parent = "b7ad6b7169203331"

@Suite struct TraceContextTests {
    @Test(arguments: [
        ("00-\(trace)-\(parent)-01", true),
        ("00-\(trace)-\(parent)-00", false),
        // Other flags mean nothing yet.
        ("00-\(trace)-\(parent)-ff", true),
        ("00-\(trace)-\(parent)-02", false),
        ("00-\(trace)-\(parent)-03", true),
        // Later versions are read as far as this one goes, with more behind it or not.
        ("01-\(trace)-\(parent)-01", true),
        ("cc-\(trace)-\(parent)-01-what-the-future-will-be-like", true),
        ("cc-\(trace)-\(parent)-00-", false),
        ("fe-\(trace)-\(parent)-01", true),
    ])
    func `what is one is read`(text: String, isSampled: Bool) throws {
        let read = try #require(TraceParent(text))
        #expect("\(read.trace)" == trace)
        #expect("\(read.parent)" == parent)
        #expect(read.isSampled == isSampled)
        // Whatever was read, what is written is of the version that is known.
        #expect(read.description == "00-\(trace)-\(parent)-\(isSampled ? "01" : "00")")
    }

    @Test(arguments: [
        "",
        "00",
        // Lengths.
        "00-\(trace)-\(parent)-0",
        "00-\(trace)-\(parent)-011",
        "00-\(trace)-\(parent)-01-",
        "00-\(trace)-\(parent)-01-more",
        "00-\(trace.dropLast())-\(parent)-01",
        "00-\(trace)0-\(parent)-01",
        "00-\(trace)-\(parent.dropLast())-01",
        "00-\(trace)-\(parent)0-01",
        "0-\(trace)-\(parent)-01",
        "000-\(trace)-\(parent)-01",
        "cc-\(trace)-\(parent)-01.what-the-future-will-not-be-like",
        "01-\(trace)-\(parent)-011",
        // A version that there will never be.
        "ff-\(trace)-\(parent)-01",
        // All zeros.
        "00-\(String(repeating: "0", count: 32))-\(parent)-01",
        "00-\(trace)-\(String(repeating: "0", count: 16))-01",
        // Capitals, and what is no digit at all.
        "00-\(trace.uppercased())-\(parent)-01",
        "00-\(trace)-\(parent.uppercased())-01",
        "00-\(trace)-\(parent)-0A",
        "0X-\(trace)-\(parent)-01",
        ".0-\(trace)-\(parent)-01",
        "00-.\(trace.dropFirst())-\(parent)-01",
        "00-\(trace)-.\(parent.dropFirst())-01",
        "00-\(trace)-\(parent)-.0",
        // Other signs between.
        "00_\(trace)-\(parent)-01",
        "00-\(trace)_\(parent)-01",
        "00-\(trace)-\(parent)_01",
        // Two of them as one field.
        "00-\(trace)-\(parent)-01, 00-\(trace)-\(parent)-01",
        "00-\(trace)-\(parent)-01,00-\(trace)-\(parent)-01",
        // Blanks are taken off by whoever reads the field.
        " 00-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-01 ",
    ])
    func `what is none is not`(text: String) { #expect(TraceParent(text) == nil) }

    /// Every place, every byte: reading stays within the text, and what differs by one byte is refused or reads
    /// as what it says.
    @Test func `no byte in the wrong place passes`() {
        let good = Array("00-\(trace)-\(parent)-01".utf8)
        let hex = Set("0123456789abcdef".utf8)
        for place in good.indices {
            for byte in UInt8.min...UInt8.max where byte != good[place] {
                var bytes = good
                bytes[place] = byte
                let read = bytes.withUnsafeBufferPointer { TraceParent($0) }
                let isDash = [2, 35, 52].contains(place)
                let isVersion = place < 2
                let isFuture = isVersion && hex.contains(byte)
                #expect((read != nil) == (!isDash && hex.contains(byte)), "\(place) \(byte)")
                if isFuture { #expect(read?.trace.description == trace) }
            }
            let short = Array(good[..<place])
            let cut = short.withUnsafeBufferPointer { TraceParent($0) }
            #expect(cut == nil)
        }
    }

    @Test func `what is written is read`() throws {
        var dice = Dice(seed: 7)
        for _ in 0..<1_000 {
            let made = TraceParent(
                trace: .random(using: &dice),
                parent: .random(using: &dice),
                isSampled: dice.next() & 1 == 0
            )
            #expect(TraceParent(made.description) == made)
            var bytes = [UInt8](repeating: 0, count: TraceParent.length)
            bytes.withUnsafeMutableBufferPointer { made.write(to: $0.baseAddress!) }
            #expect(String(decoding: bytes, as: UTF8.self) == made.description)
            let other = SpanID.random(using: &dice)
            bytes.withUnsafeMutableBufferPointer {
                TraceParent.write(parent: other, to: $0.baseAddress! + TraceParent.parentOffset)
            }
            var changed = made
            changed.parent = other
            #expect(String(decoding: bytes, as: UTF8.self) == changed.description)
        }
    }

    @Test func `nothing is nobody's id`() {
        #expect(TraceID(high: 0, low: 0) == nil)
        #expect(SpanID(0) == nil)
        var zeros = Zeros()
        #expect(TraceID.random(using: &zeros).low == 1)
        zeros = Zeros()
        #expect(SpanID.random(using: &zeros).value == 1)
    }

    private struct Zeros: RandomNumberGenerator {
        var left = 3
        mutating func next() -> UInt64 {
            left -= 1
            return left >= 0 ? 0 : 1
        }
    }
}

@Suite struct SamplerTests {
    private static let asked = TraceParent(
        trace: TraceID(high: 1, low: 2)!,
        parent: SpanID(3)!,
        isSampled: true
    )

    @Test(arguments: [0, 0.01, 0.5, 1])
    func `who asks has decided`(share: Double) {
        var dice = Dice(seed: 1)
        let sampler = Sampler(share: share)
        var unsampled = Self.asked
        unsampled.isSampled = false
        for _ in 0..<100 {
            #expect(sampler.takes(Self.asked, using: &dice))
            #expect(!sampler.takes(unsampled, using: &dice))
        }
    }

    @Test(arguments: [
        (0.0, 0, 0), (0.01, 800, 1_200), (0.5, 49_000, 51_000), (1.0, 100_000, 100_000),
    ])
    func `else a share is taken`(share: Double, least: Int, most: Int) {
        var dice = Dice(seed: 42)
        let sampler = Sampler(share: share)
        let taken = (0..<100_000).count { _ in sampler.takes(nil, using: &dice) }
        #expect((least...most).contains(taken))
    }

    @Test func `a share beyond all is all, and below none is none`() {
        #expect(Sampler(share: 2) == Sampler(share: 1))
        #expect(Sampler(share: -1) == Sampler(share: 0))
        // The largest share below all, and the smallest above none, overflow nothing.
        var dice = Dice(seed: 3)
        _ = Sampler(share: 1.0.nextDown).takes(nil, using: &dice)
        _ = Sampler(share: .leastNonzeroMagnitude).takes(nil, using: &dice)
    }
}
