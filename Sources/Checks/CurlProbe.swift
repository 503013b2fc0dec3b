// How does a probe run on libcurl? Connections are made as everywhere, with muster's own resolver;
// libcurl gets each one ready, and speaks proxies, HTTP/2, logins and cookies over it.

import Curl
import DNS
import EventLoop
import Health
import TLS
import Vocabulary

/// One HTTP probe that needs more than muster's own client does.
struct CurlProbe {
    let request: HTTPRequest
    let extras: HTTPExtras
    let tls: TLSSettings?
    let context: ProbeContext
    let bodyBytesMax: Int
    let judge: HTTPExchange.Judge

    func run(
        to address: Address,
        phases: inout Phases
    ) async throws(ProbeFailure) -> Outcome {
        let session: CurlSession
        do throws(SystemError) {
            session = try CurlSession(on: try CurlMulti.on(context.loop))
        } catch {
            throw ProbeFailure(.socketError, "\(error)", verdict: .neutral)
        }
        guard let home = HTTPHop(request, to: address, isSecure: tls != nil) else {
            let authority = request.authority(for: address)
            throw Self.ours("expected a host in '\(authority)'")
        }
        var hop = home
        var followed = 0
        while true {
            switch try await exchange(hop, session, phases: &phases) {
            case .judged(let outcome): return outcome
            case .failed(let failure): throw failure
            case .redirected(let status, let location):
                context.trace?.note("redirect", "\(status) to \(Excerpt.of(location.utf8))")
                hop = try follow(location, status, from: hop, home: home, after: followed)
                followed += 1
            }
        }
    }

    private func follow(
        _ location: String,
        _ status: Int,
        from hop: HTTPHop,
        home: HTTPHop,
        after followed: Int
    ) throws(ProbeFailure) -> HTTPHop {
        switch hop.next(location, status: status, home: home) {
        case .failure(let refusal):
            throw ProbeFailure(.layer7Status, "expected \(refusal.text)", code: status)
        case .success(let next):
            guard followed < extras.redirects else {
                throw ProbeFailure(
                    .layer7Status,
                    "expected at most \(extras.redirects) redirect"
                        + (extras.redirects == 1 ? "" : "s")
                        + ", saw \(status) to \(next.url.text) after \(followed)",
                    code: status
                )
            }
            return next
        }
    }

    // MARK: One hop

    private func exchange(
        _ hop: HTTPHop,
        _ session: CurlSession,
        phases: inout Phases
    ) async throws(ProbeFailure) -> CurlReply.End {
        var spent = Phases()
        defer { phases.add(spent) }
        let tls = try security(of: hop)
        let name = tls.map { hop.isPeer ? $0.name(for: hop.url.host) : hop.url.host }
        var transfer = transfer(for: hop, tlsName: name)
        transfer.connectTo = try await way(to: hop, phases: &spent)
        var stream: ByteStream?
        defer { stream?.reset() }
        if extras.proxy == nil, case .unix(let path) = hop.address,
            SocketAddress(hop.address) != nil
        {
            transfer.socketPath = path
        } else {
            let address = extras.proxy?.address ?? hop.address
            stream = try await Dialer.dial(address, in: context, phases: &spent)
        }
        // The address that accepted, for libcurl should it need a second connection.
        var place: String?
        if let stream {
            // The kernel forgets it with a reset.
            let literal = SocketAddress(extras.proxy?.address ?? hop.address)
            place = (Socket.remoteAddress(stream.descriptor) ?? literal).map { "\($0)" }
        }
        if let proxy = extras.proxy {
            transfer.proxy = CurlRequest.Proxy(
                url: "\(proxy.scheme.rawValue)://\(place ?? "\(proxy.address)")",
                user: proxy.user,
                password: proxy.password
            )
        } else {
            transfer.connectTo = place
        }
        let reply = CurlReply(
            hop,
            extras,
            tlsName: name,
            bodyBytesMax: bodyBytesMax,
            context: context,
            judge: judge
        )
        if let tls, let name { transfer.tls = Self.lend(tls, as: name, to: reply) }
        let result = await session.perform(
            transfer,
            over: stream?.release(),
            deadline: context.deadline,
            receiver: reply.take
        )
        if transfer.socketPath != nil { spent.connect = result.connect }
        spent.tls = tls == nil ? nil : result.handshake
        spent.firstByte = result.firstByte
        let end = reply.finish(result, through: extras.proxy)
        guard let tls, case .judged(let outcome) = end else { return end }
        return .judged(tls.weigh(outcome, until: reply.firstToEnd, now: context.loop.wall))
    }

