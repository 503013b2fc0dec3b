// Who buries a process whose parent is gone? The system gives it to PID 1, or to whoever asked for it, and
// keeps it as a zombie until that one waits for it.

import CLinux
import Glibc
import Synchronization

public enum Orphans {
    /// Programs that we started and that we wait for ourselves, each by its number.
    static let ours = Mutex<Set<pid_t>>([])

    /// As PID 1 of a container, and where a service manager made us a subreaper.
    public static var comeToUs: Bool { muster_adopts_orphans() != 0 }

    /// Waits for every process that has ended and that we did not start; never for one of ours, whose
    /// exit code somebody needs.
    public static func reap() {
        while reapOne() {}
    }

    /// The lock keeps a program that is being started from being taken for a stranger.
    private static func reapOne() -> Bool {
        ours.withLock { ours in
            let pid = muster_ended_child()
            // The system shows the same one each time: one of ours stands before others for a moment.
            guard pid > 0, !ours.contains(pid) else { return false }
            return waitpid(pid, nil, WNOHANG) == pid
        }
    }
}
