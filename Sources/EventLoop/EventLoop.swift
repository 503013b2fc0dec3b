// How long until the next timer? Wait that long; run what is ready, then what is due, then what
// other threads asked for. One loop a thread, edge-triggered epoll, no locks but the mailbox's.
//
// The same loop serves two styles. The data plane uses plain methods and event sinks. The control
// plane uses it as an executor: an actor on the loop, or a task that prefers it, runs right here
// between two waits.

import CLinux
import Glibc
import Synchronization
public import Vocabulary

/// An epoll loop. Everything but `execute`, `enqueue` and `stop` must be called on its own thread.
public final class EventLoop: @unchecked Sendable {
    public let name: String

    /// Read once an iteration: cheap, and the same for everything that happens together.
    public private(set) var now: Instant

    /// How often the kernel has been asked what happened, and which of these times it told of the event
    /// that is dispatched now.
    public private(set) var asks: UInt64 = 0
    public private(set) var toldBy: UInt64 = 0

    /// How many events have been dispatched since the kernel was asked last.
    public var eventsSinceAsk: Int { present &- askedAt }

    /// How late timers were: what this loop was kept from.
    public private(set) var lag = LoopLag()

    /// Chance for everything that lives here. Seeded by the kernel, or by the test.
    public var dice: Dice

    private let epoll: Int32
    private let wakeup: Int32

    // MARK: State of the loop's own thread

    /// Set where time passes only when somebody moves it.
    let virtual: VirtualTime?

    private struct Slot {
        var sink: Unmanaged<EventSink>?
        var tag: Int
        var generation: UInt32
        var isOwned: Bool
    }
    private struct Timer {
        var sink: Unmanaged<EventSink>
        var tag: Int
    }

    /// Indexed by descriptor, as redis's ae does: the kernel hands out the lowest free number, so
    /// the table stays dense.
    private var slots: UnsafeMutablePointer<Slot>
    private var slotCapacity: Int
    private var timers = TimerHeap<Timer>()
    private var localJobs: [UnownedJob] = []
    private var watched = 0

    /// What the kernel told, and by which asking. The event that is dispatched now, and the one that was when
    /// it was asked last.
    private let events: UnsafeMutablePointer<epoll_event>
    private let tellings: UnsafeMutablePointer<UInt64>
    private var told = 0
    private var present = 0
    private var askedAt = 0
    private var isDispatching = false
    private var attachments = Attachments()

    // MARK: State shared with other threads

    private struct Mail {
        var jobs: [UnownedJob] = []
        var closures: [@Sendable () -> Void] = []
        var isAwake = false
    }
    private let mail = Mutex(Mail())
    /// Says without the lock that there may be mail. A turn without any costs no lock.
    private let hasMail = Atomic<Bool>(false)
    private let thread = Atomic<UInt>(0)
    private let isStopping = Atomic<Bool>(false)

    /// Events taken from the kernel at once. More only delays timers.
    private static let eventsMax = 512
    /// More are kept where the kernel is asked again before these have been dispatched.
    private static let eventsKept = 1_024
    /// Batches taken before late timers: a flood must not hold them up for ever.
    private static let catchUpMax = 8

    /// A loop whose time is the kernel's.
    public convenience init(name: String) throws(SystemError) {
        try self.init(name: name, virtual: nil, dice: Dice(seed: .random(in: 0...(.max))))
    }

    init(name: String, virtual: VirtualTime?, dice: Dice) throws(SystemError) {
        self.name = name
        self.virtual = virtual
        self.dice = dice
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        if epoll < 0 { throw SystemError("epoll_create1") }
        wakeup = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        if wakeup < 0 {
            let error = SystemError("eventfd")
            Glibc.close(epoll)
            throw error
        }
        now = virtual?.instant ?? Clock.instant()
        slotCapacity = 64
        slots = .allocate(capacity: slotCapacity)
        slots.initialize(
            repeating: Slot(sink: nil, tag: 0, generation: 0, isOwned: false),
            count: slotCapacity
        )
        events = .allocate(capacity: Self.eventsKept)
        tellings = .allocate(capacity: Self.eventsKept)
        // The wake-up descriptor is the one whose token is all ones.
        guard
            muster_epoll_control(
                epoll,
                EPOLL_CTL_ADD,
                wakeup,
                muster_epoll_in | muster_epoll_et,
                .max
            )
                == 0
        else { throw SystemError("epoll_ctl") }
    }

