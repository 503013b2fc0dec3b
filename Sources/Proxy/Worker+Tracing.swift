// What of a request goes into a trace? A span for the request and one for each try, noted down while it runs
// and handed over when it ends. Of a request that nobody records none of this is done: its exchange has no
// trace, and one test says so.

import EventLoop
import HTTP1
import Spans
import Vocabulary

/// What is kept of a traced request while it runs. On the heap, since few are.
struct ExchangeTrace {
    var trace: TraceID
    /// Who asked us; nil where the trace begins here.
    var parent: SpanID?
    var span: SpanID
    /// Of the try under way, as its peer is told.
    var tryID: SpanID
    /// Of the one beside it, where a second peer was asked.
    var secondID: SpanID?
    /// Where in the request the id of the try stands.
    var idOffset: Int32 = 0
    /// Of the answer that began last.
    var status: UInt16 = 0
    /// Why muster itself ends it, once it does.
    var ending: TracedEnding?
    var tries: [TracedTry] = []
    var state = ""
    var method: String
    var host: String
    var path: String
    var client: String
}

/// One try of a traced request, ended. Peers go by number here.
struct TracedTry: Hashable, Sendable {
    var span: SpanID
    var peer: Int32
    /// By the clock of the loops.
    var begun: Int64
    var ended: Int64
    /// Zero where no answer began.
    var status: UInt16 = 0
    /// None where nothing failed.
    var cause = FailureCause.none
    /// It was not waited for: another answered first, or the client left.
    var isDropped = false
}

/// Why a request came to its end before its answer did, or bytes that nobody reads to theirs, where that was no
/// failure.
enum TracedEnding: String, Sendable {
    case left = "client-gone"
    /// Nothing went either way for `tunnel-idle`.
    case idle = "idle-timeout"
    /// This process ends.
    case drained = "drain"
    /// Its peer went down, and the operator wants it to be cut then.
    case wentDown = "went-down"
}

/// A traced request, ended.
struct TracedExchange: Sendable {
    var trace: TraceID
    var parent: SpanID?
    var span: SpanID
    var state: String
    var method: String
    var host: String
    var path: String
    var client: String
    var upstream: Int32
    var route: Int32
    var begun: Int64
    var ended: Int64
    /// What the client was answered; zero where nothing was.
    var status: UInt16
    var cause: FailureCause
    /// Nil where all was said, or a failure was its end.
    var ending: TracedEnding?
    var tries: [TracedTry]

    /// Instead of methods that nobody knows: they would be names without end.
    static let otherMethod = "_OTHER"
}

extension Worker {
    /// Traced requests that a worker keeps until it is asked for them.
    static let tracedMax = 2_048

    private static let parentName: StaticString = "traceparent"
    private static let stateName: StaticString = "tracestate"
    private static let parentLine: StaticString = "traceparent: "

    // MARK: Beginning

    /// Decides whether a request is recorded. If so its trace fields go on as ours.
    @inline(never)
    func beginTrace(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ head: RequestHead,
        _ bytes: UnsafePointer<UInt8>
    ) -> Bool {
        var parent: TraceParent?
        var count = 0
        for index in 0..<fields.count where Self.isNamed(fields[index], Self.parentName, bytes) {
            count += 1
            let value = fields[index].value
            parent = TraceParent(
                UnsafeBufferPointer(start: bytes + value.lowerBound, count: value.count)
            )
        }
        // Of two nobody knows which to believe.
        if count > 1 { parent = nil }
        guard sampler.takes(parent, using: &loop.dice) else { return false }
        let trace = UnsafeMutablePointer<ExchangeTrace>.allocate(capacity: 1)
        trace.initialize(
            to: ExchangeTrace(
                trace: parent?.trace ?? .random(using: &loop.dice),
                parent: parent?.parent,
                span: .random(using: &loop.dice),
                tryID: .random(using: &loop.dice),
                method: head.method == .other
                    ? TracedExchange.otherMethod : Self.text(bytes, head.methodRange),
                host: Self.text(bytes, head.hostRange),
                path: Self.text(bytes, head.pathRange),
                client: clients.elements[Int(exchange.pointee.client)].addressText
            )
        )
        exchange.pointee.trace = trace
        let isContinued = parent != nil
        if isContinued { trace.pointee.state = stateText(bytes) }
        let (parentName, stateName) = (Self.parentName, Self.stateName)
        fields.drop { field in
            Self.isNamed(field, parentName, bytes)
                // What others keep beside a parent that makes no sense belongs to no trace of ours.
                || !isContinued && Self.isNamed(field, stateName, bytes)
        }
        return true
    }

