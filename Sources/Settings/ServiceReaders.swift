// What do the short sections say? `agent`, `store`, `admin` and `log`: who this process is, where its
// states live, who may ask, and how it speaks.

import Glibc
import Redis
import Store
import TLS
import Vocabulary

extension AgentConfiguration {
    static func read(_ section: Section?) -> AgentConfiguration {
        var agent = AgentConfiguration(id: hostName)
        guard var section else { return agent }
        let id = section.read("id") { (setting, path) throws(SettingError) in
            let id = try setting.string(at: path)
            if let problem = Name.problem(in: id) {
                throw SettingError(setting.position, "\(path): \(problem)")
            }
            return id
        }
        if let id { agent.id = id }
        agent.zone = section.read("zone", PeerReader.zone)
        agent.weight =
            section.int("weight", in: 1...weightMax).map { Double($0) } ?? agent.weight
        agent.probes = section.bool("probes", default: agent.probes)
        section.finish()
        return agent
    }

    /// Beside an agent of weight 1 that is all there is.
    private static let weightMax = 1_000

    /// The kernel's word for this machine; asking DNS for a longer one could block.
    private static var hostName: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "muster" }
        let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self)
        return Name.problem(in: name) == nil ? name : "muster"
    }
}

extension StoreConfiguration {
    /// Renewed four times a second: shorter than two seconds would lose a living agent to a stall of its machine.
    static let leaseRange = Nanoseconds.seconds(2)...Nanoseconds.seconds(3_600)
    static let settleRange = Nanoseconds.zero...Nanoseconds.seconds(3_600)
    static let massChangeRange = Nanoseconds.milliseconds(100)...Nanoseconds.seconds(3_600)
    static let prefixBytesMax = 256

    static func read(_ section: Section?, beside file: String) -> StoreConfiguration {
        var store = StoreConfiguration()
        guard var section else { return store }
        let shared = ["prefix", "lease", "settle", "mass-change"].filter { section.has($0) }
        if !shared.isEmpty, !section.has("url") {
            section.reading.advise(
                section.position,
                "\(shared.map { "store.\($0)" }.joined(separator: ", ")): nothing without store.url, by which agents share "
                    + "the probing"
            )
        }
        let hasURL = section.has("url")
        let url = section.read("url") { (setting, path) throws(SettingError) in
            let url = try setting.string(at: path)
            do throws(RedisURL.Problem) {
                _ = try RedisURL(text: url)
            } catch {
                throw SettingError(setting.position, "\(path): \(error)")
            }
            return url
        }
        if let url { store.kind = .redis(url: url) }
        // Of a URL that is none nobody knows what it wanted.
        let isSecure = url.map { $0.hasPrefix("rediss") } ?? hasURL
        store.tls = RedisTLS.read(&section, isSecure: isSecure, beside: file)
        let prefix = section.read("prefix") { (setting, path) throws(SettingError) in
            let prefix = try setting.string(at: path)
            guard prefix.utf8.count <= prefixBytesMax, prefix.utf8.allSatisfy({ $0 > 0x20 }) else {
                throw setting.expected(
                    "at most \(prefixBytesMax) bytes without spaces",
                    at: path
                )
            }
            return prefix
        }
        store.prefix = prefix ?? store.prefix
        store.lease = section.duration("lease", in: leaseRange, default: store.lease)
        store.settle = section.duration("settle", in: settleRange, default: store.settle)
        if var change = section.section("mass-change") {
            store.massChange.share = change.share("share", default: store.massChange.share)
            store.massChange.within = change.duration(
                "within",
                in: massChangeRange,
                default: store.massChange.within
            )
            store.massChange.action = change.word("action") ?? store.massChange.action
            change.finish()
        }
        store.stateFile = section.outputFile(
            "state-file",
            beside: file,
            and: [".ledger", ".damaged", ".history"]
        )
        section.finish()
        return store
    }
}

extension RedisTLS {
    /// Takes `tls` of `parent`, beside a `url` that wants it or does not.
    static func read(_ parent: inout Section, isSecure: Bool, beside file: String) -> RedisTLS? {
        guard var section = parent.section("tls") else { return nil }
        var configuration = TLSConfiguration()
        configuration.verifies = section.bool("verify", default: true)
        let files = ["ca", "certificate", "key"].map { key in
            section.string(key).map { SettingsTree.resolve($0, beside: file) }
        }
        configuration.authorityFile = files[0]
        configuration.certificateFile = files[1]
        configuration.keyFile = files[2]
        let serverName = section.string("server-name")
        section.finish()
        var problem =
            "expected a 'url' beside it that begins with rediss, saw none: nothing would go over TLS"
        if isSecure {
            do throws(TLSError) {
                return try RedisTLS(configuration, serverName: serverName)
            } catch {
                problem = "\(error)"
            }
        }
        section.reading.report(
            SettingError(section.position, "\(section.place.path): \(problem)")
        )
        return nil
    }
}

