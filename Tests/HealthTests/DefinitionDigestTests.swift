// Does the digest of a definition count all that is defined, and nothing else?

import Testing
import Vocabulary

@testable import Health

@Suite struct DefinitionDigestTests {
    private static let peers: [String: PeerDefinition] = {
        let peer = PeerDefinition(address: .host("10.0.0.1", port: 80))
        let changes: [(String, (inout PeerDefinition) -> Void)] = [
            ("id", { $0.id = "other" }), ("address", { $0.address = .host("10.0.0.1", port: 81) }),
            ("weight", { $0.weight = 2 }), ("isBackup", { $0.isBackup = true }),
            ("isDisabled", { $0.isDisabled = true }), ("maxFails", { $0.maxFails = 2 }),
            ("failTimeout", { $0.failTimeout = .seconds(11) }),
            ("maxConnections", { $0.maxConnections = 5 }), ("zone", { $0.zone = "a" }),
        ]
        return Dictionary(
            uniqueKeysWithValues: [("", peer)]
                + changes.map { name, change in
                    var other = peer
                    change(&other)
                    return (name, other)
                }
        )
    }()

    private static let upstreams: [String: UpstreamDefinition] = {
        let upstream = UpstreamDefinition(name: "web", peers: [])
        let changes: [(String, (inout UpstreamDefinition) -> Void)] = [
            ("name", { $0.name = "api" }),
            ("balance", { $0.balance = BalanceDefinition(name: "first") }),
            ("slowStart", { $0.slowStart = .seconds(1) }),
            ("panicThreshold", { $0.panicThreshold = 0.5 }), ("onDown", { $0.onDown = .keep }),
            ("allDown", { $0.allDown = .failClosed }), ("trying", { $0.trying.retries = 3 }),
            ("eject", { $0.eject.isOff = true }),
            ("queue", { $0.queue.size = 1 }), ("hedge", { $0.hedge = HedgeDefinition() }),
            ("isLenient", { $0.isLenient = true }), ("sourceAnswer", { $0.sourceAnswer = 502 }),
            ("sticky", { $0.sticky = StickyDefinition(cookie: "peer") }),
        ]
        return Dictionary(
            uniqueKeysWithValues: [("", upstream)]
                + changes.map { name, change in
                    var other = upstream
                    change(&other)
                    return (name, other)
                }
        )
    }()

    @Test func `each property of a peer counts`() throws {
        let properties = Set(Mirror(reflecting: try #require(Self.peers[""])).children.map(\.label))
        #expect(properties.count == Self.peers.count - 1)
        #expect(Set(Self.peers.values.map(\.digest)).count == Self.peers.count)
    }

    @Test func `each property of an upstream counts, and its peers by themselves`() throws {
        let properties = Mirror(reflecting: try #require(Self.upstreams[""])).children
        #expect(properties.count == Self.upstreams.count, "all of them, and the peers")
        #expect(Set(Self.upstreams.values.map(\.ownDigest)).count == Self.upstreams.count)
    }

    @Test func `each property of waiting counts`() {
        var upstreams = [UpstreamDefinition](
            repeating: UpstreamDefinition(name: "web", peers: []),
            count: 3
        )
        upstreams[1].queue.size = 1
        upstreams[2].queue.timeout = .zero
        #expect(Mirror(reflecting: upstreams[0].queue).children.count == upstreams.count - 1)
        #expect(Set(upstreams.map(\.ownDigest)).count == upstreams.count)
    }

    @Test func `each property of hedging counts`() {
        let hedges: [HedgeDefinition?] = [
            nil, HedgeDefinition(), HedgeDefinition(after: .share(0.9)),
            HedgeDefinition(after: .time(.seconds(1))), HedgeDefinition(budget: 0.1),
        ]
        let digests = hedges.map { hedge in
            var upstream = UpstreamDefinition(name: "web", peers: [])
            upstream.hedge = hedge
            return upstream.ownDigest
        }
        #expect(Set(digests).count == hedges.count)
        #expect(
            hedges.map { $0?.description } == [
                nil, "p95, 5%", "p90, 5%", "1s, 5%", "p95, 10%",
            ]
        )
        #expect(HedgeDefinition(after: .share(0.999), budget: 0.005).description == "p99.9, 0.5%")
    }

    @Test func `each property of ejecting counts`() {
        let plain = EjectDefinition()
        let changes: [(inout EjectDefinition) -> Void] = [
            { $0.isOff = true }, { $0.failures = 6 }, { $0.rate.above = 4 },
            { $0.rate.minRequests = 21 }, { $0.rate.window = .seconds(3) },
            { $0.silence = .zero }, { $0.time = .seconds(11) }, { $0.maxTime = .seconds(301) },
            { $0.maxShare = 0.6 },
        ]
        let digests = changes.map { change in
            var other = plain
            change(&other)
            return other.digest
        }
        let rates = Mirror(reflecting: plain.rate).children.count
        #expect(Mirror(reflecting: plain).children.count + rates - 1 == changes.count)
        #expect(Set(digests + [plain.digest]).count == changes.count + 1)
    }

    @Test func `each property of trying again counts`() {
        let plain = TryingDefinition()
        let changes: [(inout TryingDefinition) -> Void] = [
            { $0.occasions = .connectFailure }, { $0.statuses = [503] }, { $0.retries = 3 },
            { $0.budgetShare = 0.3 }, { $0.budgetMin = 4 }, { $0.key = "header:x" },
            { $0.reuse = .always },
        ]
        let digests = changes.map { change in
            var other = plain
            change(&other)
            return other.digest
        }
        #expect(Mirror(reflecting: plain).children.count == changes.count)
        #expect(Set(digests + [plain.digest]).count == changes.count + 1)
    }

    @Test func `where a setting stands counts neither for the digest nor as a change`() {
        func upstream(line: Int, _ value: String) -> UpstreamDefinition {
            let place = Position(file: "a.yaml", line: line, column: 1)
            let setting = Setting(.scalar(value, isQuoted: false), at: place)
            return UpstreamDefinition(
                name: "web",
                peers: [],
                balance: BalanceDefinition(
                    name: "consistent-hash",
                    settings: [.init(key: "header", position: place, value: setting)],
                    position: place
                )
            )
        }
        #expect(upstream(line: 1, "x") == upstream(line: 2, "x"))
        #expect(upstream(line: 1, "x").ownDigest == upstream(line: 2, "x").ownDigest)
        #expect(upstream(line: 1, "x") != upstream(line: 1, "y"))
        #expect(upstream(line: 1, "x").ownDigest != upstream(line: 1, "y").ownDigest)
    }

    @Test func `of what is secret only counts that it is there`() {
        func content(_ key: String, _ value: String) -> String {
            let place = Position(file: "a.yaml", line: 1, column: 1)
            let setting = Setting(.scalar(value, isQuoted: false), at: place)
            return Setting(
                .map([.init(key: key, position: place, value: setting)]),
                at: place
            ).content
        }
        #expect(content("password", "hunter2") == content("password", "hunter3"))
        #expect(content("password", "x") != content("auth", "x"))
        #expect(content("path", "/a") != content("path", "/b"))
        #expect(!content("url", "redis://u:hunter2@h").contains("hunter2"))
    }
}
