// Does the model do what Redis does? The same calls, by chance, to the scripts in a real server and to the
// value that the simulation runs on: every answer, every letter and what lies there in the end are the same.

import EventLoop
import Fleet
import Health
import Redis
import TestSupport
import Testing
import Vocabulary

@testable import Simulation

@Suite struct StoreModelTests {
    @Test(arguments: UInt64(1)...8)
    func `the model and Redis answer alike, whatever is called`(seed: UInt64) async throws {
        guard ChildProcess.find("redis-server") != nil else {
            Issue.record("redis-server is not installed")
            return
        }
        let loop = try EventLoop.spawn(name: "model")
        defer { loop.stop() }
        try await withTaskExecutorPreference(loop) {
            let folder = try TemporaryDirectory()
            let url = RedisURL(address: .unix(path: folder.path("r.sock")))
            let server = try ChildProcess(
                "redis-server",
                [
                    "--port", "0", "--unixsocket", folder.path("r.sock"), "--save", "",
                    "--appendonly", "no", "--dir", folder.path,
                ],
                in: folder
            )
            defer { server.end() }
            let isReady = await eventually(within: .seconds(30)) {
                guard let connection = try? await RedisConnection.connect(to: url, on: loop) else {
                    return false
                }
                connection.close()
                return true
            }
            #expect(isReady)
            let connection = try await RedisConnection.connect(to: url, on: loop)
            defer { connection.close() }
            var trial = try await Trial(connection, seed: seed)
            for step in 0..<3_000 where !trial.hasFailed { try await trial.step(step) }
            try await trial.compareContent()
            let missing = Trial.allKinds.subtracting(trial.kinds.keys)
            #expect(missing.isEmpty, "saw \(trial.kinds)")
        }
    }
}

/// One run of calls by chance.
private struct Trial {
    private struct Agent {
        var id: String
        var instance: UInt64
        var era: UInt64 = 0
        var count: UInt64 = 0
        var roster: UInt64 = 0
    }

    private let connection: RedisConnection
    private var scripts: [FleetScript: String] = [:]
    private var model: StoreModel
    private var dice: Dice
    private var agents: [Agent]
    private var epochs: [VerdictKey: UInt64] = [:]
    private var sequence: UInt64 = 0
    private var lastLetter: [String: String] = [:]
    private var published: [Int: FleetCall] = [:]
    private let pairs: [VerdictKey]
    private(set) var hasFailed = false
    /// What was answered, by kind.
    private(set) var kinds: [String: Int] = [:]

    private static let prefix = "m:"
    private static let patience = Nanoseconds.seconds(30)

    init(_ connection: RedisConnection, seed: UInt64) async throws {
        self.connection = connection
        dice = Dice(seed: seed)
        model = StoreModel(clock: 1_800_000_000_000, replid: 1)
        agents = ["a", "b", "c", "a", "agent with blanks"].enumerated().map {
            Agent(id: $0.element, instance: UInt64(100 + $0.offset))
        }
        pairs = (0..<6).map {
            VerdictKey(upstream: "web", peer: "10.0.0.\($0):80", monitor: "http")
        }
        let surroundings = """
            local raw = tonumber(redis.call('GET', 'test:clock'))
            local function server() return redis.call('GET', 'test:replid') end

            """
        for script in FleetScript.allCases {
            let reply = try await connection.command(
                ["SCRIPT", "LOAD", script.source(surroundings: surroundings)],
                timeout: Self.patience
            )
            if case .error(let text) = reply { Issue.record("\(script): \(text)") }
            scripts[script] = reply.text
        }
    }

    // MARK: Writing

    private static let writing = FleetWriting(
        field: { "\($0.upstream)|\($0.peer)|\($0.monitor)" },
        key: { text in
            let parts = text.split(separator: "|").map(String.init)
            return parts.count == 3
                ? VerdictKey(upstream: parts[0], peer: parts[1], monitor: parts[2]) : nil
        },
        text: { verdict in
            JSON.object([
                .init("status", .string(verdict.status.rawValue)),
                .init("health", .integer(Int64(verdict.health))),
                .init("agent", .string(verdict.agent)),
                .init("epoch", .integer(Int64(verdict.epoch))),
                .init("sequence", .integer(Int64(verdict.sequence))),
                .init("checked_at", .integer(verdict.checkedAt.milliseconds)),
                .init("found", verdict.isFound ? .null : .bool(false)),
                .init("expires_at", .integer(verdict.expiresAt.milliseconds)),
            ]).withoutNulls().text
        },
        verdict: { key, text in
            guard let json = try? JSON(parsing: Array(text.utf8)),
                let status = json["status"]?.string.flatMap(HealthCounter.Status.init(rawValue:)),
                let health = json["health"]?.int, let agent = json["agent"]?.string,
                let epoch = json["epoch"]?.integer, let sequence = json["sequence"]?.integer,
                let expires = json["expires_at"]?.integer,
                let checked = json["checked_at"]?.integer
            else { return nil }
            var read = Self.verdict(
                key,
                status,
                health,
                agent,
                UInt64(epoch),
                UInt64(sequence),
                WallTime(milliseconds: expires)
            )
            read.checkedAt = WallTime(milliseconds: checked)
            read.isFound = json["found"]?.bool ?? true
            return read
        }
    )

