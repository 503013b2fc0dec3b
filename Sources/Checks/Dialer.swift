// How does a probe reach its peer? Names are resolved to all their addresses, which are tried one
// after the other; the first that accepts is probed.

import DNS
import EventLoop
import Health
import Vocabulary

enum Dialer {
    /// Connects to `address` and fills the phases. `isAsWritten` is false when the user would not
    /// recognise the address in a message.
    static func dial(
        _ address: Address,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> ByteStream {
        if let literal = SocketAddress(address) {
            return try await connect(
                to: literal,
                by: context.deadline,
                place: nil,
                in: context,
                phases: &phases
            )
        }
        guard case .host(let host, let port) = address else {
            throw ProbeFailure(
                .socketError,
                "connect \(address): expected a socket path of at most "
                    + "\(Address.unixPathBytesMax) bytes",
                verdict: .neutral
            )
        }
        let addresses = try await resolve(host, in: context, phases: &phases)
            .socketAddresses(port: port)
        var first: ProbeFailure?
        for (index, candidate) in addresses.enumerated() {
            // A black hole may use up its share of the time, not that of those behind it.
            let now = context.loop.instant
            let share = (context.deadline - now).count / Int64(addresses.count - index)
            do throws(ProbeFailure) {
                let stream = try await connect(
                    to: candidate,
                    by: now + Nanoseconds(share),
                    place: "\(candidate)",
                    in: context,
                    phases: &phases
                )
                stream.extend(to: context.deadline)
                return stream
            } catch {
                if first == nil || first?.verdict == .neutral { first = error }
            }
        }
        // Perhaps the name has moved: the next probe asks again.
        context.resolver.value.invalidate(host)
        throw first ?? ProbeFailure(.resolver, "resolve \(host): no address", verdict: .neutral)
    }

    /// Every address of `address`, for a question that needs no connection.
    static func locate(
        _ address: Address,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> [SocketAddress] {
        if let literal = SocketAddress(address), !literal.isUnix { return [literal] }
        guard case .host(let host, let port) = address else {
            throw ProbeFailure(
                .socketError,
                "\(address): expected host:port for a datagram",
                verdict: .neutral
            )
        }
        let places = try await resolve(host, in: context, phases: &phases)
            .socketAddresses(port: port)
        guard !places.isEmpty else {
            throw ProbeFailure(.resolver, "resolve \(host): no address", verdict: .neutral)
        }
        return places
    }

    static func resolve(
        _ host: String,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> Resolution {
        if let pinned = context.pinned, pinned.host == host {
            phases.resolve = pinned.took
            return Resolution(addresses: [pinned.ip], validity: .zero)
        }
        // The literal alone would not have come here. Whose interface it is, is ours to know.
        if let zone = Address.zone(of: host) {
            throw ProbeFailure(
                .socketError,
                "connect [\(host)]: expected the name or number of an interface of this host after "
                    + "'%', saw '\(zone)'",
                verdict: .neutral
            )
        }
        let began = context.loop.instant
        let answer = await context.resolver.value.resolve(host, deadline: context.deadline)
        phases.resolve = context.loop.instant - began
        switch answer {
        case .success(let resolution):
            context.trace?.note(
                "resolve",
                "\(host) is \(resolution.addresses.joined(separator: ", "))"
                    + (resolution.isCached ? " (cached)" : "")
                    + (resolution.trouble.map { " (the last known; \($0))" } ?? "")
            )
            return resolution
        case .failure(let error):
            context.trace?.note("resolve", "\(error)")
            throw ProbeFailure(.resolver, "\(error)", verdict: .neutral)
        }
    }

    private static func connect(
        to address: SocketAddress,
        by deadline: Instant,
        place: String?,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> ByteStream {
        let began = context.loop.instant
        do throws(StreamError) {
            let stream = try await ByteStream.connect(
                to: address,
                on: context.loop,
                deadline: deadline
            )
            phases.connect = context.loop.instant - began
            context.trace?.note("connect", "connected to \(address)")
            return stream
        } catch {
            let failure = ProbeFailure.connecting(error, within: deadline - began, at: place)
            context.trace?.note("connect", "\(address): \(failure.message)")
            throw failure
        }
    }
}

/// Where a check goes instead of the peer's own address.
struct Destination: Sendable {
    private var port: UInt16?
    private var other: Address?
    private var keepsPort = false
    /// Where `port` is written, or an `address` without one.
    private var written: (position: Position, path: String)?

    /// Takes `port` and `address`.
    init(options: inout Options) throws(SettingError) {
        if let setting = options.take("port") {
            let path = "\(options.path).port"
            port = UInt16(try setting.int(in: 1...65_535, at: path))
            written = (setting.position, path)
        }
        guard let setting = options.take("address") else { return }
        let path = "\(options.path).address"
        let text = try setting.string(at: path)
        if let address = Address(text: text) {
            other = address
            if let written {
                throw SettingError(
                    written.position,
                    "\(written.path): expected none beside the address '\(text)', saw one: "
                        + (isUnix ? "a socket has no port" : "the address has a port already")
                )
            }
            return
        }
        // A bare host keeps the peer's port; a bare IPv6 literal comes without its brackets.
        let host = text.contains(":") && !text.hasPrefix("[") ? "[\(text)]" : text
        guard let address = Address(text: "\(host):1") else {
            throw setting.expected("host, host:port, [v6]:port or unix:/path", at: path)
        }
        other = address
        keepsPort = true
        written = written ?? (setting.position, path)
    }

    /// Why a check with these settings cannot go to `peer`; nil where it can.
    func problem(probing peer: Address) -> SettingError? {
        guard case .unix = peer, let written, other == nil || keepsPort && port == nil else {
            return nil
        }
        let remedy =
            port == nil
            ? "write the port behind the host"
            : "leave it out, or name a host beside it with 'address'"
        return SettingError(
            written.position,
            "\(written.path): expected peers with a port, saw '\(peer)', a socket, which has none: "
                + remedy
        )
    }

    /// Whoever is probed, the check goes to a unix socket.
    var isUnix: Bool {
        if case .unix = other { true } else { false }
    }

    func address(for peer: Address) -> Address {
        var address = other ?? peer
        if keepsPort, case .host(_, let peerPort) = peer { address = address.with(port: peerPort) }
        return port.map { address.with(port: $0) } ?? address
    }
}
