// Where do an agent and its peers stand?

import Settings
import Testing

@Suite struct ZoneSettingsTests {
    private static func text(_ agent: String, _ peer: String) -> String {
        "agent: {id: a, zone: \(agent)}\nupstreams:\n  web:\n    peers:\n"
            + "      - {address: \"127.0.0.1:1\", zone: \(peer)}\n"
    }

    @Test func `is read`() throws {
        let configuration = try load(Self.text("eu-1", "eu-2"))
        #expect(configuration.agent.zone == "eu-1")
        #expect(configuration.proxy.zone == "eu-1")
        #expect(configuration.upstreams[0].definition.peers[0].zone == "eu-2")
        let nowhere = try load(Self.text("", ""))
        #expect(nowhere.agent.zone == nil)
        #expect(nowhere.upstreams[0].definition.peers[0].zone == nil)
    }

    @Test func `what is no name is refused`() throws {
        let complaints = try complaints(Self.text("\"a b\"", "[x]"))
        #expect(complaints.count == 2)
        #expect(complaints.first?.contains("agent.zone: expected a name") == true)
        #expect(complaints.last?.contains("zone: expected a text") == true)
    }
}
