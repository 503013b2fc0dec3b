// How does a conversation go? What was sent and seen so far, step by step; an expectation uses up
// what it matched, so that the next one looks at what follows.

import EventLoop
import Health
import Vocabulary

/// A running conversation over one connection.
struct Dialogue {
    /// What is looked through for one expectation.
    static let replyBytesMax = 65_536

    let context: ProbeContext
    let stream: any Transport
    /// Read and not yet used up.
    private var pending: [UInt8] = []
    /// What the last expectation saw.
    private var seen = ""
    private let buffer = ReadBuffer()
    private let began = Clock.instant()

    init(context: ProbeContext, stream: any Transport) {
        self.context = context
        self.stream = stream
    }

    /// What the server said last, or that it was sent everything.
    var summary: String { seen.isEmpty ? "sent" : "saw \(seen)" }

    mutating func run(_ step: DialogueStep, phases: inout Phases) async throws(ProbeFailure) {
        switch step {
        case .send(let bytes): try await send(bytes)
        case .expect(let bytes):
            try await expect(Excerpt.of(bytes), phases: &phases) { $0.firstRange(ofBytes: bytes) }
        case .expectPattern(let pattern):
            try await expect("/\(pattern.text)/", phases: &phases) { pattern.firstMatch(in: $0) }
        }
    }

    func send(_ bytes: [UInt8]) async throws(ProbeFailure) {
        do throws(StreamError) {
            try await stream.write(bytes)
        } catch {
            throw ProbeFailure.exchanging(
                error,
                over: stream,
                expected: "\(Excerpt.of(bytes)) to be taken",
                within: context.span,
                seen: "nothing"
            )
        }
        context.trace?.note("send", Excerpt.of(bytes))
    }

    private mutating func expect(
        _ what: String,
        phases: inout Phases,
        _ find: (UnsafeRawBufferPointer) -> Range<Int>?
    ) async throws(ProbeFailure) {
        context.trace?.note("expect", what)
        while true {
            if let range = pending.withUnsafeBytes({ find($0) }) {
                seen = Excerpt.of(pending[..<range.upperBound])
                context.trace?.note("receive", seen)
                pending.removeFirst(range.upperBound)
                return
            }
            guard pending.count < Self.replyBytesMax else {
                throw ProbeFailure(
                    .layer7Response,
                    "expected \(what) in \(Self.replyBytesMax) bytes, saw \(Excerpt.of(pending))"
                )
            }
            try await readMore(what, &phases)
        }
    }

    private mutating func readMore(
        _ what: String,
        _ phases: inout Phases
    ) async throws(ProbeFailure) {
        let count: Int
        do throws(StreamError) {
            count = try await stream.read(into: buffer.room)
        } catch {
            throw ProbeFailure.exchanging(
                error,
                over: stream,
                expected: what,
                within: context.span,
                seen: pending.isEmpty ? "nothing" : Excerpt.of(pending)
            )
        }
        guard count > 0 else {
            throw ProbeFailure.exchanging(
                .ended,
                over: stream,
                expected: what,
                within: context.span,
                seen: pending.isEmpty ? "nothing" : Excerpt.of(pending)
            )
        }
        if phases.firstByte == nil { phases.firstByte = Clock.instant() - began }
        pending.append(contentsOf: buffer.prefix(count))
    }
}
