// What does the `sources` section say? Data that other systems keep, each kind in its own words: where it is,
// and what holds for the peers that it names.

import Checks
import Foreign
import Glibc
import Health
import Proxy
import Redis
import Vocabulary

struct SourcesReader {
    let known: UpstreamsReader
    let registry: CheckRegistry
    let file: String
    let reading: Reading

    static let refreshRange = Nanoseconds.milliseconds(100)...Nanoseconds.seconds(3_600)
    static let most = 16

    /// The sources, and what they change of how requests are answered.
    func read(_ items: [Setting], at place: Place) -> (sources: [ForeignSetting], ProxyManners) {
        var sources: [ForeignSetting] = []
        var manners = ProxyManners()
        for (index, item) in items.enumerated() {
            let place = place.item(index)
            if index == Self.most {
                reading.report(item.expected("at most \(Self.most) sources", at: place.path))
            }
            guard index < Self.most, var section = Section(item, at: place, reading: reading) else {
                continue
            }
            let position = section.position
            let hipache = section.section("hipache")
            let keys = section.section("redis-keys")
            section.finish()
            if (hipache == nil) == (keys == nil) {
                reading.report(
                    SettingError(
                        position,
                        "\(place.path): expected one of hipache and redis-keys with its settings, saw "
                            + (hipache == nil ? "neither" : "both")
                    )
                )
            }
            let source =
                hipache.flatMap { self.hipache($0, &manners) }
                ?? keys.flatMap { redisKeys($0) }
            guard let source else { continue }
            let name = source.base.name
            if known.has(name) || sources.contains(where: { $0.base.name == name }) {
                reading.report(
                    SettingError(
                        position,
                        "\(place.path): the name '\(name)' is taken by "
                            + (known.has(name) ? "an upstream" : "another source")
                            + "; a 'name' tells them apart"
                    )
                )
            }
            sources.append(source)
        }
        return (sources, manners)
    }

    // MARK: Kinds

    private func hipache(_ section: Section, _ manners: inout ProxyManners) -> ForeignSetting? {
        var section = section
        let isChecker = section.bool("hchecker", default: false)
        let isPlanb = section.bool("planb", default: false)
        // One who takes hipache's part fails closed as it did, and is asked what it was asked.
        let base = base(
            &section,
            named: "hipache",
            refresh: HipacheSetting.refreshDefault,
            upstream: isPlanb ? Self.planbUpstream : Self.hipacheUpstream,
            monitor: isChecker ? Self.checkerMonitor : Self.monitor
        )
        let marks = section.bool("marks", default: true)
        let tellsDebug = section.bool("debug", default: false)
        let keepsForwarded = section.bool("keep-forwarded", default: true)
        manners.answersPing = section.bool("ping", default: true)
        manners.isLenientToClients = section.bool("lenient-clients", default: true)
        manners.absentStatus = 400
        if let pages = errorPages(&section) { manners.errorPages = pages }
        section.finish()
        guard var base else { return nil }
        base.manners.nobodyStatus = 502
        base.manners.tellsMore = true
        base.manners.keepsForwarded = keepsForwarded
        base.manners.excusesStatuses = true
        base.manners.holdsCuts = true
        base.tellsDebug = tellsDebug
        if isPlanb { Self.asPlanb(&base, &manners) }
        var setting = HipacheSetting(base: base)
        setting.isChecker = isChecker
        setting.marks = marks
        return .hipache(setting)
    }

    /// Its own words where nobody can be asked, one status whatever went wrong, and names for those that have one.
    private static func asPlanb(_ base: inout ForeignBase, _ manners: inout ProxyManners) {
        base.namesHosts = true
        base.manners.namesHosts = true
        base.manners.nobodyStatus = 503
        base.manners.failedStatus = 503
        manners.pingAnswer = "OK"
        manners.texts = [400: "no such route", 503: "all backends are dead"]
    }

