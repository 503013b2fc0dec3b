// What happens in the demo, and when? A pure timetable, so that thirty seconds tell the same story
// as an open end.

/// When the first server is killed and when it is started again.
struct DemoStory: Equatable {
    var killAt: Int
    var restartAt: Int
    /// Seconds after which the story is told: back in rotation, slow start over.
    var toldAt: Int

    /// `seconds` is how long the demo runs; nil for an open end. Nil when that is too short to show
    /// a failure, a recovery and a slow start of five seconds.
    init?(seconds: Int?) {
        guard let seconds else {
            self.init(killAt: 6, restartAt: 14, toldAt: 24)
            return
        }
        guard seconds >= Self.secondsMin else { return nil }
        let killAt = max(3, seconds / 5)
        self.init(killAt: killAt, restartAt: max(killAt + 3, seconds * 2 / 5), toldAt: seconds)
    }

    private init(killAt: Int, restartAt: Int, toldAt: Int) {
        self.killAt = killAt
        self.restartAt = restartAt
        self.toldAt = toldAt
    }

    static let secondsMin = 15
}

/// What the demo saw of the server that it killed.
struct DemoEvidence: Equatable {
    var wasSeenDown = false
    var isUpAgain = false
    var servedAgain = false
    var failures = 0

    /// What went wrong, one line each; empty when the demo showed what it promises.
    var complaints: [String] {
        var lines: [String] = []
        if failures > 0 { lines.append("\(failures) requests failed: expected none") }
        if !wasSeenDown { lines.append("the killed server was never seen down") }
        if !isUpAgain { lines.append("the restarted server did not come up again") }
        if !servedAgain { lines.append("the restarted server got no requests") }
        return lines
    }
}
