// Where do spans go, and which complaint does each mistake about that earn?

import Foundation
import Spans
import Telemetry
import Testing
import Vocabulary

@testable import Settings

@Suite struct TracingSettingsTests {
    private func load(_ text: String) throws -> MusterConfiguration {
        let web = "upstreams:\n  web:\n    peers: [\"127.0.0.1:1\"]\n    monitors: [tcp]\n"
        return try Scratch(["muster.yaml": web + text]).load()
    }

    @Test func `nothing is recorded unless it is asked for`() throws {
        #expect(try load("").tracing == nil)
        #expect(try load("tracing:\n").tracing == nil)
    }

    @Test func `defaults, and all of it`() throws {
        let plain = try #require(try load("tracing: {otlp: \"http://127.0.0.1:4318\"}\n").tracing)
        #expect(plain.sampler == Sampler(share: 0.01) && plain.service == "muster")
        #expect(plain.place.label == "http://127.0.0.1:4318")
        let text = """
            tracing:
              otlp: https://collector.example.org/v1/traces
              headers: {Authorization: Bearer x}
              tls: {verify: false}
              sample: 100%
              service: shop-proxy

            """
        let whole = try #require(try load(text).tracing)
        #expect(whole.sampler == Sampler(share: 1) && whole.service == "shop-proxy")
        #expect(!TracingSetting.areSame(plain, whole))
        #expect(TracingSetting.areSame(whole, try load(text).tracing))
        let other = try load(text.replacing("Bearer x", with: "Bearer y")).tracing
        #expect(!TracingSetting.areSame(whole, other))
    }

    @Test(arguments: [
        ("{}", "tracing: expected 'otlp'"),
        ("{sample: 1%}", "tracing: expected 'otlp'"),
        ("{otlp: 127.0.0.1:4318}", "tracing.otlp: expected a URL that begins with http://"),
        ("{otlp: \"grpc://x:4317\"}", "tracing.otlp: expected a URL that begins with http://"),
        ("{otlp: \"http://x\", sample: 2}", "tracing.sample: expected a share from 0% to 100%"),
        ("{otlp: \"http://x\", sample: 101%}", "tracing.sample: expected a share"),
        ("{otlp: \"http://x\", tls: true}", "tracing.tls: expected none beside a URL of http"),
        ("{otlp: \"http://x\", headers: {Host: y}}", "tracing.headers.Host: expected the name"),
        (
            "{otlp: \"http://x\", headers: {Host: y, X-A: b, Content-Length: 5, bad name: z}}",
            "tracing.headers.Host: expected the name of a header that muster does not set itself; "
                + "tracing.headers.Content-Length: expected the name of a header that muster does not set "
                + "itself; tracing.headers.bad name: expected the name"
        ),
        (
            "{otlp: \"http://127.0.0.1:99999\"}",
            "tracing.otlp: expected a port from 1 to 65535, saw '99999'"
        ),
        ("{otlp: \"http://[::1]:0/x\"}", "tracing.otlp: expected a port from 1 to 65535, saw '0'"),
        ("{otlp: \"http://secret:secret@x:p/\"}", "expected a port from 1 to 65535, saw 'p'"),
        ("{otlp: \"http://x/secret#c\"}", "tracing.otlp: expected a URL without a fragment"),
        ("{otlp: \"http://secret:%4@x/\"}", "tracing.otlp: expected a user and a password"),
        (
            "{otlp: \"http://u:secret@x\", headers: {authorization: y}}",
            "tracing.otlp: expected no user and password beside a header 'Authorization'"
        ),
        ("{otlp: \"http://x\", service: \"\"}", "tracing.service: expected a name"),
        ("{otlp: \"http://x\", sampel: 1%}", "did you mean 'sample'?"),
        ("[]", "tracing: expected a map"),
    ])
    func `mistakes are named with their place`(text: String, complaint: String) throws {
        do {
            _ = try load("tracing: \(text)\n")
            Issue.record("expected a mistake, saw none")
        } catch {
            #expect("\(error)".contains(complaint), "\(error)")
            #expect(!"\(error)".contains("secret"))
        }
    }
}
