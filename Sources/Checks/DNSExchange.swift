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
    /// The code that is no reason to ask otherwise.
    let wanted: String
    private let buffer = ReadBuffer()
    /// Until a server does not understand it (RFC 6891, section 7).
    private var isExtended = true

    init(context: ProbeContext, question: DNSQuestion, wanted: String) {
        self.context = context
        self.question = question
        self.wanted = wanted
    }

    private var bytes: [UInt8] { question.bytes(withEDNS: isExtended) ?? [] }

    /// A server that knows no EDNS: it is asked once more without.
    private mutating func fallsBack(after reply: DNSReply) -> Bool {
        guard isExtended, ["FORMERR", "NOTIMP"].contains(reply.codeWord),
            reply.codeWord != wanted
        else { return false }
        isExtended = false
        return true
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
            let now = context.loop.instant
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

    private mutating func ask(
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
        // The last answer to our question that could not be read.
        var garbled: String?
        for attempt in 1...tries {
            stream.extend(to: began + Nanoseconds(span.count / tries * attempt))
            do throws(StreamError) {
                try await send(over: stream, to: place)
                while true {
                    let count = try await stream.read(into: buffer.room)
                    let bytes = Array(buffer.prefix(count))
                    let reply: DNSReply
                    do throws(DNSReply.Malformed) {
                        reply = try DNSReply(parsing: bytes)
                    } catch {
                        // It may be somebody else's, and a good one may follow.
                        if isOurs(bytes) { garbled = error.reason }
                        continue
                    }
                    // Anything that does not answer the question is somebody else's.
                    guard reply.answers(question) else { continue }
                    if fallsBack(after: reply) {
                        try await send(over: stream, to: place)
                        continue
                    }
                    phases.firstByte = context.loop.instant - began
                    note(reply)
                    return reply
                }
            } catch {
                if error == .timedOut, attempt < tries { continue }
                if let garbled {
                    throw ProbeFailure(.layer7Response, "expected \(what), saw \(garbled)")
                }
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

    private func send(
        over stream: ByteStream,
        to place: SocketAddress
    ) async throws(StreamError) {
        try await stream.write(bytes)
        context.trace?.note("send", "\(question.name) \(question.type.word) to \(place)")
    }

    private func isOurs(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 2 && UInt16(bytes[0]) << 8 | UInt16(bytes[1]) == question.id
    }

    mutating func overTCP(
        _ address: Address,
        phases: inout Phases
    ) async throws(ProbeFailure) -> DNSReply {
        let reply = try await askOverTCP(address, phases: &phases)
        // Many servers close the connection after such an answer.
        return fallsBack(after: reply) ? try await askOverTCP(address, phases: &phases) : reply
    }

    private func askOverTCP(
        _ address: Address,
        phases: inout Phases
    ) async throws(ProbeFailure) -> DNSReply {
        let stream = try await Dialer.dial(address, in: context, phases: &phases)
        defer { stream.reset() }
        let began = context.loop.instant
        var pending: [UInt8] = []
        do throws(StreamError) {
            let bytes = bytes
            try await stream.write([UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes)
            context.trace?.note("send", "\(question.name) \(question.type.word)")
            while pending.count < 2 || pending.count < 2 + Self.length(pending) {
                let count = try await stream.read(into: buffer.room)
                if count == 0 { throw .ended }
                if phases.firstByte == nil { phases.firstByte = context.loop.instant - began }
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
