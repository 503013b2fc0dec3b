// What is different between two configurations? Told to the operator who reloads: what changes now,
// and what has to wait for the next start. Of upstreams, monitors and peers, that is what the catalogue
// made of them: nobody is told of anything else than happened.

import AgentCheck
import Checks
import Health
import Monitor
import Notify
import Proxy
import Settings
import Store
import Telemetry
import Vocabulary

/// The way from one configuration to the next, in lines.
struct ConfigurationDifference {
    private(set) var changes: [String] = []
    /// Sections that are read once, at the start: `log (level info → debug)`.
    private(set) var later: [String] = []

    /// Of one kind of change no more names are told than this.
    static let namesMax = 10

    init(
        _ catalogue: [CatalogueChange],
        from old: MusterConfiguration,
        to new: MusterConfiguration
    ) {
        tell(catalogue)
        tell(
            "listener",
            old.proxy.listeners.map { "\($0.bind)" },
            new.proxy.listeners.map { "\($0.bind)" }
        )
        let binds = Set(old.proxy.listeners.map(\.bind))
        let others = new.proxy.listeners.filter {
            binds.contains($0.bind) && !old.proxy.listeners.contains($0)
        }
        tell("changed: listener", others.map { "\($0.bind)" })
        tell("receiver of notify", old.notify.map(\.name), new.notify.map(\.name))
        tell("changed: receiver of notify", of: old.notify, new.notify, \.name) { Details($0, $1) }
        tell("maintenance", old.maintenance.map(\.name), new.maintenance.map(\.name))
        tell("changed: maintenance", of: old.maintenance, new.maintenance, \.name) {
            Details($0, $1)
        }

        var oldProxy = old.proxy
        oldProxy.listeners = new.proxy.listeners
        // Of the agent's, and told of there.
        oldProxy.zone = new.proxy.zone
        // Of the sources', and told of there.
        oldProxy.manners = new.proxy.manners
        let sections: [(String, Bool, Details)] = [
            ("agent", old.agent == new.agent, Details(old.agent, new.agent)),
            ("store", old.store == new.store, Details(old.store, new.store)),
            ("proxy", oldProxy == new.proxy, Details(old.proxy, new.proxy)),
            (
                "agent-check", old.agentCheck == new.agentCheck,
                Details(old.agentCheck, new.agentCheck)
            ),
            ("admin", old.admin == new.admin, Details(old.admin, new.admin)),
            (
                "status-page", old.statusPage == new.statusPage,
                Details(old.statusPage, new.statusPage)
            ),
            ("history", old.history == new.history, Details(old.history, new.history)),
            (
                "tracing", TracingSetting.areSame(old.tracing, new.tracing),
                Details(old.tracing, new.tracing)
            ),
            ("log", old.log == new.log, Details(old.log, new.log)),
        ]
        later = sections.filter { !$0.1 }.map { name, _, details in
            "\(name) (\(details.text))"
        }
        later += Self.sources(old, new)
    }

