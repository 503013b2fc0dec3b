// Does the server accept connections, and say what it should? Connecting is the probe; steps of
// sending and expecting may follow.

import EventLoop
public import Health
public import Vocabulary

/// Passes when the peer accepts a connection and, if there are steps, plays its part in them.
public struct TCPCheck: Check {
    public static let kind = "tcp"
    public static let summary = "connect, and perhaps send and expect text or bytes"

    private let destination: Destination
    private let tls: TLSSettings?
    private let proxyHeader: ProxyHeader?
    private let steps: [DialogueStep]

    public init(options: inout Options) throws(SettingError) {
        let steps = try DialogueStep.take(from: &options)
        try self.init(options: &options, steps: steps)
    }

    /// Takes everything but the steps.
    init(options: inout Options, steps: [DialogueStep]) throws(SettingError) {
        destination = try Destination(options: &options)
        tls = try TLSSettings.take(from: &options)
        proxyHeader = try options.proxyHeader()
        self.steps = steps
    }

    public func problem(probing peer: Address) -> SettingError? {
        destination.problem(probing: peer)
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        do throws(ProbeFailure) {
            let address = destination.address(for: target.address)
            let stream = try await Dialer.dial(address, in: context, phases: &phases)
            defer { stream.reset() }
            // The PROXY header stands outside TLS: who terminates TLS may not be who reads it.
            if let proxyHeader {
                let bytes = proxyHeader.bytes(for: stream.descriptor)
                try await Dialogue(context: context, stream: stream).send(bytes)
            }
            guard let tls else {
                return try await converse(over: stream, in: context, phases: &phases)
            }
            let name = address.hostName
            let secure = try await tls.open(over: stream, to: name, in: context, phases: &phases)
            let outcome = try await converse(over: secure, in: context, phases: &phases)
            return tls.weigh(outcome, until: secure.session.firstToEnd, now: context.loop.wall)
        } catch {
            return error.outcome(phases)
        }
    }

    public func direct(_ target: Target) -> DirectPlan? {
        guard steps.isEmpty, tls == nil, proxyHeader == nil,
            let address = SocketAddress(destination.address(for: target.address))
        else { return nil }
        return DirectPlan(peer: target.address, address: address)
    }

    static let connected = Outcome(.pass, .layer4OK, message: "connected")

    private func converse(
        over stream: any Transport,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> Outcome {
        var dialogue = Dialogue(context: context, stream: stream)
        for step in steps { try await dialogue.run(step, phases: &phases) }
        if let broken = stream.broken { try refuse(broken, after: dialogue, in: context) }
        if !steps.isEmpty {
            return Outcome(.pass, .layer7OK, message: dialogue.summary, phases: phases)
        }
        return Outcome(
            .pass,
            tls == nil ? .layer4OK : .layer6OK,
            message: "connected",
            phases: phases
        )
    }

    /// Whoever waits for nothing more has to be believed to have got everything.
    private func refuse(
        _ broken: SystemError,
        after dialogue: Dialogue,
        in context: ProbeContext
    ) throws(ProbeFailure) {
        guard let last = steps.last(where: { !$0.isRejection }) else {
            let error = SystemError("connect", code: broken.code)
            throw .connecting(.failed(error), within: context.span, at: nil)
        }
        guard case .send(let bytes) = last else { return }
        throw .exchanging(
            .failed(broken),
            over: dialogue.stream,
            expected: "\(Excerpt.of(bytes)) to be taken",
            within: context.span,
            seen: "nothing"
        )
    }
}
