// What is done about a service, row by row, in virtual time? No process is started here.

import Health
import TestSupport
import Testing
import Vocabulary

@testable import Plugins

/// Rules with a clock of their own, and what became of each probe.
private struct Play {
    var rules = ServiceRules()
    var now = Instant(nanoseconds: 0)
    var outcomes: [Int: Outcome] = [:]
    var others: [ServiceRules.Effect] = []
    /// Whether a process is there, and whether it can be started.
    var isAlive = false
    var complaint: String?

    mutating func take(_ effects: [ServiceRules.Effect]) {
        for effect in effects {
            switch effect {
            case .settle(let id, let outcome):
                #expect(outcomes[id] == nil, "probe \(id) has ended twice")
                outcomes[id] = outcome
            case .start:
                #expect(!isAlive, "started twice")
                others.append(effect)
                if let complaint {
                    take(rules.couldNotStart(complaint, now: now))
                } else {
                    isAlive = true
                    rules.started(now: now)
                }
            default: others.append(effect)
            }
        }
    }

    /// Asks and has the question sent.
    @discardableResult
    mutating func ask(_ timeout: Nanoseconds = .seconds(1), queued: Int = 0) -> Int {
        let (id, effects) = rules.ask(by: now + timeout, since: now, queued: queued, now: now)
        take(effects)
        if rules.isOpen(id) { rules.sent(id) }
        return id
    }

    mutating func hear(_ text: String) { take(rules.heard(.line(Array(text.utf8)), now: now)) }

    mutating func answer(_ id: Int, _ status: String = "pass") {
        hear(#"{"id":\#(id),"status":"\#(status)"}"#)
    }

    mutating func end(_ end: ProgramEnd = .exited(0), words: String = "") {
        isAlive = false
        take(rules.ended(end, words: words, now: now))
    }

    /// Lets time pass, and everything happen that is due meanwhile, at its time.
    mutating func wait(_ span: Nanoseconds) {
        let end = now + span
        while let next = rules.next, next <= end {
            now = max(now, next)
            take(rules.due(now: now))
        }
        now = end
    }

    func verdicts(_ ids: Int...) -> [Outcome.Verdict?] { ids.map { outcomes[$0]?.verdict } }

    var sayings: [String] {
        others.compactMap { if case .say(let text) = $0 { text } else { nil } }
    }
    var signals: [ServiceRules.Effect] { others.filter { $0 == .terminate || $0 == .kill } }
}

@Suite struct ServiceRulesTests {
    // MARK: Answers

    @Test func `the first question starts it, and answers come in any order`() {
        var play = Play()
        #expect(play.rules.next == nil)
        let (first, second, third) = (play.ask(), play.ask(), play.ask())
        #expect(play.others == [.start])
        play.answer(third, "fail")
        play.answer(first)
        play.answer(second, "warn")
        #expect(play.verdicts(first, second, third) == [.pass, .warn, .fail])
        play.wait(.seconds(60))
        #expect(play.others == [.start], "nothing more happens")
    }

    @Test func `no answer by the deadline fails, and a late one is dropped`() {
        var play = Play()
        let (slow, quick) = (play.ask(.seconds(1)), play.ask(.seconds(2)))
        play.wait(.milliseconds(999))
        #expect(play.outcomes.isEmpty)
        play.wait(.milliseconds(1))
        #expect(play.outcomes[slow]?.verdict == .fail)
        #expect(play.outcomes[slow]?.reason == .layer7Timeout)
        #expect(
            play.outcomes[slow]?.message
                == "expected an answer within 1s, saw none from the service"
        )
        play.answer(slow)
        play.answer(quick)
        play.answer(quick, "fail")
        #expect(play.verdicts(slow, quick) == [.fail, .pass])
        #expect(play.sayings == [])
    }

