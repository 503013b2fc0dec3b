// Which sockets do we make, and with which options? Every socket of the project is made here:
// non-blocking, closed on exec, and without Nagle's delay.

import CLinux
import Glibc

/// Who may connect to a unix socket, apart from what the process's umask says.
public struct SocketAccess: Hashable, Sendable {
    /// The file's permission bits. Writing is connecting (unix(7)).
    public var mode: UInt32?
    /// The number of the group that owns the file.
    public var group: UInt32?

    public init(mode: UInt32? = nil, group: UInt32? = nil) {
        self.mode = mode
        self.group = group
    }
}

public enum Socket {
    /// As recv(2) and send(2), for those who call them for every request.
    public static func receive(
        _ descriptor: Int32,
        _ bytes: UnsafeMutablePointer<UInt8>,
        _ count: Int
    ) -> Int {
        muster_receive(descriptor, bytes, count)
    }

    public static func send(_ descriptor: Int32, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int
    {
        muster_send(descriptor, bytes, count)
    }

    /// As `send`, of bytes after which the caller ends its side at once: they and the end go in one segment.
    public static func sendLast(
        _ descriptor: Int32,
        _ bytes: UnsafePointer<UInt8>,
        _ count: Int
    ) -> Int {
        muster_send_more(descriptor, bytes, count)
    }

    /// Connections that wait to be accepted. The kernel caps it at net.core.somaxconn.
    public static let backlog: Int32 = 4_096

    /// Throws when somebody listens on `address` already. Sockets that share a port do not notice
    /// one another: two processes started by mistake would each get half of the connections.
    public static func requireFree(_ address: SocketAddress) throws(SystemError) {
        if address.port == 0 { return }
        guard address.isUnix else {
            // No more than bind: a program that is being started at this moment holds copies of our
            // sockets until it runs, and one that listens would be in the way of the caller's own.
            _ = try bind(address, sharesPort: false)
            return
        }
        _ = try listen(address)
        unlink(address.host)
    }

    /// The same where sockets of this process that share the port may be in the way: they will make
    /// room. Reads what the kernel knows of all connections, which takes a while of many.
    public static func requireFreeOfOthers(_ address: SocketAddress) throws(SystemError) {
        do throws(SystemError) {
            try requireFree(address)
        } catch {
            guard error.code == EADDRINUSE, !address.isUnix, let port = address.port else {
                throw error
            }
            _ = try bind(address, sharesPort: true)
            if PortHolders.isHeldByOthers(port) { throw error }
        }
    }

    /// A listening socket. With `sharesPort`, every worker binds its own and the kernel spreads
    /// connections over them (SO_REUSEPORT). A stale unix socket file is replaced, a live one not.
    public static func listen(
        _ address: SocketAddress,
        sharesPort: Bool = false,
        access: SocketAccess = SocketAccess()
    ) throws(SystemError) -> Descriptor {
        let descriptor = try bind(address, sharesPort: sharesPort, mode: access.mode)
        // Before anybody can connect: until the socket listens, all are refused.
        if address.isUnix { try allow(access, at: address.host) }
        if Glibc.listen(descriptor.raw, backlog) < 0 { throw SystemError("listen \(address)") }
        return descriptor
    }

    /// A socket with an address and nobody behind it yet.
    private static func bind(
        _ address: SocketAddress,
        sharesPort: Bool,
        mode: UInt32? = nil
    ) throws(SystemError) -> Descriptor {
        let descriptor = try make(address.family)
        if address.isUnix {
            try removeStale(address)
            // The file takes the socket's own mode, less the umask: at no moment may more than was asked.
            if let mode, fchmod(descriptor.raw, mode_t(mode)) < 0 {
                throw SystemError("chmod \(address)")
            }
        } else {
            set(descriptor.raw, SOL_SOCKET, SO_REUSEADDR, 1)
            if sharesPort { set(descriptor.raw, SOL_SOCKET, SO_REUSEPORT, 1) }
            if address.family == AF_INET6 {
                set(descriptor.raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1)
            }
            set(descriptor.raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            if address.isLoopback { paceNothing(descriptor.raw) }
        }
        let bound = address.withSockaddr { Glibc.bind(descriptor.raw, $0, $1) }
        if bound < 0 { throw SystemError("bind \(address)") }
        return descriptor
    }

    private static func allow(_ access: SocketAccess, at path: String) throws(SystemError) {
        if let group = access.group, chown(path, uid_t.max, group) < 0 {
            throw withdraw(path, SystemError("chown \(path) to group \(group)"))
        }
        if let mode = access.mode, chmod(path, mode_t(mode)) < 0 {
            throw withdraw(path, SystemError("chmod \(path)"))
        }
    }

    private static func withdraw(_ path: String, _ error: SystemError) -> SystemError {
        unlink(path)
        return error
    }

    /// A connection that has begun, and may have succeeded at once.
    public struct Attempt: ~Copyable {
        public let descriptor: Descriptor
        public let isConnected: Bool

        public consuming func take() -> Descriptor { descriptor }
    }

    /// Begins a connection. While the kernel is still at it, `isConnected` is false: the socket
    /// becomes writable when it is done, and `pendingError` says how it went.
    public static func connect(to address: SocketAddress) throws(SystemError) -> Attempt {
        let descriptor = try make(address.family)
        if !address.isUnix { set(descriptor.raw, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
        if address.isLoopback { paceNothing(descriptor.raw) }
        let result = address.withSockaddr { Glibc.connect(descriptor.raw, $0, $1) }
        if result == 0 { return Attempt(descriptor: descriptor, isConnected: true) }
        // A unix socket with a full backlog answers EAGAIN at once: nothing is on its way.
        guard errno == EINPROGRESS else { throw SystemError("connect") }
        return Attempt(descriptor: descriptor, isConnected: false)
    }

    /// Begins a connection of a probe that sends at most one piece and ends with RST. Nagle's delay
    /// does not matter to it. One that `sendsNothing` need not even acknowledge the server's SYN:
    /// both sides save the rest of a connection that nobody uses, as HAProxy's checks do.
    public static func probe(
        _ address: SocketAddress,
        sendsNothing: Bool
    ) throws(SystemError) -> Descriptor {
        let descriptor = try make(address.family)
        if !address.isUnix { resetOnClose(descriptor.raw) }
        try probe(address, over: descriptor.raw, sendsNothing: sendsNothing)
        return descriptor
    }

    /// The same on a socket of that family which is not connected, or no longer.
    public static func probe(
        _ address: SocketAddress,
        over descriptor: Int32,
        sendsNothing: Bool
    ) throws(SystemError) {
        if sendsNothing, !address.isUnix {
            set(descriptor, Int32(IPPROTO_TCP), TCP_QUICKACK, 0)
        }
        let result = address.withSockaddr { Glibc.connect(descriptor, $0, $1) }
        if result < 0, errno != EINPROGRESS { throw SystemError("connect") }
    }

    /// Ends a TCP connection with RST and leaves the socket as good as new, still open and watched:
    /// connecting it again costs half of what closing it and making another would. False where the
    /// kernel does not; such a socket can only be closed.
    public static func disconnect(_ descriptor: Int32) -> Bool {
        var nobody = sockaddr()
        nobody.sa_family = sa_family_t(AF_UNSPEC)
        let length = socklen_t(MemoryLayout<sockaddr>.size)
        return Glibc.connect(descriptor, &nobody, length) == 0
    }

    /// A datagram socket that talks to `address` only: an answer from elsewhere is not seen, and a
    /// port that nobody listens on is an error of the next read.
    public static func datagram(to address: SocketAddress) throws(SystemError) -> Descriptor {
        let kind =
            Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            | Int32(SOCK_CLOEXEC.rawValue)
        let raw = socket(address.family, kind, 0)
        if raw < 0 { throw SystemError("socket") }
        let descriptor = Descriptor(owning: raw)
        if address.withSockaddr({ Glibc.connect(raw, $0, $1) }) < 0 { throw SystemError("connect") }
        return descriptor
    }

    /// How a connection attempt ended: zero, or an errno. Reading it clears it.
    public static func pendingError(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) < 0 ? errno : code
    }

    /// The next connection waiting on `listener`, or nil when none is left or it was gone already.
    /// Throws when descriptors or memory ran out: the caller pauses instead of spinning.
    public static func accept(_ listener: Int32) throws(SystemError) -> Descriptor? {
        var nobody = sockaddr_storage()
        return try accept(listener, from: &nobody)
    }

    /// Says who connects, too: a call less than to ask afterwards.
    public static func accept(
        _ listener: Int32,
        from caller: inout sockaddr_storage
    ) throws(SystemError) -> Descriptor? {
        while true {
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let raw = withUnsafeMutablePointer(to: &caller) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    accept4(
                        listener,
                        $0,
                        &length,
                        Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
                    )
                }
            }
            if raw >= 0 { return Descriptor(owning: raw) }
            switch errno {
            case EINTR, ECONNABORTED, EPROTO: continue
            case EAGAIN: return nil
            default: throw SystemError("accept")
            }
        }
    }

    /// Closing will send RST at once instead of FIN. A prober that resets leaves no TIME_WAIT.
    public static func resetOnClose(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_LINGER,
            &option,
            socklen_t(MemoryLayout<linger>.size)
        )
    }

