// Is this answer the right one? Judged in the order in which an answer arrives: the status, the
// header fields, the body. Pure: the same for every engine that brings the answer.

import HTTP1
import Health
import Patterns
import Vocabulary

/// What an HTTP check wants to see.
struct HTTPExpectation: Sendable {
    var statuses = StatusSet.success
    var headers: [(name: String, condition: TextCondition)] = []
    var contains: String?
    var matches: Pattern?
    var json: [(pointer: JSONPointer, condition: TextCondition)] = []
    var immediateFail: StatusSet?
    var degradedStatuses: StatusSet?
    var degradedHeaders: [(name: String, condition: TextCondition)] = []
    var degradedLatency: Nanoseconds?
    /// Where the latency is written.
    private var latencyPlace: (position: Position, path: String)?
    /// What may be meant otherwise than it is taken.
    private(set) var doubts: [SettingError] = []

    /// What is read of a body at most.
    static let bodyBytesMax = 65_536

    /// For a trace: everything that has to hold.
    var summary: String {
        var parts = ["status \(statuses.text)"]
        parts += headers.map { "header \($0.name): \($0.condition)" }
        if let contains { parts.append("body with '\(contains)'") }
        if let matches { parts.append("body like /\(matches.text)/") }
        parts += json.map { "\($0.pointer.text): \($0.condition)" }
        return parts.joined(separator: ", ")
    }

    var needsBody: Bool { contains != nil || matches != nil || !json.isEmpty }

    /// The judgement on what has come so far. Nil means that more of it may change the answer.
    func judge(_ reply: borrowing ResponseReader, latency: Nanoseconds) -> Outcome? {
        if let outcome = judgeHead(reply) { return outcome }
        let outcome = needsBody ? judgeBody(reply) : passed(reply)
        return outcome.map { degrade($0, reply, latency: latency) }
    }

    /// The judgement on the head. Nil means that it passed and the body is to be looked at.
    private func judgeHead(_ reply: borrowing ResponseReader) -> Outcome? {
        let status = reply.status
        if let immediateFail, immediateFail.contains(status) {
            return Outcome(
                .fail,
                .layer7Status,
                code: status,
                message: "fails at once on \(immediateFail.text), saw \(reply.statusText)",
                isImmediate: true
            )
        }
        if let degradedStatuses, degradedStatuses.contains(status) { return nil }
        guard statuses.contains(status) else {
            return wrong(reply, "expected \(statuses.text), saw \(reply.statusText)")
        }
        for (name, condition) in headers where !holds(condition, name, reply) {
            let seen = reply.withValues(of: name) { values in
                values.first.map { Excerpt.of($0) } ?? "no such header"
            }
            return wrong(reply, "header \(name): expected \(condition), saw \(seen)")
        }
        return nil
    }

    /// The judgement on the body so far. Nil means that more of it may change the answer.
    private func judgeBody(_ reply: borrowing ResponseReader) -> Outcome? {
        let isWhole = reply.isComplete
        let faults = reply.body.withUnsafeBytes { body in
            (
                contains: contains.map { body.firstRange(ofText: $0) == nil } ?? false,
                // `$` may match a beginning that goes on differently.
                matches: matches.map { !isWhole || !$0.matches(body) } ?? false
            )
        }
        if !isWhole, faults.contains || faults.matches || !json.isEmpty { return nil }
        // The bytes of a wrapped body say nothing of its text, neither for nor against it.
        if let coding = reply.coding {
            return wrong(
                reply,
                "body: expected a text that is not compressed, saw Content-Encoding \(coding), which "
                    + "is not undone here; 'headers: {Accept-Encoding: identity}' asks for plain text"
            )
        }
        if !faults.contains, !faults.matches { return judgeJSON(reply) ?? passed(reply) }
        let seen =
            Excerpt.of(reply.body)
            + (reply.isCut ? " in the first \(Self.bodyBytesMax) bytes" : "")
        if faults.contains, let contains {
            return wrong(reply, "body: expected a text with '\(contains)', saw \(seen)")
        }
        return wrong(reply, "body: expected a text like /\(matches?.text ?? "")/, saw \(seen)")
    }