    /// Each by its name. Which settings differ is not told: one may be a URL with a password.
    private static func sources(_ old: MusterConfiguration, _ new: MusterConfiguration) -> [String]
    {
        if old.sourcesContents == new.sourcesContents { return [] }
        let (before, after) = (contents(of: old), contents(of: new))
        let names = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }.sorted()
        return names.isEmpty ? ["sources (their order)"] : names.map { "sources.\($0)" }
    }

    private static func contents(of configuration: MusterConfiguration) -> [String: String] {
        Dictionary(
            zip(configuration.sources.map(\.base.name), configuration.sourcesContents)
                .map { ($0, $1) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    private mutating func tell(_ catalogue: [CatalogueChange]) {
        var whole = Set<String>()
        var upstreams = Lists(), peers = Lists(), monitors = Lists()
        for change in catalogue {
            switch change {
            case .upstream(let upstream, was: nil):
                whole.insert(upstream.name)
                upstreams.new.append(upstream.name)
            case .upstream(let upstream, let was?):
                upstreams.changed.append("\(upstream.name): \(Details(was, upstream).text)")
            case .upstreamGone(let name):
                whole.insert(name)
                upstreams.gone.append(name)
            default: break
            }
        }
        for change in catalogue {
            switch change {
            // With a whole upstream come and go all that are in it.
            case .peer(let key, let peer, let was) where !whole.contains(key.upstream):
                let details = was.map { ": \(Details($0, peer).text)" }
                peers.add("\(key)", details)
            case .peerGone(let key) where !whole.contains(key.upstream):
                peers.gone.append("\(key)")
            case .monitor(let upstream, let monitor, let was) where !whole.contains(upstream):
                let details = was.map { ": \(Details($0, monitor).text)" }
                monitors.add("\(upstream)/\(monitor.id)", details)
            case .monitorGone(let upstream, let id) where !whole.contains(upstream):
                monitors.gone.append("\(upstream)/\(id)")
            default: break
            }
        }
        for (what, lists) in [("upstream", upstreams), ("peer", peers), ("monitor", monitors)] {
            tell("new: \(what)", lists.new)
            tell("gone: \(what)", lists.gone)
            tell("changed: \(what)", lists.changed)
        }
    }

    /// Of one sort of thing.
    private struct Lists {
        var new: [String] = []
        var gone: [String] = []
        var changed: [String] = []

        /// `details` are of what it was before, if it was.
        mutating func add(_ name: String, _ details: String?) {
            if let details { changed.append(name + details) } else { new.append(name) }
        }
    }

    private mutating func tell(_ what: String, _ old: [String], _ new: [String]) {
        let (before, after) = (Set(old), Set(new))
        tell("new: \(what)", new.filter { !before.contains($0) })
        tell("gone: \(what)", old.filter { !after.contains($0) })
    }

    /// Of those that were there before and are still, what differs.
    private mutating func tell<Thing>(
        _ what: String,
        of old: [Thing],
        _ new: [Thing],
        _ name: (Thing) -> String,
        _ details: (Thing, Thing) -> Details
    ) {
        let before = Dictionary(old.map { (name($0), $0) }, uniquingKeysWith: { first, _ in first })
        tell(
            what,
            new.compactMap { thing in
                guard let was = before[name(thing)] else { return nil }
                let details = details(was, thing)
                return details.isEmpty ? nil : "\(name(thing)): \(details.text)"
            }
        )
    }

    private mutating func tell(_ what: String, _ names: [String]) {
        if names.isEmpty { return }
        var line = "\(what)\(names.count == 1 ? "" : "s") "
        line += names.prefix(Self.namesMax).joined(separator: ", ")
        if names.count > Self.namesMax { line += " and \(names.count - Self.namesMax) more" }
        changes.append(line)
    }
}

/// What is different of one thing: `fall 2 → 5, interval 1s → 2s`.
private struct Details {
    private var parts: [String] = []

    var isEmpty: Bool { parts.isEmpty }
    /// What differs is not always something that has a short name.
    var text: String { isEmpty ? "other settings" : parts.joined(separator: ", ") }

    private mutating func add<Value: Equatable>(_ name: String, _ old: Value?, _ new: Value?) {
        if old != new { parts.append("\(name) \(Self.word(old)) → \(Self.word(new))") }
    }

    /// As the configuration says it.
    private static func word<Value>(_ value: Value?) -> String {
        guard let value else { return "none" }
        if let value = value as? any RawRepresentable { return "\(value.rawValue)" }
        return "\(value)"
    }

    private static func occasions(_ trying: TryingDefinition) -> String {
        let words =
            TryingDefinition.Occasions.words.filter { trying.occasions.contains($0.occasion) }
            .map(\.word) + trying.statuses.map { "\($0)" }
        return words.isEmpty ? "none" : words.joined(separator: " ")
    }

    private static func words(_ eject: EjectDefinition) -> String {
        if eject.isOff { return "off" }
        return "failures \(eject.failures), rate above \(eject.rate.above)x of "
            + "\(eject.rate.minRequests) in \(eject.rate.window), silence \(eject.silence), time "
            + "\(eject.time) to \(eject.maxTime), share \(Int(eject.maxShare * 100))%"
    }

    private static func words(_ sticky: StickyDefinition?) -> String? {
        sticky.map { "\($0.cookie), secure \($0.secure), same-site \($0.sameSite)" }
    }

    init(_ old: PeerDefinition, _ new: PeerDefinition) {
        add("address", old.address, new.address)
        add("weight", old.weight, new.weight)
        add("backup", old.isBackup, new.isBackup)
        add("down", old.isDisabled, new.isDisabled)
        add("max-fails", old.maxFails, new.maxFails)
        add("fail-timeout", old.failTimeout, new.failTimeout)
        add("max-connections", old.maxConnections, new.maxConnections)
        add("zone", old.zone, new.zone)
    }

    init(_ old: UpstreamDefinition, _ new: UpstreamDefinition) {
        add("balance", old.balance.name, new.balance.name)
        add("sticky.cookie", old.sticky?.cookie, new.sticky?.cookie)
        add("sticky.secure", old.sticky?.secure, new.sticky?.secure)
        add("sticky.same-site", old.sticky?.sameSite, new.sticky?.sameSite)
        add("slow-start", old.slowStart, new.slowStart)
        add(
            "panic-threshold",
            "\(Int(old.panicThreshold * 100))%",
            "\(Int(new.panicThreshold * 100))%"
        )
        add("on-down", old.onDown?.rawValue, new.onDown?.rawValue)
        add("all-down", old.allDown, new.allDown)
        add("retry-on", Self.occasions(old.trying), Self.occasions(new.trying))
        add("retries", old.trying.retries, new.trying.retries)
        add(
            "retry-budget",
            "\(Int(old.trying.budgetShare * 100))%, \(old.trying.budgetMin)",
            "\(Int(new.trying.budgetShare * 100))%, \(new.trying.budgetMin)"
        )
        add("retry-key", old.trying.key, new.trying.key)
        add("reuse", old.trying.reuse, new.trying.reuse)
        add("lenient", old.isLenient, new.isLenient)
        add("queue.size", old.queue.size, new.queue.size)
        add("queue.timeout", old.queue.timeout, new.queue.timeout)
        add("hedge", old.hedge?.description, new.hedge?.description)
        add("sticky", Self.words(old.sticky), Self.words(new.sticky))
        add("eject", Self.words(old.eject), Self.words(new.eject))
    }

    init(_ old: MonitorDefinition, _ new: MonitorDefinition) {
        add("kind", old.kind, new.kind)
        add("interval", old.schedule.interval, new.schedule.interval)
        add("fast-interval", old.schedule.fastInterval, new.schedule.fastInterval)
        add("down-interval", old.schedule.downInterval, new.schedule.downInterval)
        add("timeout", old.schedule.timeout, new.schedule.timeout)
        add("rise", old.thresholds.rise, new.thresholds.rise)
        add("fall", old.thresholds.fall, new.thresholds.fall)
        add("required", old.isRequired, new.isRequired)
        add("observers", old.observers, new.observers)
        add("confirm", Self.words(old.confirm), Self.words(new.confirm))
        for (file, stamp) in new.files.sorted(by: { $0.key < $1.key }) {
            if let before = old.files[file], before != stamp {
                parts.append("what is in \(file)")
            }
        }
        if old.fingerprint != new.fingerprint { parts.append("other settings") }
    }

    private static func words(_ confirm: Confirmation?) -> String {
        guard let confirm else { return "the default" }
        if confirm == .off { return "off" }
        let quorum =
            switch confirm.quorum {
            case .majority: "majority"
            case .any: "any"
            case .all: "all"
            case .votes(let count): "\(count)"
            }
        return "\(quorum) with \(confirm.agents) asked"
    }

    /// Where it is told may be a secret: that it differs is all that is told of it.
    init(_ old: Receiver, _ new: Receiver) {
        let (was, rules) = (old.rules, new.rules)
        add("way", old.kind, new.kind)
        if old.kind == new.kind, old.wayDigest != new.wayDigest {
            parts.append("other settings of \(new.kind)")
        }
        add("upstreams", Self.all(was.upstreams), Self.all(rules.upstreams))
        add("status", Self.words(was.statuses), Self.words(rules.statuses))
        add("resolve", was.resolves, rules.resolves)
        add("group", was.group, rules.group)
        add("remind", was.remind?.description ?? "never", rules.remind?.description ?? "never")
        add("flap", Self.words(was.flap), Self.words(rules.flap))
        add("quiet", Self.words(was.quiet), Self.words(rules.quiet))
        add("timeout", old.timeout, new.timeout)
    }

    init(_ old: MaintenanceWindow, _ new: MaintenanceWindow) {
        add("upstreams", Self.list(old.upstreams), Self.list(new.upstreams))
        add("hours", old.window.words, new.window.words)
        add("reason", old.reason.printable, new.reason.printable)
    }

    private static func all(_ names: [String]) -> String {
        names.isEmpty ? "all" : names.joined(separator: " ")
    }

    private static func words(_ statuses: Set<PeerStatus>) -> String {
        statuses.map(\.rawValue).sorted().joined(separator: " ")
    }

    private static func words(_ flap: HeraldRules.Flap?) -> String {
        flap.map { "\($0.changes) within \($0.within)" } ?? "off"
    }

    private static func words(_ quiet: [CalendarWindow]) -> String {
        quiet.isEmpty ? "never" : quiet.map(\.words).joined(separator: " and ")
    }

    /// A URL may hold a password: that it differs is all that is told.
    init(_ old: StoreConfiguration, _ new: StoreConfiguration) {
        if old.kind != new.kind { parts.append("another url") }
        if old.tls != new.tls { parts.append("another tls") }
        add("prefix", old.prefix, new.prefix)
        add("lease", old.lease, new.lease)
        add("state-file", old.stateFile, new.stateFile)
    }

    init(_ old: StatusPageSetting?, _ new: StatusPageSetting?) {
        add("bind", old?.bind, new?.bind)
        add("title", old?.title, new?.title)
        add(
            "upstreams",
            old?.upstreams.joined(separator: " "),
            new?.upstreams.joined(separator: " ")
        )
    }

    init(_ old: History.Rules, _ new: History.Rules) {
        add("keep", old.keep, new.keep)
        add("size", old.bytesMax, new.bytesMax)
    }

    init(_ old: AgentConfiguration, _ new: AgentConfiguration) {
        add("id", old.id, new.id)
        add("zone", old.zone, new.zone)
    }

    init(_ old: ProxyConfiguration, _ new: ProxyConfiguration) {
        add("threads", old.threads, new.threads)
        add("trusted-proxies", old.trustedProxies.text, new.trustedProxies.text)
        let (before, after) = (old.timeouts, new.timeouts)
        add("timeouts.connect", before.connect, after.connect)
        add("timeouts.request-head", before.requestHead, after.requestHead)
        add("timeouts.client-idle", before.clientIdle, after.clientIdle)
        add("timeouts.body-idle", before.bodyIdle, after.bodyIdle)
        add("timeouts.response", before.response, after.response)
        add("timeouts.peer-idle", before.peerIdle, after.peerIdle)
        add("timeouts.tunnel-idle", before.tunnelIdle, after.tunnelIdle)
        add("timeouts.drain", before.drain, after.drain)
        let (was, limits) = (old.limits, new.limits)
        add("limits.client-connections", was.clientConnections, limits.clientConnections)
        add(
            "limits.idle-peer-connections",
            was.idlePeerConnections,
            limits.idlePeerConnections
        )
        add("limits.tries", was.tries, limits.tries)
    }

    init(_ old: AgentCheckConfiguration?, _ new: AgentCheckConfiguration?) {
        add("bind", old?.bind, new?.bind)
        add("memory-file", old?.memoryFile, new?.memoryFile)
        addPorts(old?.ports ?? [], new?.ports ?? [])
        // Of one that comes or goes altogether its address says enough.
        guard let before = old?.policy, let after = new?.policy else { return }
        add("admin-words", before.adminWords, after.adminWords)
        add("hold", before.hold, after.hold)
        add("unknown-peer", before.unknownPeer, after.unknownPeer)
        add("unprobed", before.unprobed, after.unprobed)
        add("stale", before.stale, after.stale)
        add("store-lost", before.storeLost, after.storeLost)
        add("weights", before.weights, after.weights)
        add("load-balancers", before.askers, after.askers)
        let (was, statuses) = (before.statuses, after.statuses)
        add("http-status.up", was.up, statuses.up)
        add("http-status.down", was.down, statuses.down)
        add("http-status.maint", was.maint, statuses.maint)
        add("http-status.drain", was.drain, statuses.drain)
        add("http-status.unknown", was.unknown, statuses.unknown)
        add("http-status.no-such-peer", was.noSuchPeer, statuses.noSuchPeer)
    }

    private mutating func addPorts(
        _ old: [AgentEndpoint.PeerPort],
        _ new: [AgentEndpoint.PeerPort]
    ) {
        let binds = Dictionary(old.map { ($0.peer, $0.bind) }, uniquingKeysWith: { $1 })
        let others = Dictionary(new.map { ($0.peer, $0.bind) }, uniquingKeysWith: { $1 })
        let peers = Set(binds.keys).union(others.keys)
            .filter { binds[$0] != others[$0] }
            .sorted { "\($0)" < "\($1)" }
        for peer in peers.prefix(ConfigurationDifference.namesMax) {
            add("port of \(peer)", binds[peer], others[peer])
        }
        let more = peers.count - ConfigurationDifference.namesMax
        if more > 0 { parts.append("ports of \(more) more") }
    }

    /// That a token differs is all that is told of it.
    init(_ old: AdminConfiguration, _ new: AdminConfiguration) {
        add("bind", old.bind, new.bind)
        if old.tokens != new.tokens {
            let words =
                old.tokens.isEmpty
                ? "a token" : new.tokens.isEmpty ? "no token" : "other tokens"
            parts.append(words)
        }
        add("protect-reads", old.protectsReads, new.protectsReads)
        add("programs", old.allowsPrograms, new.allowsPrograms)
        add("hosts", Self.list(old.hosts), Self.list(new.hosts))
        add("mode", old.mode.map(Self.octal), new.mode.map(Self.octal))
        add("group", old.group, new.group)
        add("tls.certificate", old.identity?.certificateFile, new.identity?.certificateFile)
        add("tls.key", old.identity?.keyFile, new.identity?.keyFile)
        add("compat-config.bind", old.compatConfig?.bind, new.compatConfig?.bind)
        add("compat-config.upstream", old.compatConfig?.upstream, new.compatConfig?.upstream)
        add("compat-durpina.bind", old.compatDurpina, new.compatDurpina)
        let (socket, other) = (old.haproxySocket, new.haproxySocket)
        add("haproxy-socket.bind", socket?.bind, other?.bind)
        add("haproxy-socket.mode", socket?.mode.map(Self.octal), other?.mode.map(Self.octal))
        add("haproxy-socket.group", socket?.group, other?.group)
        add("metrics.per-peer", old.hasMetricsPerPeer, new.hasMetricsPerPeer)
        add("metrics.per-route", old.hasMetricsPerRoute, new.hasMetricsPerRoute)
    }

    private static func list(_ names: [String]) -> String {
        names.isEmpty ? "none" : names.joined(separator: " ")
    }

    private static func percent(_ share: Double) -> String {
        // To a millionth of one percent, or a tenth would be written with sixteen digits.
        let percent = (share * 100_000_000).rounded() / 1_000_000
        return Int(exactly: percent).map { "\($0)%" } ?? "\(percent)%"
    }

    private static func octal(_ mode: UInt32) -> String { "0" + String(mode, radix: 8) }

    /// That it goes elsewhere, or with other headers, is all that is told of it: there may be a token in them.
    init(_ old: TracingSetting?, _ new: TracingSetting?) {
        guard let old, let new else {
            add("otlp", old?.place.label, new?.place.label)
            return
        }
        add("sample", Self.percent(old.sampler.share), Self.percent(new.sampler.share))
        add("service", old.service, new.service)
        if old.digest != new.digest { parts.append("another receiver") }
    }

    init(_ old: LogConfiguration, _ new: LogConfiguration) {
        add("level", old.level, new.level)
        add("format", old.format, new.format)
    }
}
