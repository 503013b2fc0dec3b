// Who answers tools that were made for HAProxy's socket? One line of commands a connection, or as many as somebody types
// after `prompt`. What they ask to change goes through the door of all orders.

public import EventLoop
public import Front
import Health
import Proxy
import Store
public import Vocabulary

/// `admin.haproxy-socket`.
public struct RuntimeSocket: ControlDoor {
    public struct Configuration: Sendable {
        public var bind: Vocabulary.Address
        public var access = SocketAccess()
        public var limits = LineLimits()

        public init(bind: Vocabulary.Address) { self.bind = bind }
    }

    public static let connectionsMax = LineLimits.connectionsMax

    private let configuration: Configuration
    private let commands: RuntimeCommands
    private let journal: Journal

    public init(
        _ configuration: Configuration,
        plane: ControlPlane,
        journal: Journal = .silent
    ) {
        self.configuration = configuration
        self.commands = RuntimeCommands(plane: plane)
        self.journal = journal
    }

    public func run(
        until end: @Sendable () async -> Void,
        onRunning: @Sendable (String) async -> Void
    ) async throws {
        let loop = try EventLoop.spawn(name: "haproxy")
        defer { loop.stop() }
        let (configuration, journal) = (configuration, journal)
        let commands = commands
        let opened: Result<(LoopBound<LineDoor>, SocketAddress), SystemError> =
            await LoopBound((), on: loop).call { _ in
                do throws(SystemError) {
                    guard let place = SocketAddress(configuration.bind) else {
                        throw SystemError("bind \(configuration.bind)", code: 22)
                    }
                    let door = try LineDoor(
                        on: loop,
                        at: place,
                        access: configuration.access,
                        limits: configuration.limits,
                        name: "admin.haproxy-socket",
                        journal: journal,
                        answer: commands.answer(to:isPrompting:)
                    )
                    return .success((LoopBound(door, on: loop), door.address))
                } catch {
                    return .failure(error)
                }
            }
        let (door, address) = try opened.get()
        await onRunning("\(address)")
        await end()
        await door.call { $0.close() }
    }
}

/// Answers one command.
struct RuntimeCommands: Sendable {
    let plane: ControlPlane

    private static let asker = Asker("HAProxy's socket")

    func answer(to command: RuntimeCommand) async -> String {
        switch command {
        case .showStat(var scope, let upstream):
            let picture = await picture
            if let upstream {
                guard let number = picture.number(ofProxy: upstream) else {
                    return RuntimeCommand.Words.noProxy
                }
                scope.proxy = number
            }
            return RuntimeStat.csv(picture, scope)
        case .showInfo: return await info
        case .showServersState(let upstream):
            return RuntimeServers.state(await picture, of: upstream)
                ?? RuntimeCommand.Words.noBackendHere
        case .showBackend:
            let names = await plane.board.call { $0.names }
            return (["# name"] + names).joined(separator: "\n") + "\n"
        case .showVersion: return "\(version)\n"
        case .showLevel: return "admin\n"
        case .getWeight(let place): return await weight(at: named(place))
        case .setWeight(let place, let text): return await setWeight(text, at: named(place))
        case .setState(let place, let state): return await setState(state, at: named(place))
        case .decidedElsewhere(let place, let what):
            return await tellElsewhere(what, at: named(place))
        case .help(let words): return RuntimeCommand.listing(words)
        case .answer(let text): return text
        case .unknown(let words): return RuntimeCommand.refusal(of: words)
        case .prompt, .quit: return ""
        }
    }

    /// One line, and whether somebody types on after it.
    func answer(to line: String, isPrompting: Bool) async -> LineAnswer {
        var answer = LineAnswer(staysOpen: isPrompting)
        let commands = RuntimeCommand.parse(line)
        for (place, command) in commands.enumerated() {
            if answer.text.utf8.count > RuntimeCommand.answerBytesMax {
                answer.text += RuntimeCommand.Words.tooMany(commands.count - place)
                return answer
            }
            if command == .quit {
                answer.staysOpen = false
                answer.isLast = true
                return answer
            }
            if command == .prompt { answer.staysOpen.toggle() }
            answer.text += await self.answer(to: command) + (answer.staysOpen ? "\n> " : "\n")
        }
        return answer
    }

    // MARK: Telling

    private var picture: RuntimePicture {
        get async {
            let proxy = plane.proxy
            let (report, listeners) = await plane.run {
                (await proxy.value.report(), proxy.value.listeners)
            }
            let upstreams = await plane.upstreams().map(\.view)
            return RuntimePicture(
                upstreams: upstreams,
                listeners: listeners,
                report: report,
                now: plane.loop.wall
            )
        }
    }

    /// The version of HAProxy whose words these are, since tools ask for one, and then our own.
    private var version: String { "2.6.12-muster-\(plane.version)" }

    /// Of that HAProxy.
    private static let releasedAt = "2023/03/28"

    private var info: String {
        get async {
            let picture = await picture
            let uptime = max(0, (plane.loop.instant - plane.began).count / 1_000_000_000)
            let (days, hours) = (uptime / 86_400, uptime / 3_600 % 24)
            let clock = "\(days)d \(hours)h\(Self.two(uptime / 60 % 60))m\(Self.two(uptime % 60))s"
            let report = picture.report
            let limit = plane.budget?.limit ?? 0
            let most = plane.budget?.proxy ?? 0
            let known: [String: String] = [
                // Some tools speak to no other.
                "Name": "HAProxy", "Version": version, "Release_date": Self.releasedAt,
                "Nbthread": "1", "Nbproc": "1", "Process_num": "1",
                "Pid": "\(LineDoor.processID)", "Uptime": clock, "Uptime_sec": "\(uptime)",
                "Ulimit-n": "\(limit)", "Maxsock": "\(limit)", "Maxconn": "\(most)",
                "Hard_maxconn": "\(most)", "CurrConns": "\(report.connectionsActive)",
                "CumConns": "\(report.connectionsAccepted)", "CumReq": "\(report.requests)",
                "Idle_pct": "100", "node": plane.agent, "Listeners": "\(picture.listeners.count)",
                "Build info": version,
                "Start_time_sec": "\(plane.startedAt.milliseconds / 1_000)",
                "description": "muster \(plane.version)",
            ]
            return Self.fields.map { "\($0): \(known[$0] ?? "0")\n" }.joined()
        }
    }