    deinit {
        Glibc.close(epoll)
        Glibc.close(wakeup)
        slots.deallocate()
        events.deallocate()
        tellings.deallocate()
    }

    /// True on the loop's own thread.
    public var isCurrent: Bool { thread.load(ordering: .relaxed) == pthread_self() }

    // MARK: Running

    /// Runs until `stop`, on the calling thread.
    public func run() {
        adopt()
        defer { thread.store(0, ordering: .relaxed) }
        while !isStopping.load(ordering: .acquiring) { turn(waitingAtMost: .seconds(60)) }
        drainMail()
    }

    /// Makes the calling thread the loop's own, for set-up before `run` on that same thread.
    public func adopt() { thread.store(pthread_self(), ordering: .relaxed) }

    /// Starts a thread that runs a new loop.
    public static func spawn(name: String) throws(SystemError) -> EventLoop {
        let loop = try EventLoop(name: name)
        try loop.start()
        return loop
    }

    /// Runs on a thread of its own from now on.
    func start() throws(SystemError) {
        var thread = pthread_t()
        let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { box in
            guard let box else { return nil }
            let loop = Unmanaged<EventLoop>.fromOpaque(box).takeRetainedValue()
            _ = loop.name.withCString { muster_name_thread($0) }
            loop.run()
            return nil
        }
        let box = Unmanaged.passRetained(self)
        let code = pthread_create(&thread, nil, start, box.toOpaque())
        if code != 0 {
            box.release()
            throw SystemError("pthread_create", code: code)
        }
        pthread_detach(thread)
    }

    /// Makes `run` return after what it is doing now. Callable from any thread.
    public func stop() {
        isStopping.store(true, ordering: .releasing)
        wake()
    }

    private func turn(waitingAtMost limit: Nanoseconds) {
        let timeout = localJobs.isEmpty ? waitMilliseconds(atMost: limit) : 0
        told = 0
        let count = ask(timeout)
        now = instant
        if count > 0 { dispatchAll() }
        if let next = timers.next, next <= now {
            let late = now - next
            if count > 0, late > LoopLag.allowance { catchUp() }
            lag.note(late)
            fireTimers()
        }
        drainMail()
        if let virtual, isQuiet {
            virtual.pass(to: timers.next)
            now = virtual.instant
        }
    }

    /// After a hold-up more may be ready than fits one batch: what came in time is taken before the
    /// deadline that it would have met.
    private func catchUp() {
        for _ in 0..<Self.catchUpMax {
            told = 0
            if ask(0) <= 0 { return }
            dispatchAll()
        }
    }

    /// Asks the kernel what happened, and keeps that behind what it has told already.
    private func ask(_ timeout: Int32) -> Int {
        let room = min(Self.eventsMax, Self.eventsKept - told)
        let count = Int(epoll_wait(epoll, events + told, Int32(room), timeout))
        asks &+= 1
        if count <= 0 { return count }
        (tellings + told).update(repeating: asks, count: count)
        told &+= count
        return count
    }

    private func dispatchAll() {
        isDispatching = true
        askedAt = 0
        present = 0
        while present < told {
            toldBy = tellings[present]
            dispatch(events + present)
            present &+= 1
        }
        isDispatching = false
    }