    /// Bytes that were written and have not been taken by the other side's kernel yet. Closing with
    /// RST loses them.
    public static func unsent(_ descriptor: Int32) -> Int32 {
        var count: Int32 = 0
        return ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 ? count : 0
    }

    public static func localAddress(_ descriptor: Int32) -> SocketAddress? {
        SocketAddress(filling: { getsockname(descriptor, $0, &$1) == 0 })
    }

    public static func remoteAddress(_ descriptor: Int32) -> SocketAddress? {
        SocketAddress(filling: { getpeername(descriptor, $0, &$1) == 0 })
    }

    private static func make(_ family: Int32) throws(SystemError) -> Descriptor {
        let kind =
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            | Int32(SOCK_CLOEXEC.rawValue)
        let raw = socket(family, kind, 0)
        if raw < 0 { throw SystemError("socket") }
        return Descriptor(owning: raw)
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// From a host to itself bytes are copied and nothing can be congested. BBR, where an administrator has chosen it
    /// for the network, measures that way and paces itself with a timer for each segment: three percent of what a
    /// small request costs. Reno does least, and everybody may choose it (tcp(7), TCP_CONGESTION). What a listening
    /// socket accepts inherits it from there. Where the kernel refuses, the connection is as good as without.
    public static func paceNothing(_ descriptor: Int32) {
        let algorithm: StaticString = "reno"
        setsockopt(
            descriptor,
            Int32(IPPROTO_TCP),
            TCP_CONGESTION,
            algorithm.utf8Start,
            socklen_t(algorithm.utf8CodeUnitCount)
        )
    }

    private static func removeStale(_ address: SocketAddress) throws(SystemError) {
        let probe = try make(AF_UNIX)
        let result = address.withSockaddr { Glibc.connect(probe.raw, $0, $1) }
        if result == 0 { throw SystemError("bind \(address)", code: EADDRINUSE) }
        guard errno == ECONNREFUSED else { return }
        // Connecting to an ordinary file is refused too, and that file is somebody's data.
        var status = stat()
        guard lstat(address.host, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        unlink(address.host)
    }
}
