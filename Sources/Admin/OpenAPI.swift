// What does the API look like to a program that has never seen it? OpenAPI 3.1, made of the table of routes, so
// that it can name no other and forget none; the words and shapes of each stand beside it here.

import EventLoop
import Vocabulary

enum OpenAPI {
    /// What a route does, takes and gives.
    struct Account {
        var summary: String
        var query: [String] = []
        /// The name of a schema.
        var body: String?
        var isBodyRequired = true
        var takesIfMatch = false
        /// Each with the schema of what is answered; nil where nothing is, and empty where what is has none.
        var answers: [(status: Int, schema: String?)]
        var type = "application/json"
    }

    static let table: [AdminTable.Row] = [
        .init(.get, "/openapi.json", .read) { _, context in .json(context.document) }
    ]

    static func document(version: String) -> JSON {
        var paths: [(path: String, operations: [JSON.Member])] = []
        for route in AdminTable.routes {
            let path = route.path.description
            let operation = JSON.Member(
                route.method.rawValue.lowercased(),
                operation(route)
            )
            if let place = paths.firstIndex(where: { $0.path == path }) {
                paths[place].operations.append(operation)
            } else {
                paths.append((path, [operation]))
            }
        }
        return .object([
            .init("openapi", "3.1.0"),
            .init(
                "info",
                .object([
                    .init("title", "muster"), .init("version", .string(version)),
                    .init(
                        "description",
                        "Health of upstreams and peers, and what is asked of them. docs/API.md has the same in words."
                    ),
                    .init(
                        "license",
                        .object([.init("name", "Apache-2.0"), .init("identifier", "Apache-2.0")])
                    ),
                ])
            ),
            .init("servers", .array([.object([.init("url", "/")])])),
            .init("security", .array([.object([]), .object([.init("bearer", .array([]))])])),
            .init(
                "paths",
                .object(
                    paths.map { .init($0.path, .object(parameters(of: $0.path) + $0.operations)) }
                )
            ),
            .init(
                "components",
                .object([
                    .init(
                        "securitySchemes",
                        .object([
                            .init(
                                "bearer",
                                .object([.init("type", "http"), .init("scheme", "bearer")])
                            )
                        ])
                    ),
                    .init("schemas", OpenAPISchemas.all),
                ])
            ),
        ])
    }

    // MARK: Parts

    private static func reference(_ schema: String) -> JSON {
        .object([.init("$ref", .string("#/components/schemas/\(schema)"))])
    }

    /// Of all operations on one path.
    private static func parameters(of path: String) -> [JSON.Member] {
        let names = PathTemplate(stringLiteral: path).parameters
        if names.isEmpty { return [] }
        let list = names.map { name in
            JSON.object([
                .init("name", .string(name)), .init("in", "path"), .init("required", true),
                .init("schema", reference(name == "peer" ? "PeerName" : "Name")),
            ])
        }
        return [.init("parameters", .array(list))]
    }

    static func key(_ route: AdminTable.Row) -> String {
        "\(route.method.rawValue) \(route.path)"
    }

    private static func operation(_ route: AdminTable.Row) -> JSON {
        let account = accounts[key(route)] ?? Account(summary: key(route), answers: [])
        var members: [JSON.Member] = [
            .init("summary", .string(account.summary)),
            .init("operationId", .string(name(of: route))),
        ]
        if account.takesIfMatch {
            // Not among the parameters: what fits is what was seen, which no schema can say.
            members.append(
                .init(
                    "description",
                    "With If-Match and the ETag that was seen: 412, and nothing changed, where another change came first."
                )
            )
        }
        let parameters = account.query.map { name in
            JSON.object([
                .init("name", .string(name)), .init("in", "query"),
                .init("schema", reference("query-\(name)")),
            ])
        }
        if !parameters.isEmpty { members.append(.init("parameters", .array(parameters))) }
        if let body = account.body {
            members.append(
                .init(
                    "requestBody",
                    .object([
                        .init("required", .bool(account.isBodyRequired)),
                        .init("content", content("application/json", reference(body))),
                    ])
                )
            )
        }
        var responses = account.answers.map { answer in
            JSON.Member(
                "\(answer.status)",
                response(Status(answer.status).phrase, account.type, answer.schema)
            )
        }
        responses.append(
            .init(
                "default",
                response("A problem (RFC 9457)", "application/problem+json", "Problem")
            )
        )
        members.append(.init("responses", .object(responses)))
        return .object(members)
    }

    private static func response(_ text: String, _ type: String, _ schema: String?) -> JSON {
        var members: [JSON.Member] = [.init("description", .string(text))]
        if let schema {
            let known = schema.isEmpty ? [] : [JSON.Member("schema", reference(schema))]
            members.append(.init("content", .object([.init(type, .object(known))])))
        }
        return .object(members)
    }

    private static func content(_ type: String, _ schema: JSON) -> JSON {
        .object([.init(type, .object([.init("schema", schema)]))])
    }

    /// `getUpstreamsPeers`, told apart by what stands in the path.
    private static func name(of route: AdminTable.Row) -> String {
        route.path.segments.reduce(route.method.rawValue.lowercased()) { name, segment in
            switch segment {
            case .word(let word): name + "_" + word.replacing(".", with: "_")
            case .parameter(let word): name + "_by_" + word
            }
        }
    }

    // MARK: What each does

    private static let defined: [(status: Int, schema: String?)] = [
        (200, "Defined"), (201, "Defined"), (202, "Defined"),
    ]
    private static let removed: [(status: Int, schema: String?)] = [
        (200, "Defined"), (202, "Defined"),
    ]