    /// For whoever has to know what has happened by now, while one event is dispatched and others wait. The sinks
    /// hear of what is new at once, by `foretold`, and in their turn by `ready`. False where it cannot be
    /// done: then nobody has been told of anything.
    public func askAgain() -> Bool {
        guard isDispatching, Self.eventsKept - told >= Self.eventsMax / 2 else { return false }
        askedAt = present
        let first = told
        guard ask(0) > 0 else { return true }
        for index in first..<told {
            guard let slot = slot(of: events + index) else { continue }
            let readiness = Readiness(rawValue: events[index].events)
            slot.sink?._withUnsafeGuaranteedRef { $0.foretold(readiness, tag: slot.tag) }
        }
        return true
    }

    /// Nothing is left to do at this moment of the loop's time.
    private var isQuiet: Bool { localJobs.isEmpty && !hasMail.load(ordering: .acquiring) }

    // MARK: Time

    /// The time now, read afresh: later than `now` by what this turn has taken.
    public var instant: Instant { virtual?.instant ?? Clock.instant() }

    /// What a clock on the wall shows now.
    public var wall: WallTime { virtual?.wall ?? Clock.wall() }

    /// The same in nanoseconds since 1970, for machines that compare what took less than a millisecond.
    public var epoch: Int64 { virtual?.epoch ?? Clock.epoch() }

    /// Both, for those who decide by them.
    public var moment: Moment {
        virtual?.moment ?? Moment(instant: Clock.instant(), wall: Clock.wall())
    }

    /// Rounds up: waking a millisecond early would spin until the timer is due.
    private func waitMilliseconds(atMost limit: Nanoseconds) -> Int32 {
        if let virtual { return virtual.isMoving ? 0 : Int32(limit.milliseconds) }
        var wait = limit
        if let next = timers.next { wait = min(next - Clock.instant(), limit) }
        if wait <= .zero { return 0 }
        return Int32(truncatingIfNeeded: (wait.count &+ 999_999) / 1_000_000)
    }

    @inline(__always)
    private func dispatch(_ event: UnsafeMutablePointer<epoll_event>) {
        let token = muster_epoll_token(event)
        if token == .max {
            var count: UInt64 = 0
            read(wakeup, &count, 8)
            return
        }
        guard let slot = slot(of: event) else { return }
        slot.sink?._withUnsafeGuaranteedRef {
            $0.ready(Readiness(rawValue: event.pointee.events), tag: slot.tag)
        }
    }

    /// Whose event it is, if they are still there.
    @inline(__always)
    private func slot(of event: UnsafeMutablePointer<epoll_event>) -> Slot? {
        let token = muster_epoll_token(event)
        if token == .max { return nil }
        let slot = slots[Int(UInt32(truncatingIfNeeded: token))]
        let isThere = slot.generation == UInt32(truncatingIfNeeded: token >> 32) && slot.sink != nil
        return isThere ? slot : nil
    }

    /// Of a loop that nobody runs: time is another now, and what is due by it runs, in order.
    func turn(at virtual: VirtualTime) {
        now = virtual.instant
        // What timers set for this very moment is done too, but not without end.
        for _ in 0..<Self.catchUpMax {
            guard let next = timers.next, next <= now else { return }
            lag.note(now - next)
            fireTimers()
        }
    }

    private func fireTimers() {
        // Timers set by timers wait for the next turn, or a timer of zero would never end the loop.
        let mark = timers.mark
        while let timer = timers.popDue(at: now, setBefore: mark) {
            timer.sink._withUnsafeGuaranteedRef { $0.due(tag: timer.tag) }
        }
    }

    // MARK: Descriptors

    /// Watches `descriptor` for everything, edge-triggered, from now until `close`. One call for its
    /// whole life: a request costs no `epoll_ctl`.
    public func register(
        _ descriptor: consuming Descriptor,
        sink: EventSink,
        tag: Int = 0
    ) throws(SystemError) -> Handle {
        let raw = descriptor.raw
        let interest = muster_epoll_in | muster_epoll_out | muster_epoll_rdhup | muster_epoll_et
        let handle = try add(raw, interest, sink, tag, isOwned: true)
        _ = descriptor.take()
        return handle
    }

