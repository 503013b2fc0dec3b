// How do spans look to whoever collects them? OpenTelemetry's protocol over HTTP in JSON: ids in hex, times and
// long numbers as texts, enumerations as numbers.

import Vocabulary

public enum OTLP {
    /// Behind the address of a collector.
    public static let path = "/v1/traces"
    public static let type = "application/json"

    /// The body of a request. `resource` says who made the spans.
    public static func body(
        _ spans: [SpanRecord],
        resource: [SpanRecord.Attribute],
        version: String
    ) -> [UInt8] {
        JSON.object([
            .init(
                "resourceSpans",
                .array([
                    .object([
                        .init("resource", .object([.init("attributes", json(resource))])),
                        .init(
                            "scopeSpans",
                            .array([
                                .object([
                                    .init(
                                        "scope",
                                        .object([
                                            .init("name", "muster"),
                                            .init("version", .string(version)),
                                        ])
                                    ),
                                    .init("spans", .array(spans.map(json))),
                                ])
                            ])
                        ),
                    ])
                ])
            )
        ]).bytes
    }

    /// What an answer of 2xx says of spans that were left out: how many, and why.
    public static func rejected(in answer: [UInt8]) -> (count: Int, words: String) {
        guard let partial = try? JSON(parsing: answer)["partialSuccess"] else { return (0, "") }
        let count = partial["rejectedSpans"]
        return (
            count?.int ?? count?.string.flatMap { Int($0) } ?? 0,
            partial["errorMessage"]?.string ?? ""
        )
    }

    private static func json(_ span: SpanRecord) -> JSON {
        var members: [JSON.Member] = [
            .init("traceId", .string("\(span.trace)")),
            .init("spanId", .string("\(span.span)")),
        ]
        if let parent = span.parent { members.append(.init("parentSpanId", .string("\(parent)"))) }
        if !span.state.isEmpty { members.append(.init("traceState", .string(span.state))) }
        members += [
            .init("name", .string(span.name)),
            .init("kind", JSON(span.kind.rawValue)),
            .init("startTimeUnixNano", .string("\(span.begun)")),
            .init("endTimeUnixNano", .string("\(span.ended)")),
            .init("attributes", json(span.attributes)),
        ]
        if !span.events.isEmpty {
            members.append(.init("events", .array(span.events.map(json))))
        }
        switch span.status {
        case .unset: break
        case .ok: members.append(.init("status", .object([.init("code", 1)])))
        case .error(let words):
            members.append(
                .init(
                    "status",
                    .object(
                        words.isEmpty
                            ? [.init("code", 2)]
                            : [.init("code", 2), .init("message", .string(words))]
                    )
                )
            )
        }
        return .object(members)
    }

    private static func json(_ event: SpanRecord.Event) -> JSON {
        .object([
            .init("name", .string(event.name)),
            .init("timeUnixNano", .string("\(event.at)")),
            .init("attributes", json(event.attributes)),
        ])
    }

    private static func json(_ attributes: [SpanRecord.Attribute]) -> JSON {
        .array(
            attributes.map { attribute in
                .object([
                    .init("key", .string(attribute.key)),
                    .init("value", json(attribute.value)),
                ])
            }
        )
    }

    private static func json(_ value: SpanRecord.Value) -> JSON {
        switch value {
        case .text(let text): .object([.init("stringValue", .string(text))])
        // A 64-bit number is a text in this JSON.
        case .integer(let number): .object([.init("intValue", .string("\(number)"))])
        case .number(let number): .object([.init("doubleValue", .number(number))])
        case .bool(let bool): .object([.init("boolValue", .bool(bool))])
        case .texts(let texts):
            .object([
                .init(
                    "arrayValue",
                    .object([
                        .init("values", .array(texts.map { json(.text($0)) }))
                    ])
                )
            ])
        }
    }
}
