// How does a check speak TLS? Settings that every kind over TLS shares, and the handshake with its
// reasons.

import EventLoop
import Health
import TLS
public import Vocabulary

/// The TLS part of a check.
public struct TLSSettings: Sendable {
    private let followed: FollowedContext
    /// By the files as they are now.
    var context: TLSContext { followed.current().context }
    private let serverName: String?
    /// Less time left than this degrades.
    private let warning: Nanoseconds?
    /// Less time left than this fails.
    private let failure: Nanoseconds?

    /// Longest span before a certificate's end that may matter.
    static let spanMax = Nanoseconds.seconds(86_400 * 3_650)

    /// Takes `tls: true`, or `tls:` with a map of settings. `protocols` are what the kind speaks.
    public static func take(
        from options: inout Options,
        protocols: [String] = []
    ) throws(SettingError) -> TLSSettings? {
        guard let setting = options.take("tls") else { return nil }
        let path = "\(options.path).tls"
        if case .scalar = setting.value, !setting.isNull {
            guard try setting.bool(at: path) else { return nil }
            var none = Options([], at: setting.position, path: path)
            return try TLSSettings(options: &none, protocols: protocols)
        }
        var inner = try Options(setting, path: path)
        let settings = try TLSSettings(options: &inner, protocols: protocols)
        try inner.finish()
        return settings
    }

    /// Takes the settings themselves.
    init(options: inout Options, protocols: [String] = []) throws(SettingError) {
        var configuration = TLSConfiguration()
        configuration.verifies = try options.bool("verify") ?? true
        configuration.authorityFile = try options.string("ca")
        configuration.certificateFile = try options.string("certificate")
        configuration.keyFile = try options.string("key")
        configuration.protocols = try options.strings("alpn") ?? protocols
        if let name = configuration.protocols.first(where: { !(1...255).contains($0.utf8.count) }) {
            throw SettingError(
                options.position,
                "\(options.path).alpn: expected names of 1 to 255 bytes, saw '\(name)'"
            )
        }
        serverName = try options.string("server-name")
        if let serverName, let problem = TLSEngine.problem(inServerName: serverName) {
            throw SettingError(options.position, "\(options.path).server-name: \(problem)")
        }
        (warning, failure) = try Self.expiry(&options)
        do throws(TLSError) {
            followed = try FollowedContext(client: configuration)
        } catch {
            throw SettingError(options.position, "\(options.path): \(error)")
        }
    }

    /// Takes `expires-warn` and `expires-fail`.
    private static func expiry(
        _ options: inout Options
    ) throws(SettingError) -> (warning: Nanoseconds?, failure: Nanoseconds?) {
        let setting = options.take("expires-warn")
        let path = "\(options.path).expires-warn"
        let warning = try setting.map { (setting) throws(SettingError) in
            try setting.duration(in: .zero...spanMax, at: path)
        }
        let failure = try options.duration("expires-fail", in: .zero...spanMax)
        if let setting, let warning, let failure, warning <= failure {
            throw SettingError(
                setting.position,
                "\(path): expected more than expires-fail of \(failure), saw \(warning): it would "
                    + "fail before it warned"
            )
        }
        return (warning, failure)
    }

    /// Without any setting; nil where the system has no authorities.
    public static let standard: TLSSettings? = {
        var none = Options([], at: Position(file: "", line: 0, column: 0), path: "tls")
        return try? TLSSettings(options: &none)
    }()

