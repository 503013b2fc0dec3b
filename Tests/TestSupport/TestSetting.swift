// How does a test write settings? As Swift literals.

import Vocabulary

/// A settings tree from literals: `["path": "/health", "expect": ["status": "2xx"]]`. The line of a
/// key is its place in the map, counted through.
public enum TestSetting: Sendable {
    case scalar(String, isQuoted: Bool)
    case list([TestSetting])
    case map([(String, TestSetting)])

    /// A value that the test computed.
    public static func text(_ text: some CustomStringConvertible) -> TestSetting {
        .scalar("\(text)", isQuoted: false)
    }

    public static let file = "test.yaml"

    public func setting(line: Int = 1) -> Setting {
        let position = Position(file: Self.file, line: line, column: 1)
        switch self {
        case .scalar(let text, let isQuoted):
            return Setting(.scalar(text, isQuoted: isQuoted), at: position)
        case .list(let items):
            return Setting(.list(items.map { $0.setting(line: line) }), at: position)
        case .map(let entries):
            return Setting(.map(Self.entries(entries, line: line)), at: position)
        }
    }

    public func options(path: String) -> Options {
        guard case .map(let entries) = self else { fatalError("settings are a map") }
        return Options(
            Self.entries(entries, line: 1),
            at: Position(file: Self.file, line: 1, column: 1),
            path: path
        )
    }

    private static func entries(_ entries: [(String, TestSetting)], line: Int) -> [Setting.Entry] {
        entries.enumerated().map { index, entry in
            Setting.Entry(
                key: entry.0,
                position: Position(file: file, line: line + index, column: 1),
                value: entry.1.setting(line: line + index)
            )
        }
    }
}

extension TestSetting: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByStringInterpolation
{
    public init(stringLiteral value: String) { self = .scalar(value, isQuoted: false) }
    public init(integerLiteral value: Int) { self = .scalar("\(value)", isQuoted: false) }
    public init(booleanLiteral value: Bool) { self = .scalar("\(value)", isQuoted: false) }
    public init(arrayLiteral elements: TestSetting...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, TestSetting)...) { self = .map(elements) }
}
