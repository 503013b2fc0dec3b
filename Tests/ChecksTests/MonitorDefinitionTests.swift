// Are the settings that every monitor has read, defaulted and refused as documented?

import Checks
import Health
import TestSupport
import Testing
import Vocabulary

@Suite struct MonitorDefinitionTests {
    private func make(_ settings: TestSetting) throws(SettingError) -> MonitorDefinition {
        try MonitorDefinition.make("tcp", from: settings.options(path: "monitors[0].tcp"))
    }

    @Test func `nothing written means the defaults`() throws {
        let monitor = try make([:])
        #expect(monitor.id == "tcp" && monitor.kind == "tcp")
        #expect(monitor.schedule.interval == .seconds(2))
        #expect(monitor.schedule.timeout == .seconds(1))
        #expect(monitor.schedule.fastInterval == .milliseconds(500))
        #expect(monitor.schedule.downInterval == .seconds(2))
        #expect(monitor.thresholds == Thresholds(rise: 2, fall: 3))
        #expect(monitor.isRequired && monitor.observers == 1 && monitor.confirm == nil)
    }

    private static let times: [(String, Nanoseconds, Nanoseconds)] = [
        ("1s", Nanoseconds.milliseconds(250), Nanoseconds.seconds(1)),
        ("500ms", .milliseconds(250), .milliseconds(500)),
        ("100ms", .milliseconds(100), .milliseconds(100)),
        ("10s", .milliseconds(2_500), .seconds(1)),
    ]

    @Test(arguments: times)
    func `the other times follow the interval`(
        interval: String,
        fast: Nanoseconds,
        timeout: Nanoseconds
    ) throws {
        let monitor = try make(["interval": .text(interval)])
        #expect(monitor.schedule.fastInterval == fast)
        #expect(monitor.schedule.timeout == timeout)
        #expect(monitor.schedule.downInterval == monitor.schedule.interval)
    }

    @Test func `everything written is taken`() throws {
        let monitor = try make([
            "id": "port", "interval": "4s", "timeout": "300ms", "fast-interval": "1s",
            "down-interval": "10s", "rise": 5, "fall": 1, "required": false, "observers": 3,
            "confirm": ["agents": 4, "quorum": 3], "send": "x",
        ])
        #expect(monitor.id == "port")
        #expect(
            monitor.schedule
                == Schedule(
                    interval: .seconds(4),
                    fastInterval: .seconds(1),
                    downInterval: .seconds(10),
                    timeout: .milliseconds(300)
                )
        )
        #expect(monitor.thresholds == Thresholds(rise: 5, fall: 1))
        #expect(!monitor.isRequired && monitor.observers == 3)
        #expect(monitor.confirm == Confirmation(agents: 4, quorum: .votes(3)))
    }

    @Test(arguments: [
        ("majority", 2, 2), ("any", 2, 2), ("all", 2, 3), ("majority", 3, 3), ("1", 2, 1),
        ("3", 2, 3),
    ])
    func `a quorum counts the owner's vote`(quorum: String, agents: Int, needed: Int) throws {
        let monitor = try make([
            "confirm": [
                "agents": .text(agents),
                "quorum": .text(quorum),
            ]
        ])
        #expect(monitor.confirm?.needed(of: agents + 1) == needed)
    }

    @Test func `nobody is asked where that is said, and who probes it anyhow has a vote`() throws {
        #expect(try make(["confirm": "off"]).confirm == .off)
        let monitor = try make(["observers": 3, "confirm": ["agents": 1, "quorum": 4]])
        #expect(monitor.confirm == Confirmation(agents: 1, quorum: .votes(4)))
    }

    private static let wrongSettings: [(TestSetting, String)] = [
        (
            ["interval": "1s", "timeout": "2s"],
            "test.yaml:2:1: monitors[0].tcp.timeout: expected at most the interval of 1s, saw 2s"
        ),
        (
            ["interval": "1s", "fast-interval": "3s"],
            "test.yaml:2:1: monitors[0].tcp.fast-interval: expected at most the interval of 1s, "
                + "saw 3s"
        ),
        (
            ["interval": "5ms"],
            "test.yaml:1:1: monitors[0].tcp.interval: expected a duration from 10ms to 1d, "
                + "saw '5ms'"
        ),
        (
            ["rise": 0],
            "test.yaml:1:1: monitors[0].tcp.rise: expected a whole number from 1 to 86400, saw '0'"
        ),
        (
            ["confirm": ["agents": 2, "quorum": 4]],
            "test.yaml:2:1: monitors[0].tcp.confirm.quorum: expected at most 3 votes "
                + "(2 asked + 1 of the owner), saw 4: it could never be reached"
        ),
        (
            ["confirm": ["agents": 2, "quorum": "majorty"]],
            "test.yaml:2:1: monitors[0].tcp.confirm.quorum: expected one of majority, any, all, "
                + "saw 'majorty'; did you mean 'majority'?"
        ),
        (
            ["observers": 2, "confirm": ["agents": 2, "quorum": 5]],
            "test.yaml:3:1: monitors[0].tcp.confirm.quorum: expected at most 4 votes "
                + "(2 asked + 1 of the owner + 1 that probe it too), saw 5: it could never be reached"
        ),
        (
            ["confirm": "on"],
            "test.yaml:1:1: monitors[0].tcp.confirm: expected settings, or off, saw 'on'"
        ),
        (
            ["confirm": ["quorum": 1]],
            "test.yaml:1:1: monitors[0].tcp.confirm: expected 'agents', saw no such key"
        ),
        (
            ["id": "a b"],
            "test.yaml:1:1: monitors[0].tcp.id: expected 1 to 64 letters, digits, '.', '_' or "
                + "'-', saw 'a b'"
        ),
        (
            ["intreval": "1s"],
            "test.yaml:1:1: monitors[0].tcp has no setting 'intreval'; did you mean 'interval'?"
        ),
        (
            ["sned": "x"],
            "test.yaml:1:1: monitors[0].tcp has no setting 'sned'; did you mean 'send'?"
        ),
    ]

    @Test(arguments: wrongSettings)
    func `what can never be right is refused with the figures`(
        settings: TestSetting,
        message: String
    ) {
        #expect(throws: SettingError.self) { try make(settings) }
        do throws(SettingError) { _ = try make(settings) } catch {
            #expect("\(error)" == message)
        }
    }

    @Test func `an unknown kind names the nearest`() {
        do throws(SettingError) {
            _ = try MonitorDefinition.make(
                "htpt",
                from: Options([], at: .init(file: "f", line: 3, column: 5), path: "monitors[0]")
            )
            Issue.record("no error")
        } catch {
            #expect("\(error)".contains("did you mean 'http'?"), "\(error)")
        }
    }
}
