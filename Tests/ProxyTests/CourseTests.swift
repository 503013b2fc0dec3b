// Every history of one exchange: whatever client, peers and clock do in whatever order, and what the
// course makes of it. The worker is played here, in the plainest way; the course is the real one.

import Testing

@testable import Proxy

@Suite struct CourseTests {
    /// What a worker that does as it is told knows, and what it has done.
    private struct World: Hashable {
        var course: Course
        var peersLeft: Int
        var hasBudget: Bool
        /// Attempts of which the peer may have seen a byte.
        var sent = 0
        /// Attempts that began after the client had heard a byte of an answer.
        var late = 0
        /// The present attempt has answered to the end.
        var isComplete = false
        var ending: Ending?
        /// Some peer was lost.
        var wasLost = false
    }

    private struct Start {
        var isIdempotent: Bool
        var isWhole: Bool
        var peers: Int
        var triesMax: UInt8
        var hasBudget: Bool
        var isOpaque = false
    }

    private static let starts: [Start] = (0..<32).flatMap { bits in
        (0...3).map { peers in
            Start(
                isIdempotent: bits & 1 != 0,
                isWhole: bits & 2 != 0,
                peers: peers,
                triesMax: bits & 4 != 0 ? 3 : 2,
                hasBudget: bits & 8 != 0,
                isOpaque: bits & 16 != 0
            )
        }
    }

    /// Everything that can be reached from `start`, with the event that led there.
    private static func reach(
        _ start: Start,
        _ check: (_ before: World, _ event: ExchangeEvent?, _ after: World) -> Void
    ) -> Set<World> {
        var course = Course()
        course.isIdempotent = start.isIdempotent
        course.isWhole = start.isWhole
        course.isOpaque = start.isOpaque
        course.triesMax = start.triesMax
        course.isSafe = start.isIdempotent
        course.isMovable = start.isIdempotent
        course.occasions = [
            .connectFailure, .emptyResponse, .malformedResponse, .responseTimeout, .status,
        ]
        let begin = World(course: course, peersLeft: start.peers, hasBudget: start.hasBudget)
        var seen: Set<World> = []
        var open: [World] = []
        for first in choose(begin) {
            check(begin, nil, first)
            if seen.insert(first).inserted { open.append(first) }
        }
        while let world = open.popLast() {
            if world.ending != nil { continue }
            for (event, next) in steps(from: world) {
                check(world, event, next)
                if seen.insert(next).inserted { open.append(next) }
            }
        }
        return seen
    }

    /// A peer is chosen, and it has an idle connection or not.
    private static func choose(_ world: World) -> [World] {
        var world = world
        guard world.peersLeft > 0 else { return act(world, .nobody) }
        world.peersLeft -= 1
        world.course.tries += 1
        if world.course.heard != .nothing { world.late += 1 }
        var next = [connect(world)]
        if !world.course.isOpaque, !world.course.usedFreeRetry {
            var taken = world
            _ = taken.course.on(.taken)
            next.append(taken)
        }
        return next
    }

    private static func connect(_ world: World) -> [World].Element {
        var world = world
        _ = world.course.on(.opening)
        return world
    }

    private static func act(_ world: World, _ event: ExchangeEvent) -> [World] {
        var world = world
        switch world.course.on(event, hasBudget: world.hasBudget) {
        case .goOn: return [world]
        case .choose(let again):
            if again {
                world.course.isAgain = true
                world.hasBudget = false
            }
            return choose(world)
        case .reconnect:
            if world.course.heard != .nothing { world.late += 1 }
            return [connect(world)]
        case .end(let how):
            world.ending = how
            return [world]
        }
    }

    /// What can happen to a world, and what comes of it.
    private static func steps(from world: World) -> [(ExchangeEvent, World)] {
        var events: [ExchangeEvent] = [.clientGone, .wentDown]
        let course = world.course
        var worlds: [(ExchangeEvent, World)] = []
        switch course.attempt {
        case .none: break
        case .tunnel: break
        case .connecting:
            events += [.connected, .failed(.connect), .late(.connecting)]
        case .open:
            if course.isOpaque {
                events += [.tunnelled]
            } else {
                events += [.asked, .failed(.silent), .failed(.malformed)]
            }
        case .asked:
            switch course.heard {
            case .nothing, .interim:
                events += [
                    .interim, .answering, .failed(.silent), .failed(.malformed), .late(.peer),
                    .unwelcome,
                ]
                if course.isWhole { events += [.tunnelled] }
            case .answer:
                events += [.failed(.broken), .late(.stalled), .late(.clientReads), .complete]
            }
        }
        if course.mayMove, world.peersLeft > 0 { events += [.lost] }
        if !course.isOpaque, course.attempt != .tunnel {
            if !course.isWhole {
                events += [.senseless(status: 400)]
                if course.heard != .answer, course.attempt != .connecting {
                    events += [.late(.clientSends)]
                }
                var whole = world
                whole.course.isWhole = true
                worlds.append((.opening, whole))
            }
            if course.isReplayable, course.attempt == .asked {
                var lost = world
                lost.course.isReplayable = false
                worlds.append((.opening, lost))
            }
        }
        for event in events {
            var before = world
            if event == .asked { before.sent += 1 }
            if event == .complete { before.isComplete = true }
            if event == .lost { before.wasLost = true }
            worlds += act(before, event).map { (event, $0) }
        }
        return worlds
    }

