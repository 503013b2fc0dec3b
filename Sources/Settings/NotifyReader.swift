// Who is to be told of what? `notify`, a list of receivers, each with the way that leads to it and what it
// wants to hear; and `maintenance`, hours of the week in which peers are taken out.

import Checks
import Foundation
import Health
import Notify
import Vocabulary

enum NotifyReader {
    static let spanRange = Nanoseconds.zero...Nanoseconds.seconds(7 * 86_400)
    static let remindRange = Nanoseconds.seconds(10)...Nanoseconds.seconds(30 * 86_400)
    static let timeoutRange = Nanoseconds.milliseconds(100)...Nanoseconds.seconds(60)
    static let flapChangesRange = 2...Herald.turnsMax
    static let recipientsMax = 32
    static let ways = [
        "webhook", "slack", "teams", "pagerduty", "alertmanager", "command", "email",
    ]
    static let pagerDutyURL = "https://events.pagerduty.com/v2/enqueue"
    /// An alert that is not told again in time counts as over there.
    static let alertmanagerRemind = Nanoseconds.seconds(60)

    /// Names of upstreams as a receiver or a window may list them.
    struct Known {
        var names: [String]
        /// Sources bring upstreams of their own, whose names nobody knows yet.
        var mayGrow: Bool

        /// A name that nothing has now is no mistake, as the API may define it; but hardly ever what was meant.
        func warn(of listed: [String], _ setting: Setting, at path: String, _ reading: Reading) {
            for name in listed where !isKnown(name) {
                let near = name.hasSuffix("*") ? nil : nearest(to: name, among: names)
                if near == nil, mayGrow { continue }
                reading.warn(
                    setting.position,
                    "\(path): expected an upstream of this file, saw '\(name.printable)'"
                        + (near.map { "; did you mean '\($0)'?" } ?? "")
                        + "; until the API defines one, this one stands for none"
                )
            }
        }

        private func isKnown(_ name: String) -> Bool {
            name.hasSuffix("*")
                ? name == "*" || names.contains { $0.hasPrefix(name.dropLast()) }
                : names.contains(name)
        }
    }

    static func read(_ top: inout Section, among known: Known) -> [Receiver] {
        let items = top.list("notify")
        let place = top.place.key("notify")
        if items.count > Receiver.receiversMax {
            top.reading.report(
                SettingError(
                    items[Receiver.receiversMax].position,
                    "notify: expected at most \(Receiver.receiversMax) receivers, saw \(items.count)"
                )
            )
        }
        var receivers: [Receiver] = []
        for (index, item) in items.enumerated() {
            guard let section = Section(item, at: place.item(index), reading: top.reading),
                let receiver = receiver(section, known)
            else { continue }
            if receivers.contains(where: { $0.name == receiver.name }) {
                top.reading.report(
                    SettingError(
                        item.position,
                        "\(place.item(index).path): expected a name of its own, saw '\(receiver.name)' "
                            + "again; give it another 'name'"
                    )
                )
                continue
            }
            receivers.append(receiver)
        }
        return receivers
    }

    private static func receiver(_ section: Section, _ known: Known) -> Receiver? {
        var section = section
        let reading = section.reading
        let before = section.reading.mistakes.count
        let found = way(&section)
        let name = section.read("name") { (setting, path) throws(SettingError) in
            let name = try setting.string(at: path)
            if let problem = Name.problem(in: name) {
                throw SettingError(setting.position, "\(path): \(problem)")
            }
            return name
        }
        var rules = HeraldRules()
        rules.upstreams =
            section.read("upstreams") { (setting, path) throws(SettingError) in
                let names = try setting.strings(at: path)
                known.warn(of: names, setting, at: path, reading)
                return names
            } ?? []
        rules.statuses = section.read("status", statuses) ?? rules.statuses
        rules.resolves = section.bool("resolve", default: true)
        rules.group = section.duration("group", in: spanRange, default: rules.group)
        let remind = section.duration(
            "remind",
            in: remindRange,
            default: found?.kind == "alertmanager" ? alertmanagerRemind : .zero
        )
        rules.remind = remind == .zero ? nil : remind
        rules.flap = flap(&section)
        rules.quiet = section.list("quiet").enumerated().compactMap { index, item in
            let place = section.place.key("quiet").item(index)
            guard var inner = Section(item, at: place, reading: section.reading) else { return nil }
            defer { inner.finish() }
            return window(&inner)
        }
        let timeout = section.duration("timeout", in: timeoutRange, default: .seconds(10))
        section.finish()
        guard let found, section.reading.mistakes.count == before else { return nil }
        if case .web(let web) = found.way, let most = web.body.batchMax { rules.batchMax = most }
        var receiver = Receiver(name: name ?? found.kind, way: found.way, rules: rules)
        receiver.timeout = timeout
        receiver.wayDigest = found.digest
        return receiver
    }