    /// Its head is written: the peer is told who asks it.
    @inline(never)
    func writeParent(_ exchange: UnsafeMutablePointer<Exchange>) {
        guard let trace = exchange.pointee.trace, let base = exchange.pointee.request.base else {
            return
        }
        // Before the empty line.
        exchange.pointee.request.end &-= 2
        exchange.pointee.request.append(Self.parentLine)
        let place = exchange.pointee.request.end
        trace.pointee.idOffset = place &+ Int32(TraceParent.parentOffset)
        let parent = TraceParent(
            trace: trace.pointee.trace,
            parent: trace.pointee.tryID,
            isSampled: true
        )
        parent.write(to: base + Int(place))
        exchange.pointee.request.end &+= Int32(TraceParent.length)
        exchange.pointee.request.append("\r\n\r\n")
    }

    private static func isNamed(
        _ field: Field,
        _ name: StaticString,
        _ bytes: UnsafePointer<UInt8>
    ) -> Bool {
        guard field.name.count == name.utf8CodeUnitCount, !field.isHopByHop else { return false }
        let start = bytes + field.name.lowerBound
        for place in 0..<field.name.count
        where ASCII.lowercase(start[place]) != name.utf8Start[place] {
            return false
        }
        return true
    }

    private static func text(_ bytes: UnsafePointer<UInt8>, _ range: ByteRange) -> String {
        let kept = min(Int(range.count), SpanRecord.textBytesMax)
        return String(
            decoding: UnsafeBufferPointer(start: bytes + Int(range.start), count: kept),
            as: UTF8.self
        )
    }

    /// All lines of it as one. What is too long to be passed on by everybody is not told either (W3C Trace
    /// Context, section 3.3.1.5).
    private func stateText(_ bytes: UnsafePointer<UInt8>) -> String {
        var state = ""
        for index in 0..<fields.count where Self.isNamed(fields[index], Self.stateName, bytes) {
            let value = fields[index].value
            if state.utf8.count + value.count > SpanRecord.textBytesMax { return "" }
            if !state.isEmpty { state += "," }
            let bytes = UnsafeBufferPointer(start: bytes + value.lowerBound, count: value.count)
            state += String(decoding: bytes, as: UTF8.self)
        }
        return state
    }

    // MARK: On the way

    /// The head of the answer that the client gets.
    @inline(never)
    func noteAnswer(_ exchange: UnsafeMutablePointer<Exchange>, _ status: UInt16) {
        exchange.pointee.trace?.pointee.status = status
        exemplify(.firstByte, since: exchange.pointee.chosenAt, exchange)
    }

    /// The try under way is over, and did not bring the answer. The next one has an id of its own.
    @inline(never)
    func endTry(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ peer: Int32,
        _ cause: FailureCause,
        _ status: UInt16? = nil
    ) {
        guard let trace = exchange.pointee.trace else { return }
        let begun = exchange.pointee.course.heard == .answer ? trace.pointee.status : 0
        trace.pointee.tries.append(
            TracedTry(
                span: trace.pointee.tryID,
                peer: peer,
                begun: exchange.pointee.chosenAt,
                ended: loop.now.nanoseconds,
                status: status ?? begun,
                cause: cause,
                isDropped: cause == .none
            )
        )
        trace.pointee.tryID = .random(using: &loop.dice)
        writeID(exchange, trace.pointee.tryID)
    }

    /// Where the request is still here to be sent again.
    private func writeID(_ exchange: UnsafeMutablePointer<Exchange>, _ id: SpanID) {
        guard let trace = exchange.pointee.trace, let base = exchange.pointee.request.base,
            exchange.pointee.course.isReplayable
        else { return }
        TraceParent.write(parent: id, to: base + Int(trace.pointee.idOffset))
    }

    /// A second peer is about to be asked.
    @inline(never)
    func beginSecondTry(_ exchange: UnsafeMutablePointer<Exchange>) {
        guard let trace = exchange.pointee.trace else { return }
        let id = SpanID.random(using: &loop.dice)
        trace.pointee.secondID = id
        // What the first has not been sent yet keeps its id.
        if exchange.pointee.isSent { writeID(exchange, id) }
    }

    @inline(never)
    func endSecondTry(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ peer: Int32,
        _ cause: FailureCause
    ) {
        guard let trace = exchange.pointee.trace, let id = trace.pointee.secondID else { return }
        trace.pointee.secondID = nil
        trace.pointee.tries.append(
            TracedTry(
                span: id,
                peer: peer,
                begun: exchange.pointee.secondAt,
                ended: loop.now.nanoseconds,
                cause: cause,
                isDropped: cause == .none
            )
        )
    }

