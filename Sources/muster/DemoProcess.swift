// How does the demo start and end other processes? Each in a group of its own, so that Ctrl-C
// reaches the demo alone and the demo ends the rest.

import CLinux
import Glibc

/// A child process of the demo.
struct DemoProcess {
    let pid: pid_t

    /// Runs this very program again with `arguments`. Output that is not wanted on the screen goes
    /// to `log`.
    init(_ arguments: [String], log: String) throws(DemoError) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGMASK)
        )
        var words = (["muster"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child = pid_t()
        let code = posix_spawn(&child, "/proc/self/exe", &actions, &attributes, &words, environ)
        if code != 0 {
            throw DemoError("\(arguments.first ?? "muster"): \(String(cString: strerror(code)))")
        }
        pid = child
    }

    func kill() {
        Glibc.kill(pid, SIGKILL)
        wait()
    }

    /// Asks it to end and waits for it, at most five seconds.
    func end() {
        Glibc.kill(pid, SIGTERM)
        for _ in 0..<500 {
            if waitpid(pid, nil, WNOHANG) != 0 { return }
            usleep(10_000)
        }
        kill()
    }

    var hasEnded: Bool { waitpid(pid, nil, WNOHANG) != 0 }

    private func wait() { waitpid(pid, nil, 0) }
}

struct DemoError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
