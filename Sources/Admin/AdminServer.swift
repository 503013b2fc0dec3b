// Who answers on the admin address? The front reads a whole request, the route of the table that it
// means answers it: the API, the metrics, the dashboard.

public import EventLoop
public import Front
public import TLS
public import Vocabulary

/// The admin endpoint of one process.
public struct AdminServer: Sendable {
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
    private let onRunning: @Sendable (String) async -> Void

    /// How long answers under way may take when the process is told to stop.
    private static let lastAnswersWithin = Nanoseconds.seconds(2)

    /// `onRunning` hears where the server listens, once it does.
    public init(
        _ configuration: Configuration,
        plane: ControlPlane,
        journal: Journal = .silent,
        onRunning: @escaping @Sendable (String) async -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.plane = plane
        self.journal = journal
        self.onRunning = onRunning
    }

    /// Serves until `end` returns, and then lets answers under way end. Throws what keeps it from listening.
    public func run(until end: @Sendable () async -> Void) async throws {
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
        await end()
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
        let responder = Responder(
            router: Router(AdminTable.routes),
            access: Access(
                grants: configuration.grants,
                protectsReads: configuration.protectsReads
            ),
            context: AdminContext(plane: plane, front: tally)
        )
        return { request, writer in try await responder.answer(request, over: writer) }
    }
}