    private func redisKeys(_ section: Section) -> ForeignSetting? {
        var section = section
        let base = base(
            &section,
            named: "redis-keys",
            refresh: RedisKeysSetting.refreshDefault,
            upstream: Self.usualUpstream,
            monitor: Self.monitor
        )
        let prefix = section.read("prefix") { (setting, path) throws(SettingError) in
            try Self.prefix(try setting.string(at: path), setting, at: path)
        }
        let missing = section.duration(
            "missing",
            in: Self.refreshRange,
            default: RedisKeysSetting.missingDefault
        )
        section.finish()
        guard var base else { return nil }
        if let prefix { base.prefix = prefix }
        return .redisKeys(RedisKeysSetting(base: base, missing: missing))
    }

    // MARK: What all have

    private func base(
        _ section: inout Section,
        named usual: String,
        refresh: Nanoseconds,
        upstream defaults: Setting,
        monitor: Setting
    ) -> ForeignBase? {
        let before = reading.mistakes.count
        let urls = section.read("url") { (setting, path) throws(SettingError) in
            try Self.urls(setting, at: path)
        }
        if urls == nil, reading.mistakes.count == before { section.reportMissing("url") }
        let isSecure = urls.map { $0.read.isSecure || $0.write?.isSecure == true } ?? true
        let tls = RedisTLS.read(&section, isSecure: isSecure, beside: file)
        let name =
            section.read("name") { (setting, path) throws(SettingError) in
                let name = try setting.string(at: path)
                if let problem = Name.problem(in: name) {
                    throw SettingError(setting.position, "\(path): \(problem)")
                }
                return name
            } ?? usual
        let refresh = section.duration("refresh", in: Self.refreshRange, default: refresh)
        let (definition, monitors) = upstream(
            section.take("upstream"),
            at: section.place.key("upstream"),
            named: name,
            over: defaults,
            monitor
        )
        guard let urls, let definition else { return nil }
        return ForeignBase(
            name: name,
            read: urls.read,
            write: urls.write,
            tls: tls,
            prefix: urls.prefix,
            upstream: definition,
            monitors: monitors,
            refresh: refresh
        )
    }

    /// As an upstream in the file, without peers: what is not written there is as is usual for the source.
    private func upstream(
        _ setting: Setting?,
        at place: Place,
        named name: String,
        over defaults: Setting,
        _ monitor: Setting
    ) -> (UpstreamDefinition?, [MonitorDefinition]) {
        var whole = defaults
        if let setting {
            // Whoever says when to panic means to.
            if setting.has("panic-threshold") { whole = whole.without("all-down") }
            whole = whole.overlaid(by: setting)
        }
        // Written under the upstreams of a file it would mean the same.
        let place = Place(path: place.path, shape: "upstreams.*")
        guard var section = Section(whole, at: place, reading: reading) else { return (nil, []) }
        if let peers = section.take("peers") {
            reading.report(
                SettingError(
                    peers.position,
                    "\(place.path).peers: expected none, for the source names them, saw some"
                )
            )
        }
        let written = section.take("monitors")
        let items: [Setting]
        if let written {
            if case .list(let list) = written.value {
                items = list
            } else {
                reading.report(written.expected("a list", at: place.key("monitors").path))
                items = []
            }
        } else {
            items = [monitor]
        }
        let monitors = MonitorReader(
            place: place.key("monitors"),
            reading: reading,
            registry: registry
        ).read(items)
        let definition = UpstreamsReader.definition(name, [], &section)
        section.finish()
        return (definition, monitors)
    }

    // MARK: Words