    /// Watches a descriptor that somebody else owns and will close, such as a C library's.
    /// Level-triggered: such libraries do not drain.
    public func watch(
        _ raw: Int32,
        readable: Bool,
        writable: Bool,
        sink: EventSink,
        tag: Int = 0
    ) throws(SystemError) -> Handle {
        let interest = (readable ? muster_epoll_in : 0) | (writable ? muster_epoll_out : 0)
        return try add(raw, interest, sink, tag, isOwned: false)
    }

    /// Changes what a watched descriptor is watched for.
    public func rewatch(_ handle: Handle, readable: Bool, writable: Bool) {
        guard isLive(handle) else { return }
        let interest = (readable ? muster_epoll_in : 0) | (writable ? muster_epoll_out : 0)
        _ = muster_epoll_control(
            epoll,
            EPOLL_CTL_MOD,
            handle.descriptor,
            interest,
            Self.token(handle)
        )
    }

    /// Gives a registered descriptor to another sink or tag: a connection out of a pool.
    @inlinable
    public func retag(_ handle: Handle, tag: Int) { setTag(handle, tag) }

    @usableFromInline
    func setTag(_ handle: Handle, _ tag: Int) {
        guard isLive(handle) else { return }
        slots[Int(handle.descriptor)].tag = tag
    }

    /// Closes a registered descriptor, or only forgets a watched one. Stale handles are ignored.
    public func close(_ handle: Handle) {
        guard isLive(handle) else { return }
        let index = Int(handle.descriptor)
        if slots[index].isOwned {
            // Closing removes it from epoll: nobody else holds the open file.
            Glibc.close(handle.descriptor)
        } else {
            _ = muster_epoll_control(epoll, EPOLL_CTL_DEL, handle.descriptor, 0, 0)
        }
        slots[index].sink = nil
        slots[index].generation &+= 1
        watched -= 1
    }

    /// Takes a descriptor back from the loop, still open.
    public func release(_ handle: Handle) -> Descriptor? {
        guard isLive(handle), slots[Int(handle.descriptor)].isOwned else { return nil }
        slots[Int(handle.descriptor)].isOwned = false
        close(handle)
        return Descriptor(owning: handle.descriptor)
    }

    public func isLive(_ handle: Handle) -> Bool {
        let index = Int(handle.descriptor)
        return index >= 0 && index < slotCapacity && slots[index].generation == handle.generation
            && slots[index].sink != nil
    }

    /// Descriptors under watch, for metrics and for tests that look for leaks.
    public var watchedCount: Int { watched }
    public var timerCount: Int { timers.count }
    /// When the first timer is due.
    public var nextTimer: Instant? { timers.next }

    private func add(
        _ raw: Int32,
        _ interest: UInt32,
        _ sink: EventSink,
        _ tag: Int,
        isOwned: Bool
    ) throws(SystemError) -> Handle {
        assert(isCurrent || thread.load(ordering: .relaxed) == 0)
        reserve(Int(raw))
        let index = Int(raw)
        let generation = slots[index].generation &+ 1
        let handle = Handle(descriptor: raw, generation: generation)
        if muster_epoll_control(epoll, EPOLL_CTL_ADD, raw, interest, Self.token(handle)) != 0 {
            throw SystemError("epoll_ctl")
        }
        // A watched descriptor whose owner closed it first left epoll by itself: its slot, still
        // filled, is taken over and was counted already.
        if slots[index].sink == nil { watched += 1 }
        slots[index] = Slot(
            sink: .passUnretained(sink),
            tag: tag,
            generation: generation,
            isOwned: isOwned
        )
        return handle
    }

    private static func token(_ handle: Handle) -> UInt64 {
        UInt64(handle.generation) << 32 | UInt64(UInt32(bitPattern: handle.descriptor))
    }

