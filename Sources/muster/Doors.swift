// Where is the control plane reached? On the admin address, and on each of the small ones that the configuration
// opens beside it.

import Admin
import EventLoop
import Settings
import TLS
import Vocabulary

struct Doors {
    struct Door: Sendable {
        /// `admin 127.0.0.1:7000`.
        let name: String
        let server: any ControlDoor
        /// What the log says of it once it is open, with where it listens.
        let news: @Sendable (String) -> String
    }

    private let configuration: MusterConfiguration
    private let budget: DescriptorBudget
    private let certificate: ServerCertificate?

    init(
        _ configuration: MusterConfiguration,
        _ budget: DescriptorBudget,
        _ certificate: ServerCertificate?
    ) {
        self.configuration = configuration
        self.budget = budget
        self.certificate = certificate
    }

    func all(to plane: ControlPlane, journal: Journal) -> [Door] {
        [admin, compatConfig, compatDurpina, haproxySocket, statusPage].compactMap {
            $0(plane, journal)
        }
    }

    // MARK: Each

    private var grants: [Access.Grant] {
        configuration.admin.tokens.compactMap {
            Access.Grant(token: $0.token, scope: $0.scope.rawValue)
        }
    }

    private func admin(_ plane: ControlPlane, _ journal: Journal) -> Door? {
        let settings = configuration.admin
        var admin = AdminServer.Configuration(bind: settings.bind)
        admin.access = SocketAccess(mode: settings.mode, group: settings.group)
        admin.grants = grants
        admin.protectsReads = settings.protectsReads
        admin.hosts = settings.hosts
        admin.certificate = certificate
        admin.limits.connections = budget.admin - besides
        admin.limits.remedy = budget.remedy(for: .admin)
        return Door(
            name: "admin \(admin.bind)",
            server: AdminServer(admin, plane: plane, journal: journal),
            news: { "admin API and dashboard on \($0)" }
        )
    }

    private func compatConfig(_ plane: ControlPlane, _ journal: Journal) -> Door? {
        guard let setting = configuration.admin.compatConfig else { return nil }
        let upstream = setting.upstream
        var compat = CompatConfigServer.Configuration(bind: setting.bind, upstream: upstream)
        if setting.takesToken { compat.grants = grants }
        compat.hosts = configuration.admin.hosts
        compat.connections = connections(of: .compatConfig)
        return Door(
            name: "admin.compat-config \(setting.bind)",
            server: CompatConfigServer(compat, plane: plane, journal: journal),
            news: { "peers of \(upstream) are added and removed on \($0)" }
        )
    }

    private func compatDurpina(_ plane: ControlPlane, _ journal: Journal) -> Door? {
        guard let bind = configuration.admin.compatDurpina else { return nil }
        var durpina = CompatDurpinaServer.Configuration(bind: bind)
        if CompatConfigSetting.takesToken(at: bind) { durpina.grants = grants }
        durpina.hosts = configuration.admin.hosts
        durpina.connections = connections(of: .compatDurpina)
        return Door(
            name: "admin.compat-durpina \(bind)",
            server: CompatDurpinaServer(durpina, plane: plane, journal: journal),
            news: { "scripts made for durpina are answered on \($0)" }
        )
    }

    private func haproxySocket(_ plane: ControlPlane, _ journal: Journal) -> Door? {
        guard let setting = configuration.admin.haproxySocket else { return nil }
        var runtime = RuntimeSocket.Configuration(bind: setting.bind)
        runtime.access = SocketAccess(mode: setting.mode, group: setting.group)
        runtime.limits.connections = connections(of: .haproxySocket)
        return Door(
            name: "admin.haproxy-socket \(setting.bind)",
            server: RuntimeSocket(runtime, plane: plane, journal: journal),
            news: { "HAProxy's socket is answered on \($0)" }
        )
    }

    private func statusPage(_ plane: ControlPlane, _ journal: Journal) -> Door? {
        guard let page = configuration.statusPage else { return nil }
        var status = StatusPageServer.Configuration(
            bind: page.bind,
            title: page.title,
            upstreams: page.upstreams
        )
        status.connections = connections(of: .statusPage)
        return Door(
            name: "status-page \(page.bind)",
            server: StatusPageServer(status, plane: plane, journal: journal),
            news: { "status page for everybody on \($0)" }
        )
    }

    // MARK: Connections

    /// Those that live of the share of the admin endpoint.
    private enum Small: CaseIterable { case compatConfig, compatDurpina, haproxySocket, statusPage }

    /// What all of them may take. A third of the share is left at least, whichever there are.
    private var besides: Int { Small.allCases.reduce(0) { $0 + connections(of: $1) } }

    private func connections(of small: Small) -> Int {
        let (isOpen, most, part) =
            switch small {
            case .compatConfig:
                (configuration.admin.compatConfig != nil, CompatConfigServer.connectionsMax, 4)
            case .compatDurpina:
                (configuration.admin.compatDurpina != nil, CompatConfigServer.connectionsMax, 4)
            case .haproxySocket:
                (configuration.admin.haproxySocket != nil, RuntimeSocket.connectionsMax, 8)
            // Everybody may come here, all of them by one proxy.
            case .statusPage: (configuration.statusPage != nil, StatusPageServer.connectionsMax, 4)
            }
        return isOpen ? min(most, max(1, budget.admin / part)) : 0
    }
}
