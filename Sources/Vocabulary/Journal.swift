// How does code below the admin side tell people what happened? Through this one value, so that no
// logging library is needed down here. Whoever starts the process decides where the lines go.

/// Takes lines for people. Cheap to copy; callable from any thread.
public struct Journal: Sendable {
    public enum Level: String, Sendable, Comparable, CaseIterable {
        case debug, info, notice, warning, error

        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

        public static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }
    }

    private let least: Level
    private let write: @Sendable (Level, String) -> Void

    /// `write` hears of every line at `least` or above.
    public init(from least: Level = .info, write: @escaping @Sendable (Level, String) -> Void) {
        self.least = least
        self.write = write
    }

    /// Takes every line and keeps none.
    public static let silent = Journal(from: .error) { _, _ in }

    /// The text is only made when somebody will read it.
    public func log(_ level: Level, _ text: @autoclosure () -> String) {
        if level >= least { write(level, text()) }
    }

    public func debug(_ text: @autoclosure () -> String) { log(.debug, text()) }
    public func info(_ text: @autoclosure () -> String) { log(.info, text()) }
    public func notice(_ text: @autoclosure () -> String) { log(.notice, text()) }
    public func warning(_ text: @autoclosure () -> String) { log(.warning, text()) }
    public func error(_ text: @autoclosure () -> String) { log(.error, text()) }
}
