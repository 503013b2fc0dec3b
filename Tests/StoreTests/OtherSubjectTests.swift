// Is a verdict believed only of what it is about? Ids stay where addresses and checks change, over a reload
// of one agent before the other, and over a restart.

import EventLoop
import Health
import Store
import Testing
import Vocabulary

@Suite struct OtherSubjectTests {
    private let now = WallTime(milliseconds: 1_795_000_000_000)
    private let lines = Lines()
    private let board: Board
    private let key = PeerKey(upstream: "web", peer: "p1")

    init() throws {
        let now = now
        board = Board(loop: try EventLoop(name: "board"), journal: lines.journal) {
            Moment(instant: Instant(nanoseconds: 0), wall: now)
        }
    }

    private func define(at port: Int = 2, kind: String = "http", check: UInt32 = 1) {
        let peer = PeerDefinition(id: "p1", address: .host("10.0.0.\(port)", port: 80))
        board.define(
            [UpstreamDefinition(name: "web", peers: [peer])],
            monitors: [
                MonitorSummary(
                    upstream: "web",
                    id: "main",
                    kind: kind,
                    isRequired: true,
                    rise: 2,
                    fall: 2,
                    interval: .seconds(1),
                    check: check
                )
            ]
        )
    }

    private func verdict(
        _ status: HealthCounter.Status,
        at port: Int? = 2,
        check: UInt32 = 1,
        sequence: UInt64 = 1,
        age: Nanoseconds = .zero
    ) -> Verdict {
        var verdict = Verdict.sample(
            status,
            peer: "p1",
            monitor: "main",
            agent: "a2",
            sequence: sequence,
            at: now + -age,
            message: status == .down ? "Connection refused" : ""
        )
        verdict.subject = port.map { Subject(address: "10.0.0.\($0):80", check: check) }
        return verdict
    }

    private var status: PeerStatus? { board.view(of: key)?.status }
    private var told: [String] { lines.all.filter { $0.contains("it does not count here") } }

    @Test func `a verdict about the former address is none, and both are named`() {
        define()
        board.storeChanged(verdict(.up))
        #expect(status == .up)
        for sequence in 2...4 as ClosedRange<UInt64> {
            board.storeChanged(verdict(.down, at: 1, sequence: sequence))
        }
        #expect(status == .up)
        #expect(
            told == [
                "warning: web/p1 (main): the verdict 'down' of agent a2 is about 10.0.0.1:80, here the peer "
                    + "is 10.0.0.2:80; it does not count here. Give all agents the same definition"
            ]
        )
        board.storeChanged(verdict(.down, sequence: 5))
        #expect(status == .down, "of the same address it is believed as ever")
    }

    @Test func `whoever asks is told for as long as it is so`() {
        define()
        board.storeChanged(verdict(.up))
        #expect(board.definedOtherwise == [])
        board.storeChanged(verdict(.down, at: 1, sequence: 2))
        let told = board.definedOtherwise
        #expect(told.map(\.agent) == ["a2"])
        #expect(
            told.first?.words
                == "web/p1 (main): what agent a2 finds is about 10.0.0.1:80, here the peer is 10.0.0.2:80; it "
                + "does not count here"
        )
        // It has read its new file.
        board.storeChanged(verdict(.up, sequence: 3))
        #expect(board.definedOtherwise == [])
    }

    @Test func `an older agent does not tell, and is believed`() {
        define()
        board.storeChanged(verdict(.down, at: nil))
        #expect(status == .down && told.isEmpty)
    }

    @Test func `a restart with other addresses begins anew`() {
        define()
        board.storeChanged(verdict(.down, at: 1, age: .seconds(1)))
        #expect(status == .unknown)
        #expect(
            told == [
                "notice: web/p1 (main): the verdict 'down' of agent a2 is about 10.0.0.1:80, here the peer "
                    + "is 10.0.0.2:80; it does not count here"
            ]
        )
    }

    @Test func `also where the verdict came before the definition`() {
        board.storeChanged(verdict(.down, at: 1))
        define()
        #expect(status == .unknown && told.count == 1)
    }

    @Test func `another kind of check answers another question`() {
        define(kind: "tcp")
        board.storeChanged(verdict(.down))
        #expect(status == .unknown)
        #expect(told.first?.contains("is about a check of kind http, here it is tcp;") == true)
    }

    @Test func `a monitor of another kind begins anew, and who was down waits for its word`() {
        define()
        board.storeChanged(verdict(.down))
        define(kind: "tcp")
        let view = board.view(of: key)
        #expect(view?.status == .unknown && board.report(of: key)?.verdicts.isEmpty == true)
        #expect(view?.isAvailable == false && view?.isStranger == true)
    }

    @Test func `who was up goes on getting requests when its monitor is of another kind`() {
        define()
        board.storeChanged(verdict(.up))
        define(kind: "tcp")
        #expect(board.view(of: key)?.status == .unknown)
        #expect(board.view(of: key)?.isAvailable == true)
    }

    /// Reloaded one after the other, all show what the one that holds the pair finds, and not each its own.
    @Test func `other settings count like ours, while whoever has them holds the pair`() {
        define()
        board.storeChanged(verdict(.down, check: 2))
        #expect(status == .down && told.isEmpty)
        board.storeChanged(verdict(.up, sequence: 2))
        #expect(status == .up)
        board.storeChanged(verdict(.down, check: 2, sequence: 3))
        #expect(status == .down && told.isEmpty)
        #expect(board.definedOtherwise.map(\.agent) == ["a2"])
        board.storeChanged(verdict(.up, sequence: 2))
        #expect(status == .down, "an earlier word of ours")
    }

    @Test
    func `other settings are told of whether their word counts or not, for as long as it is said`()
    {
        define()
        board.storeChanged(verdict(.up, check: 2))
        #expect(status == .up)
        #expect(
            board.definedOtherwise.map(\.words) == [
                "web/p1 (main): what agent a2 finds is about a check with other settings than here; it counts "
                    + "here while that agent probes it"
            ]
        )
        // Found by this agent now: nobody else speaks of it.
        var place: Board.Place?
        let found = verdict(.up, sequence: 2)
        if let place = board.find(found.key, from: &place) {
            let moment = Moment(instant: Instant(nanoseconds: 0), wall: now)
            _ = board.apply(found, at: place, now: moment)
        }
        #expect(board.definedOtherwise == [])
        // Unchanged since, and still said: a word that somebody vouches for is written once.
        var renewed = verdict(.up, check: 2)
        renewed.expiresAt = now + .seconds(70)
        board.storeRenewed(renewed, isSaidHere: false)
        #expect(board.definedOtherwise.map(\.agent) == ["a2"])
    }

    @Test func `agents that agree again are not told of, whichever of them is reloaded`() {
        define()
        board.storeChanged(verdict(.up, at: 1))
        #expect(board.definedOtherwise.count == 1)
        define(at: 1)
        #expect(board.definedOtherwise == [])
        define()
        board.storeRenewed(verdict(.up, at: 1), isSaidHere: false)
        #expect(board.definedOtherwise.count == 1, "it goes on to mean the former address")
    }

    @Test func `what this agent itself said, or anybody before it began, accuses nobody`() {
        define()
        board.storeChanged(verdict(.up, at: 1, age: .seconds(1)))
        #expect(board.definedOtherwise == [])
        board.agent = "a2"
        board.storeChanged(verdict(.up, at: 1, sequence: 2))
        #expect(board.definedOtherwise == [])
    }
}
