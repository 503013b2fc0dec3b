// Is what programs are told of the API true? Every route, no other, and every shape that is named is there.

import Testing
import Vocabulary

@testable import Admin

@Suite struct OpenAPITests {
    private let document = OpenAPI.document(version: "1.2.3")

    @Test func `every route is told, with its words, and no other`() {
        let routes = Set(AdminTable.routes.map(OpenAPI.key))
        #expect(routes == Set(OpenAPI.accounts.keys))
        let told = (document["paths"]?.members ?? []).flatMap { path in
            (path.value.members ?? []).filter { $0.key != "parameters" }
                .map { "\($0.key.uppercased()) \(path.key)" }
        }
        #expect(Set(told) == routes && told.count == routes.count)
        let names = (document["paths"]?.members ?? []).flatMap { path in
            (path.value.members ?? []).compactMap { $0.value["operationId"]?.string }
        }
        #expect(Set(names).count == routes.count)
    }

    @Test func `every schema that is named is there, and every one that is there is named`() {
        let known = Set((document["components"]?["schemas"]?.members ?? []).map(\.key))
        #expect(!known.isEmpty)
        var named = Set<String>()
        collect(document, &named)
        #expect(named == known)
    }

    private func collect(_ json: JSON, _ named: inout Set<String>) {
        for member in json.members ?? [] {
            if member.key == "$ref", let text = member.value.string {
                named.insert(String(text.split(separator: "/").last ?? ""))
            } else {
                collect(member.value, &named)
            }
        }
        for item in json.items ?? [] { collect(item, &named) }
    }

    /// Legal in JSON Schema, and what generators of clients stumble over: a schema that is `true` or `false`, and
    /// an array that does not say of what.
    @Test func `schemas are of the kinds that generators of clients know`() {
        lookAt(document["components"]?["schemas"] ?? .null, isNamed: true, "schemas")
    }

    private func lookAt(_ json: JSON, isNamed: Bool, _ place: String) {
        if json["type"]?.string == "array" { #expect(json["items"] != nil, "\(place)") }
        for member in json.members ?? [] {
            let name = "\(place)/\(member.key)"
            if isNamed || member.key == "items" { #expect(member.value.bool == nil, "\(name)") }
            lookAt(member.value, isNamed: member.key == "properties" && !isNamed, name)
        }
        for item in json.items ?? [] { lookAt(item, isNamed: false, place) }
    }

    /// What has none has no member of that name: `null` is no schema, and validators stop at it.
    @Test func `where a schema is told it is one`() {
        func look(_ json: JSON, _ place: String) {
            for member in json.members ?? [] {
                let name = "\(place)/\(member.key)"
                if member.key == "schema" { #expect(member.value.members != nil, "\(name)") }
                look(member.value, name)
            }
            for item in json.items ?? [] { look(item, place) }
        }
        look(document["paths"] ?? .null, "paths")
    }

    @Test func `what a path has in braces is a parameter, and each answer has a shape`() {
        for path in document["paths"]?.members ?? [] {
            let names = (path.value["parameters"]?.items ?? []).compactMap { $0["name"]?.string }
            #expect(names == PathTemplate(stringLiteral: path.key).parameters, "\(path.key)")
            for operation in path.value.members ?? [] where operation.key != "parameters" {
                let answers = operation.value["responses"]?.members ?? []
                #expect(answers.count > 1 && answers.last?.key == "default", "\(path.key)")
            }
        }
    }
}
