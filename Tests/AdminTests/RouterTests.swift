// Does every path lead where it says, however it is spelled, and nowhere else?

import Front
import Testing

@testable import Admin

@Suite struct RouterTests {
    /// Answers with the name of the route and what its parameters stand for.
    private static func route(
        _ method: Admin.Method,
        _ path: PathTemplate
    ) -> Route<Void> {
        Route(method, path, .read) { request, _ in
            let parameters = request.parameters.sorted { $0.key < $1.key }
            let words = parameters.map { "\($0.key)=\($0.value)" }
            return .text(
                (["\(method.rawValue) \(path)"] + words).joined(separator: " "),
                type: "text/plain"
            )
        }
    }

    private static let responder = Responder(
        router: Router([
            route(.get, "/"), route(.get, "/v1/upstreams"),
            route(.get, "/v1/upstreams/{upstream}"), route(.put, "/v1/upstreams/{upstream}"),
            route(.delete, "/v1/upstreams/{upstream}"),
            route(.get, "/v1/upstreams/{upstream}/peers/{peer}"),
            route(.post, "/v1/upstreams/{upstream}/peers/{peer}/check"),
            route(.get, "/v1/upstreams/all/peers"),
            route(.post, "/v1/{other}/{u}/peers/{p}/mend"),
        ]),
        access: Access(),
        context: ()
    )

    private func ask(_ method: String, _ target: String) async -> (Response, String) {
        let response = await Self.responder.response(to: FrontRequest(method, target))
        guard case .bytes(let bytes) = response.body else { return (response, "") }
        return (response, String(decoding: bytes, as: UTF8.self))
    }

    @Test(arguments: [
        ("/", "GET /"), ("//", "GET /"), ("/?x=1", "GET /"), ("?", "GET /"),
        ("/v1/upstreams", "GET /v1/upstreams"), ("//v1//upstreams//", "GET /v1/upstreams"),
        ("/v1/upstreams/?x", "GET /v1/upstreams"),
        ("/v1/upstreams/web", "GET /v1/upstreams/{upstream} upstream=web"),
        ("/v1/upstreams/we%62/", "GET /v1/upstreams/{upstream} upstream=web"),
        ("/v1/upstreams/a%2Fb%3F", "GET /v1/upstreams/{upstream} upstream=a/b?"),
        ("/v1/upstreams/a+b", "GET /v1/upstreams/{upstream} upstream=a+b"),
        ("/v1/upstreams/%zz", "GET /v1/upstreams/{upstream} upstream=%zz"),
        ("/v1/upstreams/%FC", "GET /v1/upstreams/{upstream} upstream=%FC"),
        ("/v1/upstreams/..", "GET /v1/upstreams/{upstream} upstream=.."),
        ("/v1/upstreams/%C3%BC", "GET /v1/upstreams/{upstream} upstream=ü"),
        // An accent on a separator is no part of it.
        ("/v1/upstreams/\u{301}a", "GET /v1/upstreams/{upstream} upstream=\u{301}a"),
        ("/v1/upstreams?\u{301}", "GET /v1/upstreams"),
        ("/v1/upstreams/all", "GET /v1/upstreams/{upstream} upstream=all"),
        ("/v1/upstreams/all/peers", "GET /v1/upstreams/all/peers"),
        // A word that leads nowhere gives way to a parameter.
        (
            "/v1/upstreams/all/peers/x",
            "GET /v1/upstreams/{upstream}/peers/{peer} peer=x upstream=all"
        ),
    ])
    func `a path leads to its route`(target: String, text: String) async {
        let (response, saw) = await ask("GET", target)
        #expect(response.status == .ok)
        #expect(saw == text)
    }

    @Test func `names belong to the route, whatever others call the same place`() async {
        let mend = await ask("POST", "/v1/upstreams/a/peers/b/mend").1
        #expect(mend == "POST /v1/{other}/{u}/peers/{p}/mend other=upstreams p=b u=a")
        let check = await ask("POST", "/v1/upstreams/a/peers/b/check").1
        #expect(check == "POST /v1/upstreams/{upstream}/peers/{peer}/check peer=b upstream=a")
    }

    @Test(arguments: [
        "/v1", "/v1/", "/V1/upstreams", "/%761/upstreams", "/v1/upstreams/a/b", "/nothing",
        "/v1/upstreams/a/peers", "/v1/upstreams/a/peers/b/c/d", "/v1%2Fupstreams",
    ])
    func `what no route expects is a problem, in every method`(path: String) async {
        for method in ["GET", "HEAD", "PUT", "OPTIONS", "FOO"] {
            let (response, saw) = await ask(method, path)
            #expect(response.status == .notFound)
            #expect(response.fields.first == .init("Content-Type", "application/problem+json"))
            #expect(saw.contains("\"detail\":\"\(method) \(path): no such resource\""))
            #expect(saw.contains("\"instance\":\"\(path)\""))
        }
    }

    @Test(arguments: [
        (
            "/v1/upstreams/web", "GET, HEAD, PUT, DELETE",
            ["POST", "PATCH", "OPTIONS", "FOO", "get"]
        ),
        ("/", "GET, HEAD", ["POST", "TRACE", "OPTIONS", "DELETE"]),
        ("/v1/upstreams/a/peers/b/check", "POST", ["GET", "HEAD", "OPTIONS", "TRACE"]),
    ])
    func `another method is told which there are`(
        path: String,
        allowed: String,
        others: [String]
    ) async {
        for method in others {
            let (response, saw) = await ask(method, path)
            #expect(response.status == .methodNotAllowed)
            #expect(response.fields.contains(.init("Allow", allowed)))
            #expect(saw.contains("expected \(allowed), saw \(method)"))
        }
    }

    @Test func `a HEAD is its GET`() async {
        let (head, _) = await ask("HEAD", "/v1/upstreams/web")
        let (get, _) = await ask("GET", "/v1/upstreams/web")
        #expect(AnswerHead(head) == AnswerHead(get))
        #expect(AnswerHead(get).length != nil)
    }

    @Test(
        arguments: [
            ("limit", "7"), ("none", ""), ("empty", ""), ("twice", "1"), ("a b", "c&d=e"),
            ("bad", "%zz"), ("plus", "a+b"), ("nothing", nil), ("", nil), ("path", nil),
        ] as [(String, String?)]
    )
    func `the words of a query are decoded`(name: String, value: String?) {
        let target =
            "/path?limit=7&none&empty=&twice=1&twice=2&a%20b=c%26d=e&&bad=%zz&plus=a+b"
        #expect(Request(FrontRequest("GET", target))[query: name] == value)
    }

    @Test func `a problem has the fields it brings, after its own`() {
        let problem = Problem(.conflict, "a \"b\"", fields: [.init("ETag", "7")])
        let response = problem.response(to: "/p")
        #expect(
            response.fields == [
                .init("Content-Type", "application/problem+json"),
                .init("Cache-Control", "no-store"), .init("ETag", "7"),
            ]
        )
        guard case .bytes(let bytes) = response.body else {
            Issue.record("expected bytes")
            return
        }
        let expected =
            #"{"type":"about:blank","title":"Conflict","status":409,"detail":"a \"b\"","#
            + #""instance":"/p"}"# + "\n"
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
    }
}
