// What does the kernel see of an address, and who closes a descriptor?

import CLinux
import EventLoop
import Glibc
import TestSupport
import Testing
import Vocabulary

@Suite struct SocketAddressTests {
    @Test(arguments: [
        (text: "127.0.0.1:80", host: "127.0.0.1", port: 80, family: AF_INET),
        (text: "0.0.0.0:65535", host: "0.0.0.0", port: 65_535, family: AF_INET),
        (text: "[::1]:443", host: "::1", port: 443, family: AF_INET6),
        (text: "[2001:db8::0001]:1", host: "2001:db8::1", port: 1, family: AF_INET6),
        // As an IPv4 peer looks on a dual-stack socket.
        (text: "[::ffff:10.0.0.7]:80", host: "10.0.0.7", port: 80, family: AF_INET6),
    ])
    func `literals`(text: String, host: String, port: UInt16, family: Int32) throws {
        let parsed = try #require(Address(text: text))
        let address = try #require(SocketAddress(parsed))
        #expect(address.host == host)
        #expect(address.port == port)
        #expect(address.family == family)
        #expect(!address.isUnix)
    }

    @Test(arguments: ["localhost:80", "db1.internal:80"])
    func `names are not literals`(text: String) throws {
        let parsed = try #require(Address(text: text))
        #expect(SocketAddress(parsed) == nil)
    }

    @Test(arguments: ["1.2.3:80", "256.0.0.1:80"])
    func `what only looks like an IPv4 address is neither a name nor one`(text: String) {
        #expect(Address(text: text) == nil)
    }

    @Test(arguments: ["", "1.2.3.4 ", "::1::", "%lo", "[::1]"])
    func `other texts are not IPs`(ip: String) {
        #expect(SocketAddress(ip: ip, port: 1) == nil)
    }

    @Test func `an address prints as it is written`() throws {
        for text in ["127.0.0.1:80", "[::1]:443", "unix:/run/muster/admin.sock"] {
            let address = try #require(Address(text: text))
            #expect(SocketAddress(address)?.description == text)
        }
    }

    @Test(arguments: [
        (text: "127.0.0.1:80", stays: true), (text: "127.255.255.254:1", stays: true),
        (text: "[::1]:443", stays: true), (text: "[::ffff:127.0.0.7]:80", stays: true),
        (text: "unix:/run/muster.sock", stays: false), (text: "0.0.0.0:80", stays: false),
        (text: "128.0.0.1:80", stays: false), (text: "[::]:80", stays: false),
        (text: "[::2]:80", stays: false), (text: "[::ffff:10.0.0.7]:80", stays: false),
        (text: "[fd00::1]:80", stays: false), (text: "[7f00::1]:80", stays: false),
    ])
    func `what stays on this host`(text: String, stays: Bool) throws {
        let parsed = try #require(Address(text: text))
        let address = try #require(SocketAddress(parsed))
        #expect(address.isLoopback == stays)
    }

    @Test func `another port leaves the rest`() throws {
        let four = try #require(SocketAddress(ip: "10.0.0.1", port: 1))
        #expect(four.with(port: 2).description == "10.0.0.1:2")
        let six = try #require(SocketAddress(ip: "fd00::1", port: 1))
        #expect(six.with(port: 2).description == "[fd00::1]:2")
        let unix = try #require(SocketAddress(.unix(path: "/run/x")))
        #expect(unix.with(port: 2) == unix)
        #expect(unix.port == nil)
        #expect(four == SocketAddress(ip: "10.0.0.1", port: 1))
        #expect(four != four.with(port: 2))
        #expect(four != unix)
    }

    @Test func `an address that the kernel answers equals the one it was given`() throws {
        let folder = try TemporaryDirectory()
        let unix = try #require(SocketAddress(.unix(path: folder.path("a"))))
        let listener = try Socket.listen(unix)
        #expect(Socket.localAddress(listener.raw) == unix)
        let four = try Socket.listen(loopback())
        let local = try #require(Socket.localAddress(four.raw))
        #expect(local == SocketAddress(ip: "127.0.0.1", port: local.port ?? 0))
    }

    @Test func `a unix socket has the mode and the group that it was given`() throws {
        let folder = try TemporaryDirectory()
        for mode: UInt32 in [0o600, 0o660, 0o666, 0o000] {
            let address = try #require(SocketAddress(.unix(path: folder.path("\(mode)"))))
            let access = SocketAccess(mode: mode, group: getegid())
            let listener = try Socket.listen(address, access: access)
            var status = stat()
            #expect(stat(address.host, &status) == 0)
            #expect(status.st_mode & 0o777 == mode)
            #expect(status.st_gid == getegid())
            _ = listener.raw
        }
    }

