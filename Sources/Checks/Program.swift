// How is a program started, and how did it end? In a process group of its own, with three
// descriptors and no other, and reaped by whoever started it.

import CLinux
import EventLoop
import Glibc
import Plugins

enum Program {
    /// Starts `words` with `environment` on the descriptors given; without `input` it reads nothing.
    static func start(
        _ words: [String],
        environment: [String],
        input: Int32? = nil,
        output: Int32,
        errors: Int32
    ) throws(SystemError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        // Libraries open descriptors too, and not all of them say CLOEXEC.
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // We block signals to read them from a descriptor; the program must not inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP)
        )

        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer {
            for text in arguments + variables { free(text) }
        }
        var pid = pid_t()
        let program = words.first ?? ""
        // Together: it may end before we have its number.
        let code = Orphans.ours.withLock { ours in
            let code = posix_spawn(&pid, program, &actions, &attributes, &arguments, &variables)
            if code == 0 { ours.insert(pid) }
            return code
        }
        guard code == 0 else { throw SystemError("start \(program)", code: code) }
        return pid
    }

    /// Waits for a program that has ended or was killed.
    static func reap(_ pid: pid_t) -> ProgramEnd {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        _ = Orphans.ours.withLock { $0.remove(pid) }
        // WIFEXITED and its relatives are macros: the low seven bits name a signal.
        let signal = Int(status & 0x7F)
        return signal == 0 ? .exited(Int(status >> 8 & 0xFF)) : .killed(signal: signal)
    }

    /// Why `program` cannot be run, as far as can be seen without running it; nil where it can.
    static func problem(with program: String) -> String? {
        var status = stat()
        guard stat(program, &status) == 0 else { return "\(program): \(reason(errno))" }
        guard status.st_mode & S_IFMT == S_IFREG else {
            return "\(program): expected a program, saw no regular file"
        }
        return access(program, X_OK) == 0 ? nil : "\(program): \(reason(errno))"
    }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

    /// What is said of a start that failed. A script is there and its interpreter is not: the kernel
    /// says the same of both.
    static func complaint(_ program: String, _ error: SystemError) -> String {
        switch error.code {
        case ENOENT where access(program, F_OK) == 0:
            "\(error): the interpreter that its first line names"
        case ENOEXEC: "\(error): expected a program, or a script whose first line begins with #!"
        default: "\(error)"
        }
    }
}