    private static func verdict(
        _ key: VerdictKey,
        _ status: HealthCounter.Status,
        _ health: Int,
        _ agent: String,
        _ epoch: UInt64,
        _ sequence: UInt64,
        _ expiresAt: WallTime
    ) -> Verdict {
        Verdict(
            key: key,
            kind: "http",
            status: status,
            health: health,
            rise: 2,
            fall: 3,
            reason: .layer7OK,
            latency: .zero,
            since: WallTime(milliseconds: 0),
            checkedAt: WallTime(milliseconds: 0),
            expiresAt: expiresAt,
            agent: agent,
            epoch: epoch,
            sequence: sequence
        )
    }

    // MARK: Steps

    private mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &dice) < percent
    }

    private mutating func number(_ range: ClosedRange<Int64>) -> Int64 {
        Int64.random(in: range, using: &dice)
    }

    mutating func step(_ step: Int) async throws {
        switch number(0...999) {
        case 0..<800: model.clock += number(0...300)
        case 800..<930: model.clock += number(300...1_200)
        case 930..<960: model.clock += number(2_000...5_000)
        case 960..<980: model.clock -= number(1...3_000)
        case 980..<988:
            model.replid += 1
        case 992..<996: model.tellsServer.toggle()
        case 988..<992:
            model.flush()
            lastLetter = [:]
            try await command(["FLUSHDB"])
        default: break
        }
        try await command(["SET", "test:clock", "\(model.clock)"])
        let server = model.tellsServer ? "\(model.replid)" : ""
        try await command(["SET", "test:replid", server])

        if number(0...39) == 0 { try await forge() }

        let index = Int(number(0...Int64(agents.count - 1)))
        let call = try makeCall(index)
        var agent = agents[index]
        var signature = Signature(
            agent: agent.id,
            instance: agent.instance,
            era: agent.era,
            count: agent.count
        )
        if chance(4), signature.era > 0 { signature.era &-= 1 }
        // One that knows a later era than lies there: each makes a new one.
        if number(0...199) == 0 { signature.era &+= 1 }
        if chance(4), signature.count > 0 { signature.count -= 1 }

        let expected = model.perform(signature, call)
        let words = try await perform(call.words(signature, Self.writing), call.script)
        let seen = FleetReply(words, to: call, by: signature, Self.writing)
        if seen != expected {
            hasFailed = true
            Issue.record("step \(step) \(call) by \(signature): expected \(expected), saw \(words)")
            return
        }
        for kind in Self.kinds(of: expected) { kinds[kind, default: 0] += 1 }
        learn(expected, &agent, index)
        try await compareLetters(step)
        _ = model.takeChanged()
    }

    /// Somebody writes there by hand what nobody can have reached, or just so.
    private mutating func forge() async throws {
        guard let pair = pairs.randomElement(using: &dice) else { return }
        let (field, latest) = (Self.writing.field(pair), model.clock + FleetTerms.epochLead)
        let few = [latest - number(-2...5), 1 << 47, 1 << 48, 1 << 53]
        let epoch = UInt64(few.randomElement(using: &dice) ?? 1)
        switch number(0...9) {
        case 0...4:
            guard var verdict = model.verdict(of: pair) else { return }
            if chance(50) {
                verdict.epoch = epoch
            } else {
                verdict.sequence = 1 << 53 - UInt64(number(0...2))
            }
            // As somebody who takes it for no secret who vouches for what: or nobody does.
            model.content.verdicts[pair] = verdict
            model.content.vouching[pair] = nil
            try await command(["HSET", Self.prefix + "verdicts", field, Self.writing.text(verdict)])
        case 5...8:
            let holding = StoreModel.Holding(
                epoch: epoch,
                era: chance(50) ? model.era : model.era &- 1,
                agent: agents.randomElement(using: &dice)?.id ?? "",
                instance: UInt64(number(100...104)),
                from: model.clock
            )
            model.content.claims[pair] = holding
            let words =
                "\(holding.epoch) \(holding.era) \(holding.instance) \(holding.from) 0 0 "
                + holding.agent
            try await command(["HSET", Self.prefix + "claims", field, words])
        default:
            if model.era == 0 { return }
            let time = WallTime(milliseconds: model.clock)
            let era = FleetTerms.latestEra(at: time) - 3 + UInt64(number(0...5))
            model.content.era = era
            try await command(["HSET", Self.prefix + "fleet", "era", "\(era)"])
        }
    }

    private mutating func makeCall(_ index: Int) throws -> FleetCall {
        let few = pairs.shuffled(using: &dice).prefix(Int(number(1...3)))
        switch number(0...9) {
        case 0...3:
            agents[index].count += 1
            var beat = FleetCall.Beat()
            beat.state = chance(90) ? .working : chance(70) ? .leaving : .gone
            beat.weight = chance(85) ? 1 : chance(50) ? 2.5 : 0
            beat.lag = .milliseconds(chance(80) ? number(0...100) : number(400...4_000))
            beat.doubt = chance(90) ? 0 : 70
            beat.isSilent = chance(8)
            beat.roster = agents[index].roster
            beat.asksServer = chance(60)
            return .beat(beat)
        case 4...6:
            let claims = few.map { pair in
                var claim = FleetCall.Claim(
                    pair,
                    FleetCall.Reason.allCases.randomElement(using: &dice) ?? .rank
                )
                claim.epoch = epochs[pair] ?? 0
                if chance(20) { claim.epoch += UInt64(number(0...3)) }
                if chance(2) { claim.epoch = UInt64(model.clock + FleetTerms.epochLead) - 2 }
                if chance(2) { claim.epoch = 1 << 60 }
                claim.holder = agents.randomElement(using: &dice)?.id ?? ""
                claim.mark = WallTime(milliseconds: model.clock - number(-200...4_000))
                return claim
            }
            return .claim(roster: chance(95) ? agents[index].roster : 1, Array(claims))
        case 7...8:
            // Word by word as before.
            if chance(30), let last = published[index] { return last }
            let call = FleetCall.publish(
                few.map { pair in
                    sequence += 1
                    let epoch = (epochs[pair] ?? 1) &+ (chance(10) ? 1 : 0)
                    let isUp = chance(50)
                    var one = FleetCall.Publication(
                        pair: pair,
                        epoch: epoch,
                        sequence: chance(40) ? sequence : 1
                    )
                    one.isVouched = chance(60)
                    // Now and then as by somebody who knows no claims.
                    one.verdict = Self.verdict(
                        pair,
                        isUp ? .up : .down,
                        isUp ? 4 : 0,
                        agents[index].id,
                        epoch &+ (chance(5) ? 2 : 0),
                        sequence,
                        WallTime(milliseconds: model.clock + number(-2_000...5_000))
                    )
                    if sequence % 5 == 0 { one.verdict?.isFound = false }
                    return one
                }
            )
            published[index] = call
            return call
        default:
            if chance(50) {
                // Nothing is whichever epoch it is held under.
                return .release(
                    few.map { .init(pair: $0, epoch: chance(20) ? 0 : epochs[$0] ?? 1) }
                )
            }
            let pair = few.first ?? pairs[0]
            let ask = Ask(
                by: agents[index].id,
                epoch: epochs[pair] ?? 1,
                number: 3,
                askedAt: WallTime(milliseconds: model.clock)
            )
            return .tell([
                .init(to: "b", .asked(pair, ask)),
                .init(
                    to: "agent with blanks",
                    .voted(
                        pair,
                        Vote(
                            by: agents[index].id,
                            word: .fails,
                            epoch: 1,
                            number: 2,
                            at: ask.askedAt
                        )
                    )
                ),
                .init(to: "b", .offered(pair, epoch: 4, by: agents[index].id)),
            ])
        }
    }

    private static func kinds(of reply: FleetReply) -> [String] {
        func head(_ value: some Any) -> String { String("\(value)".prefix { $0 != "(" }) }
        switch reply {
        case .refused(let refusal): return [head(refusal)]
        case .beaten(let answer):
            return [
                answer.isMember ? "member" : "guest", answer.late.isEmpty ? "in-time" : "late",
                answer.members == nil ? "known-roster" : "roster",
                answer.doubting.isEmpty ? "sure" : "doubting",
            ]
        case .claimed(_, _, let answers): return answers.map { "claim " + head($0) }
        case .published(let answers): return answers.map { "publish " + head($0) }
        case .done(let count): return [count > 0 ? "done" : "done-nothing"]
        }
    }

    /// Every answer that there is, or the comparison is worth little.
    static let allKinds: Set = [
        "era", "lease", "roster", "taken", "expired", "twin", "member", "guest", "late", "in-time",
        "roster", "known-roster", "sure", "doubting", "claim granted", "claim held", "claim fresh",
        "claim joining", "claim frozen", "publish written", "publish held", "publish known", "done",
        "done-nothing",
    ]

    private mutating func learn(_ reply: FleetReply, _ agent: inout Agent, _ index: Int) {
        agent = agents[index]
        switch reply {
        case .beaten(let answer):
            agent.era = answer.era
            agent.roster = answer.roster
        case .refused(.expired), .refused(.twin):
            agent.instance += 1_000
            agent.count = 0
        case .refused(.era(let era)): if chance(50) { agent.era = era }
        default: break
        }
        agents[index] = agent
        for pair in pairs { epochs[pair] = model.holding(of: pair)?.epoch }
    }

    // MARK: Comparing

    private func command(_ words: [String]) async throws {
        let reply = try await connection.command(words, timeout: Self.patience)
        if case .error(let text) = reply { Issue.record("\(words): \(text)") }
    }

    private func perform(_ words: [String], _ script: FleetScript) async throws -> [String] {
        let keys = FleetScript.keys(prefix: Self.prefix)
        let reply = try await connection.command(
            ["EVALSHA", scripts[script] ?? "", "\(keys.count)"] + keys + words,
            timeout: Self.patience
        )
        guard let items = reply.array else { return ["\(reply)"] }
        return items.map { $0.text ?? "\($0)" }
    }

    private mutating func compareLetters(_ step: Int) async throws {
        let expected = model.takeLetters()
        var seen: [FleetCall.Letter] = []
        for to in Set(expected.map(\.to)).sorted() {
            let from = lastLetter[to].map { "(" + $0 } ?? "-"
            let reply = try await connection.command(
                ["XRANGE", Self.prefix + "to:" + to, from, "+"],
                timeout: Self.patience
            )
            for entry in reply.array ?? [] {
                lastLetter[to] = entry.array?.first?.text
                let words = (entry.array?.last?.array ?? []).map { $0.text ?? "" }
                if let hint = FleetHint(words, Self.writing) { seen.append(.init(to: to, hint)) }
            }
        }
        let sorted = expected.sorted { $0.to < $1.to }
        // A stable order within one inbox: as they were written.
        for to in Set(sorted.map(\.to)) {
            let (one, other) = (expected.filter { $0.to == to }, seen.filter { $0.to == to })
            if one != other {
                hasFailed = true
                Issue.record("step \(step): expected \(one) in the inbox of \(to), saw \(other)")
            }
        }
    }

    func compareContent() async throws {
        let claims = try await connection.command(
            ["HGETALL", Self.prefix + "claims"],
            timeout: Self.patience
        )
        var seen: [String: String] = [:]
        let words = (claims.array ?? []).map { $0.text ?? "" }
        for index in stride(from: 0, to: words.count, by: 2) {
            seen[words[index]] = words[index + 1]
        }
        var expected: [String: String] = [:]
        for (pair, one) in model.content.claims {
            expected[Self.writing.field(pair)] =
                "\(one.epoch) \(one.era) \(one.instance) \(one.from) \(one.before) "
                + "\(one.beforeInstance) \(one.agent)"
        }
        #expect(seen == expected)
        let fleet = try await connection.command(
            [
                "HMGET", Self.prefix + "fleet", "era", "roster", "last", "shift", "resumed",
                "frozen", "look", "size",
            ],
            timeout: Self.patience
        )
        let content = model.content
        let numbers = [
            "\(content.era)", "\(content.roster)", "\(content.last)", "\(content.shift)",
            "\(content.resumed)", "\(content.frozen)", "\(content.look)", "\(model.roster.count)",
        ]
        #expect((fleet.array ?? []).map { $0.text ?? "" } == numbers)
        let revision = try await connection.command(
            ["GET", Self.prefix + "revision"],
            timeout: Self.patience
        )
        #expect(revision.text ?? "0" == "\(content.revision)")
    }
}
