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
    /// What means no, until another step says otherwise.
    private var rejection: DialogueStep?
    private let buffer = ReadBuffer()
    private let began: Instant

    init(context: ProbeContext, stream: any Transport) {
        self.context = context
        self.stream = stream
        began = context.loop.instant
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
        case .reject, .rejectPattern: rejection = step
        }
    }

    /// Where the server says no, if it does.
    private func refusal(in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        switch rejection {
        case .reject(let needle): bytes.firstRange(ofBytes: needle)
        case .rejectPattern(let pattern): pattern.firstMatch(in: bytes)
        case .send, .expect, .expectPattern, nil: nil
        }
    }

    /// An answer that was understood, and is the wrong one. A number before it is its code.
    private func refused(_ what: String, at range: Range<Int>) -> ProbeFailure {
        let answer = pending[range.lowerBound...]
        let digits = answer.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        let code = digits.count == 3 ? Int(String(decoding: digits, as: UTF8.self)) : nil
        // The line that says no, from its start where that is near.
        var start = pending[..<range.lowerBound].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        if range.lowerBound - start > Excerpt.bytesMax / 2 { start = range.lowerBound }
        let rest = pending[range.upperBound...].prefix { $0 != 0x0A && $0 != 0x0D }
        let line = pending[start..<range.upperBound] + rest
        return ProbeFailure(
            .layer7Status,
            "expected \(what), saw \(Excerpt.of(line))",
            code: code
        )
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
            let (found, no) = pending.withUnsafeBytes { (find($0), refusal(in: $0)) }
            // What comes first counts; where both could be meant, it is what was expected.
            if let no, found.map({ no.lowerBound < $0.lowerBound }) ?? true {
                context.trace?.note("receive", Excerpt.of(pending))
                throw refused(what, at: no)
            }
            if let range = found {
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
        if phases.firstByte == nil { phases.firstByte = context.loop.instant - began }
        pending.append(contentsOf: buffer.prefix(count))
    }
}
