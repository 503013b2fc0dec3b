// How do the metrics look to somebody who wants OpenMetrics? The same numbers in the stricter of the two
// formats: counters are named without `_total` where their family is told of, bounds are written as fractions,
// and the end is said, so that half an answer is no answer.

enum OpenMetrics {
    static let type = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    /// Whether the field `Accept` wants it rather than plain text (RFC 9110, section 12.5.1).
    static func isWanted(_ accept: String?) -> Bool {
        var (best, plain) = (0.0, 0.0)
        for item in (accept ?? "").lowercased().split(separator: ",") {
            let parts = item.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
            guard let type = parts.first else { continue }
            let weight = parts.first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
            switch type {
            case "application/openmetrics-text": best = max(best, weight)
            case "text/plain": plain = max(plain, weight)
            default: break
            }
        }
        return best > 0 && best >= plain
    }

    /// `text` is in Prometheus's format, as `MetricsText` writes it.
    static func text(of text: String) -> String {
        let lines = text.split(separator: "\n")
        // A counter whose name without its ending is that of a gauge keeps its own.
        let taken = Set(
            lines.compactMap { line -> Substring? in
                let words = line.split(separator: " ", maxSplits: 3)
                return words.count == 4 && line.hasPrefix("# TYPE ") && words[3] != "counter"
                    ? words[2] : nil
            }
        )
        var result = ""
        result.reserveCapacity(text.utf8.count + text.utf8.count / 16)
        var help: Substring?
        for line in lines {
            if line.hasPrefix("# HELP ") {
                help = line
                continue
            }
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ", maxSplits: 3)
                guard words.count == 4 else { continue }
                var (name, type) = (words[2], words[3])
                if type == "counter" {
                    let base = name.hasSuffix("_total") ? name.dropLast(6) : name
                    if name.hasSuffix("_total"), !taken.contains(base) {
                        name = base
                    } else {
                        type = "unknown"
                    }
                }
                result += "# TYPE \(name) \(type)\n"
                let told = help?.split(separator: " ", maxSplits: 3) ?? []
                if told.count == 4 { result += "# HELP \(name) \(told[3])\n" }
                help = nil
                continue
            }
            result += withFraction(line)
            result += "\n"
        }
        return result + "# EOF\n"
    }

    /// A bound of a histogram is a number with a fraction: `le="1.0"`.
    private static func withFraction(_ line: Substring) -> String {
        guard let start = line.firstRange(of: "le=\"")?.upperBound,
            line[..<start].hasSuffix("{le=\"") || line[..<start].hasSuffix(",le=\""),
            let end = line[start...].firstIndex(of: "\"")
        else { return String(line) }
        let bound = line[start..<end]
        guard !bound.isEmpty, bound.allSatisfy({ $0.isASCII && $0.isNumber }) else {
            return String(line)
        }
        return line[..<end] + ".0" + line[end...]
    }
}
