// How is a peer probed whose address is a name? At every address the name has now, at the same time
// and each with the whole timeout: one that is dead must not hide behind one that lives.

import DNS
import EventLoop
public import Health
import Vocabulary

/// What one probe found: at the peer, or at each address of its name.
public enum Findings: Sendable {
    case one(Outcome)
    /// `localhost` is one machine whatever its addresses; few servers listen on all of them.
    case each([(address: String, outcome: Outcome)], isOneMachine: Bool)
}

/// Of a name's addresses no more than these are probed.
public let probedAddressesMax = 16

extension Check {
    /// Probes `target` once, at each of its addresses.
    public func sweep(_ target: Target, in context: ProbeContext) async -> Findings {
        guard Self.probesEachAddress, resolvesNames,
            case .host(let host, let port) = target.address,
            SocketAddress(target.address) == nil
        else { return .one(await probe(target, in: context)) }
        var phases = Phases()
        let resolution: Resolution
        do throws(ProbeFailure) {
            resolution = try await Dialer.resolve(host, in: context, phases: &phases)
        } catch {
            return .one(error.outcome(phases))
        }
        let contexts = resolution.addresses.prefix(probedAddressesMax).map {
            context.pinned(
                to: PinnedAddress(host: host, ip: $0, took: phases.resolve ?? .zero)
            )
        }
        var found = await outcomes(of: target, port: port, in: contexts)
        if let trouble = resolution.trouble {
            for index in found.indices { found[index].outcome.tell(trouble) }
        }
        for each in contexts { if let trace = each.trace { context.trace?.append(trace) } }
        // Perhaps the name has moved: the next probe asks again.
        if found.contains(where: { $0.outcome.reason.layer == "L4" && $0.outcome.verdict == .fail })
        {
            context.resolver.value.invalidate(host)
        }
        return .each(found, isOneMachine: Self.isLocal(host))
    }

    /// RFC 6761, section 6.3.
    private static func isLocal(_ host: String) -> Bool {
        let host = host.lowercased()
        return host == "localhost" || host.hasSuffix(".localhost")
    }

    private func outcomes(
        of target: Target,
        port: UInt16,
        in contexts: [ProbeContext]
    ) async -> [(address: String, outcome: Outcome)] {
        var outcomes = [Outcome?](repeating: nil, count: contexts.count)
        await withTaskGroup(of: (Int, Outcome).self) { group in
            for (index, context) in contexts.enumerated() {
                group.addTask {
                    var outcome = await probe(target, in: context)
                    outcome.phases.total = context.loop.instant - context.started
                    return (index, outcome)
                }
            }
            for await (index, outcome) in group { outcomes[index] = outcome }
        }
        return zip(contexts, outcomes).compactMap { context, outcome in
            guard let ip = context.pinned?.ip, let outcome else { return nil }
            return ("\(Address.host(ip, port: port))", outcome)
        }
    }
}

extension Outcome {
    /// The addresses probed were the last ones known: well enough to serve, and told.
    fileprivate mutating func tell(_ trouble: ResolverError) {
        if verdict == .pass { verdict = .warn }
        let said = message.isEmpty ? "" : "\(message); "
        message = Self.oneLine("\(said)DNS: \(trouble), the last addresses are used")
    }
}