    private static func statuses(
        _ setting: Setting,
        _ path: String
    ) throws(SettingError) -> Set<PeerStatus> {
        // Only those that are taken are offered.
        let words = PeerStatus.allCases.filter { $0 != .up }.map(\.rawValue)
        var statuses = Set<PeerStatus>()
        for text in try setting.strings(at: path) {
            guard let status = PeerStatus(rawValue: text) else {
                throw setting.unknownWord(text, among: words, at: path)
            }
            // Whoever is told of all is told of nothing.
            guard status != .up else {
                throw setting.expected("statuses that are trouble, which 'up' is not", at: path)
            }
            statuses.insert(status)
        }
        guard !statuses.isEmpty else { throw setting.expected("at least one status", at: path) }
        return statuses
    }

    private static func flap(_ section: inout Section) -> HeraldRules.Flap? {
        guard let setting = section.take("flap") else { return HeraldRules.Flap() }
        if case .scalar("off", _) = setting.value { return nil }
        let place = section.place.key("flap")
        guard var inner = Section(setting, at: place, reading: section.reading) else { return nil }
        var flap = HeraldRules.Flap()
        flap.changes = inner.int("changes", in: flapChangesRange) ?? flap.changes
        flap.within = inner.duration(
            "within",
            in: .seconds(1)...spanRange.upperBound,
            default: flap.within
        )
        inner.finish()
        return flap
    }

    // MARK: Ways

    private struct Found {
        var kind: String
        var way: Receiver.Way
        var digest: UInt64
    }

    /// Of all that is written there, secrets too.
    static func digest(of setting: Setting) -> UInt64 {
        var hash = StableHash()
        func take(_ setting: Setting) {
            switch setting.value {
            case .scalar(let text, _): hash.combine("s" + text)
            case .list(let items):
                hash.combine("l\(items.count)")
                for item in items { take(item) }
            case .map(let entries):
                hash.combine("m\(entries.count)")
                for entry in entries {
                    hash.combine(entry.key)
                    take(entry.value)
                }
            }
        }
        take(setting)
        return hash.value
    }

    private static func way(_ section: inout Section) -> Found? {
        var found: (kind: String, setting: Setting)?
        for kind in ways {
            guard let setting = section.take(kind) else { continue }
            if let found {
                section.reading.report(
                    SettingError(
                        setting.position,
                        "\(section.place.path): expected one way to tell it, saw '\(found.kind)' and "
                            + "'\(kind)'; make two receivers of it"
                    )
                )
                return nil
            }
            found = (kind, setting)
        }
        guard let found else {
            section.reading.report(
                SettingError(
                    section.position,
                    "\(section.place.path): expected one of \(ways.joined(separator: ", ")), saw none"
                )
            )
            return nil
        }
        let place = section.place.key(found.kind)
        let reading = section.reading
        return reading.attempt { () throws(SettingError) in
            let way: Receiver.Way =
                switch found.kind {
                case "command": .command(try command(found.setting, at: place, reading))
                case "email": .mail(try mail(found.setting, at: place, reading))
                default: .web(try web(found.kind, found.setting, at: place, reading))
                }
            return Found(kind: found.kind, way: way, digest: digest(of: found.setting))
        }
    }

