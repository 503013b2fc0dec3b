// How does a configuration file become values? Read the tree with its includes, then section by
// section; any mistake anywhere refuses the whole, with all mistakes named.

public import Checks
import Foundation
import Health
import Proxy
import Store
import Telemetry
import Vocabulary

extension MusterConfiguration {
    /// Reads the file at `path`. Monitors may use the kinds of check that `registry` knows, and those
    /// of the drop-in folder.
    public static func load(
        _ path: String,
        environment: [String: String] = ProcessInfo.processInfo.environment,
        registry: CheckRegistry = .builtin
    ) throws(ConfigurationError) -> MusterConfiguration {
        let reading = Reading()
        return try load(path, environment: environment, registry: registry, reading: reading)
    }

    static func load(
        _ path: String,
        environment: [String: String],
        registry: CheckRegistry,
        reading: Reading
    ) throws(ConfigurationError) -> MusterConfiguration {
        let (root, files) = SettingsTree.read(path, environment: environment, reading: reading)
        reading.protect(files)
        var configuration = MusterConfiguration()
        if let root, var top = Section(root, at: .top, reading: reading) {
            configuration = read(
                &top,
                beside: path,
                environment: environment,
                registry: registry
            )
        }
        if let failure = reading.failure(files: files) { throw failure }
        configuration.files = files
        configuration.warnings += reading.sortedWarnings(files: files)
        configuration.advice = reading.advice
        return configuration
    }

    private static func read(
        _ top: inout Section,
        beside path: String,
        environment: [String: String],
        registry: CheckRegistry
    ) -> MusterConfiguration {
        var configuration = MusterConfiguration()
        let isEmpty = top.isEmpty
        // Taken by the tree already; asked for here so that a misspelling finds it.
        _ = top.take("include")
        let agent = top.section("agent")
        configuration.agent = AgentConfiguration.read(agent)
        configuration.store = StoreConfiguration.read(top.section("store"), beside: path)
        let reading = top.reading
        if let agent, configuration.isAlone, !configuration.agent.probes {
            reading.warn(
                agent.position,
                "agent.probes: false is nothing without store.url: nobody else probes, so this agent does"
            )
        }
        let folder = top.read("checks-dir") { (setting, place) throws(SettingError) in
            let folder = SettingsTree.resolve(try setting.string(at: place), beside: path)
            // The name it has by default may be written without there being any.
            if access(folder, F_OK) != 0, setting.value != .scalar("checks.d", isQuoted: false) {
                let problem = String(cString: strerror(errno))
                reading.warn(
                    setting.position,
                    "checks-dir: expected a folder at '\(folder)', saw \(problem)"
                )
            }
            return folder
        }
        configuration.checksDirectory =
            folder ?? SettingsTree.resolve(configuration.checksDirectory, beside: path)
        let kinds = ChecksFolder.read(
            [configuration.checksDirectory] + ChecksFolder.shipped,
            environment: environment,
            registry: registry
        )
        configuration.warnings = kinds.mistakes
        let upstreams = UpstreamsReader.read(top.section("upstreams"), registry: kinds.registry)
        configuration.upstreams = upstreams.configurations
        let (sources, manners) = SourcesReader(
            known: upstreams,
            registry: kinds.registry,
            file: path,
            reading: reading
        ).read(
            top.list("sources", contents: &configuration.sourcesContents),
            at: Place.top.key("sources")
        )
        configuration.sources = sources
        if configuration.upstreams.isEmpty, upstreams.names.isEmpty, sources.isEmpty {
            top.reading.warn(
                Position(file: path, line: 0, column: 0),
                isEmpty
                    ? "expected at least one section such as upstreams, saw an empty file: nothing is "
                        + "probed and nothing is routed"
                    : "no upstreams: nothing is probed and nothing is routed"
            )
        }
        if configuration.isAlone, let first = upstreams.configurations.first(where: \.asksOthers) {
            reading.advise(
                Position(file: path, line: 0, column: 0),
                "confirm and observers of upstreams.\(first.definition.name): nothing without store.url, for nobody else can be asked"
            )
        }
        // Once, though a drop-in kind be used a hundred times.
        var told = Set<SettingError>()
        for monitor in upstreams.configurations.flatMap(\.monitors) {
            configuration.warnings += monitor.check.warnings(on: monitor.schedule)
                .filter { told.insert($0).inserted }
        }

        var binds = Binds(reading: top.reading)
        configuration.proxy = ProxyReader(
            known: upstreams,
            hasSources: !configuration.sourcesContents.isEmpty
        )
        .read(top.section("proxy"), &binds)
        configuration.proxy.manners = manners
        configuration.proxy.zone = configuration.agent.zone
        let store = configuration.store
        configuration.agentCheck = AgentCheckReader(
            known: upstreams,
            file: path,
            keepsIntents: store.kind != .embedded || store.stateFile != nil
        ).read(top.section("agent-check"), &binds)
        configuration.statusPage = StatusPageSetting.read(
            top.section("status-page"),
            &binds,
            among: upstreams.names
        )
        configuration.admin = AdminConfiguration.read(
            top.section("admin"),
            &binds,
            beside: path,
            known: upstreams
        )
        configuration.live = LiveReader(
            kinds: kinds.registry,
            settings: upstreams.settings,
            allowsPrograms: configuration.admin.allowsPrograms
        )
        configuration.log = LogConfiguration.read(top.section("log"))
        configuration.history = History.Rules.read(top.section("history"))
        let names = NotifyReader.Known(names: Array(upstreams.names), mayGrow: !sources.isEmpty)
        configuration.notify = NotifyReader.read(&top, among: names)
        configuration.maintenance = NotifyReader.maintenance(&top, among: names)
        configuration.tracing = TracingSetting.read(top.section("tracing"))
        top.finish()
        return configuration
    }
}

extension MusterConfiguration {
    /// There is nobody to share anything with.
    fileprivate var isAlone: Bool { store.kind == .embedded }
}

extension MonitoredUpstream {
    /// More than one agent is wanted for what it says of its peers.
    fileprivate var asksOthers: Bool {
        monitors.contains { $0.observers > 1 || $0.confirm.map { $0 != .off } ?? false }
    }
}
