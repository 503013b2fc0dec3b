// What does one file of the drop-in folder define? A built-in kind with settings, and parameters:
//
//     summary: memcached answers `version`
//     parameters: { word: VERSION }
//     dialogue:
//       - send: version\r\n
//       - expect-pattern: "^{word} [0-9]"

import Checks
import Vocabulary

struct CheckDefinitionFile {
    /// The name of the kind: that of the file.
    let name: String
    let path: String
    let registry: CheckRegistry
    let environment: [String: String]
    /// Of this file alone: a mistake in one is no matter of another.
    let reading = Reading()

    private static let bodies = ["command", "dialogue", "service", "preset"]

    /// The kind, or nil and a report.
    func read() -> DropIn? {
        let file = SettingsFile(path: path, environment: environment, reading: reading)
        guard let root = file.read(), reading.mistakes.isEmpty else { return nil }
        return reading.attempt { () throws(SettingError) in
            let dropIn = try dropIn(from: root)
            try registry.validate(dropIn)
            return dropIn
        }
    }

    func dropIn(from root: Setting) throws(SettingError) -> DropIn {
        try checkName()
        var options = try Options(root, path: "check '\(name)'")
        let summary = try options.take("summary")?.string(at: "summary")
        let parameters = try parameters(options.take("parameters"))
        var body: (base: String, settings: Setting)?
        for word in Self.bodies {
            guard let setting = options.take(word) else { continue }
            guard body == nil else {
                throw SettingError(
                    setting.position,
                    "\(word): expected one of \(Self.bodies.joined(separator: ", ")), "
                        + "saw a second one"
                )
            }
            body = try Self.body(word, setting, registry)
        }
        try options.finish()
        guard let body else { throw options.missing(Self.bodies.joined(separator: "', '")) }
        return try DropIn(
            name: name,
            summary: summary ?? "defined in \(path)",
            base: body.base,
            settings: body.settings,
            parameters: parameters
        )
    }

    private func checkName() throws(SettingError) {
        let place = Position(file: path, line: 0, column: 0)
        if let problem = Name.problem(in: name) { throw SettingError(place, problem) }
        guard name.utf8.count <= MonitorDefinition.idBytesMax else {
            throw SettingError(
                place,
                "expected a name of at most \(MonitorDefinition.idBytesMax) bytes, saw "
                    + "\(name.utf8.count)"
            )
        }
        if registry.builtinKinds.contains(name) {
            throw SettingError(
                place,
                "expected another file name: '\(name)' is a built-in kind of check"
            )
        }
    }

    private func parameters(_ setting: Setting?) throws(SettingError) -> [DropIn.Parameter] {
        guard let setting, !setting.isNull else { return [] }
        guard case .map(let entries) = setting.value else {
            throw setting.expected("a map of names and defaults", at: "parameters")
        }
        return entries.map { entry in
            DropIn.Parameter(
                name: entry.key,
                position: entry.position,
                value: entry.value.isNull ? nil : entry.value
            )
        }
    }

    // MARK: Bodies

    private static func body(
        _ word: String,
        _ setting: Setting,
        _ registry: CheckRegistry
    ) throws(SettingError) -> (base: String, settings: Setting) {
        switch word {
        case "preset": try preset(setting, registry)
        // The part that such a definition is about may stand alone.
        case "dialogue": (word, alone(setting, as: "steps"))
        default: (word, alone(setting, as: word))
        }
    }

    private static func alone(_ setting: Setting, as key: String) -> Setting {
        if case .map = setting.value { return setting }
        let entry = Setting.Entry(key: key, position: setting.position, value: setting)
        return Setting(.map([entry]), at: setting.position)
    }

    private static func preset(
        _ setting: Setting,
        _ registry: CheckRegistry
    ) throws(SettingError) -> (base: String, settings: Setting) {
        guard case .map(let entries) = setting.value, let entry = entries.first else {
            throw setting.expected("a built-in kind with its settings", at: "preset")
        }
        guard entries.count == 1 else {
            throw SettingError(
                entries[1].position,
                "preset: expected one built-in kind, saw \(entries.count) keys"
            )
        }
        guard registry.builtinKinds.contains(entry.key) else {
            throw Setting(.scalar(entry.key, isQuoted: false), at: entry.position)
                .unknownWord(entry.key, among: registry.builtinKinds, at: "preset")
        }
        var settings = try Options(entry.value, path: "preset.\(entry.key)")
        return (entry.key, Setting(.map(settings.takeAll()), at: entry.position))
    }
}
