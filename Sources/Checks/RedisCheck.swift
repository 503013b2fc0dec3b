// Does the Redis server answer, in the role it should have, with its data loaded and close enough
// behind its master? `PING` finds a server that lives; `INFO replication` one that may be used.

import EventLoop
public import Health
public import Vocabulary

/// Passes when the server answers PING and, if asked for, has the role and the lag it should.
public struct RedisCheck: Check {
    public static let kind = "redis"
    public static let summary = "PING a Redis server, and judge its role and replication"

    private enum Role: String, CaseIterable { case any, master, replica }

    private let destination: Destination
    private let tls: TLSSettings?
    private let credentials: [String]
    private let role: Role
    private let lagMax: Nanoseconds?

    public init(options: inout Options) throws(SettingError) {
        destination = try Destination(options: &options)
        tls = try TLSSettings.take(from: &options)
        let user = try options.string("username")
        let password = try options.string("password")
        credentials = (user.map { [$0] } ?? []) + (password.map { [$0] } ?? [])
        if user != nil, password == nil { throw options.missing("password") }
        role =
            try options.word("role", among: Role.allCases.map { $0.rawValue })
            .flatMap { Role(rawValue: $0) } ?? .any
        lagMax = try options.duration("lag", in: .seconds(1)...MonitorDefinition.intervalMax)
    }

    public func problem(probing peer: Address) -> SettingError? {
        destination.problem(probing: peer)
    }

    public func probe(_ target: Target, in context: ProbeContext) async -> Outcome {
        var phases = Phases()
        do throws(ProbeFailure) {
            let address = destination.address(for: target.address)
            let plain = try await Dialer.dial(address, in: context, phases: &phases)
            defer { plain.reset() }
            guard let tls else {
                return try await converse(over: plain, in: context, phases: &phases)
            }
            let name = address.hostName
            let secure = try await tls.open(over: plain, to: name, in: context, phases: &phases)
            return tls.weigh(
                try await converse(over: secure, in: context, phases: &phases),
                until: secure.session.firstToEnd,
                now: context.loop.wall
            )
        } catch {
            return error.outcome(phases)
        }
    }

    private func converse(
        over stream: any Transport,
        in context: ProbeContext,
        phases: inout Phases
    ) async throws(ProbeFailure) -> Outcome {
        var session = RedisSession(context: context, stream: stream)
        if !credentials.isEmpty {
            try await session.expect(.status("OK"), to: ["AUTH"] + credentials, phases: &phases)
        }
        try await session.expect(.status("PONG"), to: ["PING"], phases: &phases)
        guard role != .any || lagMax != nil else {
            return Outcome(.pass, .layer7OK, message: "PONG", phases: phases)
        }
        let reply = try await session.ask(["INFO", "replication"], phases: &phases)
        guard case .bulk(let text) = reply else {
            throw ProbeFailure(.layer7Status, "INFO replication: expected a text, saw \(reply)")
        }
        var outcome = judge(Replication(parsing: text))
        outcome.phases = phases
        return outcome
    }

    private func judge(_ replication: Replication) -> Outcome {
        let seen = replication.role ?? "no role"
        var measurements: [Measurement] = []
        if let lag = replication.lag {
            var scale: Measurement.Scale?
            if let lagMax {
                scale = Measurement.Scale()
                scale?.fail = lagMax.inSeconds
            }
            measurements.append(
                Measurement(label: "lag", value: lag.seconds, unit: "s", scale: scale)
            )
        }
        func outcome(_ verdict: Outcome.Verdict, _ message: String) -> Outcome {
            Outcome(
                verdict,
                verdict == .pass ? .layer7OK : .layer7Status,
                message: message,
                measurements: measurements
            )
        }
        if role != .any, replication.role != role.rawValue {
            return outcome(.fail, "expected the role \(role.rawValue), saw \(seen)")
        }
        guard let lagMax, replication.role == Role.replica.rawValue else {
            return outcome(.pass, seen)
        }
        guard replication.isLinked, let lag = replication.lag else {
            return outcome(.fail, "expected a link to the master, saw it down")
        }
        guard lag <= lagMax else {
            return outcome(.fail, "expected a lag of at most \(lagMax), saw \(lag)")
        }
        return outcome(.pass, "\(seen), \(lag) behind")
    }
}

/// What `INFO replication` says.
private struct Replication {
    /// `master` or `replica`; servers say `slave`.
    var role: String?
    var isLinked = false
    /// Since the master was last heard of.
    var lag: Nanoseconds?

    init(parsing text: [UInt8]) {
        for line in text.split(whereSeparator: { $0 == 0x0D || $0 == 0x0A }) {
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1)
            guard parts.count == 2 else { continue }
            let value = String(decoding: parts[1], as: UTF8.self)
            switch String(decoding: parts[0], as: UTF8.self) {
            case "role": role = value == "slave" ? "replica" : value
            case "master_link_status": isLinked = value == "up"
            case "master_last_io_seconds_ago":
                lag = Int64(value).flatMap {
                    (0...Int64(Int32.max)).contains($0) ? .seconds($0) : nil
                }
            default: break
            }
        }
    }
}

/// Commands and replies over one connection.
private struct RedisSession {
    let context: ProbeContext
    let stream: any Transport
    private let buffer = ReadBuffer()
    private var pending: [UInt8] = []

    init(context: ProbeContext, stream: any Transport) {
        self.context = context
        self.stream = stream
    }

    mutating func expect(
        _ wanted: RESPReply,
        to command: [String],
        phases: inout Phases
    ) async throws(ProbeFailure) {
        let reply = try await ask(command, phases: &phases)
        guard reply == wanted else {
            // -LOADING, -NOAUTH, -MASTERDOWN: a server that lives and cannot be used.
            throw ProbeFailure(
                .layer7Status,
                "\(command.first ?? ""): expected \(wanted), saw \(reply)"
            )
        }
    }

    mutating func ask(
        _ command: [String],
        phases: inout Phases
    ) async throws(ProbeFailure) -> RESPReply {
        // Arguments may hold a password.
        let name = command.first == "AUTH" ? "AUTH" : command.joined(separator: " ")
        let began = context.loop.instant
        do throws(StreamError) {
            try await stream.write(RESPReply.encode(command))
        } catch {
            throw failure(error, name)
        }
        context.trace?.note("send", name)
        while true {
            if let reply = try takeReply(to: name) {
                context.trace?.note("receive", "\(reply)")
                return reply
            }
            let count: Int
            do throws(StreamError) {
                count = try await stream.read(into: buffer.room)
            } catch {
                throw failure(error, name)
            }
            guard count > 0 else { throw failure(.ended, name) }
            if phases.firstByte == nil { phases.firstByte = context.loop.instant - began }
            pending.append(contentsOf: buffer.prefix(count))
        }
    }

    private mutating func takeReply(to name: String) throws(ProbeFailure) -> RESPReply? {
        do throws(RESPReply.Malformed) {
            guard let (reply, length) = try RESPReply.parse(pending) else { return nil }
            pending.removeFirst(length)
            return reply
        } catch {
            throw ProbeFailure(.layer7Response, "\(name): \(error.reason)")
        }
    }

    private func failure(_ error: StreamError, _ name: String) -> ProbeFailure {
        ProbeFailure.exchanging(
            error,
            over: stream,
            expected: "a reply to \(name)",
            within: context.span,
            seen: pending.isEmpty ? "nothing" : Excerpt.of(pending)
        )
    }
}