    /// Nil when every condition on a JSON value holds.
    private func judgeJSON(_ reply: borrowing ResponseReader) -> Outcome? {
        guard !json.isEmpty else { return nil }
        if reply.isCut {
            return wrong(
                reply,
                "body: expected JSON of at most \(Self.bodyBytesMax) bytes, saw more: "
                    + Excerpt.of(reply.body)
            )
        }
        let root: JSON
        do throws(JSONError) {
            // A byte order mark is no part of the text: RFC 8259, section 8.1.
            let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
            let isMarked = reply.body.starts(with: mark)
            root = try JSON(
                parsing: isMarked ? Array(reply.body.dropFirst(mark.count)) : reply.body
            )
        } catch {
            return wrong(reply, "body: expected JSON, saw \(Excerpt.of(reply.body)): \(error)")
        }
        for (pointer, condition) in json {
            let seen = pointer.value(in: root)?.plainText
            let holds = seen.map { Array($0.utf8).withUnsafeBytes { condition.holds(for: [$0]) } }
            if holds ?? condition.holds(for: []) { continue }
            let words = seen.map { Excerpt.of($0.utf8) } ?? "no such value"
            return wrong(reply, "body \(pointer.text): expected \(condition), saw \(words)")
        }
        return nil
    }

    private func passed(_ reply: borrowing ResponseReader) -> Outcome {
        Outcome(.pass, .layer7OK, code: reply.status, message: reply.statusText)
    }

    /// Turns a pass into a warning where a `degraded` condition holds.
    private func degrade(
        _ outcome: Outcome,
        _ reply: borrowing ResponseReader,
        latency: Nanoseconds
    ) -> Outcome {
        guard outcome.verdict == .pass else { return outcome }
        var outcome = outcome
        if let degradedStatuses, degradedStatuses.contains(reply.status) {
            outcome.message = "degraded on \(degradedStatuses.text), saw \(reply.statusText)"
            outcome.verdict = .warn
        }
        for (name, condition) in degradedHeaders where holds(condition, name, reply) {
            let seen = reply.withValues(of: name) { values in
                values.first.map { Excerpt.of($0) } ?? "no such header"
            }
            outcome.message = "degraded on header \(name): \(condition), saw \(seen)"
            outcome.verdict = .warn
        }
        if let limit = degradedLatency, latency > limit {
            outcome.message = "degraded above \(limit), took \(latency.rounded)"
            outcome.verdict = .warn
        }
        return outcome
    }

    private func holds(
        _ condition: TextCondition,
        _ name: String,
        _ reply: borrowing ResponseReader
    ) -> Bool {
        reply.withValues(of: name) { condition.holds(for: $0) }
    }

    private func wrong(_ reply: borrowing ResponseReader, _ message: String) -> Outcome {
        Outcome(.fail, .layer7Status, code: reply.status, message: message)
    }
}

// MARK: From settings

extension HTTPExpectation {
    /// Takes `expect`, `immediate-fail` and `degraded` of an answer to `method`. Refuses what could
    /// never come true.
    init(options: inout Options, of method: HTTP1.Method) throws(SettingError) {
        self.init()
        if let setting = options.take("expect") {
            try takeExpect(setting, of: method, at: "\(options.path).expect")
        }
        if let setting = options.take("immediate-fail") {
            try takeImmediateFail(setting, at: "\(options.path).immediate-fail")
        }
        if let setting = options.take("degraded") {
            try takeDegraded(setting, at: "\(options.path).degraded")
        }
    }

    /// What could never come true when an answer is waited for no longer than `timeout`.
    func problem(within timeout: Nanoseconds) -> SettingError? {
        guard let limit = degradedLatency, let latencyPlace, limit >= timeout else { return nil }
        return SettingError(
            latencyPlace.position,
            "\(latencyPlace.path): expected less than the timeout of \(timeout), saw \(limit): "
                + "no answer is waited for that long"
        )
    }

    private mutating func takeImmediateFail(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) {
        let failing = try StatusSet(setting, at: path)
        immediateFail = failing
        // A part of a class may fail at once; what is expected by itself must not.
        let lost = statuses.words(within: failing)
        guard lost.isEmpty || statuses == .success && lost.count < statuses.words.count else {
            throw SettingError(
                setting.position,
                "\(path): expected no status of 'expect: \(statuses.text)', saw \(failing.text): "
                    + "\(lost.joined(separator: " ")) could never pass"
            )
        }
    }

    private mutating func takeDegraded(_ setting: Setting, at path: String) throws(SettingError) {
        var inner = try Options(setting, path: path)
        if let status = inner.take("status") {
            let statuses = try StatusSet(status, at: "\(path).status")
            degradedStatuses = statuses
            if let immediateFail, let lost = statuses.words(within: immediateFail).first {
                throw SettingError(
                    status.position,
                    "\(path).status: expected none of 'immediate-fail: \(immediateFail.text)', saw "
                        + "\(statuses.text): \(lost) could never degrade"
                )
            }
        }
        degradedHeaders = try Self.headers(&inner)
        if let latency = inner.take("latency") {
            let place = "\(path).latency"
            degradedLatency = try latency.duration(
                in: .milliseconds(1)...MonitorDefinition.intervalMax,
                at: place
            )
            latencyPlace = (latency.position, place)
        }
        try inner.finish()
    }