    static let mistakes: [(line: String, message: String)] = [
        ("hello", "expected a line of JSON, saw 'hello'"),
        ("[1]", "expected an object with an id, saw '[1]'"),
        (#"{"status":"pass"}"#, #"expected an object with an id, saw '{"status":"pass"}'"#),
        (#"{"id":"1","status":"pass"}"#, "expected an object with an id, saw "),
        (#"{"id":9,"status":"pass"}"#, "expected the id of a question, saw 9"),
        (#"{"id":0,"status":"pass"}"#, "expected the id of a question, saw 0"),
        (#"{"id":-1,"status":"bad"}"#, "expected a status of pass, warn, fail, unknown, saw "),
    ]

    @Test(arguments: mistakes)
    func `a line that is nobody's answer is said once, and leaves no peer to blame`(
        line: String,
        message: String
    ) {
        var play = Play()
        let (first, second) = (play.ask(), play.ask())
        play.hear(line)
        play.hear(line)
        play.answer(second)
        #expect(play.sayings.count == 1 && play.sayings[0].hasPrefix(message), "\(play.sayings)")
        play.wait(.seconds(1))
        let later = play.ask()
        play.wait(.seconds(1))
        #expect(play.verdicts(first, second, later) == [.neutral, .pass, .fail])
        #expect(play.outcomes[first]?.reason == .layer7Response)
        let told = play.outcomes[first]?.message ?? ""
        #expect(told.hasPrefix("expected an answer within 1s, saw other lines: \(message)"))
    }

    @Test func `a line too long is nobody's answer either`() {
        var play = Play()
        let id = play.ask()
        play.take(play.rules.heard(.tooLong, now: play.now))
        play.wait(.seconds(1))
        #expect(play.verdicts(id) == [.neutral])
        #expect(play.sayings == ["expected a line of at most 65536 bytes, saw a longer one"])
    }

    @Test func `a wrong status settles its probe as neutral, at once`() {
        var play = Play()
        let (first, second, third) = (play.ask(), play.ask(), play.ask())
        play.answer(first, "good")
        play.answer(second, "fine")
        play.answer(third)
        #expect(play.verdicts(first, second, third) == [.neutral, .neutral, .pass])
        let message = #"expected a status of pass, warn, fail, unknown, saw '"good"'"#
        #expect(play.outcomes[first]?.message == message)
        #expect(play.sayings == [message])
        // A late one is said too, but throws no doubt on others.
        let fourth = play.ask()
        play.answer(first, "good")
        play.wait(.seconds(1))
        #expect(play.verdicts(fourth) == [.fail])
    }

    // MARK: Ends

    @Test func `whoever waits when it ends learns how, and nobody is to blame`() {
        var play = Play()
        let (first, second) = (play.ask(), play.ask())
        play.answer(first)
        play.end(.exited(3), words: "no such table")
        #expect(play.verdicts(first, second) == [.pass, .neutral])
        let outcome = play.outcomes[second]
        #expect(outcome?.reason == .processError && outcome?.code == 3)
        #expect(outcome?.message == "service exited with code 3: no such table")
        #expect(
            play.sayings == ["exited with code 3: no such table; it is started again in 1s"]
        )
        play.wait(.milliseconds(400))
        let third = play.ask()
        #expect(play.verdicts(third) == [.neutral])
        #expect(
            play.outcomes[third]?.message
                == "service exited with code 3: no such table; it is started again in 600ms"
        )
        play.wait(.milliseconds(600))
        #expect(play.isAlive, "it is started without being asked")
        let fourth = play.ask()
        play.answer(fourth)
        play.answer(second)
        #expect(play.verdicts(fourth) == [.pass])
    }

    @Test func `it rests longer each time, until it has answered`() {
        var play = Play()
        var rests: [Int64] = []
        func rest() {
            play.end(.killed(signal: 9))
            let began = play.now
            rests.append(((play.rules.next ?? began) - began).milliseconds / 1_000)
            play.wait((play.rules.next ?? began) - began)
            #expect(play.isAlive)
        }
        play.ask()
        for _ in 0..<7 { rest() }
        play.answer(play.ask())
        for _ in 0..<3 { rest() }
        #expect(rests == [1, 2, 4, 8, 16, 30, 30, 1, 2, 4])
        #expect(play.sayings.first == "was killed by signal 9; it is started again in 1s")
    }

    @Test func `what cannot be started is tried again, and is nobody's fault`() {
        var play = Play()
        play.complaint = "start /no/such: No such file or directory"
        let first = play.ask()
        #expect(play.verdicts(first) == [.neutral])
        #expect(
            play.outcomes[first]?.message
                == "service could not be started: start /no/such: No such file or directory"
        )
        play.wait(.milliseconds(2_999))
        #expect(play.others.filter { $0 == .start }.count == 2)
        play.complaint = nil
        play.wait(.milliseconds(1))
        play.answer(play.ask())
        #expect(play.verdicts(2) == [.pass])
    }

    @Test func `one that closes its output is over, and its exit is still named`() {
        var play = Play()
        let first = play.ask()
        play.take(play.rules.closed("output", now: play.now))
        #expect(play.others == [.start, .endInput])
        let second = play.ask()
        #expect(
            play.outcomes[second]?.message
                == "service has closed its output and has not ended yet"
        )
        play.wait(.milliseconds(500))
        play.end(.exited(7))
        #expect(play.outcomes[first]?.message == "service exited with code 7")
        #expect(play.signals == [])
    }

    @Test func `one that closes its output and stays is killed`() {
        var play = Play()
        let first = play.ask()
        play.take(play.rules.closed("input", now: play.now))
        play.wait(.milliseconds(1_999))
        // Its deadline came meanwhile, and it could not have answered.
        #expect(play.verdicts(first) == [.neutral])
        #expect(play.signals == [])
        play.wait(.milliseconds(1))
        #expect(play.signals == [.kill])
        play.end(.killed(signal: 9))
        play.wait(.seconds(1))
        #expect(play.isAlive)
    }

    // MARK: Silence

    @Test func `one that is silent for three deadlines and five seconds is ended`() {
        var play = Play()
        for _ in 0..<4 {
            play.ask()
            play.wait(.milliseconds(1_250))
        }
        #expect(play.signals == [], "silent for only 4.75 s at the last deadline")
        play.wait(.milliseconds(125))
        let last = play.ask()
        let other = play.ask(.seconds(9))
        play.wait(.seconds(1))
        #expect(play.signals == [.terminate])
        #expect(play.others.contains(.endInput))
        #expect(play.verdicts(1, 4, last, other) == [.fail, .fail, .fail, .neutral])
        #expect(
            play.outcomes[other]?.message
                == "service answered nothing for 6.13s and was ended",
            "\(play.outcomes[other]?.message ?? "")"
        )
        let refused = play.ask()
        #expect(play.verdicts(refused) == [.neutral])
        play.wait(.milliseconds(1_999))
        #expect(play.signals == [.terminate])
        play.wait(.milliseconds(1))
        #expect(play.signals == [.terminate, .kill])
        play.end(.killed(signal: 9))
        play.wait(.seconds(1))
        #expect(play.isAlive)
    }

