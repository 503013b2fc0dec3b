// How does an address of the control plane come to be served? A front on a loop of its own, open until the
// process has stopped, and then for as long as answers under way take.

import EventLoop
import Front
import TLS
import Vocabulary

/// Somewhere that the control plane is reached.
public protocol ControlDoor: Sendable {
    /// Serves until `end` returns, and then lets answers under way end. `onRunning` hears where it listens, once it
    /// does. Throws what keeps it from listening.
    func run(
        until end: @Sendable () async -> Void,
        onRunning: @Sendable (String) async -> Void
    ) async throws
}

/// One address on which the control plane answers.
struct Entrance: Sendable {
    let bind: Vocabulary.Address
    /// Of its thread.
    let name: String
    /// What makes it listen, for the log.
    var setting = "admin"
    var access = SocketAccess()
    var rules: OriginRules
    var limits = FrontLimits()
    /// With it, all speak TLS.
    var certificate: ServerCertificate?
    var tally = FrontTally()

    /// How long answers under way may take when the process is told to stop.
    private static let lastAnswersWithin = Nanoseconds.seconds(2)

    init(_ bind: Vocabulary.Address, named name: String) {
        self.bind = bind
        self.name = name
        rules = OriginRules(bind: bind)
    }

    /// Serves until `end` returns. `onRunning` hears where it listens, once it does. Throws what keeps it from
    /// listening.
    func serve(
        until end: @Sendable () async -> Void,
        journal: Journal,
        onRunning: @Sendable (SocketAddress) async -> Void,
        handler: @escaping Front.Handler
    ) async throws {
        let loop = try EventLoop.spawn(name: name)
        defer { loop.stop() }
        let entrance = self
        let opened: Result<(LoopBound<Front>, SocketAddress), SystemError> =
            await LoopBound((), on: loop).call { _ in
                do throws(SystemError) {
                    let front = Front(
                        on: loop,
                        rules: entrance.rules,
                        limits: entrance.limits,
                        certificate: entrance.certificate,
                        tally: entrance.tally,
                        name: entrance.setting,
                        journal: journal,
                        handler: handler
                    )
                    guard let place = SocketAddress(entrance.bind) else {
                        throw SystemError("bind \(entrance.bind)", code: 22)
                    }
                    let address = try front.open(at: place, access: entrance.access)
                    return .success((LoopBound(front, on: loop), address))
                } catch {
                    return .failure(error)
                }
            }
        let (front, address) = try opened.get()
        await onRunning(address)
        await end()
        await Task(executorPreference: loop) {
            await front.value.close(within: Self.lastAnswersWithin)
        }.value
    }

    /// The same where every answer is there whole.
    func serve(
        until end: @Sendable () async -> Void,
        journal: Journal,
        onRunning: @Sendable (SocketAddress) async -> Void,
        respond: @escaping @Sendable (FrontRequest) async -> Response
    ) async throws {
        try await serve(
            until: end,
            journal: journal,
            onRunning: onRunning,
            handler: { request, writer in
                try await respond(request).send(to: request, over: writer)
            }
        )
    }
}