    private static func urls(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> (read: RedisURL, write: RedisURL?, prefix: String) {
        var texts: [(String, Setting)] = []
        if case .list(let items) = setting.value {
            for item in items { texts.append((try item.string(at: path), item)) }
        } else {
            texts.append((try setting.string(at: path), setting))
        }
        guard (1...2).contains(texts.count) else {
            throw setting.expected(
                "a URL, or two: of a replica to read and of the master to write",
                at: path
            )
        }
        var urls: [RedisURL] = []
        var prefix: String?
        for (text, setting) in texts {
            let parts = text.split(
                separator: "#",
                maxSplits: 1,
                omittingEmptySubsequences: false
            )
            if parts.count == 2, prefix == nil {
                prefix = try Self.prefix(String(parts[1]), setting, at: path)
            }
            do throws(RedisURL.Problem) {
                urls.append(try RedisURL(text: String(parts[0])))
            } catch {
                throw SettingError(setting.position, "\(path): \(error)")
            }
        }
        return (urls[0], urls.count == 2 ? urls[1] : nil, prefix ?? "")
    }

    private static func prefix(
        _ text: String,
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> String {
        guard text.utf8.count <= StoreConfiguration.prefixBytesMax,
            text.utf8.allSatisfy({ $0 > 0x20 })
        else {
            throw setting.expected(
                "a prefix of at most \(StoreConfiguration.prefixBytesMax) bytes without spaces",
                at: path
            )
        }
        return text
    }

    /// `error_502.html` and the like of a folder, and `error_default.html` for all others.
    private func errorPages(_ section: inout Section) -> [Int: String]? {
        section.read("error-pages") { (setting, path) throws(SettingError) in
            let folder = SettingsTree.resolve(try setting.string(at: path), beside: file)
            var pages: [Int: String] = [:]
            for status in [400, 408, 413, 414, 431, 500, 501, 502, 503, 504, 508] {
                pages[status] = try Self.page("\(folder)/error_\(status).html", setting, at: path)
            }
            pages[0] = try Self.page("\(folder)/error_default.html", setting, at: path)
            if pages.isEmpty {
                throw setting.expected(
                    "a folder with error_default.html or error_502.html and the like",
                    at: path
                )
            }
            return pages
        }
    }

    private static func page(
        _ name: String,
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> String? {
        let file = open(name, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: ProxyManners.errorPageBytesMax + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(file, buffer.baseAddress.map { $0 + count }, buffer.count - count)
            }
            if got <= 0 { break }
            count += got
        }
        guard count <= ProxyManners.errorPageBytesMax,
            let text = String(validating: bytes[..<count], as: UTF8.self)
        else {
            throw SettingError(
                setting.position,
                "\(path): \(name): expected at most \(ProxyManners.errorPageBytesMax) bytes of text, saw "
                    + (count > ProxyManners.errorPageBytesMax ? "more" : "something else")
            )
        }
        return text
    }

    // MARK: Defaults

    private static let place = "default"

    /// Peers of that age are read leniently; one bad answer takes a peer out, as it did with hipache, however many
    /// are out already, for lists have little to do with one another; and where nobody is well, nobody is asked.
    private static let hipacheUpstream = Setting(
        [
            "lenient": true, "all-down": "fail-closed",
            "eject": ["failures": 1, "max-share": "100%"],
        ],
        place: place
    )
    /// What a backend answered never took it out there, only that it did not.
    private static let planbUpstream = Setting(
        [
            "lenient": true, "all-down": "fail-closed",
            "eject": ["failures": 0, "rate": ["above": "0"], "max-share": "100%"],
        ],
        place: place
    )
    private static let usualUpstream = Setting(["lenient": true], place: place)

    /// A connection each second: of an application nobody knows which path may be asked for.
    private static let monitor = Setting(
        ["tcp": ["interval": "1s", "timeout": "1s", "rise": 1, "fall": 2]],
        place: place
    )

    /// What hipache-hchecker asked, and what it took for an answer.
    private static let checkerMonitor = Setting(
        [
            "http": [
                "id": "hchecker", "method": "HEAD", "path": "/CloudHealthCheck", "host": "ping",
                "user-agent": "dotCloud-HealthCheck/0.2.4 muster",
                "expect": ["status": "101 2xx 3xx 4xx 503"],
                "interval": "3s", "timeout": "3s", "rise": 1, "fall": 1,
            ]
        ],
        place: place
    )
}

extension Setting {
    fileprivate func has(_ key: String) -> Bool {
        guard case .map(let entries) = value else { return false }
        return entries.contains { $0.key == key && !$0.value.isNull }
    }

    fileprivate func without(_ key: String) -> Setting {
        guard case .map(let entries) = value else { return self }
        return Setting(.map(entries.filter { $0.key != key }), at: position)
    }
}