    @Test func `a single answer, even a late one, is life`() {
        var play = Play()
        for _ in 0..<20 {
            let id = play.ask()
            play.wait(.milliseconds(1_250))
            play.answer(id)
        }
        #expect(play.signals == [])
        #expect(play.outcomes.values.allSatisfy { $0.verdict == .fail })
    }

    @Test func `many probes at once are one sign of silence`() {
        var play = Play()
        play.wait(.seconds(1))
        for _ in 0..<100 { play.ask(.seconds(6)) }
        play.wait(.seconds(6))
        #expect(play.outcomes.count == 100)
        #expect(play.signals == [])
        play.ask()
        play.wait(.seconds(1))
        #expect(play.signals == [])
        play.ask()
        play.wait(.seconds(1))
        #expect(play.signals == [.terminate])
    }

    @Test func `one that nobody asks is left in peace`() {
        var play = Play()
        play.answer(play.ask())
        play.wait(.seconds(86_400))
        #expect(play.isAlive && play.signals == [])
    }

    @Test func `lines that are no answers are no life`() {
        var play = Play()
        for _ in 0..<6 {
            play.ask()
            play.hear("still here")
            play.wait(.seconds(1))
        }
        #expect(play.signals == [.terminate])
        #expect(play.outcomes.values.allSatisfy { $0.verdict == .neutral })
    }

