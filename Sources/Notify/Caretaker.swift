// Who puts peers into maintenance when the calendar says so? This does, once a window: what an operator lifts
// while the window is open stays lifted. It ends by itself, as any `maint` with an end does.

public import EventLoop
import Health
public import Ledger
public import Store
public import Vocabulary

/// Keeps the calendar of `maintenance`. Confined to the control loop.
public final class Caretaker {
    private let loop: EventLoop
    private let board: Board
    private let operations: Operations
    private let fleet: FleetDesk?
    private let journal: Journal
    /// Of openings that wait for this agent's turn.
    private let timers: Timers
    /// Of the next look.
    private let calendar: Timers
    private var windows: [MaintenanceWindow] = []
    /// The beginning of the opening that was seen to last, by the name of its window.
    private var begun: [String: WallTime] = [:]
    /// Windows whose opening waits for this agent's turn.
    private var waiting: Set<String> = []
    /// Orders go out one after the other, so that what is taken back was asked for before.
    private var work: Task<Void, Never>?
    private var ledger: Ledger?
    private var isRunning = false

    /// The calendar is looked at this often, so that a clock that is set by hand is noticed.
    static let lookEvery = Nanoseconds.seconds(10)
    /// Of agents that share a store one comes first, and the next only where it did not.
    static let turn = Nanoseconds.seconds(2)
    private static let begunMax = MaintenanceWindow.windowsMax * 2

    public init(
        board: Board,
        operations: Operations,
        on loop: EventLoop,
        fleet: FleetDesk? = nil,
        journal: Journal = .silent
    ) {
        self.loop = loop
        self.board = board
        self.operations = operations
        self.fleet = fleet
        self.journal = journal
        timers = Timers(loop: loop)
        calendar = Timers(loop: loop)
    }

    /// The calendar from now on. What an open window asked for moves to where that ends now, or is taken back.
    public func define(_ windows: [MaintenanceWindow]) {
        let before = self.windows
        self.windows = windows
        if isRunning { revise(before) }
        look()
    }

    public func keep(in ledger: Ledger) {
        self.ledger = ledger
        ledger.join(self)
    }

    public func start() {
        isRunning = true
        look()
    }

    public func stop() {
        isRunning = false
        timers.cancelAll()
        calendar.cancelAll()
    }

    private func look() {
        calendar.cancelAll()
        guard isRunning, !windows.isEmpty else { return }
        let now = loop.moment
        for window in windows {
            guard let opening = window.window.opening(at: now.wall),
                begun[window.name] != opening.start
            else { continue }
            begun[window.name] = opening.start
            schedule(window, opening)
        }
        let starts = windows.compactMap { $0.window.nextStart(after: now.wall) }
        let pause = starts.min().map { $0 - now.wall } ?? Self.lookEvery
        calendar.schedule(after: min(max(pause, .milliseconds(1)), Self.lookEvery)) { [weak self] in
            self?.look()
        }
    }

    // MARK: Where a window begins

    private func schedule(
        _ window: MaintenanceWindow,
        _ opening: CalendarWindow.Opening,
        except seen: [String] = []
    ) {
        waiting.insert(window.name)
        timers.schedule(after: wait(for: window.name)) { [weak self] in
            self?.waiting.remove(window.name)
            self?.begin(window, opening, except: seen)
        }
    }

    /// Each agent has its place in the line, the same in everybody's eyes.
    private func wait(for name: String) -> Nanoseconds {
        guard let fleet else { return .zero }
        let agent = fleet.setting.agent
        let line = fleet.memberNames.sorted()
        let place = line.firstIndex(of: agent) ?? line.count
        return Self.turn * Int64(place)
    }

    private func begin(
        _ window: MaintenanceWindow,
        _ opening: CalendarWindow.Opening,
        except seen: [String]
    ) {
        ledger?.note(Self.record(window.name, opening.start))
        let now = loop.wall
        guard now < opening.end else { return }
        // What somebody asked for goes before the calendar.
        let keys = peers(of: window).filter { key in
            board.intent(for: key)?.current(at: now)?.mode == nil
                && !MaintenanceWindow.lists(seen, key.upstream)
        }
        if keys.isEmpty { return }
        journal.notice(
            "maintenance '\(window.name)' begins: \(keys.count) "
                + "\(keys.count == 1 ? "peer is" : "peers are") in maint until \(opening.end)",
            [.event("maintenance"), .until(opening.end)]
        )
        let change = window.order(until: opening.end)
        inTurn { caretaker in
            await caretaker.ask(keys.map { ($0, change) }, of: window) {
                // Another calendar may have come meanwhile, which the rest of them does not hear of otherwise.
                caretaker.windows.contains(where: window.isSame(as:))
            }
        }
    }

