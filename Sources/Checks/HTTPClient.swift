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

    /// Takes the settings of the request and of where it goes.
    init(options: inout Options) throws(SettingError) {
        request = try HTTPRequest(options: &options)
        destination = try Destination(options: &options)
        tls = try TLSSettings.take(from: &options)
    }

    /// A connection, ready for the request, and the address the request is for.
    func open(
        _ target: Target,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> (stream: any Transport, address: Address) {
        let address = destination.address(for: target.address)
        let stream = try await Dialer.dial(address, in: context, phases: &phases)
        guard let tls else { return (stream, address) }
        let name = Self.hostOnly(request.authority(for: address))
        return (try await tls.open(over: stream, to: name, in: context, phases: &phases), address)
    }

    /// Where a request without TLS goes when no name has to be resolved.
    func plain(_ target: Target) -> (literal: SocketAddress, address: Address)? {
        let address = destination.address(for: target.address)
        guard tls == nil, let literal = SocketAddress(address) else { return nil }
        return (literal, address)
    }

    /// What the certificate says of its end, once the answer was fine.
    func weigh(_ outcome: Outcome, over stream: any Transport) -> Outcome {
        guard let tls, let stream = stream as? TLSStream else { return outcome }
        return tls.weigh(outcome, over: stream)
    }

    /// `www.example.com:8443` without its port, `[::1]:8443` without brackets too.
    private static func hostOnly(_ authority: String) -> String {
        guard case .host(let host, _) = Address(text: authority) else {
            return authority.hasPrefix("[") ? String(authority.dropFirst().dropLast()) : authority
        }
        return host
    }
}
