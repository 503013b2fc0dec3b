// Who answers on the admin address? The front reads a whole request, the route of the table that it
// means answers it: the API, the metrics, the dashboard.

public import EventLoop
public import Front
public import TLS
public import Vocabulary

/// The admin endpoint of one process.
public struct AdminServer: ControlDoor {
    /// How it listens, and whom it lets in.
    public struct Configuration: Sendable {
        public var bind: Vocabulary.Address
        /// Of a unix socket.
        public var access = SocketAccess()
        /// A request that writes must show one that reaches far enough, if there are any.
        public var grants: [Access.Grant] = []
        /// A request that only reads must show one too.
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
    private let journal: Journal

    public init(
        _ configuration: Configuration,
        plane: ControlPlane,
        journal: Journal = .silent
    ) {
        self.configuration = configuration
        self.plane = plane
        self.journal = journal
    }

    public func run(
        until end: @Sendable () async -> Void,
        onRunning: @Sendable (String) async -> Void
    ) async throws {
        let tally = FrontTally()
        var entrance = Entrance(configuration.bind, named: "admin")
        entrance.access = configuration.access
        entrance.rules = OriginRules(
            bind: configuration.bind,
            hosts: configuration.hosts,
            isSecure: configuration.certificate != nil
        )
        entrance.limits = configuration.limits
        entrance.certificate = configuration.certificate
        entrance.tally = tally
        let scheme = configuration.certificate == nil ? "http" : "https"
        try await entrance.serve(
            until: end,
            journal: journal,
            onRunning: { await onRunning($0.isUnix ? "\($0)" : "\(scheme)://\($0)") },
            handler: handler(counting: tally)
        )
    }

    // MARK: Answering

    private func handler(counting tally: FrontTally) -> Front.Handler {
        let responder = Responder(
            router: Router(AdminTable.routes),
            access: Access(
                grants: configuration.grants,
                protectsReads: configuration.protectsReads
            ),
            context: AdminContext(plane: plane, front: tally),
            tracing: plane.tracer.map { ($0, plane.loop) }
        )
        return { request, writer in try await responder.answer(request, over: writer) }
    }
}