    private func peers(of window: MaintenanceWindow) -> [PeerKey] {
        board.names.filter(window.wants).flatMap { upstream in
            (board.definition(of: upstream)?.peers ?? []).map {
                PeerKey(upstream: upstream, peer: $0.id)
            }
        }
    }

    // MARK: Where another calendar comes

    private func revise(_ before: [MaintenanceWindow]) {
        let now = loop.wall
        // Whose turn has not come begins anew, as it is written now.
        timers.cancelAll()
        for name in waiting { begun[name] = nil }
        waiting = []
        for old in before where !windows.contains(where: old.isSame(as:)) {
            guard let opening = old.window.opening(at: now), begun[old.name] == opening.start
            else { continue }
            inTurn { await $0.revise(old, until: opening.end) }
            if let heir = old.heir(among: windows), let present = heir.window.opening(at: now) {
                // It goes on, and is no other that begins: what was lifted stays lifted.
                note(heir.name, began: present.start)
                schedule(heir, present, except: old.upstreams)
            } else {
                // Written down once more it begins once more.
                note(old.name, began: WallTime(milliseconds: 0))
            }
        }
    }

    private func note(_ name: String, began start: WallTime) {
        begun[name] = start
        ledger?.note(Self.record(name, start))
    }

    /// Moves or takes back what this window asked for: neither what somebody else asked for, nor what was lifted.
    private func revise(_ old: MaintenanceWindow, until end: WallTime) async {
        let (asked, now) = (old.order(until: end), loop.wall)
        var changes: [(PeerKey, IntentChange.Mode)] = []
        for key in peers(of: old) {
            guard let intent = board.intent(for: key)?.current(at: now), asked.made(intent)
            else { continue }
            let wanted = old.order(insteadFor: key.upstream, among: windows, at: now)
            if wanted != asked { changes.append((key, wanted)) }
        }
        if changes.isEmpty { return }
        let lifted = changes.count { $0.1.mode == nil }
        journal.notice(
            "maintenance '\(old.name)' is written otherwise now: of \(changes.count) in maint by it "
                + "\(lifted) are taken out, \(changes.count - lifted) have another end or reason",
            [.event("maintenance")]
        )
        await ask(changes, of: old)
    }

    // MARK: Orders

    private func inTurn(_ body: @escaping @Sendable (Caretaker) async -> Void) {
        let home = LoopBound(self, on: loop)
        let previous = work
        work = Task(executorPreference: loop) {
            await previous?.value
            await body(home.value)
        }
    }

    private func ask(
        _ changes: [(PeerKey, IntentChange.Mode)],
        of window: MaintenanceWindow,
        while holds: () -> Bool = { true }
    ) async {
        var failed: [String] = []
        for (key, mode) in changes where isRunning && holds() {
            do throws(OperationError) {
                _ = try await operations.change(key, expecting: .anything) {
                    (_, _) throws(OperationError) in IntentChange(mode: mode)
                }
            } catch {
                failed.append("\(key): \(error)")
            }
        }
        if let first = failed.first {
            journal.warning(
                "maintenance '\(window.name)': the maint of \(failed.count) of \(changes.count) peers "
                    + "could not be changed, the first: \(first.printable)",
                [.event("maintenance-failed"), .error(first)]
            )
        }
    }
}

extension Caretaker: LedgerClient {
    public var recordKinds: Set<UInt8> { [LedgerKind.maintenance] }

    public func recover(_ record: LedgerRecord) {
        guard let json = try? JSON(parsing: record.bytes), let name = json["name"]?.string,
            let start = json["start"]?.integer, begun.count < Self.begunMax
        else { return }
        begun[name] = WallTime(clamping: start)
    }

    public func snapshot() -> @Sendable () -> [LedgerRecord] {
        { [begun] in begun.map { Self.record($0.key, $0.value) } }
    }

    private static func record(_ name: String, _ start: WallTime) -> LedgerRecord {
        let json = JSON.object([
            .init("name", .string(name)), .init("start", .integer(start.milliseconds)),
        ])
        return LedgerRecord(kind: LedgerKind.maintenance, bytes: json.bytes)
    }
}
