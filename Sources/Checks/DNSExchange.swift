// How does one question reach a name server, and its answer us? In a datagram that is repeated, or
// over a connection with a length before each message.

import DNS
import EventLoop
import Health
import Vocabulary

/// One question and the ways to have it answered.
struct DNSExchange {
    let context: ProbeContext
    let question: DNSQuestion
    private let buffer = ReadBuffer()

    init(context: ProbeContext, question: DNSQuestion) {
        self.context = context
        self.question = question
    }

    private var what: String { "an answer about \(question.name) \(question.type.word)" }

    /// Asks every address of a name in turn, as `Dialer` does: the first that answers is believed.
    mutating func overUDP(
        _ address: Address,
        tries: Int64,
        phases: inout Phases
    ) async throws(ProbeFailure) -> DNSReply {
        let places = try await Dialer.locate(address, in: context, phases: &phases)
        var first: ProbeFailure?
        for (index, place) in places.enumerated() {
            let now = Clock.instant()
            let share = (context.deadline - now).count / Int64(places.count - index)
            do throws(ProbeFailure) {
                return try await ask(
                    place,
                    from: now,
                    within: Nanoseconds(share),
                    tries: tries,
                    isNamed: SocketAddress(address) == nil,
                    phases: &phases
                )
            } catch {
                if first == nil || first?.verdict == .neutral { first = error }
            }
        }
        throw first ?? failure(.timedOut, complaint: nil)
    }

    private func ask(
        _ place: SocketAddress,
        from began: Instant,
        within span: Nanoseconds,
        tries: Int64,
        isNamed: Bool,
        phases: inout Phases
    ) async throws(ProbeFailure) -> DNSReply {
        let stream: ByteStream
        do throws(SystemError) {
            stream = try ByteStream.adopt(
                try Socket.datagram(to: place),
                on: context.loop,
                deadline: began + span
            )
        } catch {
            throw ProbeFailure.connecting(.failed(error), within: context.span, at: "\(place)")
        }
        defer { stream.close() }
        for attempt in 1...tries {
            stream.extend(to: began + Nanoseconds(span.count / tries * attempt))
            do throws(StreamError) {
                try await stream.write(question.bytes ?? [])
                context.trace?.note("send", "\(question.name) \(question.type.word) to \(place)")
                while true {
                    let count = try await stream.read(into: buffer.room)
                    // Anything that does not answer the question is somebody else's.
                    guard let reply = try? DNSReply(parsing: Array(buffer.prefix(count))),
                        reply.answers(question)
                    else { continue }
                    phases.firstByte = Clock.instant() - began
                    note(reply)
                    return reply
                }
            } catch {
                if error == .timedOut, attempt < tries { continue }
                // Nobody listens on the port: the kernel heard so from the other side.
                if case .failed(let system) = error, system.isRefusal {
                    let name = isNamed ? "\(place)" : nil
                    throw ProbeFailure.connecting(error, within: context.span, at: name)
                }
                throw failure(error, complaint: stream.complaint)
            }
        }
        throw failure(.timedOut, complaint: nil)
    }

    func overTCP(
        _ address: Address,
        phases: inout Phases
    ) async throws(ProbeFailure) -> DNSReply {
        let stream = try await Dialer.dial(address, in: context, phases: &phases)
        defer { stream.reset() }
        let began = Clock.instant()
        var pending: [UInt8] = []
        do throws(StreamError) {
            let bytes = question.bytes ?? []
            try await stream.write([UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes)
            context.trace?.note("send", "\(question.name) \(question.type.word)")
            while pending.count < 2 || pending.count < 2 + Self.length(pending) {
                let count = try await stream.read(into: buffer.room)
                if count == 0 { throw .ended }
                if phases.firstByte == nil { phases.firstByte = Clock.instant() - began }
                pending.append(contentsOf: buffer.prefix(count))
            }
        } catch {
            throw failure(error, complaint: stream.complaint)
        }
        let reply: DNSReply
        do throws(DNSReply.Malformed) {
            reply = try DNSReply(parsing: Array(pending[2..<2 + Self.length(pending)]))
        } catch {
            throw ProbeFailure(.layer7Response, "expected \(what), saw \(error.reason)")
        }
        guard reply.answers(question) else {
            throw ProbeFailure(
                .layer7Response,
                "expected \(what), saw one about \(reply.questionName)"
            )
        }
        note(reply)
        return reply
    }

    private static func length(_ pending: [UInt8]) -> Int { Int(pending[0]) << 8 | Int(pending[1]) }

    private func note(_ reply: DNSReply) {
        context.trace?.note(
            "receive",
            "\(reply.codeWord) \(reply.answers.map { $0.text }.joined(separator: ", "))"
        )
    }

    private func failure(_ error: StreamError, complaint: String?) -> ProbeFailure {
        ProbeFailure.exchanging(
            error,
            complaint: complaint,
            expected: what,
            within: context.span,
            seen: "nothing"
        )
    }
}