    private static func web(
        _ kind: String,
        _ setting: Setting,
        at place: Place,
        _ reading: Reading
    ) throws(SettingError) -> WebWay {
        var options = try Options(setting, path: place.path)
        for key in ["url", "headers", "tls"] { reading.record(key, in: place.shape) }
        var body = NoticeBody.muster
        switch kind {
        case "slack": body = .slack
        case "teams": body = .teams
        case "alertmanager": body = .alertmanager
        case "pagerduty":
            reading.record("key", in: place.shape)
            guard let key = try options.string("key"), !key.isEmpty else {
                throw options.missing("key")
            }
            body = .pagerduty(key: key)
        default:
            reading.record("template", in: place.shape)
            reading.record("content-type", in: place.shape)
            let type = try text("content-type", of: &options)
            if let setting = options.take("template"), !setting.isNull {
                let path = "\(place.path).template"
                let text = try setting.string(at: path)
                guard text.utf8.count <= Template.bytesMax else {
                    throw setting.expected("at most \(Template.bytesMax) bytes", at: path)
                }
                do throws(Template.Problem) {
                    body = .template(
                        try Template(text),
                        contentType: type ?? "application/json"
                    )
                } catch {
                    throw SettingError(setting.position, "\(path): \(error)")
                }
            } else if type != nil {
                throw options.missing("template")
            }
        }
        let way = WebWay(
            place: try WebPlace(
                options: &options,
                defaultURL: kind == "pagerduty" ? pagerDutyURL : nil,
                suffix: kind == "alertmanager" ? "/api/v2/alerts" : ""
            ),
            body: body
        )
        try options.finish()
        return way
    }

    private static func command(
        _ setting: Setting,
        at place: Place,
        _ reading: Reading
    ) throws(SettingError) -> CommandWay {
        for key in ["command", "environment"] { reading.record(key, in: place.shape) }
        var options: Options
        // Its words alone, or a map with them.
        if case .map = setting.value {
            options = try Options(setting, path: place.path)
        } else {
            options = Options(
                [Setting.Entry(key: "command", position: setting.position, value: setting)],
                at: setting.position,
                path: place.path
            )
        }
        let (words, environment) = try OutgoingCommand.take(from: &options)
        try options.finish()
        if let problem = OutgoingCommand.problem(with: words) {
            reading.warn(setting.position, "\(place.path): \(problem); nobody is told by it")
        }
        return CommandWay(words: words, environment: environment)
    }

    private static func mail(
        _ setting: Setting,
        at place: Place,
        _ reading: Reading
    ) throws(SettingError) -> MailWay {
        var options = try Options(setting, path: place.path)
        for key in ["server", "security", "tls", "user", "password", "from", "to"] {
            reading.record(key, in: place.shape)
        }
        guard let server = try options.take("server")?.address(at: "\(place.path).server") else {
            throw options.missing("server")
        }
        let words = MailWay.Security.allCases.map(\.rawValue)
        let security =
            try options.word("security", among: words).flatMap(MailWay.Security.init(rawValue:))
            ?? .starttls
        let tls = try TLSSettings.take(from: &options) ?? TLSSettings.standard
        let user = try text("user", of: &options)
        let password = try text("password", of: &options)
        guard (user == nil) == (password == nil) else {
            throw options.missing(user == nil ? "user" : "password")
        }
        if user != nil, security == .none, !server.isLocal {
            throw SettingError(
                options.position,
                "\(place.path).security: expected starttls or tls beside a password, saw none: it would "
                    + "go out in the clear"
            )
        }
        guard let from = try options.string("from") else { throw options.missing("from") }
        guard let to = try options.strings("to"), !to.isEmpty else { throw options.missing("to") }
        guard to.count <= recipientsMax else {
            throw SettingError(
                options.position,
                "\(place.path).to: expected at most \(recipientsMax) addresses, saw \(to.count)"
            )
        }
        for address in [from] + to where !isAddress(address) {
            throw SettingError(
                options.position,
                "\(place.path): expected mail addresses such as ops@example.org, saw "
                    + "'\(address.printable)'"
            )
        }
        try options.finish()
        return MailWay(
            server: server,
            security: security,
            tls: security == .none ? nil : tls,
            user: user,
            password: password,
            from: from,
            to: to
        )
    }

    /// Nil also where nothing stands behind the key, as where a variable is not set.
    private static func text(
        _ key: String,
        of options: inout Options
    ) throws(SettingError) -> String? {
        guard let setting = options.take(key), !setting.isNull else { return nil }
        return try setting.string(at: "\(options.path).\(key)")
    }

