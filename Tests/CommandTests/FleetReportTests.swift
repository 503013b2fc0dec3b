// What does somebody read who asks for the agents, or why a peer is as it is?

import Testing
import Vocabulary

@testable import muster

@Suite struct FleetReportTests {
    @Test func `receivers are a table, with what was left out`() throws {
        let body = try JSON(
            parsing: Array(
                (#"{"receivers":[{"name":"ops","kind":"slack","state":"failing","agent":"a1","waiting":2,"sent":3,"#
                    + #""failed":5,"left_out":1,"failing_since":"T","next_attempt":"U","error":"404"}]}"#)
                    .utf8
            )
        )
        #expect(
            NotifyStatusCommand.lines(body) == [
                "RECEIVER  KIND   STATE                            BY  WAITING  SENT  FAILED  LEFT OUT  LAST SENT",
                "ops       slack  failing since T, next attempt U  a1  2        3     5       1         -",
                "ops: 404",
            ]
        )
    }

    @Test func `hosts of other systems are counted behind the routes`() throws {
        let body = try JSON(
            parsing: Array(
                (#"{"routes":[{"id":null,"source":"file","listener":null,"host":"*","path":"/","upstream":"web"}],"#
                    + #""sources":[{"kind":"hipache","name":"old","url":"redis://r:6379","connected":false,"hosts":1}]}"#)
                    .utf8
            )
        )
        #expect(
            RouteListCommand.lines(body) == [
                "ROUTE  LISTENER  HOST  PATH  FROM  UPSTREAM",
                "-      every     *     /     file  web",
                "after these, 1 host of old at redis://r:6379: LRANGE frontend:HOST 0 -1 there tells of one "
                    + "(it is away; what was read last holds)",
            ]
        )
    }

    private func report(_ text: String) throws -> AgentsReport {
        AgentsReport(try JSON(parsing: Array(text.utf8)))
    }

