// How does one request and its answer go over a connection? Sent whole, read piece by piece, judged
// as soon as there is enough to judge by.

import EventLoop
import HTTP1
import Health
import Vocabulary

/// One HTTP/1.1 exchange of a probe.
struct HTTPExchange {
    /// The judgement on what has come so far; nil means that more of it may change the answer.
    typealias Judge = (borrowing ResponseReader) -> Outcome?

    let context: ProbeContext
    let stream: any Transport

    /// Asks `judge` once the head is there and after every piece of the body, until it answers;
    /// `reply.isComplete` tells it that nothing more will come.
    func run(
        _ request: HTTPRequest,
        to address: Address,
        bodyBytesMax: Int,
        phases: inout Phases,
        judge: Judge
    ) async throws(ProbeFailure) -> Outcome {
        var reply = ResponseReader(method: request.method, bodyBytesMax: bodyBytesMax)
        let sent = context.loop.instant
        try await send(request, to: address)
        let buffer = ReadBuffer()
        while reply.head == nil {
            try await readMore(&reply, buffer)
            if phases.firstByte == nil { phases.firstByte = context.loop.instant - sent }
        }
        context.trace?.note("receive", reply.statusText)
        while true {
            if let outcome = judge(reply) {
                if bodyBytesMax > 0 { context.trace?.note("receive", Excerpt.of(reply.body)) }
                return outcome
            }
            if reply.isComplete {
                throw Self.unjudged
            }
            try await readMore(&reply, buffer)
        }
    }

    private func send(_ request: HTTPRequest, to address: Address) async throws(ProbeFailure) {
        do throws(StreamError) {
            try await stream.write(request.bytes(for: address))
        } catch {
            throw ProbeFailure.exchanging(
                error,
                over: stream,
                expected: Self.taken,
                within: context.span,
                seen: "nothing"
            )
        }
        context.trace?.note(
            "send",
            "\(request.methodName) \(request.path) to \(request.authority(for: address)) by muster"
        )
    }

    private func readMore(
        _ reply: inout ResponseReader,
        _ buffer: ReadBuffer
    ) async throws(ProbeFailure) {
        let wanted = reply.head == nil ? Self.headWanted : Self.bodyWanted
        let count: Int
        do throws(StreamError) {
            count = try await stream.read(into: buffer.room)
        } catch {
            throw ProbeFailure.exchanging(
                error,
                over: stream,
                expected: wanted,
                within: context.span,
                seen: Self.progress(reply)
            )
        }
        do throws(ResponseReader.Failure) {
            if count == 0 { try reply.end() } else { try reply.feed(buffer.prefix(count)) }
        } catch {
            context.trace?.note("receive", Excerpt.of(buffer.prefix(count)))
            throw Self.failure(error, in: reply, wanted: wanted)
        }
    }

    // MARK: Words that probes without a task use too

    static let taken = "the request to be taken"
    static let headWanted = "an HTTP status"
    static let bodyWanted = "the whole body"
    static let unjudged = ProbeFailure(
        .layer7Response,
        "expected an answer, saw none to judge"
    )

    static func failure(
        _ error: ResponseReader.Failure,
        in reply: borrowing ResponseReader,
        wanted: String
    ) -> ProbeFailure {
        let text =
            switch error {
            case .malformed(let error): words(for: error, in: reply)
            case .tooManyInterims:
                "answer: expected at most \(ResponseReader.interimMax) interim ones, saw more"
            case .endedEarly: "expected \(wanted), saw \(progress(reply)) and the end"
            }
        return ProbeFailure(
            .layer7Response,
            text,
            code: reply.head == nil ? nil : reply.status
        )
    }

    private static func words(
        for error: HTTPError,
        in reply: borrowing ResponseReader
    ) -> String {
        switch error.code {
        case .headTooLarge:
            return "answer: expected a head of at most \(ResponseReader.headBytesMax) bytes, saw a "
                + "larger one"
        case .tooManyFields:
            return "answer: expected at most \(ResponseReader.fieldsMax) header fields, saw more"
        default: break
        }
        let opening = reply.incomplete
        guard opening.isEmpty || Stranger.mayBeHTTP(opening) else {
            return "answer: expected HTTP, saw \(Stranger.words(for: opening, wanted: .http1))"
        }
        return "answer: \(error)"
    }

    static func progress(_ reply: borrowing ResponseReader) -> String {
        if reply.head != nil { return "\(reply.body.count) bytes of it" }
        return reply.bytesSeen == 0 ? "nothing" : "\(reply.bytesSeen) bytes"
    }
}

extension ProbeContext {
    /// What the whole probe may take.
    var span: Nanoseconds { deadline - started }
}
