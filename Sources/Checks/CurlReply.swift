// What has come of an answer that libcurl brings? The bytes go through the same reader and to the
// same judge as those of muster's own client, so that both engines agree by construction.

import Curl
import EventLoop
import Glibc
import Health
import TLS
import Vocabulary

/// Takes one answer in, on the probe's loop.
final class CurlReply {
    enum End {
        case judged(Outcome)
        case redirected(status: Int, location: String)
        case failed(ProbeFailure)
    }

    private(set) var reader: ResponseReader
    private(set) var end: End?
    /// When the certificates end.
    private(set) var firstToEnd: Certificate?
    let shown = ShownCertificate()
    /// TLS is on its way: whatever was before it succeeded.
    var hasBegunTLS = false

    private let hop: HTTPHop
    private let extras: HTTPExtras
    private let tlsName: String?
    private let context: ProbeContext
    private let bodyBytesMax: Int
    private let judge: HTTPExchange.Judge
    /// The first refusal of a client that proves itself only when asked.
    private var isChallenge = false
    private var challenges = 0
    /// The answer came in HTTP/2.
    private var hasNewVersion = false
    private var hasTold = false

    /// Refusals that are answered with a proof: the first one, and one for a stale proof.
    private static let challengesMax = 2

    init(
        _ hop: HTTPHop,
        _ extras: HTTPExtras,
        tlsName: String?,
        bodyBytesMax: Int,
        context: ProbeContext,
        judge: @escaping HTTPExchange.Judge
    ) {
        self.hop = hop
        self.extras = extras
        self.tlsName = tlsName
        self.context = context
        self.bodyBytesMax = bodyBytesMax
        self.judge = judge
        reader = ResponseReader(method: hop.method, bodyBytesMax: bodyBytesMax)
    }

    // MARK: Pieces

    /// False when there is no need for more.
    func take(_ piece: CurlSession.Piece, _ session: CurlSession) -> Bool {
        tell(session)
        switch piece {
        case .head(let line): takeHead(line)
        case .rest(let bytes): feed(bytes)
        case .body(let bytes):
            // libcurl answers a challenge without showing what came with it.
            isChallenge = false
            feed(bytes)
        }
        return end == nil
    }

    private func takeHead(_ line: UnsafeRawBufferPointer) {
        if reader.head != nil {
            // Either a trailer, which no condition looks at, or the answer to our proof.
            guard isChallenge, line.starts(with: Array("HTTP/".utf8)) else { return }
            reader = ResponseReader(method: hop.method, bodyBytesMax: bodyBytesMax)
            isChallenge = false
        }
        let status = Array("HTTP/2 ".utf8)
        if extras.version == .http2, line.starts(with: status) {
            // HTTP/2 has no status line. The one that libcurl makes up is read as if it were older.
            let version = Array("HTTP/1.1 ".utf8)
            (version + line.dropFirst(status.count)).withUnsafeBytes { feed($0, isNewest: true) }
        } else {
            feed(line)
        }
    }

    private func feed(_ bytes: UnsafeRawBufferPointer, isNewest: Bool = false) {
        let hadHead = reader.head != nil
        if isNewest { hasNewVersion = true }
        do throws(ResponseReader.Failure) {
            try reader.feed(bytes)
        } catch {
            context.trace?.note("receive", Excerpt.of(bytes))
            end = .failed(HTTPExchange.failure(error, in: reader, wanted: wanted))
            return
        }
        guard reader.head != nil else { return }
        if !hadHead {
            context.trace?.note("receive", (hasNewVersion ? "HTTP/2 " : "") + reader.statusText)
            if isElsewhere() { return }
        }
        if !isChallenge { ask() }
    }

    /// True when the head already says what becomes of this answer.
    private func isElsewhere() -> Bool {
        if extras.version == .http2, !hasNewVersion {
            end = .failed(
                ProbeFailure(
                    .layer7Response,
                    "version: expected HTTP/2, saw HTTP/1.1",
                    code: reader.status
                )
            )
            return true
        }
        if extras.redirects > 0, HTTPHop.statuses.contains(reader.status) {
            let location = reader.withValues(of: "location") { values in
                values.first.map { String(decoding: $0, as: UTF8.self) }
            }
            if let location {
                end = .redirected(status: reader.status, location: location)
                return true
            }
        }
        if case .digest = extras.credentials, hop.isHome, reader.status == 401,
            challenges < Self.challengesMax
        {
            challenges += 1
            isChallenge = true
        }
        return false
    }

