// What do signals do to a muster that runs? TERM, INT and QUIT stop it in order, HUP reloads, and of the
// others none that somebody may send by mistake or by habit ends it.

import CLinux
import Glibc
import UnixSignals
import Vocabulary

enum RunSignals {
    /// The first thing that `run` does: a service manager that has just started us may reload us already.
    static func hold() {
        muster_note_hangups()
        muster_leave_at_stops()
        // The reader of the log that is gone must not take the proxy with it.
        for number in [SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE] { signal(number, SIG_IGN) }
    }

    /// From here on something is open that only an orderly stop closes: programs of probes, sockets.
    static func noteStops() { muster_note_stops() }

    /// Whether a SIGHUP came before `ReloadService` listened; told once.
    static func takeHangup() -> Bool { muster_take_hangup() != 0 }
}

/// Reloads at every SIGHUP.
struct ReloadService: Attendant {
    let reloader: Reloader

    func run() async {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        if RunSignals.takeHangup() { _ = await reloader.reload() }
        for await _ in signals { _ = await reloader.reload() }
        // Somebody may still send it while we stop.
        signal(SIGHUP, SIG_IGN)
        withExtendedLifetime(signals) {}
    }
}

/// Hears that the process shall stop, also where that came while its parts were starting.
struct StopService: Attendant {
    let told: Latch

    func run() async {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sigquit)
        if muster_noted_stop() != 0 { told.open() }
        // A second one changes nothing, and must not end the process in the midst of stopping.
        for await _ in signals { told.open() }
    }
}

/// Tells of signals that other programs give a meaning.
struct StraySignals: Attendant {
    let journal: Journal

    func run() async {
        let signals = await UnixSignalsSequence(trapping: .sigusr1, .sigusr2, .sigalrm)
        for await signal in signals {
            journal.notice(Self.words(for: signal), [.event("signal")])
        }
        for number in [SIGUSR1, SIGUSR2, SIGALRM] { signal(number, SIG_IGN) }
        withExtendedLifetime(signals) {}
    }

    static func words(for signal: UnixSignal) -> String {
        switch signal {
        case .sigusr1:
            "SIGUSR1 is ignored: logs go to standard error, nothing is to be reopened; SIGHUP reloads"
        case .sigusr2: "SIGUSR2 is ignored: SIGHUP reloads, SIGTERM stops"
        default: "SIGALRM is ignored: SIGHUP reloads, SIGTERM stops"
        }
    }
}