    /// The second try is the only one from now on.
    @inline(never)
    func promoteTry(_ exchange: UnsafeMutablePointer<Exchange>) {
        guard let trace = exchange.pointee.trace, let id = trace.pointee.secondID else { return }
        trace.pointee.secondID = nil
        trace.pointee.tryID = id
        writeID(exchange, id)
    }

    // MARK: Ending

    /// Muster is about to end it.
    @inline(never)
    func note(_ ending: TracedEnding, of exchange: UnsafeMutablePointer<Exchange>) {
        exchange.pointee.trace?.pointee.ending = ending
    }

    private enum TunnelEnd { case none, orderly, peerReset }

    /// How bytes that nobody reads came to their end: both sides have said all, or the peer broke off. All
    /// else is as of any request.
    private func tunnelEnd(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ how: Ending,
        _ cause: FailureCause
    ) -> TunnelEnd {
        guard exchange.pointee.course.attempt == .tunnel, cause == .none,
            exchange.pointee.link >= 0
        else { return .none }
        let peer = links.elements + Int(exchange.pointee.link)
        let client = clients.elements + Int(exchange.pointee.client)
        if how == .cut { return peer.pointee.wire.isReset ? .peerReset : .none }
        let isOver = peer.pointee.wire.isShut && client.pointee.wire.isShut
        let isReset = peer.pointee.wire.isReset || client.pointee.wire.isReset
        return how == .gone && isOver && !isReset ? .orderly : .none
    }

    /// The exchange ends. What it still holds tells of its last try.
    @inline(never)
    func endTrace(
        _ exchange: UnsafeMutablePointer<Exchange>,
        _ how: Ending,
        _ cause: FailureCause
    ) {
        guard let trace = exchange.pointee.trace else { return }
        if exchange.pointee.second >= 0 {
            endSecondTry(
                exchange,
                links.elements[Int(exchange.pointee.second)].peer,
                .none
            )
        }
        let isAnswered = how == .answered
        let endsTunnel =
            trace.pointee.ending != nil && exchange.pointee.course.attempt == .tunnel
        let tunnel = tunnelEnd(exchange, how, cause)
        let cause = tunnel == .peerReset ? .bodyReset : cause
        if exchange.pointee.link >= 0 {
            trace.pointee.tries.append(
                TracedTry(
                    span: trace.pointee.tryID,
                    peer: links.elements[Int(exchange.pointee.link)].peer,
                    begun: exchange.pointee.chosenAt,
                    ended: loop.now.nanoseconds,
                    status: trace.pointee.status,
                    cause: tunnel == .peerReset ? cause : .none,
                    isDropped: !isAnswered && tunnel == .none && !endsTunnel
                )
            )
            if isAnswered { exemplify(.total, since: exchange.pointee.begunAt, exchange) }
        }
        var status: UInt16
        var ending: TracedEnding?
        switch how {
        case .answered, .cut: status = trace.pointee.status
        case .own(let own), .refused(let own): status = own
        case .reset, .gone:
            status = exchange.pointee.course.heard == .answer ? trace.pointee.status : 0
            if cause == .none, tunnel == .none { ending = trace.pointee.ending ?? .left }
        }
        if how == .cut, exchange.pointee.course.heard != .answer { status = 0 }
        if traced.count < Self.tracedMax {
            traced.append(
                TracedExchange(
                    trace: trace.pointee.trace,
                    parent: trace.pointee.parent,
                    span: trace.pointee.span,
                    state: trace.pointee.state,
                    method: trace.pointee.method,
                    host: trace.pointee.host,
                    path: trace.pointee.path,
                    client: trace.pointee.client,
                    upstream: exchange.pointee.upstream,
                    route: exchange.pointee.route,
                    begun: exchange.pointee.begunAt,
                    ended: loop.now.nanoseconds,
                    status: status,
                    cause: cause,
                    ending: ending,
                    tries: trace.pointee.tries
                )
            )
            if traced.count == 1 { onTraced() }
        } else {
            tracedLost += 1 + trace.pointee.tries.count
        }
        trace.deinitialize(count: 1)
        trace.deallocate()
        exchange.pointee.trace = nil
    }

    /// Everything since the last time, and how many spans had no room.
    func takeTraced() -> (exchanges: [TracedExchange], lost: Int) {
        defer {
            traced = []
            tracedLost = 0
        }
        return (traced, tracedLost)
    }
}

extension ClientConnection {
    /// As it is told to peers.
    fileprivate var addressText: String {
        String(decoding: (0..<Int(addressCount)).map { address[$0] }, as: UTF8.self)
    }
}
