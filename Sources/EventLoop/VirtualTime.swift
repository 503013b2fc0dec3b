// How does a test, or a simulation, let an hour pass in a millisecond? On a loop whose time stands
// still until somebody moves it, and then jumps from one timer to the next.
//
// Everything that lives on such a loop runs as it always does. What it must not do is wait for
// anything but the loop: a socket or another thread takes real time, which is none here.

public import Vocabulary

/// The clocks of one loop, moved by hand. Confined to the loop's thread.
final class VirtualTime {
    private(set) var instant: Instant
    private(set) var wall: WallTime
    /// Of the wall clock, beneath its milliseconds.
    private var rest = Nanoseconds.zero

    private struct Journey {
        var goal: Instant
        var isOver: () -> Bool
        var traveller: CheckedContinuation<Bool, Never>
    }
    private var journey: Journey?

    init(_ start: Moment) {
        instant = start.instant
        wall = start.wall
    }

    var moment: Moment { Moment(instant: instant, wall: wall) }
    var epoch: Int64 { wall.milliseconds * 1_000_000 + rest.count }
    /// Somebody waits for time to pass.
    var isMoving: Bool { journey != nil }

    /// The wall clock is set, as by hand or by another machine; timers do not notice.
    func setWall(_ time: WallTime) {
        wall = time
        rest = .zero
    }

    /// Both clocks show this from now on.
    func set(_ moment: Moment) {
        instant = moment.instant
        wall = moment.wall
        rest = .zero
    }

    func travel(
        to goal: Instant,
        until isOver: @escaping () -> Bool,
        _ traveller: CheckedContinuation<Bool, Never>
    ) {
        precondition(journey == nil, "one moves time, and the others wait")
        journey = Journey(goal: goal, isOver: isOver, traveller: traveller)
    }

    /// Nothing is left to do at this instant: goes on to the next timer, or ends the journey.
    func pass(to next: Instant?) {
        guard let journey else { return }
        if journey.isOver() { return end(journey, reached: true) }
        if let next, next <= journey.goal { return move(to: max(next, instant)) }
        move(to: journey.goal)
        end(journey, reached: false)
    }

    private func end(_ journey: Journey, reached: Bool) {
        self.journey = nil
        journey.traveller.resume(returning: reached)
    }

    private func move(to time: Instant) {
        rest = rest + (time - instant)
        wall = wall + rest
        rest = Nanoseconds(rest.count % 1_000_000)
        instant = time
    }
}

extension EventLoop {
    /// A loop on a thread of its own whose time stands still until `advance` moves it. The same seed
    /// gives the same chances.
    public static func spawn(
        virtual name: String,
        from start: Moment = Moment(
            instant: Instant(nanoseconds: 1_000_000_000_000),
            wall: WallTime(milliseconds: 1_767_225_600_000)
        ),
        seed: UInt64 = 1
    ) throws(SystemError) -> EventLoop {
        let loop = try EventLoop(
            name: name,
            virtual: VirtualTime(start),
            dice: Dice(seed: seed)
        )
        try loop.start()
        return loop
    }

    /// A loop without a thread, for a world that has a line of time of its own: whoever made it, on this
    /// thread, says what time it is, and what is due by then runs there and then.
    public static func standing(
        _ name: String,
        at moment: Moment,
        seed: UInt64
    ) throws(SystemError) -> EventLoop {
        let loop = try EventLoop(
            name: name,
            virtual: VirtualTime(moment),
            dice: Dice(seed: seed)
        )
        loop.adopt()
        return loop
    }

    /// It is `moment` on a standing loop. Nothing runs for it yet: a process that was stopped takes what
    /// came meanwhile before its timers.
    public func stand(at moment: Moment) { virtual?.set(moment) }

    /// Runs what is due on a standing loop.
    public func fire() { if let virtual { turn(at: virtual) } }

    /// Lets `span` pass: everything that is due in it runs, each at its own time.
    public func advance(by span: Nanoseconds) async {
        _ = await advance(by: span) { false }
    }

    /// Lets time pass until `isOver`, which is asked whenever nothing is left to do, and at most
    /// `span`. Returns whether it came to be.
    @discardableResult
    public func advance(by span: Nanoseconds, until isOver: @escaping () -> Bool) async -> Bool {
        guard let virtual else { preconditionFailure("time of loop \(name) is the kernel's") }
        let goal = virtual.instant + span
        return await withCheckedContinuation { virtual.travel(to: goal, until: isOver, $0) }
    }

    /// Sets the wall clock of a virtual loop.
    public func setWall(_ time: WallTime) { virtual?.setWall(time) }
}
