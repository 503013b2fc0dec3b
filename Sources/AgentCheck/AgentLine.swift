// How is a line of the agent protocol written? `[admin] health <n>% [maxconn:<n>] [# text]`, in words
// that every HAProxy since 1.7 takes without a complaint, and always all of it: HAProxy remembers
// what a line leaves out, and an agent cannot know what that is.

public import Health

/// One answer, before it becomes bytes.
public struct AgentLine: Hashable, Sendable {
    public enum HealthWord: String, Sendable { case up, down }

    /// Nil leaves HAProxy's own flags alone.
    public var admin: Intent.Mode?
    /// Nil leaves everything else out too: a description is kept only beside a health word.
    public var health: HealthWord?
    /// Of the weight configured in HAProxy. Zero shows there as DRAIN.
    public var weightPercent: Int?
    /// Zero is HAProxy's word for no limit.
    public var maxConnections: Int?
    public var reason: String

    /// What HAProxy keeps of a description is 127 bytes; older ones less.
    public static let reasonBytesMax = 100
    /// HAProxy cuts greater ones, to 256 times the configured weight.
    public static let weightPercentMax = PeerHealth.weightPercentMax
    public static let maxConnectionsMax = Int(Int32.max)

    public init(
        admin: Intent.Mode? = nil,
        health: HealthWord? = nil,
        weightPercent: Int? = nil,
        maxConnections: Int? = nil,
        reason: String = ""
    ) {
        self.admin = admin
        self.health = health
        self.weightPercent = weightPercent
        self.maxConnections = maxConnections
        self.reason = reason
    }

    /// An empty line: HAProxy reports no error and changes nothing.
    public static let neutral = AgentLine()

    /// With its line feed.
    public var text: String {
        var words: [String] = []
        if let admin { words.append(admin.rawValue) }
        if let health {
            words.append(health.rawValue)
            if let weightPercent {
                words.append("\(min(max(weightPercent, 0), Self.weightPercentMax))%")
            }
            if let maxConnections {
                words.append("maxconn:\(min(max(maxConnections, 0), Self.maxConnectionsMax))")
            }
            let reason = Self.printable(reason)
            if !reason.isEmpty { words.append("# " + reason) }
        }
        return words.joined(separator: " ") + "\n"
    }

    /// Printable ASCII only, and short: what is cut off ends in dots.
    static func printable(_ text: String) -> String {
        var kept: [UInt8] = []
        for scalar in text.unicodeScalars {
            if kept.count > reasonBytesMax { break }
            switch scalar.value {
            case 0x21...0x7E: kept.append(UInt8(scalar.value))
            case 0x80...: kept.append(UInt8(ascii: "?"))
            default: if let last = kept.last, last != 0x20 { kept.append(0x20) }
            }
        }
        if kept.count > reasonBytesMax {
            kept.removeLast(kept.count - reasonBytesMax + 3)
            kept += Array("...".utf8)
        }
        while kept.last == 0x20 { kept.removeLast() }
        return String(decoding: kept, as: UTF8.self)
    }
}