    @Test func `agents are a table, and one that doubts is a warning with its reasons`() throws {
        let well = try report(
            #"{"agents":[{"id":"a1","state":"member","pairs":8,"share":0.6667,"lateness_ms":3,"doubt":0.0,"reasons":[],"#
                + #""seen":"2026-11-28T12:00:00.000Z","version":"0.1.0","zone":null}],"complete":true}"#
        )
        #expect(
            well.text.split(separator: "\n").map(String.init) == [
                "AGENT  STATE   PAIRS  SHARE  LATE  DOUBT  SEEN                      VERSION  ZONE",
                "a1     member  8      66.7%  3ms   -      2026-11-28T12:00:00.000Z  0.1.0    -",
            ]
        )
        #expect(well.exitStatus == .fine)
        let sick = try report(
            #"{"agents":[{"id":"a1","state":"member","doubt":0.5,"reasons":["mass-failure","loop-lag"]}]}"#
        )
        #expect(sick.exitStatus == .warning)
        #expect(sick.text.hasSuffix("a1 doubts itself: mass-failure, loop-lag"))
        let since = try report(
            #"{"agents":[{"id":"a1","state":"member","doubt":1,"doubt_since":"T","reasons":["network"]}]}"#
        )
        #expect(since.text.hasSuffix("a1 doubts itself since T: network"))
        let holding = try report(
            #"{"agents":[{"id":"a1","state":"member","doubt":0,"held":{"since":"T","pairs":6}}]}"#
        )
        #expect(holding.exitStatus == .warning)
        #expect(
            holding.text.hasSuffix(
                "a1 holds 6 pairs as they were since T: too many fell silent at once (store.mass-change)"
            )
        )
        let silent = try report(
            #"{"agents":[{"id":"a1","state":"silent","doubt":0,"seen":"T"},{"id":"a2","state":"left","seen":"U"}]}"#
        )
        #expect(silent.exitStatus == .warning)
        #expect(
            silent.text.hasSuffix(
                "\na1 is silent since T without having said that it would stop: others probe what it had"
                    + "\na2 left at U: it was stopped, and handed over what it had"
            )
        )
        let left = try report(#"{"agents":[{"id":"a2","state":"left","seen":"U"}]}"#)
        #expect(left.exitStatus == .fine)
        let alone = try report(#"{"agents":[],"complete":false}"#)
        #expect(alone.exitStatus == .warning)
    }

    @Test func `that the store takes no writes is said, and nobody is called silent for it`() throws
    {
        let report = try report(
            #"{"agents":[{"id":"a1","state":"member"},{"id":"a2","state":"member"}],"complete":true,"#
                + #""heard_until":"T","write_error":"OOM command not allowed"}"#
        )
        #expect(report.exitStatus == .warning)
        #expect(
            report.text.hasSuffix(
                "\nthe store takes no writes: OOM command not allowed; no beat has been written since T, so nobody "
                    + "can be heard: what is said of others is as of then, and each goes on with what it had"
            )
        )
    }

    /// Whose line looks well: it is the other's.
    @Test func `the second of two processes with one id says that it is that`() throws {
        let report = try report(
            #"{"agents":[{"id":"a1","state":"member","doubt":0}],"twin":"another process has agent.id 'a1'"}"#
        )
        #expect(report.exitStatus == .warning)
        #expect(
            report.text.hasSuffix(
                "\nthe process that was asked takes no part: another process has agent.id 'a1'"
            )
        )
    }

    /// Which is no trouble.
    @Test func `who waits for its own lease says so`() throws {
        let report = try report(
            #"{"agents":[{"id":"a1","state":"member"}],"waits":"this agent waits until T"}"#
        )
        #expect(report.exitStatus == .fine)
        #expect(
            report.text.hasSuffix(
                "\nthe process that was asked takes no part yet: this agent waits until T"
            )
        )
    }

    /// The store takes writes, only not from here.
    @Test func `a store of a newer format is a warning with the cause`() throws {
        let report = try report(
            #"{"agents":[{"id":"a1","state":"member"}],"heard_until":"T","fleet_error":"saw format 9"}"#
        )
        #expect(report.exitStatus == .warning)
        #expect(!report.text.contains("takes no writes"))
        #expect(
            report.text.hasSuffix(
                "\nno beat has been written since T, so nobody can be heard: what is said of others is as of then, "
                    + "and each goes on with what it had\n"
                    + "the process that was asked takes no part: saw format 9"
            )
        )
    }

    @Test func `leases that differ are a warning with who has which`() throws {
        let report = try report(
            #"{"agents":[{"id":"a1","state":"member","lease_ms":3000,"settle_ms":3000},"#
                + #"{"id":"a2","state":"member","lease_ms":5000,"settle_ms":3000},"#
                + #"{"id":"a3","state":"member","lease_ms":3000},{"id":"a4","state":"member"},"#
                + #"{"id":"a5","state":"left","lease_ms":9000,"seen":"U"}]}"#
        )
        #expect(report.exitStatus == .warning)
        let lines = report.text.split(separator: "\n").filter { $0.contains("differs") }
        #expect(lines.count == 1)
        #expect(
            lines.first?.hasPrefix("store.lease differs: 3s at a1, a3; 5s at a2. It is") == true
        )
    }

    @Test func `nothing that a store holds reaches the terminal as it is`() throws {
        let report = try report(
            #"{"agents":[{"id":"a\u001b[2J","state":"member","reasons":["\u0007"]}]}"#
        )
        #expect(!report.text.contains("\u{1B}") && !report.text.contains("\u{7}"))
    }

    @Test func `why a peer is as it is has a section for each question that has an answer`() throws
    {
        let body = try JSON(
            parsing: Array(
                #"""
                {"upstream":"web","peer":"a","status":"up","since":"T","reason":"","checks":[
                {"monitor":"http","why":"a2 is first in rank of 2 agents","rank":["a2","a1"],"next_probe_at":"N"}],
                "layers":[{"layer":"status","says":"up","reason":"every required check passes"}],
                "votes":[{"agent":"a1","status":"fails","reason":"L4TOUT","at":"V"},{"agent":"a3","status":null}],
                "would_change":["x"],"transitions":[]}
                """#.utf8
            )
        )
        #expect(
            ExplainReport(body).text == """
                web/a is UP since T

                Who probes it
                  http: a2 is first in rank of 2 agents; next probe at N
                    in rank: a2, a1

                What each layer says
                  status: up (every required check passes)

                What agents say that were asked, or that see it otherwise
                  a1: fails (L4TOUT), at V
                  a3: no answer yet

                What would change it
                  x
                """
        )
    }
}
