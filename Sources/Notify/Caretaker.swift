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

    public func define(_ windows: [MaintenanceWindow]) {
        self.windows = windows
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
            timers.schedule(after: wait(for: window.name)) { [weak self] in
                self?.begin(window, opening)
            }
        }
        let starts = windows.compactMap { $0.window.nextStart(after: now.wall) }
        let pause = starts.min().map { $0 - now.wall } ?? Self.lookEvery
        calendar.schedule(after: min(max(pause, .milliseconds(1)), Self.lookEvery)) { [weak self] in
            self?.look()
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

    private func begin(_ window: MaintenanceWindow, _ opening: CalendarWindow.Opening) {
        ledger?.note(Self.record(window.name, opening.start))
        var rules = HeraldRules()
        rules.upstreams = window.upstreams
        let now = loop.wall
        guard now < opening.end else { return }
        var keys: [PeerKey] = []
        for upstream in board.names where rules.wants(upstream) {
            for peer in board.definition(of: upstream)?.peers ?? [] {
                let key = PeerKey(upstream: upstream, peer: peer.id)
                // What somebody asked for goes before the calendar.
                if board.intent(for: key)?.current(at: now)?.mode == nil { keys.append(key) }
            }
        }
        if keys.isEmpty { return }
        journal.notice(
            "maintenance '\(window.name)' begins: \(keys.count) "
                + "\(keys.count == 1 ? "peer is" : "peers are") in maint until \(opening.end)",
            [.event("maintenance"), .until(opening.end)]
        )
        let home = LoopBound(self, on: loop)
        Task(executorPreference: loop) {
            await home.value.ask(keys, window, until: opening.end)
        }
    }

    private func ask(_ keys: [PeerKey], _ window: MaintenanceWindow, until end: WallTime) async {
        var failed: [String] = []
        for key in keys where isRunning {
            let change = IntentChange(
                mode: .init(.maint, reason: window.reason, until: end, by: "calendar")
            )
            do throws(OperationError) {
                _ = try await operations.change(key, expecting: .anything) {
                    (_, _) throws(OperationError) in change
                }
            } catch {
                failed.append("\(key): \(error)")
            }
        }
        if let first = failed.first {
            journal.warning(
                "maintenance '\(window.name)': \(failed.count) of \(keys.count) peers could not be put "
                    + "into maint, the first: \(first.printable)",
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