    // MARK: Limits

    @Test func `when it does not read, later questions are refused and unread ones are neutral`() {
        var play = Play()
        let unread = play.rules.ask(
            by: play.now + .seconds(1),
            since: play.now,
            now: play.now
        )
        play.take(unread.effects)
        let refused = play.ask(queued: play.rules.limits.linesQueuedMax)
        #expect(play.verdicts(refused) == [.neutral])
        #expect(play.outcomes[refused]?.reason == .socketError)
        #expect(play.outcomes[refused]?.message.hasPrefix("service is behind: 256 qu") == true)
        play.wait(.seconds(1))
        #expect(play.verdicts(unread.id) == [.neutral])
        #expect(
            play.outcomes[unread.id]?.message
                == "service is behind: it did not read the question in time"
        )
    }

    @Test func `no more than so many wait for an answer`() {
        var play = Play()
        for _ in 0..<play.rules.limits.openMax { play.ask() }
        #expect(play.outcomes.isEmpty)
        let refused = play.ask()
        #expect(play.verdicts(refused) == [.neutral])
    }

    // MARK: Stopping

    @Test func `stopped while it runs: told, then killed, and nobody is to blame`() {
        var play = Play()
        let id = play.ask()
        play.take(play.rules.stop(now: play.now))
        #expect(play.verdicts(id) == [.neutral])
        #expect(play.others == [.start, .endInput, .terminate])
        let refused = play.ask()
        #expect(play.verdicts(refused) == [.neutral])
        play.wait(.seconds(2))
        #expect(play.signals == [.terminate, .kill])
        #expect(!play.rules.isStopped)
        play.end(.killed(signal: 9))
        #expect(play.rules.isStopped && play.rules.next == nil)
        #expect(play.sayings == [])
    }

    @Test func `stopped before it runs or while it rests: nothing is to be done`() {
        var idle = Play()
        idle.take(idle.rules.stop(now: idle.now))
        #expect(idle.rules.isStopped && idle.others == [])
        var resting = Play()
        resting.ask()
        resting.end()
        resting.take(resting.rules.stop(now: resting.now))
        #expect(resting.rules.isStopped && resting.rules.next == nil)
        resting.wait(.seconds(60))
        #expect(!resting.isAlive)
    }

    // MARK: Anything

    @Test func `whatever happens, every probe ends once and only silence and a word can fail it`() {
        var random = Dice(seed: 11)
        for _ in 0..<300 {
            var play = Play()
            var asked = 0
            var failed: Set<Int> = []
            for _ in 0..<80 {
                switch random.next() % 12 {
                case 0...3:
                    asked = play.ask(.milliseconds(Int64(random.next() % 3_000)))
                case 4...6 where asked > 0 && play.isAlive:
                    let id = Int(random.next() % UInt64(asked)) + 1
                    let word = ["pass", "fail", "unknown", "what"][Int(random.next() % 4)]
                    if word == "fail", play.rules.isOpen(id) { failed.insert(id) }
                    play.answer(id, word)
                case 7 where play.isAlive: play.hear("?")
                case 8 where play.isAlive: play.end(.exited(1))
                case 9 where play.isAlive:
                    play.take(play.rules.closed("output", now: play.now))
                case 10: play.complaint = random.next() % 2 == 0 ? "no" : nil
                default: play.wait(.milliseconds(Int64(random.next() % 2_000)))
                }
            }
            play.take(play.rules.stop(now: play.now))
            if play.isAlive { play.end() }
            #expect(play.rules.isStopped && play.rules.next == nil)
            #expect(play.outcomes.keys.sorted() == Array(1..<(asked + 1)))
            for (id, outcome) in play.outcomes where outcome.verdict == .fail {
                #expect(outcome.reason == .layer7Timeout || failed.contains(id), "\(outcome)")
            }
        }
    }
}

