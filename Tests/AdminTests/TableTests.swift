// Is the table of routes whole: no two lines for one thing, none that the documents leave out?

import Foundation
import Testing

@testable import Admin

@Suite struct TableTests {
    /// `GET /v1/upstreams/{}`.
    private static func shape(_ method: String, _ path: String) -> String {
        "\(method) " + path.replacing(#/\{\w+\}/#, with: "{}")
    }

    private static let shapes = AdminTable.routes.map {
        shape($0.method.rawValue, $0.path.description)
    }

    @Test func `no route is declared twice`() {
        #expect(Set(Self.shapes).count == Self.shapes.count)
    }

    @Test func `no path has a parameter twice, or one without a name`() {
        for route in AdminTable.routes {
            let names = route.path.parameters
            #expect(Set(names).count == names.count && !names.contains(""), "\(route.path)")
        }
    }

    @Test func `what writes takes a token that may write`() {
        for route in AdminTable.routes where route.method != .get {
            #expect(route.scope >= .operate, "\(route.path)")
        }
    }

    @Test func `the page of the API names every route, and no other`() throws {
        let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("docs/API.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let told = text.matches(of: #/(?m)^\| `(GET|PUT|POST|PATCH|DELETE) (\S+)` \|/#).map {
            Self.shape(String($0.1), String($0.2))
        }
        #expect(told.sorted() == Self.shapes.sorted())
    }
}
