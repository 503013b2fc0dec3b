// Who answers on the admin address? Hummingbird: the API, the metrics, the dashboard.

import Health
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
public import Logging
import NIOCore
public import ServiceLifecycle
import Store
public import Vocabulary

/// The admin endpoint of one process.
public struct AdminServer: Service {
    private let bind: Vocabulary.Address
    private let token: String?
    private let certificate: ServerCertificate?
    private let plane: ControlPlane
    private let logger: Logger
    private let onRunning: @Sendable (String) async -> Void

    /// How long a client may stay without a request, or with half of one.
    private static let idleLimit = TimeAmount.seconds(60)
    /// How long answers under way may take when the process is told to stop.
    private static let lastAnswersWithin = Duration.seconds(2)

    /// A request that writes must show `token`, if there is one. With a certificate, all speak TLS.
    /// `onRunning` hears where the server listens, once it does.
    public init(
        bind: Vocabulary.Address,
        token: String?,
        certificate: ServerCertificate? = nil,
        plane: ControlPlane,
        logger: Logger,
        onRunning: @escaping @Sendable (String) async -> Void = { _ in }
    ) {
        self.bind = bind
        self.token = token
        self.certificate = certificate
        self.plane = plane
        self.logger = logger
        self.onRunning = onRunning
    }

    public func run() async throws {
        let onRunning = onRunning
        let bind = bind
        let scheme = certificate == nil ? "http" : "https"
        // The framework's own lines repeat ours.
        var logger = logger
        logger.logLevel = .warning
        let application = Application(
            router: makeRouter(),
            server: try server,
            configuration: ApplicationConfiguration(address: bindAddress, serverName: "muster"),
            onServerRunning: { channel in
                switch bind {
                case .host(let host, _):
                    await onRunning("\(scheme)://\(host):\(channel.localAddress?.port ?? 0)")
                case .unix(let path): await onRunning("unix:\(path)")
                }
            },
            logger: logger
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            // Waits for what is in flight, which a client that sends half a request, or reads none
            // of the answer, would never let end.
            group.addTask {
                try? await gracefulShutdown()
                try? await Task.sleep(for: Self.lastAnswersWithin)
            }
            try await group.next()
            group.cancelAll()
        }
    }

    private var server: HTTPServerBuilder {
        get throws {
            let base = HTTPServerBuilder.http1(
                configuration: HTTP1Channel.Configuration(idleTimeout: Self.idleLimit)
            )
            guard let certificate else { return base }
            return try .tls(base, tlsConfiguration: certificate.configuration)
        }
    }

    private var bindAddress: BindAddress {
        switch bind {
        case .host(let host, let port): .hostname(host, port: Int(port))
        case .unix(let path): .unixDomainSocket(path: path)
        }
    }

    private func makeRouter() -> Router<BasicRequestContext> {
        var router = AdminRouter(token: token)
        UpstreamRoutes(plane: plane).add(to: &router)
        StateRoutes(plane: plane).add(to: &router)
        AgentRoutes(plane: plane).add(to: &router)
        router.get("/") { _, _ in
            Response.text(Dashboard.page, type: "text/html; charset=utf-8")
        }
        return router.finish()
    }
}