extension TLSIdentity {
    static let keys = ["certificate", "key"]

    /// Takes `tls` of `parent`.
    static func read(_ parent: inout Section, beside file: String) -> TLSIdentity? {
        guard var section = parent.section("tls") else { return nil }
        let files = keys.map { key in
            section.string(key).map { SettingsTree.resolve($0, beside: file) }
        }
        for (key, value) in zip(keys, files) where value == nil { section.reportMissing(key) }
        section.finish()
        guard let certificateFile = files[0], let keyFile = files[1] else { return nil }
        do throws(TLSError) {
            // Only to see that the files are there, and that they fit together.
            _ = try TLSContext(server: certificateFile, keyFile: keyFile)
        } catch {
            section.reading.report(
                SettingError(section.position, "\(section.place.path): \(error)")
            )
        }
        return TLSIdentity(certificateFile: certificateFile, keyFile: keyFile)
    }
}

extension AdminConfiguration {
    static let tokenBytesMin = 8

    static func read(
        _ section: Section?,
        _ binds: inout Binds,
        beside file: String,
        known: UpstreamsReader = UpstreamsReader()
    ) -> AdminConfiguration {
        var admin = AdminConfiguration()
        guard var section else {
            binds.claimDefault(admin.bind, at: "admin.bind")
            return admin
        }
        let setting = section.take("bind")
        if let setting {
            admin.bind = binds.take(setting, at: section.place.key("bind").path) ?? admin.bind
        }
        let before = section.reading.mistakes.count
        if let token = section.read("token", token) {
            admin.tokens.append(AdminToken(token: token, scope: .admin))
        }
        admin.readTokens(&section)
        admin.allowsPrograms = section.bool("programs", default: false)
        if var metrics = section.section("metrics") {
            admin.hasMetricsPerPeer = metrics.bool("per-peer", default: false)
            admin.hasMetricsPerRoute = metrics.bool("per-route", default: false)
            metrics.finish()
        }
        // A token that was refused has its own report.
        let isMissing = admin.tokens.isEmpty && section.reading.mistakes.count == before
        admin.identity = TLSIdentity.read(&section, beside: file)
        admin.readGuards(&section)
        admin.readAccess(&section)
        admin.compatConfig = CompatConfigSetting.read(
            section.section("compat-config"),
            &binds,
            known,
            hasToken: !admin.tokens.isEmpty || !isMissing
        )
        admin.compatDurpina = CompatConfigSetting.readDurpina(
            section.section("compat-durpina"),
            &binds,
            hasToken: !admin.tokens.isEmpty || !isMissing
        )
        admin.haproxySocket = HAProxySocketSetting.read(&section, &binds)
        if setting == nil { binds.claimDefault(admin.bind, at: "admin.bind") }
        if let setting, !admin.bind.isLocal, isMissing {
            section.reading.report(
                SettingError(
                    setting.position,
                    "admin.bind: expected admin.token or admin.tokens beside an address that other "
                        + "machines reach, saw \(admin.bind) and no token"
                )
            )
        }
        section.finish()
        return admin
    }
}

