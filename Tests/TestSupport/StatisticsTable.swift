// What does a real HAProxy say of its servers? `show stat` answers a table whose first line names the
// columns; what an agent or a server said stands in it too, in quotes where it holds commas.

public enum StatisticsTable {
    /// A dictionary a line, by HAProxy's own column names.
    public static func rows(_ text: String) -> [[String: String]] {
        let lines = text.split(separator: "\n")
        guard let header = lines.first else { return [] }
        // The header begins as a comment does.
        let names = fields(header.dropFirst(2))
        return lines.dropFirst().map { Dictionary(zip(names, fields($0))) { first, _ in first } }
    }

    private static func fields(_ line: Substring) -> [String] {
        var fields = [""]
        var isQuoted = false
        for character in line {
            switch character {
            case "\"": isQuoted.toggle()
            case "," where !isQuoted: fields.append("")
            default: fields[fields.count - 1].append(character)
            }
        }
        return fields
    }
}
