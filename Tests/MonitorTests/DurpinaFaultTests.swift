// durpina (https://github.com/slact/durpina) is an upstream balancer with monitors whose users muster
// invites over. Does muster keep what durpina promises and its code, at commit 6bf0bba, does not? The
// faults of its schedule and of its states are here, each named by what muster does instead.

import Checks
import EventLoop
import Health
import TestSupport
import Testing
import Vocabulary

@testable import Monitor

@Suite struct DurpinaFaultTests {
    let key = VerdictKey(upstream: "web", peer: "10.0.0.1:80", monitor: "http")

    /// peer.lua: the count of failures is forgotten `fail_timeout` (10 s) after the first one, and a
    /// peer is probed once in `interval` × peers: with the defaults no monitor ever takes one down.
    @Test(arguments: [nil, "1m", "1h", "1d"])
    func `failures add up however far apart the probes are`(interval: String?) throws {
        let setting = TestSetting.map(interval.map { [("interval", .text($0))] } ?? [])
        let monitor = try MonitorDefinition.make("tcp", from: setting.options(path: "tcp"))
        var now = WallTime(milliseconds: 1_795_000_000_000)
        var opinion = Opinion(thresholds: monitor.thresholds, now: now)
        _ = opinion.take(.pass, schedule: monitor.schedule, now: now)
        for failure in 1...monitor.thresholds.fall {
            now = now + monitor.schedule.interval
            let turns = opinion.take(.refused, schedule: monitor.schedule, now: now)
            #expect(turns == (failure == monitor.thresholds.fall))
        }
        #expect(opinion.counter.status == .down)
    }

    /// monitor.lua: one peer a tick for all of them, so a round of a hundred takes a hundred
    /// intervals.
    @Test func `a peer is probed once an interval however many there are`() async throws {
        let script = Script { _ in .pass }
        let interval = Nanoseconds.seconds(2)
        try await Rig.inVirtualTime { rig in
            let peers = (1...100).map { "10.0.0.\($0):80" }
            rig.define([.scripted(peers: peers, script: script, interval: interval)])
            // A pair that is being probed has no next probe yet.
            let all = await rig.comes {
                Set(script.asked.map(\.peer)).count == peers.count
                    && rig.scheduler.metrics.inFlight == 0
            }
            #expect(all)
            let now = rig.loop.instant
            for peer in peers {
                let key = VerdictKey(upstream: "web", peer: peer, monitor: "http")
                let next = try #require(rig.scheduler.nextProbe(of: key))
                #expect(next - now <= interval)
            }
        }
    }

    /// monitor.lua: a tick that finds the last check running is dropped, and with it the turn of
    /// whichever peer was next.
    @Test func `a probe that hangs costs nobody else a turn`() async throws {
        let hung = Script { _ in .pass }
        hung.hold()
        let well = Script { _ in .pass }
        try await Rig.inVirtualTime { rig in
            rig.define([
                .scripted("hung", peers: ["10.0.0.9:80"], script: hung),
                .scripted("well", peers: ["10.0.0.1:80", "10.0.0.2:80"], script: well),
            ])
            #expect(await rig.comes { hung.waiting == 1 })
            let before = well.asked.count
            #expect(await rig.comes { well.asked.count >= before + 20 })
            #expect(Set(well.asked.suffix(10).map(\.peer)).count == 2)
            #expect(hung.asked.count == 1, "and it does not overtake itself")
            hung.release()
            #expect(await rig.comes { hung.asked.count > 1 })
        }
    }

    /// monitor.lua: an error inside a check leaves `still_checking` set, and that worker never
    /// checks again, in silence.
    @Test func `whatever a probe ends with, the next one comes`() async throws {
        let reasons = Reason.allCases
        let verdicts: [Outcome.Verdict] = [.pass, .warn, .fail, .neutral]
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [key] rig in
            rig.define([
                .scripted(
                    peers: [key.peer],
                    script: script,
                    interval: .milliseconds(2),
                    fastInterval: .milliseconds(1)
                )
            ])
            for reason in reasons {
                for verdict in verdicts {
                    script.set { _ in Outcome(verdict, reason, message: "\(verdict)") }
                    let asked = script.asked.count
                    let goesOn = await rig.comes { script.asked.count >= asked + 2 }
                    #expect(goesOn, "after \(verdict) \(reason)")
                }
            }
        }
    }

    /// monitor.lua: the timer is never cleared, so a monitor that was removed and added again does
    /// nothing.
    @Test func `a monitor that was taken away and comes back probes again`() async throws {
        let script = Script { _ in .pass }
        try await Rig.inVirtualTime { [key] rig in
            let upstream = MonitoredUpstream.scripted(peers: [key.peer], script: script)
            for round in 1...3 {
                rig.define([upstream])
                let asked = script.asked.count
                #expect(await rig.comes { script.asked.count >= asked + 2 }, "round \(round)")
                #expect(
                    rig.scheduler.nextProbe(of: key) != nil || rig.scheduler.metrics.inFlight == 1
                )
                rig.define([])
                #expect(rig.scheduler.nextProbe(of: key) == nil)
                #expect(rig.store.forgotten.count == round)
            }
        }
    }

    /// monitor/http.lua: a peer that answers over HTTP is set up, whatever an agent, or its
    /// operator, has said of it.
    @Test func `one monitor's pass does not lift another's word`() async throws {
        let http = Script { _ in .pass }
        let agent = Script { _ in Outcome(.pass, .layer7OK, hints: Hints(admin: .maint)) }
        try await Rig.inVirtualTime { [key] rig in
            var upstream = MonitoredUpstream.scripted(peers: [key.peer], script: http)
            upstream.monitors +=
                MonitoredUpstream.scripted(
                    peers: [key.peer],
                    script: agent,
                    monitor: "agent"
                ).monitors
            rig.define([upstream])
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .maint })
            var asked = http.asked.count
            #expect(await rig.comes { http.asked.count >= asked + 5 })
            #expect(rig.board.view(of: key.peerKey)?.status == .maint)

            let down = Outcome(
                .fail,
                .layer7Status,
                message: "down",
                hints: Hints(admin: .ready),
                isImmediate: true
            )
            agent.set { _ in down }
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .down })
            asked = http.asked.count
            #expect(await rig.comes { http.asked.count >= asked + 5 })
            #expect(rig.board.view(of: key.peerKey)?.status == .down)

            agent.set { _ in .pass }
            #expect(await rig.comes { rig.board.view(of: key.peerKey)?.status == .up })
        }
    }
}
