// Is the server's TLS in order? The handshake is the probe: chain, name, and the days left.

import EventLoop
public import Health
public import Vocabulary

/// Passes when the handshake succeeds and the certificate has time left.
public struct TLSCheck: Check {
    public static let kind = "tls"
    public static let summary = "shake hands and judge the certificate, its name and its end"

    private let destination: Destination
    private let tls: TLSSettings

    public init(options: inout Options) throws(SettingError) {
        destination = try Destination(options: &options)
        tls = try TLSSettings(options: &options)
    }

    public func problem(probing peer: Address) -> SettingError? {
        destination.problem(probing: peer)
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        do throws(ProbeFailure) {
            let address = destination.address(for: target.address)
            let stream = try await Dialer.dial(address, in: context, phases: &phases)
            let secure = try await tls.open(
                over: stream,
                to: address.hostName,
                in: context,
                phases: &phases
            )
            defer { secure.reset() }
            let session = secure.session
            var message = session.version
            if let certificate = session.certificate {
                let days = certificate.daysLeft(at: context.loop.wall)
                message += ", \(certificate.subject), \(days) days left"
            }
            var outcome = tls.weigh(
                Outcome(.pass, .layer6OK, message: message, phases: phases),
                until: session.firstToEnd,
                now: context.loop.wall
            )
            if let words = session.certificate.flatMap(tls.stranger) {
                outcome.message += "; \(words)"
            }
            return outcome
        } catch {
            return error.outcome(phases)
        }
    }
}
