// Who gets in? Every connection that waits, on TCP and on unix sockets, and still after descriptors
// had run out.

import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing
import Vocabulary

/// Begins connections without waiting for any of them.
private func knock(_ address: SocketAddress, times: Int) throws -> [Int32] {
    try (0..<times).map { _ in
        let attempt = try Socket.connect(to: address)
        return attempt.take().take()
    }
}

@Suite struct AcceptorTests {
    @Test func `more connections than one burst are all accepted`() throws {
        var clients: [Int32] = []
        var accepted: [Int32] = []
        try runLoop { loop in
            nonisolated(unsafe) var acceptor: Acceptor?
            acceptor = try Acceptor(on: loop, at: loopback()) { descriptor in
                accepted.append(descriptor.take())
                guard accepted.count == 200 else { return }
                acceptor?.close()
                acceptor?.close()
                loop.stop()
            }
            let address = try #require(acceptor?.address)
            #expect(address.port != 0)
            clients = try knock(address, times: 200)
        }
        #expect(Set(accepted).count == 200)
        for raw in clients + accepted { close(raw) }
    }

    @Test func `a closed acceptor refuses`() async throws {
        // One that nobody gets when it is free again.
        let port = try freePort()
        try await onLoop { loop in
            let acceptor = try Acceptor(on: loop, at: loopback(port)) { _ in }
            #expect(acceptor.address.port == port)
            acceptor.close()
        }
        let error = try await onLoop { loop in
            var error: StreamError?
            // A child that another test is starting may hold a copy of the listener until it runs.
            _ = try await eventually {
                do {
                    let stream = try await ByteStream.connect(
                        to: loopback(port),
                        on: loop,
                        deadline: .after(.seconds(10))
                    )
                    stream.close()
                    return false
                } catch let failure as StreamError {
                    error = failure
                    return true
                }
            }
            return error
        }
        #expect(error == .failed(SystemError("connect", code: ECONNREFUSED)))
    }

    @Test func `a port is shared only by those who all ask for it`() async throws {
        try await onLoop { loop in
            let first = try Acceptor(on: loop, at: loopback(), sharesPort: true) { _ in }
            defer { first.close() }
            let second = try Acceptor(on: loop, at: first.address, sharesPort: true) { _ in }
            #expect(second.address == first.address)
            second.close()
            #expect(throws: SystemError("bind \(first.address)", code: EADDRINUSE)) {
                _ = try Acceptor(on: loop, at: first.address) { _ in }
            }
        }
    }

    /// In a process of its own: the limit holds for all of it.
    @Test func `without descriptors it pauses, and goes on once there are some`() async {
        await #expect(processExitsWith: .success) {
            try runLoop { loop in
                let recorder = Recorder()
                nonisolated(unsafe) var acceptor: Acceptor?
                var accepted = 0
                var before: Int64 = 0
                acceptor = try Acceptor(on: loop, at: loopback()) { _ in
                    accepted += 1
                    guard accepted == 3 else { return }
                    acceptor?.close()
                    loop.stop()
                }
                let address = try #require(acceptor?.address)
                // Made now; connecting them later takes no descriptor.
                let clients = (0..<3).map { _ in
                    socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                }
                try lowerLimit()
                var plugs = plugDescriptors()
                recorder.onDue = { stage in
                    if stage == 0 {
                        // What other threads of the process gave back since it began.
                        plugs += plugDescriptors()
                        for raw in clients {
                            precondition(address.withSockaddr { connect(raw, $0, $1) } == 0)
                        }
                        before = processorTime()
                        _ = loop.schedule(at: loop.now + .milliseconds(400), sink: recorder, tag: 1)
                        return
                    }
                    precondition(accepted == 0, "accepted without a descriptor")
                    let spent = processorTime() - before
                    precondition(spent < 200_000_000, "spun while there was no descriptor")
                    for raw in plugs { close(raw) }
                }
                _ = loop.schedule(at: loop.now + .milliseconds(200), sink: recorder, tag: 0)
            }
        }
    }
}

/// What this process has used so far, in nanoseconds.
private func processorTime() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// Lowers the limit to just above the next free descriptor, so that few are left to take.
private func lowerLimit() throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let next = open("/dev/null", O_RDONLY)
    close(next)
    limit.rlim_cur = rlim_t(next + 8)
    try #require(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
}

/// Takes every descriptor that is left.
private func plugDescriptors() -> [Int32] {
    var plugs: [Int32] = []
    while case let raw = open("/dev/null", O_RDONLY), raw >= 0 { plugs.append(raw) }
    return plugs
}

@Suite struct UnixListenerTests {
    @Test func `a file left by one that died is replaced, and removed on close`() async throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("admin.sock")
        let address = try #require(SocketAddress(.unix(path: path)))
        // Closing the socket leaves its file, as a killed process does. Shut down before, since a
        // child that another test is starting may hold a copy of it, which would look alive.
        do {
            let left = try Socket.listen(address)
            shutdown(left.raw, Int32(SHUT_RDWR))
        }
        #expect(access(path, F_OK) == 0)
        try await onLoop { loop in
            let acceptor = try Acceptor(on: loop, at: address) { descriptor in
                _ = Glibc.write(descriptor.raw, "hi", 2)
            }
            #expect(acceptor.address == address)
            let stream = try await ByteStream.connect(
                to: address,
                on: loop,
                deadline: .after(.seconds(10))
            )
            try await stream.waitReadable()
            stream.close()
            acceptor.close()
        }
        #expect(access(path, F_OK) != 0)
    }

    @Test func `a live one is refused and goes on`() async throws {
        let folder = try TemporaryDirectory()
        let address = try #require(SocketAddress(.unix(path: folder.path("admin.sock"))))
        try await onLoop { loop in
            let first = try Acceptor(on: loop, at: address) { _ in }
            #expect(throws: SystemError("bind \(address)", code: EADDRINUSE)) {
                _ = try Acceptor(on: loop, at: address) { _ in }
            }
            let stream = try await ByteStream.connect(
                to: address,
                on: loop,
                deadline: .after(.seconds(10))
            )
            stream.close()
            first.close()
        }
    }

    /// Connecting to an ordinary file is refused just like connecting to a dead socket.
    @Test func `an ordinary file in its place is left alone`() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write("precious", to: "notes.txt")
        let address = try #require(SocketAddress(.unix(path: path)))
        #expect(throws: SystemError("bind \(address)", code: EADDRINUSE)) {
            _ = try Socket.listen(address).take()
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }
}