    static let accounts: [String: Account] = [
        "GET /v1/upstreams": Account(
            summary: "Every upstream with its peers",
            answers: [(200, "Upstreams")]
        ),
        "GET /v1/upstreams/{upstream}": Account(
            summary: "An upstream with its peers",
            answers: [(200, "Upstream")]
        ),
        "GET /v1/upstreams/{upstream}/peers/{peer}": Account(
            summary: "A peer",
            answers: [(200, "Peer")]
        ),
        "PATCH /v1/upstreams/{upstream}/peers/{peer}": Account(
            summary: "Drains a peer, takes it out, puts it back, or sets its weight",
            body: "Order",
            takesIfMatch: true,
            answers: [(200, "Peer"), (202, "Peer")]
        ),
        "POST /v1/upstreams/{upstream}/peers/{peer}/heartbeat": Account(
            summary: "A sign of life of a peer that has a heartbeat monitor",
            body: "Heartbeat",
            isBodyRequired: false,
            answers: [(204, nil)]
        ),
        "POST /v1/upstreams/{upstream}/peers/{peer}/check": Account(
            summary: "Probes a peer now, with every monitor",
            answers: [(200, "Results")]
        ),
        "PUT /v1/upstreams/{upstream}": Account(
            summary: "Defines an upstream, in the words of the configuration file",
            body: "UpstreamDefinition",
            takesIfMatch: true,
            answers: defined
        ),
        "DELETE /v1/upstreams/{upstream}": Account(
            summary: "Takes away what the API says of an upstream",
            takesIfMatch: true,
            answers: removed
        ),
        "POST /v1/upstreams/{upstream}/peers": Account(
            summary: "Adds a peer",
            body: "PeerDefinition",
            takesIfMatch: true,
            answers: defined
        ),
        "DELETE /v1/upstreams/{upstream}/peers/{peer}": Account(
            summary: "Takes away a peer that was added",
            takesIfMatch: true,
            answers: removed
        ),
        "POST /v1/upstreams/{upstream}/monitors": Account(
            summary: "Attaches a monitor",
            body: "MonitorDefinition",
            takesIfMatch: true,
            answers: defined
        ),
        "DELETE /v1/upstreams/{upstream}/monitors/{monitor}": Account(
            summary: "Detaches a monitor that was attached",
            takesIfMatch: true,
            answers: removed
        ),
        "GET /v1/definitions": Account(
            summary: "What the API defines beside the configuration file",
            answers: [(200, "Definitions")]
        ),
        "GET /v1/routes": Account(
            summary: "Every route, in the order in which two that fit are tried",
            answers: [(200, "Routes")]
        ),
        "PUT /v1/routes/{route}": Account(
            summary: "Makes a route, or changes it",
            body: "RouteDefinition",
            answers: defined
        ),
        "DELETE /v1/routes/{route}": Account(
            summary: "Takes away a route that was made",
            answers: removed
        ),
        "GET /v1/events": Account(
            summary: "Transitions as server-sent events",
            query: ["limit", "follow"],
            // No schema: some tools hold each event to it, and others the text of all.
            answers: [(200, "")],
            type: "text/event-stream"
        ),
        "GET /v1/agents": Account(
            summary: "Who shares the probing",
            answers: [(200, "Agents")]
        ),
        "GET /v1/upstreams/{upstream}/peers/{peer}/explain": Account(
            summary: "Why a peer is as it is",
            answers: [(200, "Explanation")]
        ),
        "GET /v1/peers/{upstream}/{peer}/explain": Account(
            summary: "Why a peer is as it is",
            answers: [(200, "Explanation")]
        ),
        "GET /v1/upstreams/{upstream}/peers/{peer}/history": Account(
            summary: "What was: transitions, uptime, latency",
            query: ["from", "to"],
            answers: [(200, "History")]
        ),
        "GET /v1/upstreams/{upstream}/history": Account(
            summary: "The last day of every peer of an upstream, in half hours",
            answers: [(200, "Strips")]
        ),
        "GET /v1/notify": Account(
            summary: "Who is told of transitions, and how that goes",
            answers: [(200, "Receivers")]
        ),
        "POST /v1/notify/{receiver}/test": Account(
            summary: "Sends a test message to a receiver",
            answers: [(200, "Tested")]
        ),
        "GET /v1/store": Account(summary: "How the store is", answers: [(200, "Store")]),
        "POST /v1/reload": Account(
            summary: "Reads the configuration again",
            answers: [(200, "Reloaded")]
        ),
        "GET /health": Account(
            summary: "Whether the process lives",
            answers: [(200, "Health")]
        ),
        "GET /ready": Account(
            summary: "Whether first verdicts are there, and how muster itself is",
            answers: [(200, "Readiness"), (503, "Readiness")]
        ),
        "GET /metrics": Account(
            summary: "Metrics in Prometheus's text format",
            answers: [(200, "Text")],
            type: "text/plain"
        ),
        "GET /agent/{upstream}/{peer}": Account(
            summary: "The line of an HAProxy agent check; its status is the configuration's",
            answers: [(200, "Text"), (404, "Text"), (503, "Text")],
            type: "text/plain"
        ),
        "GET /": Account(summary: "The dashboard", answers: [(200, "Text")], type: "text/html"),
        "GET /openapi.json": Account(
            summary: "This document",
            answers: [(200, "Any")]
        ),
    ]
}