    private func reserve(_ index: Int) {
        guard index >= slotCapacity else { return }
        let capacity = max(slotCapacity * 2, index + 1)
        let grown = UnsafeMutablePointer<Slot>.allocate(capacity: capacity)
        grown.moveInitialize(from: slots, count: slotCapacity)
        (grown + slotCapacity).initialize(
            repeating: Slot(sink: nil, tag: 0, generation: 0, isOwned: false),
            count: capacity - slotCapacity
        )
        slots.deallocate()
        slots = grown
        slotCapacity = capacity
    }

    // MARK: Attachments

    /// The one object of its type that belongs to this loop, made by `make` if there is none yet. It
    /// must not hold on to the loop, which holds on to it.
    public func attachment<Kind: AnyObject, Failure: Error>(
        _ make: () throws(Failure) -> Kind
    ) throws(Failure) -> Kind {
        assert(isCurrent || thread.load(ordering: .relaxed) == 0)
        return try attachments.object(make)
    }

    // MARK: Timers

    /// Calls `sink.due(tag:)` at `deadline` or soon after, once. A deadline in the past means now:
    /// it waits behind everything that is due already.
    public func schedule(at deadline: Instant, sink: EventSink, tag: Int = 0) -> TimerID {
        assert(isCurrent || thread.load(ordering: .relaxed) == 0)
        return timers.insert(max(deadline, now), Timer(sink: .passUnretained(sink), tag: tag))
    }

    /// Moves a timer. Returns false when it has fired or was cancelled.
    @discardableResult
    public func move(_ id: TimerID, to deadline: Instant) -> Bool {
        timers.move(id, to: max(deadline, now))
    }

    @discardableResult
    public func cancel(_ id: TimerID) -> Bool { timers.cancel(id) }

    // MARK: Mail from other threads

    /// Runs `body` on the loop's thread, in the order of the calls. Callable from any thread.
    public func execute(_ body: @escaping @Sendable () -> Void) {
        let mustWake = mail.withLock { mail in
            mail.closures.append(body)
            hasMail.store(true, ordering: .releasing)
            defer { mail.isAwake = true }
            return !mail.isAwake
        }
        if mustWake { wake() }
    }

    private func wake() {
        var one: UInt64 = 1
        write(wakeup, &one, 8)
    }

    private func drainMail() {
        if hasMail.load(ordering: .acquiring) { takeMail() }
        if localJobs.isEmpty { return }
        // Jobs that jobs enqueue run in this turn too: a chain of awaits must not wait for epoll.
        var index = 0
        while index < localJobs.count, index < Self.jobsMax {
            let job = localJobs[index]
            index += 1
            run(job)
        }
        localJobs.removeFirst(index)
    }

    private func takeMail() {
        let (jobs, closures) = mail.withLock { mail in
            defer {
                mail.jobs.removeAll()
                mail.closures.removeAll()
                mail.isAwake = false
                hasMail.store(false, ordering: .relaxed)
            }
            return (mail.jobs, mail.closures)
        }
        for closure in closures { closure() }
        for job in jobs { run(job) }
    }

    /// Jobs run before descriptors are looked at again.
    private static let jobsMax = 4_096

    private func run(_ job: UnownedJob) {
        job.runSynchronously(
            isolatedTo: asUnownedSerialExecutor(),
            taskExecutor: asUnownedTaskExecutor()
        )
    }
}

extension EventLoop: SerialExecutor, TaskExecutor {
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent {
            localJobs.append(job)
            return
        }
        let mustWake = mail.withLock { mail in
            mail.jobs.append(job)
            hasMail.store(true, ordering: .releasing)
            defer { mail.isAwake = true }
            return !mail.isAwake
        }
        if mustWake { wake() }
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    public func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        UnownedTaskExecutor(ordinary: self)
    }

    public func checkIsolated() { precondition(isCurrent, "not on loop \(name)") }
}