    /// HAProxy's, all of them, since tools end where one is missing; what means nothing here is 0.
    private static let fields = [
        "Name", "Version", "Release_date", "Nbthread", "Nbproc", "Process_num", "Pid", "Uptime",
        "Uptime_sec", "Memmax_MB", "PoolAlloc_MB", "PoolUsed_MB", "PoolFailed", "Ulimit-n",
        "Maxsock", "Maxconn", "Hard_maxconn", "CurrConns", "CumConns", "CumReq", "MaxSslConns",
        "CurrSslConns", "CumSslConns", "Maxpipes", "PipesUsed", "PipesFree", "ConnRate",
        "ConnRateLimit", "MaxConnRate", "SessRate", "SessRateLimit", "MaxSessRate", "SslRate",
        "SslRateLimit", "MaxSslRate", "SslFrontendKeyRate", "SslFrontendMaxKeyRate",
        "SslFrontendSessionReuse_pct", "SslBackendKeyRate", "SslBackendMaxKeyRate",
        "SslCacheLookups", "SslCacheMisses", "CompressBpsIn", "CompressBpsOut",
        "CompressBpsRateLim", "Tasks", "Run_queue", "Idle_pct", "node", "description", "Stopping",
        "Jobs", "Unstoppable Jobs", "Listeners", "ActivePeers", "ConnectedPeers", "DroppedLogs",
        "BusyPolling", "FailedResolutions", "TotalBytesOut", "TotalSplicdedBytesOut",
        "BytesOutRate", "DebugCommandsIssued", "CumRecvLogs", "Build info", "Memmax_bytes",
        "PoolAlloc_bytes", "PoolUsed_bytes", "Start_time_sec", "Tainted",
    ]

    private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// With names where it has the numbers that are told.
    private func named(_ place: RuntimeCommand.Place) async -> RuntimeCommand.Place {
        guard place.upstream.hasPrefix("#") || place.peer.hasPrefix("#") else { return place }
        return await plane.board.call { board in
            let upstream = RuntimePicture.name(
                place.upstream,
                of: board.names,
                from: RuntimePicture.firstBackend
            )
            let peer = RuntimePicture.name(
                place.peer,
                of: board.upstream(named: upstream)?.peers.map(\.definition.id) ?? [],
                from: 1
            )
            return .init(upstream: upstream, peer: peer)
        }
    }

    private func find(
        _ place: RuntimeCommand.Place
    ) async -> Result<PeerReport, RuntimeWeightProblem> {
        let view = await plane.board.call { $0.upstream(named: place.upstream) }
        guard let view else { return .failure(.words(RuntimeCommand.Words.noUpstream)) }
        guard let peer = view.peers.first(where: { $0.definition.id == place.peer }) else {
            return .failure(.words(RuntimeCommand.Words.noPeer))
        }
        return .success(peer)
    }

    private func weight(at place: RuntimeCommand.Place) async -> String {
        switch await find(place) {
        case .success(let peer): "\(peer.view.weight) (initial \(peer.definition.weight))\n"
        case .failure(.words(let words)): words
        }
    }

    private func tellElsewhere(
        _ what: RuntimeCommand.What,
        at place: RuntimeCommand.Place
    ) async -> String {
        switch await find(place) {
        case .failure(.words(let words)): return words
        case .success:
            guard what == .agent else { return RuntimeCommand.Words.elsewhere(what) }
            let monitors = await plane.board.call { $0.monitors(of: place.upstream) }
            let hasAgent = monitors.contains { RuntimeHealth.isAgent($0.kind) }
            return hasAgent ? RuntimeCommand.Words.elsewhere(what) : RuntimeCommand.Words.noAgent
        }
    }

    // MARK: Changing

    private func setState(
        _ state: RuntimeCommand.State,
        at place: RuntimeCommand.Place
    ) async -> String {
        await order(.object([.init("intent", .string(state.rawValue))]), at: place)
    }

    private func setWeight(_ text: String, at place: RuntimeCommand.Place) async -> String {
        let peer: PeerReport
        switch await find(place) {
        case .failure(.words(let words)): return words
        case .success(let found): peer = found
        }
        switch RuntimeWeight.read(text, initial: peer.definition.weight) {
        case .failure(.words(let words)): return words
        case .success(let weight):
            // The weight that it has by itself is no order that somebody would have to take back.
            let value: JSON = weight == peer.definition.weight ? .null : .integer(Int64(weight))
            return await order(.object([.init("weight", value)]), at: place)
        }
    }

    private func order(_ body: JSON, at place: RuntimeCommand.Place) async -> String {
        let key = PeerKey(upstream: place.upstream, peer: place.peer)
        switch await plane.order(body, of: key, by: Self.asker) {
        case .success: return ""
        case .failure(.noUpstream): return RuntimeCommand.Words.noUpstream
        case .failure(.noPeer): return RuntimeCommand.Words.noPeer
        case .failure(.mistake(let text)), .failure(.unknown(let text)): return "\(text)\n"
        case .failure(.refused(let text)): return "The store refused: \(text)\n"
        case .failure(.outdated): return "Another change came first; ask once more.\n"
        }
    }
}