    @Test func `every history ends once, and as the client can understand`() {
        var states = 0
        for start in Self.starts {
            let seen = Self.reach(start) { before, event, after in
                guard let ending = after.ending else { return }
                let story = "\(start) \(before.course) \(String(describing: event)) \(ending)"
                switch ending {
                case .answered:
                    #expect(after.isComplete, "\(story)")
                case .own, .refused:
                    #expect(after.course.heard != .answer, "\(story)")
                    #expect(!start.isOpaque, "\(story)")
                case .cut:
                    #expect(after.course.heard == .answer, "\(story)")
                case .reset:
                    #expect(
                        after.course.heard == .answer || start.isOpaque
                            || before.course.attempt == .tunnel,
                        "\(story)"
                    )
                case .gone:
                    #expect(event == .clientGone, "\(story)")
                }
            }
            states += seen.count
            #expect(seen.contains { $0.ending != nil })
            // Whatever state there is, the exchange still comes to its end.
            for world in seen where world.ending == nil {
                #expect(!Self.steps(from: world).isEmpty)
            }
        }
        #expect(states > 5_000)
    }

    @Test func `what is not idempotent is sent once, and nothing twice unless it is here`() {
        for start in Self.starts {
            for world in Self.reach(start, { _, _, _ in }) {
                if !start.isIdempotent { #expect(world.sent <= 1, "\(start) \(world)") }
                // Each peer once, one of them a second time after a stale connection, and another
                // after one was lost that had it.
                #expect(world.sent <= Int(start.triesMax) + 2, "\(start) \(world)")
                #expect(Int(world.course.tries) <= start.peers, "\(start) \(world)")
                if !world.wasLost {
                    #expect(Int(world.course.tries) <= Int(start.triesMax), "\(start) \(world)")
                }
            }
        }
    }

    @Test func `nobody is asked once the client heard something`() {
        for start in Self.starts {
            for world in Self.reach(start, { _, _, _ in }) { #expect(world.late == 0) }
        }
    }

    @Test func `what is gone from here is not sent again`() {
        for start in Self.starts {
            _ = Self.reach(start) { before, event, after in
                guard !before.course.isReplayable, event != nil else { return }
                #expect(after.course.tries == before.course.tries, "\(before)")
                let begins =
                    after.course.attempt == .connecting && before.course.attempt != .connecting
                #expect(!begins, "\(before)")
            }
        }
    }

    @Test func `who finds nobody else is told how the last one failed`() {
        func ends(_ failings: [Failing]) -> ExchangeAction {
            var course = Course()
            (course.isIdempotent, course.isSafe, course.triesMax) = (true, true, 3)
            course.occasions = [.connectFailure, .emptyResponse, .responseTimeout]
            for failing in failings {
                course.tries += 1
                _ = course.on(.opening)
                _ = course.on(.connected)
                _ = course.on(.asked)
                #expect(course.on(.failed(failing), hasBudget: true) == .choose(again: true))
            }
            return course.on(.nobody)
        }
        #expect(ends([.timeout]) == .end(.own(status: 504)))
        #expect(ends([.silent, .timeout]) == .end(.own(status: 504)))
        #expect(ends([.timeout, .silent]) == .end(.own(status: 502)))
        #expect(ends([]) == .end(.own(status: 503)))
    }

    @Test func `whom a deadline caught`() {
        var course = Course()
        course.attempt = .connecting
        #expect(course.lateness(isSent: false, isDelivered: true) == .connecting)
        course.attempt = .asked
        #expect(course.lateness(isSent: true, isDelivered: true) == .peer)
        course.isWhole = false
        #expect(course.lateness(isSent: true, isDelivered: true) == .clientSends)
        // The peer does not take what is there.
        #expect(course.lateness(isSent: false, isDelivered: true) == .peer)
        course.heard = .answer
        #expect(course.lateness(isSent: true, isDelivered: true) == .stalled)
        #expect(course.lateness(isSent: true, isDelivered: false) == .clientReads)
    }
}
