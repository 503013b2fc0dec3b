// What is a receiver of notices, and what is none? Rows of settings, each with the complaint it earns.

import Foundation
import Health
import Notify
import Testing
import Vocabulary

@testable import Settings

@Suite struct NotifySettingsTests {
    private func load(_ text: String) throws -> MusterConfiguration {
        let web = "upstreams:\n  web:\n    peers: [\"127.0.0.1:1\"]\n    monitors: [tcp]\n"
        return try Scratch(["muster.yaml": web + text]).load()
    }

    @Test func `defaults, and every way`() throws {
        let configuration = try MusterConfiguration.load(
            ExampleTests.path("everything.yaml"),
            environment: [:]
        )
        #expect(
            configuration.notify.map(\.kind) == [
                "webhook", "slack", "teams", "pagerduty", "alertmanager", "command", "email",
            ]
        )
        let slack = try #require(configuration.notify.first { $0.name == "slack" })
        #expect(slack.rules.statuses == [.down])
        #expect(slack.rules.remind == nil)
        #expect(slack.rules.flap == HeraldRules.Flap())
        let alerts = try #require(configuration.notify.first { $0.name == "alertmanager" })
        #expect(alerts.rules.remind == .seconds(60))
        #expect(configuration.notify.first { $0.name == "pagerduty" }?.rules.batchMax == 1)
        #expect(configuration.maintenance.map(\.name) == ["patches"])
    }

    @Test(arguments: [
        ("- {}", "expected one of webhook"),
        ("- slack: {}", "expected 'url'"),
        ("- slack: {url: \"ftp://x/secret\"}", "begins with http:// or https://"),
        ("- slack: {url: \"http://x/\", bogus: 1}", "has no setting 'bogus'"),
        ("- {slack: {url: \"http://x/\"}, teams: {url: \"http://x/\"}}", "make two receivers"),
        ("- slack: {url: \"http://x/\"}\n  - slack: {url: \"http://y/\"}", "a name of its own"),
        ("- {slack: {url: \"http://x/\"}, status: [up]}", "which 'up' is not"),
        ("- {slack: {url: \"http://x/\"}, status: [dwn]}", "did you mean 'down'"),
        (
            "- {slack: {url: \"http://x/\"}, status: [dwn]}",
            "expected one of maint, down, drain, ejected, starting, degraded, unknown, saw 'dwn'"
        ),
        ("- webhook: {url: \"http://x/\", template: \"{{pear}}\"}", "saw 'pear'"),
        ("- webhook: {url: \"http://x/\", headers: {Host: y}}", "does not set itself"),
        ("- webhook: {url: \"http://x/\", tls: true}", "none beside a URL of http"),
        ("- pagerduty: {}", "expected 'key'"),
        (
            "- email: {server: \"mail.example.org:25\", security: none, user: u, password: p, from: a@b, to: [c@d]}",
            "in the clear"
        ),
        (
            "- email: {server: \"h:25\", from: \"a@b\\r\\nDATA\", to: [c@d]}",
            "expected mail addresses"
        ),
        (
            "- {slack: {url: \"http://x/\"}, quiet: [{from: \"25:00\", to: \"06:00\"}]}",
            "a time of the day"
        ),
        (
            "- {slack: {url: \"http://x/\"}, quiet: [{from: \"06:00\", to: \"06:00\"}]}",
            "saw the same"
        ),
        (
            "- {slack: {url: \"http://x/\"}, quiet: [{from: \"06:00\", to: \"07:00\", timezone: Mars}]}",
            "Europe/Berlin"
        ),
    ])
    func `mistakes are named with their place`(text: String, complaint: String) throws {
        do {
            _ = try load("notify:\n  \(text)\n")
            Issue.record("expected a mistake in \(text)")
        } catch let error as ConfigurationError {
            #expect(error.description.contains(complaint), "\(error)")
            #expect(error.description.contains(":6:") || error.description.contains(":7:"))
            #expect(!error.description.contains("secret"))
        }
    }

    @Test(arguments: [
        ("- {from: \"01:00\", to: \"02:00\"}", "expected 'upstreams'"),
        ("- {upstreams: [wep], from: \"01:00\", to: \"02:00\"}", "did you mean 'web'"),
        ("- {upstreams: [web], to: \"02:00\"}", "expected 'from'"),
        ("- {upstreams: [web], from: \"01:00\", to: \"02:00\", days: [sunday]}", "sunday"),
    ])
    func `mistakes in maintenance`(text: String, complaint: String) throws {
        do {
            _ = try load("maintenance:\n  \(text)\n")
            Issue.record("expected a mistake in \(text)")
        } catch let error as ConfigurationError {
            #expect(error.description.contains(complaint), "\(error)")
            // A key that is there and wrong is not told of as one that is missing.
            let isMissing = complaint == "expected 'upstreams'"
            #expect(error.description.contains("expected 'upstreams'") == isMissing, "\(error)")
        }
    }

    @Test(arguments: [
        (
            "[wbe]",
            "notify[0].upstreams: expected an upstream of this file, saw 'wbe'; did you mean 'web'?"
        ),
        (
            "[\"shop-*\"]",
            "notify[0].upstreams: expected an upstream of this file, saw 'shop-*'; until"
        ),
        ("[web, \"we*\", \"*\"]", nil),
    ])
    func `an upstream that nobody has is warned of, and no mistake`(
        names: String,
        complaint: String?
    ) throws {
        let receiver = "{slack: {url: \"http://x/\"}, upstreams: \(names)}"
        let warnings = try load("notify:\n  - \(receiver)\n").warnings.map(\.description)
        #expect(warnings.contains { $0.contains("upstream of this file") } == (complaint != nil))
        if let complaint { #expect(warnings.contains { $0.contains(complaint) }, "\(warnings)") }
    }

    @Test func `a time zone knows summer`() throws {
        let configuration = try load(
            "maintenance:\n  - {upstreams: [\"*\"], from: \"02:00\", to: \"04:00\", timezone: Europe/Berlin}\n"
        )
        let zone = try #require(configuration.maintenance.first).window.zone
        let winter = try #require(WallTime(rfc3339: "2026-01-15T12:00:00Z"))
        let summer = try #require(WallTime(rfc3339: "2026-07-15T12:00:00Z"))
        #expect(zone.offset(winter) == .seconds(3_600))
        #expect(zone.offset(summer) == .seconds(7_200))
    }
}

@Suite struct StatusPageSettingsTests {
    @Test func `a page needs an address, and shows upstreams that are there`() throws {
        let web = "upstreams:\n  web:\n    peers: [\"127.0.0.1:1\"]\n    monitors: [tcp]\n"
        let page = try #require(
            try Scratch([
                "muster.yaml": web + "status-page: {bind: \"127.0.0.1:7080\", upstreams: web}\n"
            ])
            .load().statusPage
        )
        #expect(page.upstreams == ["web"] && page.title == "Status")
        for (text, complaint) in [
            ("status-page: {}", "expected 'bind'"),
            ("status-page: {bind: \"127.0.0.1:7000\"}", "taken already"),
            ("status-page: {bind: \"127.0.0.1:7080\", upstreams: [wep]}", "did you mean 'web'"),
            ("history: {keep: 1s}", "a duration from 1h"),
            ("history: {size: 1g}", "a size from"),
        ] {
            let complaints = try complaints(web + text + "\n")
            #expect(complaints.contains { $0.contains(complaint) }, "\(complaints)")
        }
    }
}
