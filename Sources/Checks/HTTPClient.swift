// How does a check reach an HTTP server? Whom to ask, what to send, and over which transport.

import EventLoop
import Health
import TLS
import Vocabulary

/// The part that all checks over HTTP have in common.
struct HTTPClient: Sendable {
    let request: HTTPRequest
    private let destination: Destination
    private let tls: TLSSettings?
    private let extras: HTTPExtras?

    /// Takes the settings of the request and of where it goes.
    init(options: inout Options) throws(SettingError) {
        request = try HTTPRequest(options: &options)
        destination = try Destination(options: &options)
        tls = try TLSSettings.take(from: &options)
        extras = try HTTPExtras.take(from: &options)
        try extras?.agree(with: request, to: destination, over: tls, options)
    }

    /// False where a proxy is told names, and finds out itself where they are.
    var resolvesNames: Bool { extras?.proxy?.isToldNames != true }

    var followsRedirects: Bool { (extras?.redirects ?? 0) > 0 }

    func problem(probing peer: Address) -> SettingError? {
        if let problem = destination.problem(probing: peer) { return problem }
        guard let proxy = extras?.proxy, case .unix = destination.address(for: peer) else {
            return nil
        }
        return SettingError(
            proxy.position,
            "\(proxy.path): expected peers with host and port, saw '\(peer)', a socket, which no proxy "
                + "can reach"
        )
    }

    /// What of the request may get in the way of somebody who reads the body.
    func doubts(readsBody: Bool, _ options: Options) -> [SettingError] {
        guard readsBody,
            let asked = request.fields.first(where: { $0.name.lowercased() == "accept-encoding" }),
            asked.value.lowercased() != "identity"
        else { return [] }
        return [
            SettingError(
                options.position,
                "\(options.path).headers.\(asked.name): '\(asked.value)' invites a compressed body, "
                    + "which is not undone and fails the conditions on it; 'identity' asks for plain text"
            )
        ]
    }

    /// Sends the request, and has `judge` look at what comes. Muster's own client does it where it
    /// can, libcurl where it has to.
    func ask(
        _ target: Target,
        in context: ProbeContext,
        bodyBytesMax: Int,
        phases: inout Phases,
        judge: @escaping HTTPExchange.Judge
    ) async throws(ProbeFailure) -> Outcome {
        let address = destination.address(for: target.address)
        if let extras {
            let probe = CurlProbe(
                request: request,
                extras: extras,
                tls: tls,
                context: context,
                bodyBytesMax: bodyBytesMax,
                judge: judge
            )
            return try await probe.run(to: address, phases: &phases)
        }
        let stream = try await open(address, in: context, phases: &phases)
        defer { stream.reset() }
        let outcome = try await HTTPExchange(context: context, stream: stream).run(
            request,
            to: address,
            bodyBytesMax: bodyBytesMax,
            phases: &phases,
            judge: judge
        )
        guard let tls, let stream = stream as? TLSStream else { return outcome }
        return tls.weigh(outcome, until: stream.session.firstToEnd, now: context.loop.wall)
    }

    private func open(
        _ address: Address,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> any Transport {
        let stream = try await Dialer.dial(address, in: context, phases: &phases)
        guard let tls else { return stream }
        let name = Self.hostOnly(request.authority(for: address))
        return try await tls.open(over: stream, to: name, in: context, phases: &phases)
    }

    /// Where a request goes that needs neither TLS, nor libcurl, nor a name resolved.
    func plain(_ target: Target) -> (literal: SocketAddress, address: Address)? {
        let address = destination.address(for: target.address)
        guard tls == nil, extras == nil, let literal = SocketAddress(address) else { return nil }
        return (literal, address)
    }

    /// `www.example.com:8443` without its port, `[::1]:8443` without brackets too.
    private static func hostOnly(_ authority: String) -> String {
        guard case .host(let host, _) = Address(text: authority) else {
            return authority.hasPrefix("[") ? String(authority.dropFirst().dropLast()) : authority
        }
        return host
    }
}