    /// Shakes hands, and resets the connection if that fails.
    func open(
        over stream: ByteStream,
        to host: String,
        in probe: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> TLSStream {
        let name = name(for: host)
        let began = probe.loop.instant
        let (context, problem) = followed.current()
        if let problem { probe.trace?.note("tls", Self.stale(problem)) }
        do throws(TLSError) {
            let tls = try await TLSStream.connect(over: stream, context: context, serverName: name)
            phases.tls = probe.loop.instant - began
            probe.trace?.note("tls", Self.describe(tls.session, as: name))
            return tls
        } catch {
            stream.reset()
            var failure = Self.failure(error, name: name, within: probe.span)
            // First: what was in them before may be why it fails, and the end of a long text is cut.
            if let problem { failure.message = "\(Self.stale(problem)); \(failure.message)" }
            probe.trace?.note("tls", failure.message)
            throw failure
        }
    }

    private static func stale(_ problem: TLSError) -> String {
        "the files of this check changed and cannot be used, what was in them before is: \(problem)"
    }

    /// The name to send and to expect of a peer that is asked for as `host`.
    func name(for host: String) -> String {
        TLSEngine.serverName(for: serverName ?? host)
    }

    /// For a trace.
    static func describe(_ tls: TLSSession, as name: String) -> String {
        var text = "\(tls.version) \(tls.cipher) with \(name)"
        if let certificate = tls.certificate {
            text += ", certificate \(certificate.subject) by \(certificate.issuer)"
            text += " until \(certificate.notAfter)"
        }
        return text
    }

    static func failure(
        _ error: TLSError,
        name: String,
        within span: Nanoseconds
    ) -> ProbeFailure {
        switch error {
        case .stream(.timedOut):
            ProbeFailure(
                .layer6Timeout,
                "expected a TLS handshake within \(span.rounded), saw no end of it"
            )
        case .stream(.ended):
            ProbeFailure(.layer6Response, "expected a TLS handshake, saw the end")
        case .stream(.failed(let error)):
            ProbeFailure(.layer6Response, "expected a TLS handshake, saw \(error.reason)")
        case .certificate(let code, let reason, let certificate):
            ProbeFailure(
                .layer6Response,
                "expected a valid certificate for \(name), saw: \(reason)"
                    + (certificate.map { ", of \($0.holder)" } ?? "") + remedy(for: code),
                code: code
            )
        case .alert(let alert):
            ProbeFailure(.layer6Response, "expected a TLS handshake, saw \(alert)")
        case .notTLS(let bytes):
            ProbeFailure(
                .layer6Response,
                "expected a TLS handshake, saw "
                    + (bytes.isEmpty ? "\(error)" : Stranger.words(for: bytes, wanted: .tls))
            )
        case .failed(let text): ProbeFailure(.layer6Response, text)
        }
    }

    /// What to do about a certificate that OpenSSL refuses with `code`, where there is one thing.
    private static func remedy(for code: Int) -> String {
        switch code {
        // X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT and its two relatives.
        case 2, 20, 21:
            "; the server has to send the certificates between its own and the authority, and 'ca' has "
                + "to name that where the system does not know it"
        case 18, 19: "; 'ca' has to name whom to believe"
        case 66, 67, 68: "; the server needs a stronger key or signature"
        default: ""
        }
    }

    /// What is wrong with the name, where nobody verifies it: whom the server was expected to be, and whom it
    /// showed itself to be. Nil where no name was asked for, or it is the one.
    func stranger(_ certificate: Certificate) -> String? {
        guard !context.configuration.verifies, let serverName else { return nil }
        let name = name(for: serverName)
        return certificate.isFor(name)
            ? nil : "not verified: expected a certificate for \(name), saw \(certificate.holder)"
    }

    /// Adds the days left until the `first` of a chain ends to the outcome, and holds them against the limits.
    func weigh(_ outcome: Outcome, until first: Certificate?, now: WallTime) -> Outcome {
        guard let first else { return outcome }
        let end = first.notAfter
        let left = end - now
        var outcome = outcome
        let days = Int((left.seconds / 86_400).rounded(.down))
        // Too few days are what calls for attention: the range of what is fine begins there.
        var scale = Measurement.Scale()
        scale.warn = warning.map { Self.days($0) + ":" } ?? ""
        scale.fail = failure.map { Self.days($0) + ":" } ?? ""
        outcome.measurements.append(
            Measurement(
                label: "certificate_days_left",
                value: Double(days),
                unit: "d",
                scale: warning == nil && failure == nil ? nil : scale
            )
        )
        guard outcome.verdict == .pass || outcome.verdict == .warn else { return outcome }
        if let failure, left < failure {
            outcome.verdict = .fail
            outcome.reason = .layer6Response
            outcome.code = nil
            outcome.message =
                "certificate: expected \(failure) left, saw \(days) days until \(end), "
                + "of \(first.holder)"
        } else if let warning, left < warning {
            outcome.verdict = .warn
            outcome.message =
                "certificate: expected \(warning) left, saw \(days) days until \(end), "
                + "of \(first.holder)"
        }
        return outcome
    }
}

extension TLSSettings {
    /// `21`, or `1.5`.
    private static func days(_ span: Nanoseconds) -> String {
        let days = span.seconds / 86_400
        return days == days.rounded() ? "\(Int64(days))" : "\(days)"
    }
}

extension Address {
    /// The name or IP to expect in a certificate; a unix socket's is the local host's.
    var hostName: String {
        switch self {
        case .host(let host, _): host
        case .unix: "localhost"
        }
    }
}