    /// Nothing in it ends a line of the protocol, or an address in one.
    private static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && text.utf8.count <= 254
            && text.utf8.allSatisfy {
                (0x21..<0x7F).contains($0) && !"<>,;:\"()[]\\".utf8.contains($0)
            }
    }

    // MARK: Hours

    /// Takes `days`, `from`, `to` and `timezone`; nil, and a report, where they are no hours.
    static func window(_ section: inout Section) -> CalendarWindow? {
        let before = section.reading.mistakes.count
        let words = CalendarWindow.Day.allCases.map(\.rawValue)
        let days = section.read("days") { (setting, path) throws(SettingError) in
            var days = Set<CalendarWindow.Day>()
            for text in try setting.strings(at: path) {
                guard let day = CalendarWindow.Day(rawValue: text) else {
                    throw setting.unknownWord(text, among: words, at: path)
                }
                days.insert(day)
            }
            guard !days.isEmpty else { throw setting.expected("at least one day", at: path) }
            return days
        }
        let from = section.read("from", minutes)
        let to = section.read("to", minutes)
        let zone = section.read("timezone", zone)
        guard section.reading.mistakes.count == before else { return nil }
        for (key, value) in [("from", from), ("to", to)] where value == nil {
            section.reportMissing(key)
        }
        guard let from, let to else { return nil }
        if from == to || from == CalendarWindow.minutesADay {
            section.reading.report(
                SettingError(
                    section.position,
                    "\(section.place.path): expected hours with a beginning and another end, saw the same; "
                        + "a whole day is from 00:00 to 24:00"
                )
            )
            return nil
        }
        return CalendarWindow(
            days: days ?? Set(CalendarWindow.Day.allCases),
            from: from,
            to: to,
            zone: zone ?? .utc
        )
    }

    private static func minutes(_ setting: Setting, _ path: String) throws(SettingError) -> Int {
        guard case .scalar(let text, _) = setting.value else {
            throw setting.expected("a time of the day such as \"22:00\"", at: path)
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.count == 2 }), let hours = Int(parts[0]),
            let minutes = Int(parts[1]), (0...24).contains(hours), (0...59).contains(minutes),
            hours * 60 + minutes <= CalendarWindow.minutesADay
        else { throw setting.expected("a time of the day such as \"22:00\"", at: path) }
        return hours * 60 + minutes
    }

    private static func zone(
        _ setting: Setting,
        _ path: String
    ) throws(SettingError) -> CalendarWindow.Zone {
        let name = try setting.string(at: path)
        guard let zone = TimeZone(identifier: name) else {
            throw setting.expected("the name of a time zone such as Europe/Berlin or UTC", at: path)
        }
        return CalendarWindow.Zone(name) { time in
            let date = Date(timeIntervalSince1970: Double(time.milliseconds) / 1_000)
            return .seconds(Int64(zone.secondsFromGMT(for: date)))
        }
    }

    // MARK: Maintenance

    static func maintenance(
        _ top: inout Section,
        among known: Known
    ) -> [MaintenanceWindow] {
        let reading = top.reading
        let items = top.list("maintenance")
        let place = top.place.key("maintenance")
        var windows: [MaintenanceWindow] = []
        for (index, item) in items.prefix(MaintenanceWindow.windowsMax).enumerated() {
            guard var section = Section(item, at: place.item(index), reading: top.reading) else {
                continue
            }
            let before = section.reading.mistakes.count
            let names = section.read("upstreams") { (setting, path) throws(SettingError) in
                let names = try setting.strings(at: path)
                // Peers that serve on while their machines are worked at are worse than a file that is refused.
                for name in names where !name.hasSuffix("*") && !known.names.contains(name) {
                    throw setting.unknownWord(name, among: known.names.sorted(), at: path)
                }
                known.warn(of: names, setting, at: path, reading)
                return names
            }
            let window = window(&section)
            let reason = section.string("reason")
            let name = section.string("name")
            section.finish()
            // Everything at once is hardly ever meant, so it has to be said: "*".
            if names == nil, section.reading.mistakes.count == before {
                section.reportMissing("upstreams")
            }
            guard let names, let window else { continue }
            windows.append(
                MaintenanceWindow(
                    name: name ?? "maintenance \(index + 1)",
                    upstreams: names,
                    window: window,
                    reason: reason ?? "maintenance by the calendar"
                )
            )
        }
        if items.count > MaintenanceWindow.windowsMax {
            top.reading.report(
                SettingError(
                    items[MaintenanceWindow.windowsMax].position,
                    "maintenance: expected at most \(MaintenanceWindow.windowsMax) windows, saw "
                        + "\(items.count)"
                )
            )
        }
        return windows
    }
}
