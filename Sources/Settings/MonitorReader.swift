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
            guard let monitor = readOne(item, at: place) else { continue }
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

    /// One by itself. Nil where it has mistakes, which are reported.
    func readOne(_ item: Setting, at place: Place) -> MonitorDefinition? {
        reading.attempt { () throws(SettingError) in try read(item, at: place) }.flatMap { $0 }
    }

    private func read(_ item: Setting, at place: Place) throws(SettingError) -> MonitorDefinition? {
        let (kind, settings) = try split(item, at: place)
        guard registry.knows(kind.name) else {
            throw registry.unknown(kind.name, at: kind.position, in: place.path)
        }
        return try make(kind.name, settings, at: place.key(kind.name).path)
    }

    /// More of one monitor are as many as anybody mends at a time.
    private static let mistakesMax = 16

    /// Readers of settings end with their first mistake. What it was about is left out and the rest is
    /// read again, until nothing is wrong or nothing can be left out.
    private func make(
        _ kind: String,
        _ settings: Setting,
        at path: String
    ) throws(SettingError) -> MonitorDefinition? {
        var rest = settings
        var told: Set<SettingError> = []
        var left: [String] = []
        var hadStray = false
        while told.count < Self.mistakesMax {
            do throws(SettingError) {
                let options = try Options(rest, path: path)
                let monitor = try MonitorDefinition.make(kind, from: options, registry: registry)
                return told.isEmpty ? monitor : nil
            } catch {
                // What names a setting that was left out may be wrong because of that alone, and what is
                // missing may be there under a wrong name.
                let isStray = error.message.contains(" has no setting '")
                let isConsequence =
                    !isStray && left.contains { error.message.names($0) }
                    || hadStray && error.message.hasSuffix("saw no such key")
                hadStray = hadStray || isStray
                if isConsequence || told.insert(error).inserted {
                    if !isConsequence { reading.report(error) }
                } else {
                    return nil
                }
                guard let key = rest.leaveOut(error, under: path) else { return nil }
                left.append(key)
            }
        }
        return nil
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

extension Setting {
    /// Takes out the setting that `mistake` is about: the one that its text names under `path`, or the one
    /// that stands where it points. Returns its key; nil where there is no such setting.
    fileprivate mutating func leaveOut(_ mistake: SettingError, under path: String) -> String? {
        let named = mistake.message.dropFirst(path.count + 1).prefix { $0 != ":" && $0 != " " }
        let isNamed = mistake.message.hasPrefix("\(path).\(named): ")
        guard isNamed else { return leaveOut(at: mistake.position) }
        return leaveOut(named.split(separator: ".").map { $0.prefix { $0 != "[" } }[...])
    }

    private mutating func leaveOut(_ keys: ArraySlice<Substring>) -> String? {
        guard case .map(var entries) = value, let key = keys.first,
            let index = entries.firstIndex(where: { $0.key == key })
        else { return nil }
        if let inner = entries[index].value.leaveOut(keys.dropFirst()) {
            value = .map(entries)
            return inner
        }
        entries.remove(at: index)
        value = .map(entries)
        return String(key)
    }

    private mutating func leaveOut(at position: Position) -> String? {
        guard case .map(var entries) = value else { return nil }
        for index in entries.indices {
            if let inner = entries[index].value.leaveOut(at: position) {
                value = .map(entries)
                return inner
            }
            guard entries[index].position == position || entries[index].value.position == position
            else { continue }
            let key = entries.remove(at: index).key
            value = .map(entries)
            return key
        }
        return nil
    }
}

extension String {
    /// Whether `word` stands in it by itself: `host` does not in `host:port`.
    fileprivate func names(_ word: String) -> Bool {
        split { !($0.isLetter || $0.isNumber || "-_:./".contains($0)) }.contains { part in
            part == word || part == "\(word):"
        }
    }
}
