// How is a map of settings read when one of them may be wrong? Key by key, each mistake reported
// and its default used in place, so that the rest is read as well.

import Vocabulary

/// The settings of one map. `key:` with nothing after it counts as not written, which is also what
/// `${NAME:-}` leaves behind when nothing is set.
struct Section {
    private var options: Options
    let place: Place
    let reading: Reading

    /// Nil, and a report, when the setting is no map.
    init?(_ setting: Setting, at place: Place, reading: Reading) {
        let name = place.path.isEmpty ? "the configuration" : place.path
        let options = reading.attempt { () throws(SettingError) in
            try Options(setting, path: name)
        }
        guard let options else { return nil }
        self.options = options
        self.place = place
        self.reading = reading
    }

    var position: Position { options.position }

    /// Nothing is left to take.
    var isEmpty: Bool { options.keys.isEmpty }

    /// It is written there, and nothing took it yet.
    func has(_ key: String) -> Bool { options.keys.contains(key) }

    /// Reports every key that nothing took.
    func finish() {
        for stray in options.strays { reading.report(stray) }
    }

    func reportMissing(_ key: String) { reading.report(options.missing(key)) }

    // MARK: Takes. Nil means absent or mistaken.

    mutating func take(_ key: String) -> Setting? {
        reading.record(key, in: place.shape)
        guard let setting = options.take(key), !setting.isNull else { return nil }
        return setting
    }

    mutating func takeAll() -> [Setting.Entry] { options.takeAll() }

    mutating func read<Value>(
        _ key: String,
        _ body: (Setting, String) throws(SettingError) -> Value
    ) -> Value? {
        guard let setting = take(key) else { return nil }
        let path = place.key(key).path
        return reading.attempt { () throws(SettingError) in try body(setting, path) }
    }

    /// Of a setting that may be spelled in several ways, and is written in one of them.
    mutating func read<Value>(
        spelled keys: [String],
        _ body: (Setting, String) throws(SettingError) -> Value
    ) -> Value? {
        var first: (key: String, position: Position)?
        var value: Value?
        for key in keys {
            let found = read(key) { (setting, path) throws(SettingError) in
                if let first {
                    throw SettingError(
                        setting.position,
                        "\(path): expected '\(first.key)' or '\(key)', which mean the same, saw both: "
                            + "the other at \(first.position)"
                    )
                }
                first = (key, setting.position)
                return try body(setting, path)
            }
            value = value ?? found
        }
        return value
    }

    mutating func section(_ key: String) -> Section? {
        guard let setting = take(key) else { return nil }
        return Section(setting, at: place.key(key), reading: reading)
    }

    /// The items of a list; none when absent.
    mutating func list(_ key: String) -> [Setting] {
        guard let setting = take(key) else { return [] }
        if case .list(let items) = setting.value { return items }
        reading.report(setting.expected("a list", at: place.key(key).path))
        return []
    }

    /// The same, and what was written there, of each.
    mutating func list(_ key: String, contents: inout [String]) -> [Setting] {
        guard let setting = take(key) else { return [] }
        if case .list(let items) = setting.value {
            contents = items.map(\.content)
            return items
        }
        reading.report(setting.expected("a list", at: place.key(key).path))
        return []
    }

    mutating func string(_ key: String) -> String? {
        read(key) { (setting, path) throws(SettingError) in try setting.string(at: path) }
    }

    mutating func bool(_ key: String, default value: Bool) -> Bool {
        read(key) { (setting, path) throws(SettingError) in try setting.bool(at: path) } ?? value
    }

    mutating func int(_ key: String, in range: ClosedRange<Int>) -> Int? {
        read(key) { (setting, path) throws(SettingError) in
            try setting.int(in: range, at: path)
        }
    }

    mutating func duration(
        _ key: String,
        in range: ClosedRange<Nanoseconds>,
        default value: Nanoseconds
    ) -> Nanoseconds {
        read(key) { (setting, path) throws(SettingError) in
            try setting.duration(in: range, at: path)
        } ?? value
    }

    mutating func share(_ key: String, default value: Double) -> Double {
        read(key) { (setting, path) throws(SettingError) in try setting.share(at: path) } ?? value
    }

    mutating func word<Word: RawRepresentable<String> & CaseIterable>(
        _ key: String,
        of type: Word.Type = Word.self
    ) -> Word? {
        read(key) { (setting, path) throws(SettingError) in
            let text = try setting.string(at: path)
            guard let word = Word(rawValue: text) else {
                let words = Word.allCases.map { $0.rawValue }
                throw setting.unknownWord(text, among: words, at: path)
            }
            return word
        }
    }

    /// A file that this process will write, relative to the configuration.
    /// `suffixes` are of what is written beside it.
    mutating func outputFile(
        _ key: String,
        beside file: String,
        and suffixes: [String] = []
    ) -> String? {
        let reading = reading
        return read(key) { (setting, path) throws(SettingError) in
            let name = SettingsTree.resolve(try setting.string(at: path), beside: file)
            for file in [name] + suffixes.map({ name + $0 }) {
                if let problem = OutputFile.problem(with: file) {
                    throw SettingError(setting.position, "\(path): \(problem)")
                }
            }
            if let doubt = OutputFile.doubt(about: name) {
                reading.warn(setting.position, "\(path): \(doubt)")
            }
            reading.claim(name, suffixes, at: path, setting.position)
            return name
        }
    }

    /// An address to talk to.
    mutating func address(_ key: String) -> Address? {
        read(key) { (setting, path) throws(SettingError) in try setting.address(at: path) }
    }
}

extension Setting {
    func address(at path: String) throws(SettingError) -> Address {
        let text = try string(at: path)
        if let problem = Address.problem(in: text) {
            throw SettingError(position, "\(path): \(problem)")
        }
        guard let address = Address(text: text) else {
            throw expected("host:port, [v6]:port or unix:/path", at: path)
        }
        return address
    }
}
