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
        TCPCheck.self,
        TLSCheck.self,
    ])

    private typealias Maker = @Sendable (inout Options) throws(SettingError) -> any Check

    private let makers: [String: Maker]
    private let thresholds: [String: Thresholds]
    public let kinds: [(kind: String, summary: String)]

    public init(_ types: [any Check.Type]) {
        var makers: [String: Maker] = [:]
        var thresholds: [String: Thresholds] = [:]
        for type in types {
            precondition(makers[type.kind] == nil, "two checks of kind \(type.kind)")
            makers[type.kind] = Self.maker(of: type)
            thresholds[type.kind] = type.defaultThresholds
        }
        self.makers = makers
        self.thresholds = thresholds
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
        thresholds[kind] ?? Thresholds(rise: 2, fall: 3)
    }

    /// Makes a check of `kind` from its settings, and refuses settings that it did not take.
    public func make(_ kind: String, from options: Options) throws(SettingError) -> any Check {
        guard let maker = makers[kind] else {
            throw Setting(.scalar(kind, isQuoted: false), at: options.position)
                .unknownWord(kind, among: kinds.map(\.kind), at: "\(options.path): kind of check")
        }
        var options = options
        let check = try maker(&options)
        try options.finish()
        return check
    }
}