    private func ask() {
        guard let outcome = judge(reader) else {
            if reader.isComplete { end = .failed(HTTPExchange.unjudged) }
            return
        }
        if bodyBytesMax > 0 { context.trace?.note("receive", Excerpt.of(reader.body)) }
        end = .judged(outcome)
    }

    /// Once, as soon as there is something to tell: how the connection came about, and who asked.
    private func tell(_ session: CurlSession?) {
        if hasTold { return }
        hasTold = true
        if let tlsName, let ssl = session?.ssl {
            let tls = TLSSession(ssl: ssl)
            firstToEnd = tls.firstToEnd
            context.trace?.note("tls", TLSSettings.describe(tls, as: tlsName))
        }
        context.trace?.note(
            "send",
            "\(hop.methodName) \(hop.target) to \(hop.authority) by libcurl \(CurlMulti.version)"
        )
    }

    // MARK: The end of the transfer

    /// What became of it, now that nothing more comes.
    func finish(_ result: CurlResult, through proxy: HTTPProxy?) -> End {
        tell(nil)
        if let end { return end }
        switch result.end {
        case .complete, .enough: return whole()
        case .timedOut: return .failed(late(result, through: proxy))
        case .failed(let failure):
            if failure.kind == .ended { return whole() }
            return .failed(self.failure(failure, result, through: proxy))
        }
    }

    private func whole() -> End {
        do throws(ResponseReader.Failure) {
            try reader.end()
        } catch {
            return .failed(HTTPExchange.failure(error, in: reader, wanted: wanted))
        }
        ask()
        return end ?? .failed(HTTPExchange.unjudged)
    }

    private func late(_ result: CurlResult, through proxy: HTTPProxy?) -> ProbeFailure {
        let span = context.span
        if !result.isUnderWay, let proxy, !hasBegunTLS {
            return ProbeFailure(
                .layer4Timeout,
                "expected a way through \(proxy) within \(span.rounded), saw none"
            )
        }
        if !result.isUnderWay, let tlsName {
            return TLSSettings.failure(.stream(.timedOut), name: tlsName, within: span)
        }
        return .exchanging(
            .timedOut,
            complaint: nil,
            expected: wanted,
            within: span,
            seen: HTTPExchange.progress(reader)
        )
    }

    private func failure(
        _ failure: CurlFailure,
        _ result: CurlResult,
        through proxy: HTTPProxy?
    ) -> ProbeFailure {
        let broken = SystemError("read", code: failure.errno)
        if let proxy, !result.isUnderWay, !hasBegunTLS, failure.kind != .ours {
            let status = result.tunnelStatus == 0 ? failure.text : "\(result.tunnelStatus)"
            return ProbeFailure(
                .layer4Connect,
                "expected a way through \(proxy), saw \(status)"
            )
        }
        switch failure.kind {
        // A reset comes after the connection: an attempt is refused.
        case .connect where [ECONNRESET, EPIPE].contains(failure.errno):
            return exchange(.failed(SystemError("read", code: ECONNRESET)))
        case .connect:
            let error = SystemError("connect", code: failure.errno)
            return .connecting(.failed(error), within: context.span, at: nil)
        case .certificate(let code):
            return tlsFailure(.refused(code: code, showing: shown))
        case .handshake:
            if let error = TLSError(foreign: "shake hands", failure.text) {
                return tlsFailure(error)
            }
            return tlsFailure(.stream(failure.errno == 0 ? .ended : .failed(broken)))
        case .tls:
            let error = TLSError(foreign: "read", failure.text)
            return exchange(.ended, complaint: error.map { "\($0)" } ?? "read: \(failure.text)")
        case .broken where failure.errno != 0: return exchange(.failed(broken))
        case .ended: return exchange(.ended)
        case .broken, .malformed, .proxy:
            return ProbeFailure(
                .layer7Response,
                "answer: \(failure.text)",
                code: reader.head == nil ? nil : reader.status
            )
        case .ours:
            return ProbeFailure(.socketError, "libcurl: \(failure.text)", verdict: .neutral)
        }
    }

    private func tlsFailure(_ error: TLSError) -> ProbeFailure {
        let failure = TLSSettings.failure(error, name: tlsName ?? "", within: context.span)
        context.trace?.note("tls", failure.message)
        return failure
    }

    private func exchange(_ error: StreamError, complaint: String? = nil) -> ProbeFailure {
        .exchanging(
            error,
            complaint: complaint,
            expected: wanted,
            within: context.span,
            seen: HTTPExchange.progress(reader)
        )
    }

    private var wanted: String {
        reader.head == nil ? HTTPExchange.headWanted : HTTPExchange.bodyWanted
    }
}
