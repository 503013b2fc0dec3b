// Who answers on the admin address? Hummingbird: the API, the metrics, the dashboard.

import Health
import Hummingbird
public import Logging
public import ServiceLifecycle
import Store
public import Vocabulary

/// The admin endpoint of one process.
public struct AdminServer: Service {
    private let bind: Vocabulary.Address
    private let token: String?
    private let plane: ControlPlane
    private let logger: Logger
    private let onRunning: @Sendable (String) async -> Void

    /// A request that writes must show `token`, if there is one. `onRunning` hears where the server listens, once it does.
    public init(
        bind: Vocabulary.Address,
        token: String?,
        plane: ControlPlane,
        logger: Logger,
        onRunning: @escaping @Sendable (String) async -> Void = { _ in }
    ) {
        self.bind = bind
        self.token = token
        self.plane = plane
        self.logger = logger
        self.onRunning = onRunning
    }

    public func run() async throws {
        let onRunning = onRunning
        let bind = bind
        // The framework's own lines repeat ours.
        var logger = logger
        logger.logLevel = .warning
        let application = Application(
            router: makeRouter(),
            configuration: ApplicationConfiguration(address: bindAddress, serverName: "muster"),
            onServerRunning: { channel in
                switch bind {
                case .host(let host, _):
                    await onRunning("http://\(host):\(channel.localAddress?.port ?? 0)")
                case .unix(let path): await onRunning("unix:\(path)")
                }
            },
            logger: logger
        )
        try await application.run()
    }

    private var bindAddress: BindAddress {
        switch bind {
        case .host(let host, let port): .hostname(host, port: Int(port))
        case .unix(let path): .unixDomainSocket(path: path)
        }
    }

    private func makeRouter() -> Router<BasicRequestContext> {
        let router = Router(context: BasicRequestContext.self)
        router.add(middleware: ProblemMiddleware())
        router.add(middleware: TokenMiddleware(token: token))
        UpstreamRoutes(plane: plane).add(to: router)
        StateRoutes(plane: plane).add(to: router)
        AgentRoutes(plane: plane).add(to: router)
        router.get("/") { _, _ in
            Response.text(Dashboard.page, type: "text/html; charset=utf-8")
        }
        return router
    }
}
