// Do spans look as OpenTelemetry's protocol has them in JSON?

import Testing
import Vocabulary

@testable import Spans

@Suite struct OTLPTests {
    @Test func `a batch is one request, with ids in hex and long numbers as texts`() throws {
        var record = SpanRecord(
            trace: try #require(TraceID(high: 0x0AF7_6519_16CD_43DD, low: 0x8448_EB21_1C80_319C)),
            span: try #require(SpanID(0xB7AD_6B71_6920_3331)),
            parent: SpanID(0x1),
            name: "GET /",
            kind: .client,
            begun: 1_796_000_000_000_000_001,
            ended: 1_796_000_000_000_000_002
        )
        record.state = "a=b"
        record.attributes = [
            .init("text", "a\"b"), .init("int", 7), .init("double", .number(0.5)),
            .init("bool", .bool(true)), .init("texts", .texts(["x", "y"])),
        ]
        record.events = [.init(name: "exception", at: 5, attributes: [.init("k", "v")])]
        record.status = .error("refused")
        let body = try JSON(
            parsing: OTLP.body(
                [record],
                resource: [.init("service.name", "shop")],
                version: "1.2.3"
            )
        )
        let resource = try #require(body["resourceSpans"]?[0])
        #expect(
            resource["resource"]?["attributes"]
                == [["key": "service.name", "value": ["stringValue": "shop"]]]
        )
        let scope = try #require(resource["scopeSpans"]?[0])
        #expect(scope["scope"] == ["name": "muster", "version": "1.2.3"])
        #expect(
            scope["spans"]?[0] == [
                "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331",
                "parentSpanId": "0000000000000001", "traceState": "a=b", "name": "GET /",
                "kind": 3, "startTimeUnixNano": "1796000000000000001",
                "endTimeUnixNano": "1796000000000000002",
                "attributes": [
                    ["key": "text", "value": ["stringValue": "a\"b"]],
                    ["key": "int", "value": ["intValue": "7"]],
                    ["key": "double", "value": ["doubleValue": 0.5]],
                    ["key": "bool", "value": ["boolValue": true]],
                    [
                        "key": "texts",
                        "value": [
                            "arrayValue": ["values": [["stringValue": "x"], ["stringValue": "y"]]]
                        ],
                    ],
                ],
                "events": [
                    [
                        "name": "exception", "timeUnixNano": "5",
                        "attributes": [["key": "k", "value": ["stringValue": "v"]]],
                    ]
                ],
                "status": ["code": 2, "message": "refused"],
            ]
        )
    }

    @Test func `what is not there is not written`() throws {
        let record = SpanRecord(
            trace: try #require(TraceID(high: 0, low: 1)),
            span: try #require(SpanID(2)),
            parent: nil,
            name: "x",
            kind: .server,
            begun: 1,
            ended: 2
        )
        let body = try JSON(parsing: OTLP.body([record], resource: [], version: ""))
        let span = body["resourceSpans"]?[0]?["scopeSpans"]?[0]?["spans"]?[0]
        #expect(
            span?.members?.map(\.key) == [
                "traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano",
                "attributes",
            ]
        )
    }

    @Test(arguments: [
        (#"{}"#, 0, ""), ("", 0, ""), ("no json", 0, ""), (#"{"partialSuccess":{}}"#, 0, ""),
        (#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#, 3, "too old"),
        // Some write numbers as numbers.
        (#"{"partialSuccess":{"rejectedSpans":3}}"#, 3, ""),
        (#"{"partialSuccess":{"rejectedSpans":"many"}}"#, 0, ""),
    ])
    func `the answer says what was left out`(text: String, count: Int, words: String) {
        let answer = OTLP.rejected(in: Array(text.utf8))
        #expect(answer.count == count && answer.words == words)
    }

    @Test func `long texts are cut at a character`() {
        #expect(SpanRecord.shortened("short") == "short")
        let cut = SpanRecord.shortened(String(repeating: "ä", count: 400))
        #expect(cut == String(repeating: "ä", count: 256))
        let odd = SpanRecord.shortened("a" + String(repeating: "ä", count: 400))
        #expect(odd == "a" + String(repeating: "ä", count: 255))
    }
}
