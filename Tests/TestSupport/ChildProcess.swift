// How does a test run a real server? As a child that dies with the test, ended by its pid and by
// nothing else.

import CLinux
import Foundation
import Glibc

/// A program started by a test.
public final class ChildProcess: @unchecked Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public var description: String

        public init(_ description: String) { self.description = description }
    }

    public let pid: pid_t
    /// What it wrote to its standard output and error.
    public let outputPath: String
    private let lock = NSLock()
    private var status: Int32?

    /// Where daemons live that an ordinary PATH lacks.
    private static let folders = [
        "/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin",
    ]

    /// The full path of a program, or nil where it is not installed.
    public static func find(_ name: String) -> String? {
        if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
        return folders.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    public init(
        _ program: String,
        _ arguments: [String] = [],
        environment: [String: String]? = nil,
        in folder: TemporaryDirectory
    ) throws {
        guard let path = Self.find(program), let setpriv = Self.find("setpriv") else {
            throw Failure("\(program) or setpriv is not installed")
        }
        let number = Self.counter.next()
        outputPath = folder.path("\((program as NSString).lastPathComponent).\(number).log")
        // The kernel kills the child when the thread that started it ends: hence a thread of its
        // own for starting that never does, and setpriv for a call that posix_spawn lacks.
        let words = [setpriv, "--pdeathsig", "KILL", path] + arguments
        let environment = environment ?? ProcessInfo.processInfo.environment
        let outputPath = outputPath
        pid = try Launcher.shared.run { try Self.spawn(words, environment, outputPath) }
    }

    deinit { end() }

    private static let counter = Counter()

    private static func spawn(
        _ words: [String],
        _ environment: [String: String],
        _ outputPath: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        let flags = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, flags, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // A connection of another test that lives on in here would never end for its other side.
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The test process may have blocked or ignored signals; the child begins clean.
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
        )
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] =
            environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            for text in arguments + variables { free(text) }
        }
        var pid = pid_t()
        let code = posix_spawn(&pid, words[0], &actions, &attributes, &arguments, &variables)
        guard code == 0 else {
            throw Failure("spawn \(words): \(String(cString: strerror(code)))")
        }
        return pid
    }

    public var output: String {
        (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? ""
    }

    /// False once it has ended.
    public var isRunning: Bool { poll() == nil }

    /// How it ended, as a shell tells it: its exit code, or 128 and the signal. Nil while it runs.
    public var exitCode: Int32? {
        poll().map { $0 & 0x7F == 0 ? ($0 >> 8) & 0xFF : 128 + ($0 & 0x7F) }
    }

    /// The same once it has ended; nil when it does not within `limit`.
    public func exitCode(within limit: Duration) async -> Int32? {
        _ = await eventually(within: limit) { !isRunning }
        return exitCode
    }

    public func signal(_ number: Int32) {
        lock.withLock { if status == nil { kill(pid, number) } }
    }

    /// Ends it and takes it off the kernel's books.
    public func end() {
        lock.withLock {
            guard status == nil else { return }
            kill(pid, SIGKILL)
            var code: Int32 = 0
            while waitpid(pid, &code, 0) < 0, errno == EINTR {}
            status = code
        }
    }

    /// The wait status once it has ended.
    private func poll() -> Int32? {
        lock.withLock {
            if let status { return status }
            var code: Int32 = 0
            if waitpid(pid, &code, WNOHANG) == pid { status = code }
            return status
        }
    }
}

/// Starts children from a thread that lives as long as the test process.
private final class Launcher: @unchecked Sendable {
    static let shared = Launcher()

    private let condition = NSCondition()
    private var work: [() -> Void] = []

    private init() {
        Thread.detachNewThread { [self] in
            while true {
                condition.lock()
                while work.isEmpty { condition.wait() }
                let next = work.removeFirst()
                condition.unlock()
                next()
            }
        }
    }

    func run(_ body: @escaping @Sendable () throws -> pid_t) throws -> pid_t {
        let done = DispatchSemaphore(value: 0)
        nonisolated(unsafe) var result: Result<pid_t, any Error>?
        condition.withLock {
            work.append {
                result = Result { try body() }
                done.signal()
            }
            condition.signal()
        }
        done.wait()
        guard let result else { throw ChildProcess.Failure("the launcher is gone") }
        return try result.get()
    }
}

private final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var value = 0

    func next() -> Int {
        lock.withLock {
            value += 1
            return value
        }
    }
}
