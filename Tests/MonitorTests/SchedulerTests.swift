// Does the shell around the pure parts probe whom it should, when it should, and pass on what came
// of it? On a real loop, with checks that answer what the test wants.

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Monitor

@Suite struct SchedulerTests {
    let peer = "127.0.0.1:9001"
    let key = VerdictKey(upstream: "web", peer: "127.0.0.1:9001", monitor: "http")

    @Test func `a peer goes down after fall failures and comes up after rise passes`() async throws
    {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [peer, key] rig in
            rig.define([.scripted(peers: [peer, "127.0.0.1:9002"], script: script)])
            #expect(await rig.comes { rig.board.upstream(named: "web")?.status == .up })

            script.set { "\($0.address)" == peer ? .refused : .pass }
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .down })
            script.set { _ in .pass }
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })

            let mine = rig.store.published.map(\.verdict).filter { $0.key == key }
            let statuses = mine.map(\.status)
            #expect(statuses.first == .up)
            let failing = mine.filter { $0.reason == .layer4Connect }
            #expect(failing.first?.status == .up, "the first failure only counts")
            #expect(failing.dropFirst().first?.status == .down)
            let transitions = rig.store.published.filter { $0.verdict.key == key }
                .filter(\.isTransition).map(\.verdict.status)
            #expect(transitions == [.up, .down, .up])
            #expect(mine.map(\.sequence) == mine.map(\.sequence).sorted())
            #expect(mine.allSatisfy { $0.agent == "a1" && $0.epoch == 1_000 })
        }
    }

    @Test func `probes come fast while a change is pending and slowly while down`() async throws {
        let script = Script { _ in .refused }
        try await Rig.inVirtualTime { [peer, key] rig in
            // Down at the first probe, then never looked at again, unless asked.
            rig.define([
                .scripted(
                    peers: [peer],
                    script: script,
                    interval: .milliseconds(50),
                    fastInterval: .milliseconds(1),
                    downInterval: .decades,
                    rise: 5
                )
            ])
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .down })
            let next = try #require(rig.scheduler.nextProbe(of: key))
            #expect(next - rig.loop.instant > .milliseconds(100))
            script.set { _ in .pass }
            _ = await rig.scheduler.probeNow(key)
            // Once a pass is counted the rest follow by themselves, a millisecond apart.
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })
            #expect(script.asked.count >= 6)
        }
    }

    @Test func `a peer that fails requests is probed at once, but not all the time`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [peer, key] rig in
            rig.define([
                .scripted(
                    peers: [peer],
                    script: script,
                    interval: .seconds(3_600),
                    fastInterval: .milliseconds(200)
                )
            ])
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })
            #expect(script.asked.count == 1)
            // It has just been probed.
            for _ in 0..<9 { rig.scheduler.suspect(key.peerKey, isSilent: false) }
            await rig.loop.advance(by: .milliseconds(100))
            #expect(script.asked.count == 1)
            await rig.loop.advance(by: .milliseconds(200))
            #expect(script.asked.count == 2)
            await rig.loop.advance(by: .seconds(1))
            #expect(script.asked.count == 2)
            rig.scheduler.suspect(key.peerKey, isSilent: false)
            await rig.loop.advance(by: .milliseconds(1))
            #expect(script.asked.count == 3)
        }
    }

    @Test func `silence is a failure once a probe finds it too`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [peer, key] rig in
            rig.define([
                .scripted(
                    peers: [peer],
                    script: script,
                    interval: .seconds(3_600),
                    fastInterval: .seconds(100),
                    fall: 3
                )
            ])
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })
            func health() -> Int? { rig.board.verdict(of: key)?.health }
            #expect(health() == 4)
            await rig.loop.advance(by: .seconds(1_000))
            rig.scheduler.suspect(key.peerKey, isSilent: true)
            await rig.loop.advance(by: .milliseconds(1))
            #expect(script.asked.count == 2)
            #expect(health() == 4, "the probe passed")
            await rig.loop.advance(by: .seconds(1_000))
            script.set { _ in .refused }
            rig.scheduler.suspect(key.peerKey, isSilent: true)
            await rig.loop.advance(by: .milliseconds(1))
            #expect(script.asked.count == 3)
            #expect(health() == 2, "the silence, and the probe")
            #expect(rig.board.view(of: key.peerKey)?.status == .up)
        }
    }

    /// The first packet of a connection gets lost: a line that loses every fifth is no dead peer.
    @Test func `no connection is no failure while requests are answered, but not for ever`()
        async throws
    {
        for isAnswering in [true, false] {
            let script = Script { _ in .pass }
            try await Rig.inVirtualTime { [peer, key] rig in
                rig.scheduler.hasAnswered = {
                    $0 == key.peerKey && $1 <= rig.loop.now && isAnswering
                }
                rig.define([.scripted(peers: [peer], script: script, interval: .seconds(100))])
                #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })
                func health() -> Int? { rig.board.verdict(of: key)?.health }
                let full = health() ?? 0
                // Four in a row are borne; each that gets through begins the count anew.
                for found in [Outcome.unconnected, .unconnected, .pass] {
                    script.set { _ in found }
                    _ = await rig.scheduler.probeNow(key)
                }
                script.set { _ in .unconnected }
                for _ in 0..<4 { _ = await rig.scheduler.probeNow(key) }
                #expect((health() == full) == isAnswering)
                if isAnswering { #expect(rig.board.view(of: key.peerKey)?.status == .up) }
                _ = await rig.scheduler.probeNow(key)
                #expect((health() ?? 0) < full)
                // An answer that does not come is another matter.
                script.set { _ in .pass }
                for _ in 0..<4 { _ = await rig.scheduler.probeNow(key) }
                #expect(health() == full)
                script.set { _ in .unanswered }
                _ = await rig.scheduler.probeNow(key)
                #expect((health() ?? 0) < full)
            }
        }
    }

    @Test func `a peer that goes as its monitor changes is probed no more`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [peer] rig in
            let other = "127.0.0.1:9002"
            rig.define([.scripted(peers: [peer, other], script: script)])
            #expect(await rig.comes { Set(script.asked.map(\.peer)) == [peer, other] })
            rig.define([
                .scripted(peers: [peer], script: script, interval: .milliseconds(30))
            ])
            let before = script.asked.count
            await rig.loop.advance(by: .seconds(1))
            let after = script.asked.dropFirst(before)
            #expect(after.count >= 30 && Set(after.map(\.peer)) == [peer])
            #expect(rig.scheduler.metrics.pairs == 1)
        }
    }

    @Test func `however long the interval, the first probe comes soon`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { rig in
            let peers = (1...50).map { "10.0.0.\($0):80" }
            rig.define([.scripted(peers: peers, script: script, interval: .decades)])
            for peer in peers {
                let key = VerdictKey(upstream: "web", peer: peer, monitor: "http")
                let next = try #require(rig.scheduler.nextProbe(of: key))
                #expect(next - rig.loop.instant <= .milliseconds(1_100))
            }
            let all = await rig.comes {
                Set(script.asked.map(\.peer)) == Set(peers)
            }
            #expect(all)
        }
    }

    @Test func `one pair has one probe in flight, and an address only so many`() async throws {
        let script = Script { _ in .pass }
        script.hold()
        try await Rig.inVirtualTime(limits: ProbeLimits(inFlight: 6, perAddress: 2)) { rig in
            // Five monitors on each of four addresses, once in decades: second turns are rare.
            let upstreams = (0..<5).map {
                MonitoredUpstream.scripted(
                    "u\($0)",
                    peers: (1...4).map { "10.0.0.\($0):80" },
                    script: script,
                    interval: .decades
                )
            }
            rig.define(upstreams)
            #expect(await rig.comes { script.waiting == 6 && rig.scheduler.metrics.waiting == 14 })
            #expect(rig.scheduler.metrics.inFlight == 6)
            // One ends, and whoever may begin does, until everybody has had a turn. The place that
            // is free belongs to nobody where all who wait are of addresses that have two already.
            let asked = { Set(script.asked.map { "\($0.upstream)/\($0.peer)" }).count }
            let isFull = {
                let running = script.running
                if running.values.reduce(0, +) == 6 { return true }
                let begun = Set(script.asked.map { "\($0.upstream)/\($0.peer)" })
                let left = upstreams.flatMap { upstream in
                    upstream.definition.peers.map(\.id)
                        .filter { !begun.contains("\(upstream.definition.name)/\($0)") }
                }
                return left.allSatisfy { running[$0] == 2 }
            }
            for ended in 1...20 where asked() < 20 {
                script.releaseOne()
                #expect(await rig.comes { script.ended == ended && isFull() })
            }
            #expect(asked() == 20)
            #expect(script.mostInAll == 6)
            #expect(script.mostAtOnce.values.allSatisfy { $0 <= 2 })
            script.release()
        }
    }

    @Test func `an upstream of silent peers leaves places to the others`() async throws {
        let silent = Script { _ in .pass }
        silent.hold()
        let quick = Script { _ in .pass }
        try await Rig.inVirtualTime(limits: ProbeLimits(inFlight: 8)) { [peer] rig in
            let black = MonitoredUpstream.scripted(
                "black",
                peers: (1...40).map { "10.0.0.\($0):80" },
                script: silent
            )
            rig.define([black, .scripted(peers: [peer], script: quick)])
            #expect(await rig.comes { quick.asked.count >= 20 })
            #expect(silent.waiting == 6, "three quarters of eight")
            // Gone with its probes in flight: the places come back when they end, and only then.
            rig.define([.scripted(peers: [peer], script: quick)])
            #expect(rig.scheduler.metrics.inFlight >= 6)
            silent.release()
            #expect(await rig.comes { rig.scheduler.metrics.inFlight == 0 })
            silent.hold()
            rig.define([black, .scripted(peers: [peer], script: quick)])
            #expect(await rig.comes { silent.waiting == 6 })
            silent.release()
        }
    }

    @Test func `a budget of starts is kept, and the lag is visible`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime(limits: ProbeLimits(perSecond: 50)) { rig in
            let peers = (1...100).map { "10.0.0.\($0):80" }
            let begin = rig.loop.instant
            rig.define([.scripted(peers: peers, script: script)])
            #expect(await rig.comes { rig.scheduler.metrics.waiting > 50 })
            #expect(await rig.comes { script.asked.count >= 60 })
            let complaints = rig.lines.all.filter { $0.contains("probes are late") }
            #expect(complaints.count == 1, "said once, not a hundred times")
            let seconds = (rig.loop.instant - begin).seconds
            #expect(Double(script.asked.count) <= 50 * seconds + 6)
            #expect(
                (rig.scheduler.metrics.lateness.quantile(0.9) ?? .seconds(60)) > .milliseconds(50)
            )
        }
    }

    @Test func `signs of life of a peer that is gone are kept: it may come back`() async throws {
        let script = Script { _ in .pass }
        let stays = "127.0.0.1:9002"
        try await Rig.inVirtualTime { [peer] rig in
            func hasBeat(_ peer: String) -> Bool {
                rig.heartbeats.last(upstream: "web", peer: peer) != nil
            }
            rig.define([.scripted(peers: [peer, stays], script: script)])
            for peer in [peer, stays] {
                let beat = Heartbeats.Sign(at: rig.loop.instant)
                rig.heartbeats.record(beat, upstream: "web", peer: peer)
            }
            rig.define([.scripted(peers: [stays], script: script)])
            #expect(hasBeat(peer) && hasBeat(stays))
            rig.define([])
            #expect(hasBeat(stays), "with its upstream")
        }
    }

    @Test func `where probes are late because no more may run, what to do is told`() async throws {
        let script = Script { _ in .pass }
        script.hold()
        var limits = ProbeLimits(inFlight: 2)
        limits.remedy = "raise it"
        try await Rig.inVirtualTime(limits: limits) { rig in
            rig.define([.scripted(peers: (1...8).map { "10.0.0.\($0):80" }, script: script)])
            #expect(await rig.comes { rig.scheduler.metrics.waiting == 6 })
            // Everybody who waits is late by more than an interval.
            await rig.loop.advance(by: .milliseconds(60))
            script.release()
            #expect(await rig.comes { rig.lines.all.contains { $0.contains("probes are late") } })
            let line = rig.lines.all.first { $0.contains("probes are late") }
            #expect(line?.hasSuffix("2 are in flight, as many as may be: raise it") == true)
        }
    }

    @Test func `a pair that was removed takes no result, and its verdict is forgotten`()
        async throws
    {
        let script = Script { _ in .pass }
        script.hold()
        try await Rig.inVirtualTime { [peer, key] rig in
            rig.define([.scripted(peers: [peer], script: script)])
            #expect(await rig.comes { script.waiting == 1 })
            rig.define([])
            #expect(rig.store.forgotten == [key])
            // The row is used again, by another pair, while the probe of the first is in flight.
            rig.define([.scripted(peers: ["127.0.0.1:9002"], script: script)])
            script.set { "\($0.address)" == peer ? .refused : .pass }
            script.release()
            #expect(await rig.comes { !rig.store.published.isEmpty })
            #expect(rig.store.published.allSatisfy { $0.verdict.key.peer == "127.0.0.1:9002" })
            #expect(rig.store.published.allSatisfy { $0.verdict.status == .up })
        }
    }

    @Test func `defining again touches only what differs`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [peer, key] rig in
            let slow = MonitoredUpstream.scripted(
                peers: [peer],
                script: script,
                interval: .decades
            )
            rig.define([slow])
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })
            let next = rig.scheduler.nextProbe(of: key)
            let asked = script.asked.count
            var more = slow
            more.definition.peers.append(
                PeerDefinition(address: .host("127.0.0.1", port: 9_002))
            )
            rig.define([more])
            #expect(await rig.comes { script.asked.count == asked + 1 })
            #expect(script.asked.last?.peer == "127.0.0.1:9002")
            #expect(rig.scheduler.nextProbe(of: key) == next, "its beat is what it was")
            #expect(rig.store.forgotten.isEmpty)
        }
    }

    @Test func `new peers are probed at once, however long the interval is, and many not together`()
        async throws
    {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { rig in
            let began = rig.loop.instant
            let many = (1...1_000).map { "10.0.\($0 / 250).\($0 % 250 + 1):80" }
            rig.define([.scripted(peers: [many[0]], script: script, interval: .seconds(3_600))])
            #expect(await rig.comes { script.asked.count == 1 })
            #expect(rig.loop.instant - began <= .milliseconds(5))
            let reloaded = rig.loop.instant
            rig.define([.scripted(peers: many, script: script, interval: .seconds(3_600))])
            #expect(script.asked.count < 200, "not all in one turn")
            #expect(
                await rig.comes { Set(script.asked.map(\.peer)).count == 1_000 },
                "\(script.asked.count)"
            )
            #expect(rig.loop.instant - reloaded <= .milliseconds(100))
            // And then each on its beat.
            let key = VerdictKey(upstream: "web", peer: many[0], monitor: "http")
            let next = try #require(rig.scheduler.nextProbe(of: key))
            #expect(next - rig.loop.instant > .zero)
        }
    }

    @Test func `a peer with another address is probed at once, and its old verdict forgotten`()
        async throws
    {
        let script = Script { _ in .refused }
        try await Rig.inVirtualTime { rig in
            let key = VerdictKey(upstream: "web", peer: "p1", monitor: "http")
            func upstream(_ port: UInt16) -> MonitoredUpstream {
                var upstream = MonitoredUpstream.scripted(
                    peers: [],
                    script: script,
                    interval: .decades
                )
                upstream.definition.peers = [
                    PeerDefinition(id: "p1", address: .host("127.0.0.1", port: port))
                ]
                return upstream
            }
            rig.define([upstream(9_001)])
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .down })
            script.hold()
            rig.define([upstream(9_002)])
            #expect(rig.board.view(of: key.peerKey)?.status == .unknown)
            #expect(rig.board.verdict(of: key) == nil)
            #expect(rig.store.forgotten == [key])
            #expect(rig.scheduler.nextProbe(of: key) == nil, "it is not left to its beat")
            #expect(await rig.comes { script.waiting == 1 })
            #expect(script.asked.last.map { "\($0.address)" } == "127.0.0.1:9002")
            script.set { _ in .pass }
            script.release()
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })
        }
    }

    @Test func `a monitor with other thresholds keeps its count`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [peer, key] rig in
            rig.define([
                .scripted(peers: [peer], script: script, interval: .decades, fall: 2)
            ])
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })
            script.set { _ in .refused }
            rig.define([
                .scripted(
                    peers: [peer],
                    script: script,
                    interval: .decades,
                    fastInterval: .milliseconds(1),
                    fall: 4
                )
            ])
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .down })
            let failures = rig.store.published.filter { $0.verdict.reason == .layer4Connect }
            // The count stood at what was the top: two above the edge of what is now four.
            #expect(failures.count >= 2 && failures.count <= 4)
        }
    }

    @Test func `the count goes on where a verdict in the store left it`() async throws {
        let script = Script { _ in .refused }
        try await Rig.inVirtualTime(epoch: 5) { [peer, key] rig in
            let upstream = MonitoredUpstream.scripted(peers: [peer], script: script, fall: 3)
            let changes = rig.catalogue.set(.file, [upstream])
            rig.board.apply(changes.map(\.summarised))
            let now = rig.loop.wall
            rig.board.apply(
                Verdict(
                    key: key,
                    kind: ScriptedCheck.kind,
                    status: .up,
                    health: 3,
                    rise: 2,
                    fall: 3,
                    reason: .layer7OK,
                    latency: .zero,
                    since: now,
                    checkedAt: now,
                    expiresAt: now + .seconds(60),
                    agent: "a0",
                    epoch: 9,
                    sequence: 4
                )
            )
            rig.scheduler.apply(changes)
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .down })
            let published = rig.store.published.map(\.verdict)
            // 3 of 0…4: one more failure is borne, the second takes it down.
            #expect(published.prefix(2).map(\.health) == [2, 0])
            #expect(published.prefix(2).map(\.status) == [.up, .down])
            #expect(script.ended >= 2)
            #expect(published.first?.epoch == 10, "after the epoch of whoever had it before")
            #expect(Set(published.map(\.epoch)) == [10], "and raised no further")
        }
    }

    @Test func `probing now answers with what was found, step by step`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [peer, key] rig in
            rig.define([.scripted(peers: [peer], script: script, interval: .decades)])
            #expect(
                await rig.comes { script.asked.count == 1 && rig.scheduler.metrics.inFlight == 0 }
            )
            script.set { _ in .refused }
            let report = await rig.scheduler.probeNow(key)
            #expect(report?.outcome.reason == .layer4Connect)
            #expect(script.asked.count == 2)
            let none = VerdictKey(upstream: "web", peer: "x", monitor: "http")
            #expect(await rig.scheduler.probeNow(none) == nil)
        }
    }

    @Test
    func `a probe for which there is no place is overdue, and whoever waits for it is told so`()
        async throws
    {
        let script = Script { _ in .pass }
        script.hold()
        try await Rig.inVirtualTime(limits: ProbeLimits(inFlight: 1)) { rig in
            let peers = ["10.0.0.1:80", "10.0.0.2:80"]
            rig.define([.scripted(peers: peers, script: script, interval: .seconds(1))])
            #expect(await rig.comes { script.waiting == 1 })
            let first = "\(script.asked[0].address)" == peers[0] ? peers[1] : peers[0]
            let key = VerdictKey(upstream: "web", peer: first, monitor: "http")
            let why = rig.scheduler.explain(key)?.why ?? ""
            #expect(why.contains("; its probe is due since "), "\(why)")
            #expect(rig.scheduler.explain(key)?.nextAt == nil)
            let home = LoopBound(rig, on: rig.loop)
            let asking = Task(executorPreference: rig.loop) { await home.value.scheduler.ask(key) }
            #expect(await rig.comes { !rig.scheduler.isWanted(key) && script.waiting == 1 })
            guard case .late(let words) = await asking.value else {
                Issue.record("expected to be told that it is late")
                return
            }
            #expect(
                words.hasPrefix(
                    "no probe of web/\(first) (http) has ended within 7s: its probe is due"
                )
            )
            #expect(
                words.hasSuffix("has not begun: 1 probe waits for a place, 1 of 1 are under way")
            )
            let overdue = rig.scheduler.metrics.overdue
            #expect(overdue.count == 1 && overdue.first == [key])
            #expect(overdue.longest > .seconds(6))
            #expect(rig.scheduler.lateness(at: rig.loop.instant) == overdue.longest)
            #expect(
                overdue.words
                    == "web/\(first) (http); 1 probe waits for a place, 1 of 1 are under way"
            )
            script.release()
            #expect(await rig.comes { rig.scheduler.metrics.overdue.count == 0 })
        }
    }

    /// Asks while a probe is under way that the script holds.
    private static func ask(
        for key: VerdictKey,
        during script: Script,
        _ rig: Rig
    ) async -> Task<Outcome?, Never> {
        #expect(await rig.comes { script.waiting == 1 })
        let home = LoopBound(rig, on: rig.loop)
        let asking = Task(executorPreference: rig.loop) {
            await home.value.scheduler.probeNow(key)?.outcome
        }
        #expect(await rig.comes { rig.scheduler.isWanted(key) })
        return asking
    }

    @Test func `whoever asks during a probe gets one that began later`() async throws {
        let script = Script { _ in .refused }
        script.hold()
        try await Rig.inVirtualTime { [peer, key] rig in
            rig.define([.scripted(peers: [peer], script: script, interval: .decades)])
            let asking = await Self.ask(for: key, during: script, rig)
            script.releaseOne()
            #expect(await rig.comes { script.asked.count == 2 })
            script.set { _ in .pass }
            script.release()
            #expect(await asking.value?.verdict == .pass)
        }
    }

    @Test func `stopping waits for probes in flight and answers whoever still asks`()
        async throws
    {
        let script = Script { _ in .pass }
        script.hold()
        try await Rig.inVirtualTime { [peer, key] rig in
            rig.define([.scripted(peers: [peer], script: script)])
            let asking = await Self.ask(for: key, during: script, rig)
            let home = LoopBound(rig, on: rig.loop)
            let stopping = Task(executorPreference: rig.loop) {
                await home.value.scheduler.stop()
            }
            #expect(await asking.value == nil, "there will be no probe")
            #expect(rig.scheduler.metrics.inFlight == 1)
            script.release()
            await stopping.value
            #expect(rig.scheduler.metrics.inFlight == 0)
            #expect(rig.store.published.isEmpty)
        }
    }

    @Test func `what is dropped is not waited for, and found by nobody`() async throws {
        let script = Script { _ in .refused }
        script.hold()
        try await Rig.inVirtualTime { [peer] rig in
            rig.define([.scripted(peers: [peer], script: script)])
            #expect(await rig.comes { script.waiting == 1 })
            let home = LoopBound(rig, on: rig.loop)
            let began = rig.loop.instant
            let dropping = Task(executorPreference: rig.loop) {
                await home.value.scheduler.drop(patience: .milliseconds(250))
                return home.loop.instant
            }
            await rig.loop.advance(by: .seconds(1))
            #expect(await dropping.value - began == .milliseconds(250))
            #expect(script.waiting == 1, "it is still under way")
            script.release()
            await rig.scheduler.stop()
            #expect(rig.store.published.isEmpty)
        }
    }

    @Test func `whoever drops goes on when the last task has ended`() async throws {
        let script = Script { _ in .refused }
        script.hold()
        try await Rig.inVirtualTime { [peer] rig in
            rig.define([.scripted(peers: [peer], script: script)])
            #expect(await rig.comes { script.waiting == 1 })
            let home = LoopBound(rig, on: rig.loop)
            let began = rig.loop.instant
            let dropping = Task(executorPreference: rig.loop) {
                await home.value.scheduler.drop(patience: .seconds(250))
                return home.loop.instant
            }
            script.release()
            #expect(await dropping.value == began)
        }
    }
}
