// What does a line from a service mean? One JSON object that names the probe it answers and what was
// found. Pure; what is wrong with a line is as much an answer as what is right.

public import Health
import Vocabulary

/// One answer of a service.
public struct ServiceAnswer: Hashable, Sendable {
    public enum Status: String, Sendable, CaseIterable { case pass, warn, fail, unknown }

    public let id: Int
    public let outcome: Outcome
    /// What had to be left out of it, in words.
    public let oddity: String?

    /// A longer line is no answer. So is the part of it that has been seen.
    public static let lineBytesMax = 65_536
    public static let measurementsMax = 64
    public static let labelBytesMax = 64
    private static let depthMax = 16

    public init(parsing line: [UInt8]) throws(ServiceMistake) {
        let json: JSON
        do throws(JSONError) {
            json = try JSON(
                parsing: line,
                limits: JSONLimits(depth: Self.depthMax, bytes: Self.lineBytesMax)
            )
        } catch {
            throw ServiceMistake(.noJSON, "expected a line of JSON, saw \(Excerpt.of(line))")
        }
        guard case .object = json, let id = json["id"]?.int else {
            throw ServiceMistake(.noID, "expected an object with an id, saw \(Excerpt.of(line))")
        }
        guard let word = json["status"]?.string, let status = Status(rawValue: word) else {
            let words = Status.allCases.map(\.rawValue).joined(separator: ", ")
            let saw = json["status"].map { Excerpt.of($0.bytes) } ?? "none"
            throw ServiceMistake(
                .status,
                "expected a status of \(words), saw \(saw)",
                id: id
            )
        }
        var oddities: [String] = []
        let text = json["message"] ?? .string("")
        if text.string == nil { oddities.append("a message that is no text") }
        let message = text.string ?? ""
        self.id = id
        var outcome = Outcome(
            status.verdict,
            status.reason,
            message: message.isEmpty ? status.rawValue : message
        )
        outcome.measurements = Self.measurements(json["metrics"], &oddities)
        self.outcome = outcome
        oddity =
            oddities.isEmpty ? nil : "left out of an answer: " + oddities.joined(separator: ", ")
    }

    private static func measurements(
        _ metrics: JSON?,
        _ oddities: inout [String]
    ) -> [Measurement] {
        guard let metrics, !metrics.isNull else { return [] }
        guard let members = metrics.members else {
            oddities.append("metrics that are no object")
            return []
        }
        var measurements: [Measurement] = []
        for member in members {
            guard measurements.count < measurementsMax else {
                oddities.append("metrics after the first \(measurementsMax)")
                break
            }
            guard (1...labelBytesMax).contains(member.key.utf8.count),
                let value = member.value.double, value.isFinite
            else {
                oddities.append("metric \(Excerpt.of(member.key.utf8)), which is no number")
                continue
            }
            measurements.append(Measurement(label: member.key, value: value))
        }
        return measurements
    }
}

extension ServiceAnswer.Status {
    fileprivate var verdict: Outcome.Verdict {
        switch self {
        case .pass: .pass
        case .warn: .warn
        case .fail: .fail
        case .unknown: .neutral
        }
    }

    fileprivate var reason: Reason {
        switch self {
        case .pass, .warn: .layer7OK
        case .fail: .layer7Status
        case .unknown: .checked
        }
    }
}

/// A line that is no answer.
public struct ServiceMistake: Error, Hashable, Sendable {
    public enum Sort: Hashable, Sendable { case tooLong, noJSON, noID, unknownID, status, oddity }

    public let sort: Sort
    public let message: String
    /// The probe that it was meant for, where it says so.
    public let id: Int?

    public init(_ sort: Sort, _ message: String, id: Int? = nil) {
        self.sort = sort
        self.message = message
        self.id = id
    }

    public static let tooLong = ServiceMistake(
        .tooLong,
        "expected a line of at most \(ServiceAnswer.lineBytesMax) bytes, saw a longer one"
    )
}
