// What happens on one connection? A handshake where TLS is spoken, then request after request: read
// whole within its time, judged, handed on, answered. In lines, as it happens.

import EventLoop
import Glibc
import HTTP1
import TLS
import Vocabulary

/// One client of the admin endpoint. Confined to the front's loop.
final class Visitor {
    /// Why a connection ends before its client wanted it to.
    private enum Parting: Error {
        case refused(Refusal)
        case lost(StreamError)
    }

    /// How whoever answers came to an end.
    private enum Ending {
        case whole, failed, unread
    }

    let id: Int
    private let front: Front
    private var line: Line
    private var buffer: [UInt8] = []
    /// The path of the request at hand, for the words of a refusal.
    private var path = ""
    private var handling: Task<Ending, Never>?
    private var isCut = false

    /// From the socket to `buffer`.
    private let room = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Visitor.readBytes,
        alignment: 16
    )

    private static let readBytes = 8_192

    init(_ id: Int, _ stream: ByteStream, of front: Front) {
        self.id = id
        self.front = front
        line = Line(stream)
    }

    deinit { room.deallocate() }

    private var loop: EventLoop { front.loop }
    private var limits: FrontLimits { front.limits }

    /// Ends it at once, whatever it is at.
    func cut() {
        isCut = true
        handling?.cancel()
        line.close()
    }

    func serve() async {
        defer {
            line.close()
            front.forget(self)
        }
        do throws(Parting) {
            try await shakeHands()
            var isFirst = true
            while let request = try await nextRequest(isFirst: isFirst) {
                isFirst = false
                guard try await answer(request) else { break }
            }
            if !isCut { await leave() }
        } catch {
            await part(error)
        }
    }

    private func shakeHands() async throws(Parting) {
        guard let context = front.certificate?.current() else { return }
        do throws(TLSError) {
            line = try await line.secured(with: context)
        } catch {
            front.tally.count { $0.failedHandshakes += 1 }
            throw .lost(.ended)
        }
        line.extend(to: loop.instant + limits.head)
    }

    // MARK: Asking

    /// Nil when the client has closed, or has nothing more to ask.
    private func nextRequest(isFirst: Bool) async throws(Parting) -> FrontRequest? {
        path = ""
        if buffer.isEmpty {
            if !isFirst {
                front.move(self, to: .idle)
                line.extend(to: loop.instant + limits.idle)
            }
            do throws(Parting) {
                guard try await receive() else { return nil }
            } catch {
                // Said nothing: there is nobody to tell.
                if case .lost(.timedOut) = error { return nil }
                throw error
            }
        }
        front.move(self, to: .asking)
        let began = loop.instant
        line.extend(to: began + limits.head)
        let (head, request) = try await readHead()
        path = request.path
        if let refusal = front.rules.refusal(of: Visit(request)) { throw .refused(refusal) }
        if head.hasUnknownExpectation {
            throw .refused(Refusal(417, "Expect: expected 100-continue or none"))
        }
        return try await readBody(of: request, head, began: began)
    }

    private func readHead() async throws(Parting) -> (RequestHead, FrontRequest) {
        var parser = HeadParser()
        while true {
            let found: (RequestHead, FrontRequest)?
            do throws(HTTPError) {
                found = try front.parse(buffer, with: &parser)
            } catch {
                throw .refused(Self.refusal(of: error, limits))
            }
            if let found {
                let form = found.0.targetForm
                guard form == .origin || form == .absolute else {
                    throw .refused(Refusal(400, "target: expected a path"))
                }
                return found
            }
            do throws(Parting) {
                guard try await receive() else { throw Parting.lost(.ended) }
            } catch {
                throw late(error, "head", limits.head)
            }
        }
    }

    private static func refusal(of error: HTTPError, _ limits: FrontLimits) -> Refusal {
        switch error.code {
        case .headTooLarge:
            Refusal(431, "head: expected at most \(limits.headBytes) bytes, saw more")
        case .requestLineTooLong:
            Refusal(414, "request line: expected at most \(HeadLimits().requestLineBytes) bytes")
        default: Refusal(Int(error.status), "\(error)")
        }
    }

    private func readBody(
        of request: FrontRequest,
        _ head: RequestHead,
        began: Instant
    ) async throws(Parting) -> FrontRequest {
        var request = request
        let whole = began + limits.request
        buffer.removeFirst(Int(head.end))
        switch head.framing {
        case .none, .untilClose: return request
        case .length(let announced):
            guard announced <= UInt64(limits.bodyBytes) else { throw tooLarge("\(announced)") }
            let length = Int(announced)
            try await expectBody(head, of: length)
            line.extend(to: min(loop.instant + limits.patience(forBody: length), whole))
            while buffer.count < length { try await receiveBody() }
            request.body = Array(buffer[..<length])
            buffer.removeFirst(length)
        case .chunked:
            try await expectBody(head, of: 1)
            line.extend(to: min(loop.instant + limits.patience(forBody: limits.bodyBytes), whole))
            request.body = try await readChunks()
        }
        return request
    }

    private func readChunks() async throws(Parting) -> [UInt8] {
        var decoder = ChunkedDecoder(of: .request)
        var body: [UInt8] = []
        while true {
            var position = 0
            var isAtEnd = false
            do throws(HTTPError) {
                reading: while true {
                    switch try decoder.next(in: buffer.span, at: &position) {
                    case .data(let range): body += buffer[range]
                    case .trailer: continue
                    case .needMore: break reading
                    case .end:
                        isAtEnd = true
                        break reading
                    }
                }
            } catch {
                throw .refused(Self.refusal(of: error, limits))
            }
            buffer.removeFirst(position)
            if body.count > limits.bodyBytes { throw tooLarge("more") }
            if isAtEnd { return body }
            try await receiveBody()
        }
    }

    private func expectBody(_ head: RequestHead, of length: Int) async throws(Parting) {
        guard head.expectsContinue, buffer.count < length else { return }
        try await send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
    }

    private func receiveBody() async throws(Parting) {
        do throws(Parting) {
            guard try await receive() else { throw Parting.lost(.ended) }
        } catch {
            throw late(error, "body", limits.request)
        }
    }

    private func tooLarge(_ saw: String) -> Parting {
        .refused(Refusal(413, "body: expected at most \(limits.bodyBytes) bytes, saw \(saw)"))
    }

    /// A request that does not come in its time is told so.
    private func late(_ parting: Parting, _ what: String, _ limit: Nanoseconds) -> Parting {
        guard case .lost(.timedOut) = parting else { return parting }
        front.tally.count { $0.tooSlow += 1 }
        return .refused(
            Refusal(408, "\(what): expected the whole of it within \(limit), saw a part")
        )
    }

    /// False at the end of what the client sends.
    private func receive() async throws(Parting) -> Bool {
        if isCut { throw .lost(.ended) }
        do throws(StreamError) {
            let count = try await line.read(into: room)
            buffer.append(contentsOf: room[..<count])
            return count > 0
        } catch {
            throw .lost(error)
        }
    }

    // MARK: Answering

    /// Whether the connection can go on.
    private func answer(_ request: FrontRequest) async throws(Parting) -> Bool {
        front.move(self, to: .answering)
        front.tally.count { $0.requests += 1 }
        let answer = Answer(
            to: request,
            over: line,
            on: loop,
            limits: limits,
            keepsOpen: request.isPersistent && !front.isStopping,
            onEndless: { [unowned self] in front.move(self, to: .following) }
        )
        let writer = AnswerWriter(answer: LoopBound(answer, on: loop))
        let handler = front.handler
        // Away from the loop: whoever answers may take his time, others are served meanwhile.
        let handling = Task.detached { () -> Ending in
            do {
                try await handler(request, writer)
                return .whole
            } catch StreamError.timedOut {
                return .unread
            } catch {
                return .failed
            }
        }
        self.handling = handling
        let ending = await handling.value
        self.handling = nil
        if isCut { throw .lost(.ended) }
        switch ending {
        case .whole: break
        case .unread: throw unread(.timedOut)
        case .failed where answer.hasBegun: throw .lost(.ended)
        case .failed:
            throw .refused(Refusal(500, "expected an answer to this request, saw it fail inside"))
        }
        do throws(StreamError) {
            return try await answer.finish()
        } catch {
            throw unread(error)
        }
    }

    private func unread(_ error: StreamError) -> Parting {
        if error == .timedOut { front.tally.count { $0.tooSlow += 1 } }
        return .lost(error)
    }

    private func send(_ bytes: [UInt8]) async throws(Parting) {
        do throws(StreamError) {
            try await line.write(bytes)
        } catch {
            throw .lost(error)
        }
    }

    // MARK: Leaving

    private func part(_ parting: Parting) async {
        guard !isCut else { return }
        switch parting {
        case .lost(.timedOut): line.reset()
        case .lost: return
        case .refused(let refusal):
            front.tally.count { $0.refused += 1 }
            line.extend(to: loop.instant + limits.farewell)
            let bytes = refusal.bytes(path: path, date: HTTPDate.now(loop.wall))
            do throws(Parting) { try await send(bytes) } catch { return }
            await leave()
        }
    }

    /// Ends our half and reads what still comes, for a moment: closing beside unread bytes would reset
    /// the connection and take the answer with it.
    private func leave() async {
        front.move(self, to: .leaving)
        line.extend(to: loop.instant + limits.farewell)
        await line.sayGoodbye()
        guard !isCut, line.descriptor >= 0 else { return }
        shutdown(line.descriptor, Int32(SHUT_WR))
        while !isCut {
            do throws(StreamError) {
                guard try await line.read(into: room) > 0 else { return }
            } catch {
                return
            }
        }
    }
}
