// What is a drop-in kind? A built-in kind with most of its settings made already, and parameters for
// the rest. Pure: who reads the file is another question.

public import Vocabulary

/// A kind of check that a file defines.
public struct DropIn: Sendable {
    public struct Parameter: Sendable, Hashable {
        public var name: String
        public var position: Position
        /// Nil: a monitor must say it.
        public var value: Setting?

        public init(name: String, position: Position, value: Setting?) {
            self.name = name
            self.position = position
            self.value = value
        }
    }

    public let name: String
    public let summary: String
    /// The built-in kind that does the work.
    public let base: String
    public let parameters: [Parameter]
    /// The settings of `base`: always a map.
    private let settings: Setting
    private let placeholders: Placeholders
    /// A service is told every parameter with every question, unless the file says what it is told.
    private let sendsParameters: Bool

    private static let parametersKey = "parameters"
    public static let parametersMax = 64

    /// A parameter of this name would never see its value: every monitor takes it first.
    static let reserved = [
        "id", "interval", "timeout", "fast-interval", "down-interval", "rise", "fall", "required",
        "observers", "confirm",
    ]

    /// Refuses parameters that no setting refers to, and references to what is no parameter.
    public init(
        name: String,
        summary: String,
        base: String,
        settings: Setting,
        parameters: [Parameter] = []
    ) throws(SettingError) {
        self.name = name
        self.summary = summary
        self.base = base
        self.parameters = parameters
        self.settings = try Self.cuttingWords(settings, of: base)
        let kept = base == CommandCheck.kind ? CommandCheck.placeholders : []
        sendsParameters = base == ServiceCheck.kind && !self.settings.has(Self.parametersKey)
        placeholders = Placeholders(names: parameters.map(\.name), kept: kept)
        guard parameters.count <= Self.parametersMax else {
            throw SettingError(
                parameters[Self.parametersMax].position,
                "parameters: expected at most \(Self.parametersMax), saw \(parameters.count)"
            )
        }
        for parameter in parameters { try Self.check(parameter, kept: kept) }
        let used = try placeholders.references(in: self.settings, at: base)
        if sendsParameters { return }
        if let idle = parameters.first(where: { !used.contains($0.name) }) {
            throw SettingError(
                idle.position,
                "parameters.\(idle.name): expected \"{\(idle.name)}\" in a setting, saw it in none"
            )
        }
    }

    /// The file that defines it.
    var file: String { settings.position.file }

    var requiresParameters: Bool { parameters.contains { $0.value == nil } }

    /// A program line in one text is cut before anything is put into it: a value with blanks is one
    /// argument. Its key is the word for the kind.
    private static func cuttingWords(
        _ settings: Setting,
        of base: String
    ) throws(SettingError) -> Setting {
        guard [CommandCheck.kind, ServiceCheck.kind].contains(base),
            case .map(var entries) = settings.value,
            let index = entries.firstIndex(where: { $0.key == base }),
            case .scalar = entries[index].value.value
        else { return settings }
        let command = entries[index].value
        let words = try CommandCheck.words(command, at: "\(base).\(base)")
        entries[index].value.value = .list(
            words.map { Setting(.scalar($0, isQuoted: true), at: command.position) }
        )
        return Setting(.map(entries), at: settings.position)
    }

    private static func check(_ parameter: Parameter, kept: [String]) throws(SettingError) {
        let name = parameter.name
        func refuse(_ message: String) -> SettingError {
            SettingError(parameter.position, "parameters.\(name): \(message)")
        }
        guard Placeholders.isName(name) else {
            throw refuse("expected a letter, then letters, digits, '-' or '_', saw '\(name)'")
        }
        if reserved.contains(name) {
            throw refuse("expected another name: '\(name)' is a setting of every monitor")
        }
        if kept.contains(name) {
            throw refuse("expected another name: '{\(name)}' of a command comes from the target")
        }
    }

    /// What a monitor gives for the parameters, and the defaults for the rest.
    func values(from given: Options) throws(SettingError) -> [String: Setting] {
        var given = given
        var values: [String: Setting] = [:]
        var missing: String?
        for parameter in parameters {
            if let value = given.take(parameter.name), !value.isNull {
                values[parameter.name] = value
            } else if let value = parameter.value {
                values[parameter.name] = value
            } else {
                missing = missing ?? parameter.name
            }
        }
        // A misspelt key explains a missing one better than the other way round.
        try given.finish()
        if let missing { throw given.missing(missing) }
        return values
    }

    /// The settings of `base`.
    func settings(with values: [String: Setting]) throws(SettingError) -> Options {
        let filled = try placeholders.fill(settings, with: values, at: base)
        guard sendsParameters, case .map(let entries) = filled.value else {
            return try Options(filled, path: base)
        }
        let told = parameters.compactMap { parameter in
            values[parameter.name].map {
                Setting.Entry(key: parameter.name, position: $0.position, value: $0)
            }
        }
        let all = Setting(.map(told), at: settings.position)
        let entry = Setting.Entry(key: Self.parametersKey, position: settings.position, value: all)
        return Options(entries + [entry], at: settings.position, path: base)
    }
}

extension Setting {
    fileprivate func has(_ key: String) -> Bool {
        guard case .map(let entries) = value else { return false }
        return entries.contains { $0.key == key }
    }
}