extension AdminConfiguration {
    private static func token(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> String {
        let token = try setting.string(at: path)
        guard token.utf8.count >= tokenBytesMin,
            token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else {
            // The token itself stays out of the message.
            throw SettingError(
                setting.position,
                "\(path): expected at least \(tokenBytesMin) letters without spaces"
            )
        }
        return token
    }

    static let tokensMax = 64

    /// Tokens that reach less far than the one of `token`, or as far for another person.
    fileprivate mutating func readTokens(_ section: inout Section) {
        let items = section.list("tokens")
        let place = section.place.key("tokens")
        if items.count > Self.tokensMax {
            section.reading.report(
                SettingError(
                    items[Self.tokensMax].position,
                    "\(place.path): expected at most \(Self.tokensMax), saw \(items.count)"
                )
            )
        }
        for (index, item) in items.enumerated() {
            let inner = Section(item, at: place.item(index), reading: section.reading)
            guard var inner else { continue }
            let before = inner.reading.mistakes.count
            let token = inner.read("token", Self.token)
            if token == nil, inner.reading.mistakes.count == before { inner.reportMissing("token") }
            let scope: AdminToken.Scope? = inner.word("scope")
            if scope == nil, inner.reading.mistakes.count == before { inner.reportMissing("scope") }
            inner.finish()
            guard let token, let scope else { continue }
            if tokens.contains(where: { $0.token == token }) {
                inner.reading.report(
                    SettingError(
                        item.position,
                        "\(inner.place.path): expected a token of its own, saw one that is written before"
                    )
                )
                continue
            }
            tokens.append(AdminToken(token: token, scope: scope))
        }
    }

    /// Who is let in apart from the token.
    fileprivate mutating func readGuards(_ section: inout Section) {
        hosts = section.list("hosts").enumerated().compactMap { index, item in
            section.reading.attempt { () throws(SettingError) in
                let path = "\(section.place.path).hosts[\(index)]"
                let name = try item.string(at: path).lowercased()
                // A port would say nothing: pages of another port have another origin anyway.
                guard Address(text: "\(name):1") != nil else {
                    throw item.expected("a host name without a port", at: path)
                }
                return name
            }
        }
        let setting = section.take("protect-reads")
        guard let setting else { return }
        let path = section.place.key("protect-reads").path
        protectsReads =
            section.reading.attempt { () throws(SettingError) in try setting.bool(at: path) }
            ?? false
        if protectsReads, tokens.isEmpty {
            section.reading.report(
                SettingError(
                    setting.position,
                    "\(path): expected admin.token or admin.tokens beside it, saw none: nobody could read"
                )
            )
        }
    }

    /// Who may connect to a unix socket.
    fileprivate mutating func readAccess(_ section: inout Section) {
        (mode, group) = Self.access(&section, of: bind)
    }

    static func access(
        _ section: inout Section,
        of bind: Address
    ) -> (mode: UInt32?, group: UInt32?) {
        let isUnix = if case .unix = bind { true } else { false }
        let place = section.place.path
        let mode = section.read("mode") { (setting, path) throws(SettingError) in
            guard isUnix else { throw needsSocket(setting, path, place) }
            guard case .scalar(let text, _) = setting.value,
                text.allSatisfy({ ("0"..."7").contains($0) }),
                let mode = UInt32(text, radix: 8), mode <= 0o777, text.count >= 3
            else { throw setting.expected("permission bits such as 0660", at: path) }
            return mode
        }
        let group = section.read("group") { (setting, path) throws(SettingError) in
            guard isUnix else { throw needsSocket(setting, path, place) }
            let name = try setting.string(at: path)
            if let number = UInt32(name) { return number }
            guard let number = groupNumber(name) else {
                throw setting.expected("a group of this machine, or its number", at: path)
            }
            return number
        }
        return (mode, group)
    }

    private static func needsSocket(
        _ setting: Setting,
        _ path: String,
        _ place: String
    ) -> SettingError {
        SettingError(
            setting.position,
            "\(path): expected \(place).bind to be unix:/path beside it; other addresses have no file"
        )
    }

    private static func groupNumber(_ name: String) -> UInt32? {
        var entry = Glibc.group()
        var found: UnsafeMutablePointer<Glibc.group>?
        var room = [CChar](repeating: 0, count: groupBytesMax)
        guard getgrnam_r(name, &entry, &room, room.count, &found) == 0, found != nil else {
            return nil
        }
        return entry.gr_gid
    }

    /// A group with some thousand members.
    private static var groupBytesMax: Int { 65_536 }
}

extension CompatConfigSetting {
    static func read(
        _ section: Section?,
        _ binds: inout Binds,
        _ known: UpstreamsReader,
        hasToken: Bool
    ) -> CompatConfigSetting? {
        guard var section else { return nil }
        let position = section.position
        let bind = binds.take("bind", from: &section)
        let before = section.reading.mistakes.count
        let upstream = section.read("upstream", known.name)
        if upstream == nil, section.reading.mistakes.count == before {
            section.reportMissing("upstream")
        }
        section.finish()
        guard let bind, let upstream else { return nil }
        refuse(bind, hasToken, section, position)
        return CompatConfigSetting(bind: bind, upstream: upstream)
    }

