// Which kinds of check are there? Adding one is one file beside this one and one line here.

public import Health
public import Vocabulary

/// Every kind of check this agent knows.
public struct CheckRegistry: Sendable {
    public static let builtin = CheckRegistry([
        HAProxyAgentCheck.self,
        CommandCheck.self,
        DNSCheck.self,
        DialogueCheck.self,
        GRPCCheck.self,
        HTTPAgentCheck.self,
        HTTPCheck.self,
        HeartbeatCheck.self,
        RedisCheck.self,
        ServiceCheck.self,
        TCPCheck.self,
        TLSCheck.self,
    ])

    private typealias Maker = @Sendable (inout Options) throws(SettingError) -> any Check

    private let makers: [String: Maker]
    private let builtinThresholds: [String: Thresholds]
    private var dropIns: [String: DropIn] = [:]
    /// Kinds whose file is wrong, with what is wrong.
    private var broken: [String: SettingError] = [:]
    public private(set) var kinds: [(kind: String, summary: String)]
    /// Where drop-in kinds were looked for.
    public var folders: [String] = []

    public init(_ types: [any Check.Type]) {
        var makers: [String: Maker] = [:]
        var thresholds: [String: Thresholds] = [:]
        for type in types {
            precondition(makers[type.kind] == nil, "two checks of kind \(type.kind)")
            makers[type.kind] = Self.maker(of: type)
            thresholds[type.kind] = type.defaultThresholds
        }
        self.makers = makers
        builtinThresholds = thresholds
        kinds = types.map { ($0.kind, $0.summary) }.sorted { $0.0 < $1.0 }
    }

    /// Generic because opening `any Check.Type` inside the closure crashes the 6.3 compiler.
    private static func maker<Kind: Check>(of type: Kind.Type) -> Maker {
        { (options: inout Options) throws(SettingError) -> any Check in
            try Kind(options: &options)
        }
    }

    /// What a monitor of `kind` begins with; an unknown kind is refused by `make`, not here.
    public func thresholds(of kind: String) -> Thresholds {
        builtinThresholds[dropIns[kind]?.base ?? kind] ?? Thresholds(rise: 2, fall: 3)
    }

    /// The kinds that come with the program.
    public var builtinKinds: [String] { makers.keys.sorted() }

    /// The built-in kind that does the work of `kind`.
    public func base(of kind: String) -> String { dropIns[kind]?.base ?? kind }

    /// What a drop-in kind takes; nil for any other.
    public func parameters(of kind: String) -> [DropIn.Parameter]? { dropIns[kind]?.parameters }

    /// Also true of a kind whose definition is wrong: `make` then says what is wrong with it.
    public func knows(_ kind: String) -> Bool {
        makers[kind] != nil || dropIns[kind] != nil || broken[kind] != nil
    }

    /// Says that there is no such kind, what there is, and where another one would be found.
    public func unknown(
        _ kind: String,
        at position: Position,
        in path: String
    ) -> SettingError {
        let names = kinds.map { $0.kind }
        var mistake = Setting(.scalar(kind, isQuoted: false), at: position)
            .unknownWord(kind, among: names, at: "\(path): kind of check")
        if !folders.isEmpty, nearest(to: kind, among: names) == nil {
            mistake.message +=
                "; a drop-in kind would be \(kind).yaml in \(folders.joined(separator: " or "))"
        }
        return mistake
    }

    /// Makes a check of `kind` from its settings, and refuses settings that it did not take, or that
    /// could never come true on `schedule`.
    public func make(
        _ kind: String,
        from options: Options,
        on schedule: Schedule? = nil
    ) throws(SettingError) -> any Check {
        if let dropIn = dropIns[kind] { return try make(dropIn, from: options, on: schedule) }
        if let mistake = broken[kind] {
            throw SettingError(options.position, "\(options.path): \(mistake)")
        }
        guard let maker = makers[kind] else {
            throw unknown(kind, at: options.position, in: options.path)
        }
        var options = options
        let check = try maker(&options)
        try options.finish()
        if let schedule, let problem = check.problem(on: schedule) { throw problem }
        return check
    }
}

// MARK: Drop-ins

extension CheckRegistry {
    /// Tells settings apart by what they say, wherever it is written: two that agree make the same
    /// check of the kind. Of a drop-in counts what its file makes of them.
    func fingerprint(_ kind: String, _ options: Options) -> Int {
        var hasher = Hasher()
        if let (base, settings) = settings(of: kind, options) {
            hasher.combine(base)
            settings.hashContent(into: &hasher)
        } else {
            hasher.combine(kind)
            options.hashContent(into: &hasher)
        }
        return hasher.finalize()
    }

    /// The same in every process, but for what is secret.
    func digest(_ kind: String, _ options: Options) -> UInt64 {
        var hash = StableHash()
        if let (base, settings) = settings(of: kind, options) {
            hash.combine(base)
            hash.combine(settings.content)
        } else {
            hash.combine(kind)
            hash.combine(options.content)
        }
        return hash.value
    }

    /// What the file of a drop-in makes of its parameters.
    private func settings(
        of kind: String,
        _ options: Options
    ) -> (base: String, settings: Options)? {
        guard let dropIn = dropIns[kind], let values = try? dropIn.values(from: options),
            let settings = try? dropIn.settings(with: values)
        else { return nil }
        return (dropIn.base, settings)
    }

    /// The same kinds and `dropIns`, whose names must be new.
    public func adding(_ dropIns: [DropIn]) -> CheckRegistry {
        var registry = self
        for dropIn in dropIns {
            precondition(!knows(dropIn.name), "two checks of kind \(dropIn.name)")
            registry.dropIns[dropIn.name] = dropIn
            registry.kinds.append((dropIn.name, dropIn.summary))
        }
        registry.kinds.sort { $0.kind < $1.kind }
        return registry
    }

    /// The same kinds, and one that cannot be used because of `mistake`.
    public func adding(broken kind: String, because mistake: SettingError) -> CheckRegistry {
        precondition(!knows(kind), "two checks of kind \(kind)")
        var registry = self
        registry.broken[kind] = mistake
        return registry
    }

    /// Whether the settings of a drop-in are good, as far as its defaults tell.
    public func validate(_ dropIn: DropIn) throws(SettingError) {
        if dropIn.requiresParameters { return }
        let nothing = Options(
            [],
            at: Position(file: dropIn.file, line: 0, column: 0),
            path: dropIn.name
        )
        let values = try dropIn.values(from: nothing)
        _ = try make(dropIn.base, from: try dropIn.settings(with: values))
    }

    private func make(
        _ dropIn: DropIn,
        from options: Options,
        on schedule: Schedule?
    ) throws(SettingError) -> any Check {
        let values = try dropIn.values(from: options)
        do throws(SettingError) {
            return try make(dropIn.base, from: try dropIn.settings(with: values), on: schedule)
        } catch {
            // A mistake of the file is shown where the file is used, one in a value where it stands.
            guard error.position.file == dropIn.file else {
                throw SettingError(error.position, "\(options.path): \(error.message)")
            }
            throw SettingError(options.position, "\(options.path): \(error)")
        }
    }
}
