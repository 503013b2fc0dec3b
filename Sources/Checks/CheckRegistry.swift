// Which kinds of check are there? Adding one is one file beside this one and one line here.

public import Vocabulary

/// Every kind of check this agent knows.
public struct CheckRegistry: Sendable {
    public static let builtin = CheckRegistry([
        HTTPCheck.self,
        TCPCheck.self,
    ])

    private let makers: [String: @Sendable (inout Options) throws(SettingError) -> any Check]
    public let kinds: [(kind: String, summary: String)]

    public init(_ types: [any Check.Type]) {
        var makers: [String: @Sendable (inout Options) throws(SettingError) -> any Check] = [:]
        for type in types {
            precondition(makers[type.kind] == nil, "two checks of kind \(type.kind)")
            makers[type.kind] = { (options: inout Options) throws(SettingError) -> any Check in
                try type.init(options: &options)
            }
        }
        self.makers = makers
        kinds = types.map { ($0.kind, $0.summary) }.sorted { $0.0 < $1.0 }
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
