// Why did a probe end before its question was answered? Connections fail in the same few ways for
// every kind; here each way gets its layer, its word and its sentence, once.

import EventLoop
import Glibc
import Health
import Vocabulary

/// Ends a probe from anywhere in it.
struct ProbeFailure: Error {
    var verdict: Outcome.Verdict
    var reason: Reason
    var code: Int?
    var message: String

    init(
        _ reason: Reason,
        _ message: String,
        code: Int? = nil,
        verdict: Outcome.Verdict = .fail
    ) {
        self.verdict = verdict
        self.reason = reason
        self.code = code
        self.message = message
    }

    func outcome(_ phases: Phases) -> Outcome {
        Outcome(verdict, reason, code: code, message: message, phases: phases)
    }
}

extension ProbeFailure {
    /// A connection that did not come about. `place` is named where the user did not write it.
    static func connecting(
        _ error: StreamError,
        within span: Nanoseconds,
        at place: String?
    )
        -> ProbeFailure
    {
        let suffix = place.map { " at \($0)" } ?? ""
        switch error {
        case .timedOut:
            return ProbeFailure(
                .layer4Timeout,
                "expected a connection within \(span.rounded), saw no answer\(suffix)"
            )
        case .ended:
            return ProbeFailure(.layer4Connect, "connection ended while connecting\(suffix)")
        case .failed(let error):
            guard error.isOurs else {
                return ProbeFailure(
                    .layer4Connect,
                    error.reason + suffix,
                    code: Int(error.code)
                )
            }
            return ProbeFailure(
                .socketError,
                "\(error)\(suffix)",
                code: Int(error.code),
                verdict: .neutral
            )
        }
    }

    /// A connection that failed while `what` was waited for. `seen` says how far it had come.
    static func exchanging(
        _ error: StreamError,
        over stream: any Transport,
        expected what: String,
        within span: Nanoseconds,
        seen: String
    ) -> ProbeFailure {
        exchanging(
            error,
            complaint: stream.complaint,
            expected: what,
            within: span,
            seen: seen
        )
    }

    /// The same where the layer below has said `complaint`.
    static func exchanging(
        _ error: StreamError,
        complaint: String?,
        expected what: String,
        within span: Nanoseconds,
        seen: String
    ) -> ProbeFailure {
        if let complaint {
            return ProbeFailure(.layer6Response, "expected \(what), saw \(seen) and \(complaint)")
        }
        return switch error {
        case .timedOut:
            ProbeFailure(
                .layer7Timeout,
                "expected \(what) within \(span.rounded), saw \(seen)"
            )
        case .ended:
            ProbeFailure(.layer7Response, "expected \(what), saw \(seen) and the end")
        case .failed(let error):
            ProbeFailure(
                .layer7Response,
                "expected \(what), saw \(seen) and \(error.reason)",
                code: Int(error.code)
            )
        }
    }
}

extension SystemError {
    /// The other side does not want us: nobody listens, or nobody is there.
    var isRefusal: Bool { [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(code) }

    /// The kernel had nothing left for us, or our own rules forbade it: says nothing of the peer.
    var isOurs: Bool {
        switch code {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EPERM, EACCES: true
        // Before the peer is asked anything: a family this host does not speak, for example.
        default: operation != "connect" && operation != "read" && operation != "write"
        }
    }
}