    /// The check's own TLS; what any client does where a redirect leads to it.
    private func security(of hop: HTTPHop) throws(ProbeFailure) -> TLSSettings? {
        guard hop.isSecure else { return nil }
        if let tls { return tls }
        guard let standard = TLSSettings.standard else {
            throw Self.ours("expected the system's authorities, saw none")
        }
        return standard
    }

    private static func lend(
        _ tls: TLSSettings,
        as name: String,
        to reply: CurlReply
    ) -> CurlRequest.TLS {
        CurlRequest.TLS(verifies: tls.context.configuration.verifies) { foreign in
            reply.hasBegunTLS = true
            do throws(TLSError) {
                try tls.context.lend(to: foreign, serverName: name, showing: reply.shown)
                return true
            } catch {
                return false
            }
        }
    }

    /// Where a proxy is to lead: nil where the URL says it, or where there is none.
    private func way(
        to hop: HTTPHop,
        phases: inout Phases
    ) async throws(ProbeFailure) -> String? {
        guard let proxy = extras.proxy else { return nil }
        guard case .host = hop.address else {
            throw Self.ours("connect \(hop.address): expected host:port behind a proxy")
        }
        switch proxy.scheme {
        case .socks5:
            let places = try await Dialer.locate(hop.address, in: context, phases: &phases)
            return places.first.map { "\($0)" }
        case .socks5h: return "\(hop.address)"
        case .http: return hop.isSecure ? "\(hop.address)" : nil
        }
    }

    /// Everything that needs no connection.
    private func transfer(for hop: HTTPHop, tlsName: String?) -> CurlRequest {
        // A plain request shows its proxy where it is to go; any other names the server.
        let isAbsolute = extras.proxy?.isHTTP == true && !hop.isSecure
        var place = Address.host(tlsName ?? hop.url.host, port: hop.url.port)
        if isAbsolute { place = hop.address }
        var transfer = CurlRequest(
            url: "\(hop.url.scheme)://\(place)\(hop.target)",
            method: hop.methodName
        )
        transfer.target = isAbsolute ? nil : hop.target
        transfer.version = extras.version
        transfer.keepsCookies = extras.keepsCookies
        transfer.body = hop.sendsBody ? request.body : nil
        transfer.headers = ["Host: \(hop.authority)"]
        if extras.version == .http1 { transfer.headers.append("Connection: close") }
        transfer.headers += request.fields.filter { hop.isHome || !$0.isSecret }.map(\.line)
        guard hop.isHome else { return transfer }
        switch extras.credentials {
        case .basic(let user, let password):
            transfer.credentials = .basic(user: user, password: password)
        case .digest(let user, let password):
            transfer.credentials = .digest(user: user, password: password)
        case .bearer(let token): transfer.headers.append("Authorization: Bearer \(token)")
        case nil: break
        }
        return transfer
    }

    private static func ours(_ text: String) -> ProbeFailure {
        ProbeFailure(.socketError, text, verdict: .neutral)
    }
}

extension Phases {
    /// A probe of several hops spends the time of all of them.
    fileprivate mutating func add(_ other: Phases) {
        func sum(_ left: Nanoseconds?, _ right: Nanoseconds?) -> Nanoseconds? {
            guard let left, let right else { return left ?? right }
            return left + right
        }
        resolve = sum(resolve, other.resolve)
        connect = sum(connect, other.connect)
        tls = sum(tls, other.tls)
        firstByte = sum(firstByte, other.firstByte)
    }
}

extension HTTPRequest.Field {
    /// As libcurl takes it: a field without a value ends in a semicolon.
    fileprivate var line: String {
        value.allSatisfy { $0 == " " || $0 == "\t" } ? "\(name);" : "\(name): \(value)"
    }

    /// Not for servers that the check was not made for.
    fileprivate var isSecret: Bool { ["authorization", "cookie"].contains(name.lowercased()) }
}