    /// `admin.compat-durpina`, which is for all upstreams.
    static func readDurpina(
        _ section: Section?,
        _ binds: inout Binds,
        hasToken: Bool
    ) -> Address? {
        guard var section else { return nil }
        let position = section.position
        let bind = binds.take("bind", from: &section)
        section.finish()
        if let bind { refuse(bind, hasToken, section, position) }
        return bind
    }

    private static func refuse(
        _ bind: Address,
        _ hasToken: Bool,
        _ section: Section,
        _ position: Position
    ) {
        if bind.isLocal || hasToken { return }
        section.reading.report(
            SettingError(
                position,
                "\(section.place.path).bind: expected admin.token or admin.tokens beside an address that "
                    + "other machines reach, saw \(bind) and no token"
            )
        )
    }
}

extension HAProxySocketSetting {
    /// A path, an address, or a map with `bind`. It takes no token, as HAProxy's does not: nobody else may reach it.
    static func read(_ parent: inout Section, _ binds: inout Binds) -> HAProxySocketSetting? {
        guard let setting = parent.take("haproxy-socket") else { return nil }
        let place = parent.place.key("haproxy-socket")
        var found: HAProxySocketSetting?
        if case .map = setting.value {
            guard var section = Section(setting, at: place, reading: parent.reading) else {
                return nil
            }
            let named = section.take("bind")
            if named == nil { section.reportMissing("bind") }
            let bind = named.flatMap { binds.take(spelt($0), at: place.key("bind").path) }
            let (mode, group) = AdminConfiguration.access(&section, of: bind ?? .unix(path: "/"))
            if let bind { found = HAProxySocketSetting(bind: bind, mode: mode, group: group) }
            section.finish()
        } else {
            found = binds.take(spelt(setting), at: place.path)
                .map { HAProxySocketSetting(bind: $0) }
        }
        guard let found else { return nil }
        if !found.bind.isLocal {
            parent.reading.report(
                SettingError(
                    setting.position,
                    "\(place.path): expected an address that only this machine reaches, since there is no token in "
                        + "this protocol, saw \(found.bind)"
                )
            )
        }
        return found
    }

    /// HAProxy's own files name the socket by its path alone.
    private static func spelt(_ setting: Setting) -> Setting {
        guard case .scalar(let text, let isQuoted) = setting.value, text.hasPrefix("/") else {
            return setting
        }
        return Setting(.scalar("unix:\(text)", isQuoted: isQuoted), at: setting.position)
    }
}

extension LogConfiguration {
    static func read(_ section: Section?) -> LogConfiguration {
        var log = LogConfiguration()
        guard var section else { return log }
        log.level = section.word("level") ?? log.level
        log.format = section.word("format") ?? log.format
        section.finish()
        return log
    }
}

extension History.Rules {
    static let keepRange = Nanoseconds.seconds(3_600)...Nanoseconds.seconds(366 * 86_400)
    /// What a ledger can hold, and what is worth a file.
    static let sizeRange = (1 << 20)...(240 << 20)

    static func read(_ section: Section?) -> History.Rules {
        var rules = History.Rules()
        guard var section else { return rules }
        rules.keep = section.duration("keep", in: keepRange, default: rules.keep)
        rules.bytesMax =
            section.read("size") { (setting, path) throws(SettingError) in
                try setting.size(in: sizeRange, at: path)
            } ?? rules.bytesMax
        section.finish()
        return rules
    }
}

extension StatusPageSetting {
    static let titleBytesMax = 200

    static func read(
        _ section: Section?,
        _ binds: inout Binds,
        among upstreams: some Collection<String>
    ) -> StatusPageSetting? {
        guard var section else { return nil }
        let bind = binds.take("bind", from: &section)
        let title = section.read("title") { (setting, path) throws(SettingError) in
            let title = try setting.string(at: path)
            guard title.utf8.count <= titleBytesMax else {
                throw setting.expected("at most \(titleBytesMax) bytes", at: path)
            }
            return title
        }
        let names = section.read("upstreams") { (setting, path) throws(SettingError) in
            let names = try setting.strings(at: path)
            for name in names where !upstreams.contains(name) {
                throw setting.unknownWord(name, among: upstreams.sorted(), at: path)
            }
            return names
        }
        section.finish()
        guard let bind else { return nil }
        var page = StatusPageSetting(bind: bind)
        page.title = title ?? page.title
        page.upstreams = names ?? []
        return page
    }
}
