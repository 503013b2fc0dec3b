// How is a number written for Prometheus? Families with their help, samples with their labels, histograms.

import Monitor
import Proxy
import Vocabulary

extension MetricsText {
    mutating func family(_ name: String, _ kind: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n"
    }

    mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        family(name, "counter", help)
        sample(name, [], Double(value))
    }

    mutating func sample(
        _ name: String,
        _ labels: [(String, String)],
        _ value: Double,
        exemplar: Exemplars.Exemplar? = nil
    ) {
        text += name
        if !labels.isEmpty {
            var separator = "{"
            for (key, label) in labels {
                text += separator
                text += key
                text += "=\""
                text += Self.escape(label)
                text += "\""
                separator = ","
            }
            text += "}"
        }
        text += " "
        text += Self.number(value)
        if hasExemplars, let exemplar {
            text += " # {trace_id=\"\(exemplar.trace)\"} \(Self.number(exemplar.value.seconds)) "
            text += Nanoseconds(exemplar.at / 1_000_000 * 1_000_000).inSeconds
        }
        text += "\n"
    }

    mutating func histogram(
        _ name: String,
        _ labels: [(String, String)],
        _ histogram: Histogram
    ) {
        let counts = histogram.cumulative
        for (index, bound) in Histogram.bounds.enumerated() {
            sample(
                "\(name)_bucket",
                labels + [("le", Self.number(bound.seconds))],
                Double(counts[index])
            )
        }
        sample("\(name)_bucket", labels + [("le", "+Inf")], Double(histogram.count))
        sample("\(name)_sum", labels, histogram.sum.seconds)
        sample("\(name)_count", labels, Double(histogram.count))
    }

    static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }

    private static func escape(_ text: String) -> String {
        let isPlain = !text.utf8.contains {
            $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\n")
        }
        if isPlain { return text }
        var escaped = ""
        for character in text {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