extension Int32 {
    fileprivate var int: Int { Int(self) }
}

@Suite struct ServiceAnswerTests {
    private func answer(_ text: String) throws -> ServiceAnswer {
        try ServiceAnswer(parsing: Array(text.utf8))
    }

    @Test(arguments: [
        ("pass", Outcome.Verdict.pass, Reason.layer7OK), ("warn", .warn, .layer7OK),
        ("fail", .fail, .layer7Status), ("unknown", .neutral, .checked),
    ])
    func `a status is a verdict`(word: String, verdict: Outcome.Verdict, reason: Reason) throws {
        let answer = try answer(#"{"status":"\#(word)","id":17,"more":[1]}"#)
        #expect(answer.id == 17 && answer.oddity == nil)
        #expect(answer.outcome == Outcome(verdict, reason, message: word))
    }

    @Test func `message and metrics are kept`() throws {
        let answer = try answer(
            #"{"id":1,"status":"pass","message":"7 jobs","metrics":{"jobs":7,"age":1.5}}"#
        )
        #expect(answer.outcome.message == "7 jobs")
        #expect(
            answer.outcome.measurements == [
                Measurement(label: "jobs", value: 7), Measurement(label: "age", value: 1.5),
            ]
        )
    }

    @Test(arguments: [
        (#""message":7"#, "a message that is no text"),
        (#""metrics":[1]"#, "metrics that are no object"),
        (#""metrics":{"a":"1","b":2}"#, "metric 'a', which is no number"),
        (#""metrics":{"":1,"b":2}"#, "metric '', which is no number"),
    ])
    func `what cannot be used is left out, and the verdict stands`(
        rest: String,
        oddity: String
    ) throws {
        let answer = try answer(#"{"id":1,"status":"fail",\#(rest)}"#)
        #expect(answer.outcome.verdict == .fail)
        #expect(answer.oddity == "left out of an answer: \(oddity)")
        #expect(answer.outcome.measurements.allSatisfy { $0.label == "b" })
    }

    @Test func `only so many metrics`() throws {
        let metrics = (0..<100).map { "\"m\($0)\":\($0)" }.joined(separator: ",")
        let answer = try answer(#"{"id":1,"status":"pass","metrics":{\#(metrics)}}"#)
        #expect(answer.outcome.measurements.count == ServiceAnswer.measurementsMax)
        #expect(answer.oddity?.hasSuffix("metrics after the first 64") == true)
    }
}

@Suite struct LineCutterTests {
    private func cut(_ text: String, every step: Int, max limit: Int = 8) -> [String] {
        var cutter = LineCutter(lineBytesMax: limit)
        let bytes = Array(text.utf8)
        var pieces: [LineCutter.Piece] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            pieces += cutter.add(bytes[start..<min(start + step, bytes.count)])
        }
        if let last = cutter.finish() { pieces.append(last) }
        return pieces.map {
            if case .line(let line) = $0 { String(decoding: line, as: UTF8.self) } else { "LONG" }
        }
    }

    @Test(
        arguments: [
            ("", []), ("\n\r\n", []), ("a\nb", ["a", "b"]), ("a\r\nb\r\n", ["a", "b"]),
            ("12345678\n1\n", ["12345678", "1"]), ("123456789\n1\n", ["LONG", "1"]),
            ("123456789", ["LONG"]), ("1\n1234567890123456789\n2", ["1", "LONG", "2"]),
        ] as [(String, [String])]
    )
    func `lines are the same however they come`(text: String, lines: [String]) {
        for step in 1...24 { #expect(cut(text, every: step) == lines, "in steps of \(step)") }
    }
}
