// What watches an upstream? A list whose items each name a kind of check and its settings. The
// settings themselves belong to the kind.

import Checks
import Vocabulary

struct MonitorReader {
    let place: Place
    let reading: Reading
    let registry: CheckRegistry

    func read(_ items: [Setting]) -> [MonitorDefinition] {
        var monitors: [(definition: MonitorDefinition, position: Position)] = []
        for (index, item) in items.enumerated() {
            let place = place.item(index)
            let monitor = reading.attempt { () throws(SettingError) in
                try read(item, at: place)
            }
            guard let monitor else { continue }
            if let first = monitors.first(where: { $0.definition.id == monitor.id }) {
                reading.report(
                    SettingError(
                        item.position,
                        "\(place.path): monitor '\(monitor.id)' is written twice: first at "
                            + "\(first.position); an 'id' tells them apart"
                    )
                )
            } else {
                monitors.append((monitor, item.position))
            }
        }
        return monitors.map { $0.definition }
    }

    private func read(_ item: Setting, at place: Place) throws(SettingError) -> MonitorDefinition {
        let (kind, settings) = try split(item, at: place)
        guard registry.knows(kind.name) else {
            let kinds = registry.kinds.map { $0.kind }
            let word = Setting(.scalar(kind.name, isQuoted: false), at: kind.position)
            throw word.unknownWord(kind.name, among: kinds, at: "\(place.path): kind of check")
        }
        let options = try Options(settings, path: place.key(kind.name).path)
        return try MonitorDefinition.make(kind.name, from: options, registry: registry)
    }

    /// `- tcp`, or `- tcp: {…}`.
    private func split(
        _ item: Setting,
        at place: Place
    ) throws(SettingError) -> (kind: (name: String, position: Position), settings: Setting) {
        switch item.value {
        case .scalar(let name, _) where !item.isNull:
            return ((name, item.position), Setting(.map([]), at: item.position))
        case .map(let entries):
            guard let entry = entries.first else { break }
            if entries.count > 1 {
                var message =
                    "\(place.path): expected one kind of check with its settings, saw "
                    + "\(entries.count) keys"
                // YAML's trap: settings below `- http:` belong to it only when they stand deeper.
                if entry.value.isNull { message += "; indent the settings below '\(entry.key):'" }
                throw SettingError(entries[1].position, message)
            }
            return ((entry.key, entry.position), entry.value)
        default: break
        }
        throw item.expected("a kind of check, such as http: {path: /health}", at: place.path)
    }
}