    /// A list of statuses, or a map of conditions.
    private mutating func takeExpect(
        _ setting: Setting,
        of method: HTTP1.Method,
        at path: String
    ) throws(SettingError) {
        guard case .map = setting.value else {
            statuses = try StatusSet(setting, at: path)
            return
        }
        var inner = try Options(setting, path: path)
        if let status = inner.take("status") {
            statuses = try StatusSet(status, at: "\(path).status")
        }
        headers = try Self.headers(&inner)
        let body = ["contains", "matches", "json"].map { ($0, inner.take($0)) }
        try inner.finish()
        for case (let key, let setting?) in body {
            try takeBody(key, setting, of: method, at: "\(path).\(key)")
        }
        if let (key, setting) = body.first(where: { $0.1 != nil }), let setting,
            statuses.isWithin(Self.bodiless)
        {
            throw SettingError(
                setting.position,
                "\(path).\(key): expected no condition on a body with status \(statuses.text), whose "
                    + "answer has none, saw one"
            )
        }
    }

    /// Answers that never have a body (RFC 9112, section 6.3).
    private static let bodiless: Set<Int> = Set([101, 204, 304])

    private mutating func takeBody(
        _ key: String,
        _ setting: Setting,
        of method: HTTP1.Method,
        at path: String
    ) throws(SettingError) {
        switch key {
        case "contains":
            let text = try setting.string(at: path)
            guard text.utf8.count <= Self.bodyBytesMax else {
                throw SettingError(
                    setting.position,
                    "\(path): expected at most \(Self.bodyBytesMax) bytes, which is what is read of a "
                        + "body, saw \(text.utf8.count)"
                )
            }
            contains = text
        case "matches": matches = try setting.pattern(at: path)
        default:
            json = try Self.jsonConditions(setting, at: path)
            doubts = try setting.entries(at: path).compactMap {
                Self.doubt($0, at: "\(path).\($0.key)")
            }
        }
        guard method != .head else {
            throw SettingError(
                setting.position,
                "\(path): expected no condition on a body with method HEAD, whose answer has none, "
                    + "saw one"
            )
        }
    }

    private static func jsonConditions(
        _ setting: Setting,
        at path: String
    ) throws(SettingError) -> [(pointer: JSONPointer, condition: TextCondition)] {
        var conditions: [(pointer: JSONPointer, condition: TextCondition)] = []
        for entry in try setting.entries(at: path) {
            guard let pointer = JSONPointer(entry.key) else {
                throw SettingError(
                    entry.position,
                    "\(path): expected a JSON pointer such as /status, saw '\(entry.key)'"
                )
            }
            let condition = try TextCondition(entry.value, at: "\(path).\(entry.key)")
            conditions.append((pointer, condition))
        }
        return conditions
    }

    /// A text that looks like a number, or like `true`, and is written otherwise than JSON has it.
    private static func doubt(_ entry: Setting.Entry, at path: String) -> SettingError? {
        guard case .scalar(let text, _) = entry.value.value,
            let value = try? JSON(parsing: Array(text.lowercased().utf8)), value.items == nil,
            value.string == nil, value.text != text
        else { return nil }
        return SettingError(
            entry.value.position,
            "\(path): '\(text)' is compared letter by letter, and only a string \"\(text)\" is equal to "
                + "it: without quotes JSON has '\(value.text)'"
        )
    }

    private static func headers(
        _ options: inout Options
    ) throws(SettingError) -> [(name: String, condition: TextCondition)] {
        guard let setting = options.take("headers") else { return [] }
        let path = "\(options.path).headers"
        var conditions: [(name: String, condition: TextCondition)] = []
        for entry in try setting.entries(at: path) {
            let place = "\(path).\(entry.key)"
            guard entry.key.utf8.allSatisfy(HTTPRequest.isToken), !entry.key.isEmpty else {
                throw SettingError(entry.position, "\(place): expected the name of a header")
            }
            let condition = try TextCondition(entry.value, at: place)
            if let text = condition.text, !isValue(text, whole: condition.isWhole) {
                throw entry.value.expected(
                    "a text that a header may have: one line, without blanks at its ends",
                    at: place
                )
            }
            conditions.append((entry.key, condition))
        }
        return conditions
    }

    /// Whether a field may have `text` as its value, or in it (RFC 9110, section 5.5).
    private static func isValue(_ text: String, whole isWhole: Bool) -> Bool {
        func isBlank(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 }
        guard text.utf8.allSatisfy(HTTPRequest.isFieldValue) else { return false }
        return !isWhole || !isBlank(text.utf8.first) && !isBlank(text.utf8.last)
    }
}
