// Who answers on the admin address? The front reads a whole request, Hummingbird's router answers it:
// the API, the metrics, the dashboard.

public import EventLoop
public import Front
import Hummingbird
public import Logging
public import ServiceLifecycle
public import TLS
public import Vocabulary

/// The admin endpoint of one process.
public struct AdminServer: Service {
    /// How it listens, and whom it lets in.
    public struct Configuration: Sendable {
        public var bind: Vocabulary.Address
        /// Of a unix socket.
        public var access = SocketAccess()
        /// A request that writes must show it, if there is one.
        public var token: String?
        /// A request that only reads must show it too.
        public var protectsReads = false
        /// Names by which clients may ask for this address, beside those of every machine.
        public var hosts: [String] = []
        /// With it, all speak TLS.
        public var certificate: ServerCertificate?
        public var limits = FrontLimits()

        public init(bind: Vocabulary.Address) { self.bind = bind }
    }

    private let configuration: Configuration
    private let plane: ControlPlane
    private let logger: Logger
    private let journal: Journal
    private let onRunning: @Sendable (String) async -> Void

    /// How long answers under way may take when the process is told to stop.
    private static let lastAnswersWithin = Nanoseconds.seconds(2)

    /// `onRunning` hears where the server listens, once it does.
    public init(
        _ configuration: Configuration,
        plane: ControlPlane,
        logger: Logger,
        journal: Journal = .silent,
        onRunning: @escaping @Sendable (String) async -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.plane = plane
        self.logger = logger
        self.journal = journal
        self.onRunning = onRunning
    }

    public func run() async throws {
        let tally = FrontTally()
        let handler = handler(counting: tally)
        let loop = try EventLoop.spawn(name: "admin")
        defer { loop.stop() }
        let (configuration, journal) = (configuration, journal)
        let opened: Result<(LoopBound<Front>, SocketAddress), SystemError> =
            await LoopBound((), on: loop).call { _ in
                do throws(SystemError) {
                    let front = Front(
                        on: loop,
                        rules: OriginRules(
                            bind: configuration.bind,
                            hosts: configuration.hosts,
                            isSecure: configuration.certificate != nil
                        ),
                        limits: configuration.limits,
                        certificate: configuration.certificate,
                        tally: tally,
                        journal: journal,
                        handler: handler
                    )
                    guard let place = SocketAddress(configuration.bind) else {
                        throw SystemError("bind \(configuration.bind)", code: 22)
                    }
                    let address = try front.open(at: place, access: configuration.access)
                    return .success((LoopBound(front, on: loop), address))
                } catch {
                    return .failure(error)
                }
            }
        let (front, address) = try opened.get()
        await onRunning(place(address))
        try? await gracefulShutdown()
        await Task(executorPreference: loop) {
            await front.value.close(within: Self.lastAnswersWithin)
        }.value
    }

    private func place(_ address: SocketAddress) -> String {
        if address.isUnix { return "\(address)" }
        return (configuration.certificate == nil ? "http://" : "https://") + "\(address)"
    }

    // MARK: Answering

    private func handler(counting tally: FrontTally) -> Front.Handler {
        let responder = makeRouter(counting: tally).buildResponder()
        // The framework's own lines repeat ours.
        var logger = logger
        logger.logLevel = .warning
        let source = AdminContext.Source(logger: logger)
        return { request, writer in
            let response = try await responder.respond(
                to: try Request(request),
                context: AdminContext(source: source)
            )
            await writer.begin(AnswerHead(response))
            try await response.body.write(FrontBodyWriter(writer: writer))
        }
    }

    private func makeRouter(counting tally: FrontTally) -> Router<AdminContext> {
        var router = AdminRouter(
            token: configuration.token,
            protectsReads: configuration.protectsReads
        )
        UpstreamRoutes(plane: plane).add(to: &router)
        StateRoutes(plane: plane, front: tally).add(to: &router)
        AgentRoutes(plane: plane).add(to: &router)
        router.get("/") { _, _ in
            Response.text(Dashboard.page, type: "text/html; charset=utf-8")
        }
        return router.finish()
    }
}
