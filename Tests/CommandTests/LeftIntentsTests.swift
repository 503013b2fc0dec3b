// Does an operator hear of the orders that a reload leaves without their peers?

import Health
import Monitor
import Settings
import TestSupport
import Testing
import Vocabulary

@testable import muster

@Suite struct LeftIntentsTests {
    private static let base = """
        upstreams:
          web:
            peers:
              - { id: p1, address: "127.0.0.1:9001" }
              - { id: p2, address: "127.0.0.1:9002" }

        """
    private static let web1 = PeerKey(upstream: "web", peer: "p1")
    private static let now = WallTime(milliseconds: 1_800_000_000_000)
    private static let drained = Intent(
        mode: .drain,
        reason: "deploy",
        until: now + .seconds(60)
    )
    private static let end = "until \(now + .seconds(60))"

    private func lines(
        _ intents: [PeerKey: Intent],
        _ word: String,
        _ replacement: String
    ) throws -> [String] {
        let folder = try TemporaryDirectory()
        let old = try MusterConfiguration.load(try folder.write(Self.base, to: "old.yaml"))
        let text = Self.base.replacing(word, with: replacement)
        let new = try MusterConfiguration.load(try folder.write(text, to: "new.yaml"))
        return LeftIntents(
            intents,
            CatalogueChange.all(from: old, to: new),
            from: old,
            now: Self.now
        ).lines
    }

    @Test(arguments: [
        (
            "{ id: p1,", "{ id: q1,", drained,
            "web/p1 is drained (deploy, \(end)) and is no longer defined; the drain is kept and holds "
                + "again when web/p1 is defined again; web/q1 at the same address serves without that "
                + "drain"
        ),
        (
            "web:", "api:", drained,
            "web/p1 is drained (deploy, \(end)) and is no longer defined; the drain is kept and holds "
                + "again when web/p1 is defined again; api/p1 at the same address serves without that "
                + "drain"
        ),
        (
            #"- { id: p1, address: "127.0.0.1:9001" }"#, "", Intent(mode: .maint),
            "web/p1 is in maintenance and is no longer defined; the maintenance is kept and holds "
                + "again when web/p1 is defined again"
        ),
        (
            "{ id: p1,", "{ id: q1,", Intent(weight: 5, weightReason: "cold"),
            "web/p1 has the operator's weight 5 (cold) and is no longer defined; the weight is kept "
                + "and holds again when web/p1 is defined again; web/q1 at the same address serves "
                + "without that weight"
        ),
        (
            "{ id: p1,", "{ id: q1,", Intent(mode: .ready, reason: "tested", weight: 5),
            "web/p1 was set ready (tested), has the operator's weight 5 and is no longer defined; the "
                + "order and weight are kept and hold again when web/p1 is defined again; web/q1 at "
                + "the same address serves without them"
        ),
        (
            "web:", "a: { peers: [127.0.0.1:9001] }\n  b: { peers: [127.0.0.1:9001] }\n  api:",
            Intent(mode: .drain),
            "web/p1 is drained and is no longer defined; the drain is kept and holds again when web/p1 "
                + "is defined again; a/127.0.0.1:9001, api/p1, b/127.0.0.1:9001 at the same address "
                + "serve without that drain"
        ),
    ])
    func `who is gone is named, with what holds, until when, and who serves in its place`(
        word: String,
        replacement: String,
        intent: Intent,
        line: String
    ) throws {
        #expect(try lines([Self.web1: intent], word, replacement) == [line])
    }

    @Test(arguments: [
        // It is still there, at another address.
        ([web1: drained], "127.0.0.1:9001", "127.0.0.1:9009"),
        // Nothing was asked for of the one that goes.
        ([PeerKey(upstream: "web", peer: "p2"): drained], "{ id: p1,", "{ id: q1,"),
        // It was gone before.
        ([PeerKey(upstream: "web", peer: "p3"): drained], "{ id: p1,", "{ id: q1,"),
        // It has ended.
        ([web1: Intent(mode: .drain, until: now)], "{ id: p1,", "{ id: q1,"),
    ])
    func `what is not left without a peer is not told of`(
        intents: [PeerKey: Intent],
        word: String,
        replacement: String
    ) throws {
        #expect(try lines(intents, word, replacement).isEmpty)
    }

    @Test func `a peer in its place that has the same order is nobody who serves`() throws {
        let intents = [Self.web1: Self.drained, PeerKey(upstream: "web", peer: "q1"): Self.drained]
        let lines = try lines(intents, "{ id: p1,", "{ id: q1,")
        #expect(lines.count == 1)
        #expect(lines.allSatisfy { $0.hasSuffix("when web/p1 is defined again") }, "\(lines)")
    }

    @Test func `of very many the first are told, and the number of the others`() throws {
        let folder = try TemporaryDirectory()
        let peers = (10..<25).map { "127.0.0.1:90\($0)" }
        let old = try MusterConfiguration.load(
            try folder.write("upstreams: { web: { peers: \(peers) } }\n", to: "old.yaml")
        )
        let new = try MusterConfiguration.load(
            try folder.write("upstreams: { web: { peers: [127.0.0.1:1] } }\n", to: "new.yaml")
        )
        let intents = Dictionary(
            uniqueKeysWithValues: peers.map {
                (PeerKey(upstream: "web", peer: $0), Intent(mode: .drain))
            }
        )
        let lines = LeftIntents(
            intents,
            CatalogueChange.all(from: old, to: new),
            from: old,
            now: Self.now
        ).lines
        #expect(lines.count == LeftIntents.namesMax + 1)
        #expect(lines.first?.hasPrefix("web/127.0.0.1:9010 is drained and") == true)
        #expect(lines.last == "of 5 more peers the same")
    }
}