    @Test(.enabled(if: geteuid() != 0, "root may use any group"))
    func `a group that may not be given leaves no file behind`() throws {
        let folder = try TemporaryDirectory()
        let address = try #require(SocketAddress(.unix(path: folder.path("a"))))
        #expect(throws: SystemError.self) {
            _ = try Socket.listen(address, access: SocketAccess(group: 0)).take()
        }
        #expect(access(address.host, F_OK) != 0)
    }

    @Test(.enabled(if: hasIPv6Loopback, "no ::1"))
    func `so does one of IPv6`() throws {
        let wanted = try #require(SocketAddress(ip: "::1", port: 0))
        let any = try Socket.listen(wanted)
        let six = try #require(Socket.localAddress(any.raw))
        #expect(six == SocketAddress(ip: "::1", port: six.port ?? 0))
    }

    @Test func `no connection of this host to itself paces what it sends`() throws {
        let listener = try Socket.listen(loopback())
        let local = try #require(Socket.localAddress(listener.raw))
        let attempt = try Socket.connect(to: local)
        #expect(congestionControl(attempt.descriptor.raw) == "reno")
        var polled = pollfd(fd: listener.raw, events: Int16(POLLIN), revents: 0)
        #expect(poll(&polled, 1, 10_000) == 1)
        let accepted = try #require(try Socket.accept(listener.raw)?.take())
        #expect(congestionControl(accepted) == "reno")
        close(accepted)
    }

    @Test func `what may leave this host has what its administrator has chosen`() throws {
        let everywhere = try #require(SocketAddress(ip: "0.0.0.0", port: 0))
        let chosen = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let listener = try Socket.listen(everywhere)
        #expect(congestionControl(listener.raw) == congestionControl(chosen))
        close(chosen)
    }

    private func congestionControl(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 16)
        var count = socklen_t(bytes.count)
        getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_CONGESTION, &bytes, &count)
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    @Test func `the longest path fits, a longer one is no address`() throws {
        let path = "/" + String(repeating: "x", count: Address.unixPathBytesMax - 1)
        #expect(SocketAddress(.unix(path: path))?.host == path)
        #expect(SocketAddress(.unix(path: path + "x")) == nil)
    }

    @Test func `a call that fails gives no address`() {
        #expect(Socket.localAddress(-1) == nil)
        #expect(Socket.remoteAddress(-1) == nil)
    }
}

@Suite struct DescriptorTests {
    private func pipe() throws -> (read: Int32, write: Int32) {
        var raw: [Int32] = [-1, -1]
        try #require(pipe2(&raw, O_CLOEXEC) == 0)
        _ = fcntl(raw[0], F_SETFL, O_NONBLOCK)
        return (raw[0], raw[1])
    }

    /// Zero once nobody holds the writing end, -1 while somebody does. A child that another test is
    /// starting at this moment may be somebody, until it runs.
    private func end(_ raw: Int32) -> Int {
        var byte: UInt8 = 0
        return read(raw, &byte, 1)
    }

    @Test func `a descriptor closes itself at the end of its life`() async throws {
        let (reading, writing) = try pipe()
        do {
            let owner = Descriptor(owning: writing)
            #expect(owner.raw == writing)
            #expect(end(reading) == -1)
        }
        let isClosed = await eventually { end(reading) == 0 }
        #expect(isClosed)
        close(reading)
    }

    @Test func `what was given away stays open`() async throws {
        let (reading, writing) = try pipe()
        let taken = Descriptor(owning: writing).take()
        #expect(taken == writing)
        #expect(end(reading) == -1)
        close(taken)
        let isClosed = await eventually { end(reading) == 0 }
        #expect(isClosed)
        close(reading)
    }

    @Test func `no handle names nothing`() throws {
        #expect(Handle.none.isNone)
        try runLoop { loop in
            #expect(!loop.isLive(.none))
            loop.close(.none)
            #expect(number(of: loop.release(.none)) == nil)
            loop.stop()
        }
    }

    @Test func `an error says which call and why`() {
        let error = SystemError("bind 127.0.0.1:80", code: EACCES)
        #expect("\(error)" == "bind 127.0.0.1:80: Permission denied")
    }

    @Test func `an error of an address says what helps`() throws {
        let web = try #require(SocketAddress(ip: "127.0.0.1", port: 80))
        let high = try #require(SocketAddress(ip: "127.0.0.1", port: 8080))
        let denied = SystemError("bind", code: EACCES)
        #expect(denied.reason(of: web).contains("setcap cap_net_bind_service=+ep"))
        #expect(denied.reason(of: high) == "Permission denied")
        let taken = SystemError("bind", code: EADDRINUSE)
        #expect(taken.reason(of: high).hasSuffix("`ss -ltnp` shows which"))
        let file = try #require(SocketAddress(.unix(path: "/run/muster.sock")))
        #expect(taken.reason(of: file) == "Address already in use")
    }
}
