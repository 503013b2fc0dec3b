// How does libcurl hang on the loop? It says which sockets to watch and when to call it; the loop
// says when a socket is ready and when it is time. One object a loop, made by the first transfer.

import CCurl
public import EventLoop
import Glibc
import Vocabulary

/// libcurl's multi handle. Confined to its loop's thread.
public final class CurlMulti: EventSink {
    /// The loop holds on to this object.
    unowned let loop: EventLoop
    let handle: UnsafeMutableRawPointer
    private var watched: [Int32: Handle] = [:]
    private var timer = TimerID.none
    /// Who hears of the end of a socket before it is closed.
    private var sessions: [Int32: CurlSession] = [:]

    /// Set up once a process, when first needed: loading engines and tables takes milliseconds.
    private static let isReady: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// For example `7.88.1`.
    public static let version: String = {
        guard isReady, let info = curl_version_info(muster_curl_version_now)?.pointee.version else {
            return "?"
        }
        return String(cString: info)
    }()

    private init(on loop: EventLoop) throws(SystemError) {
        guard Self.isReady, let handle = curl_multi_init() else {
            throw SystemError("curl_multi_init", code: ENOMEM)
        }
        self.loop = loop
        self.handle = handle
        super.init()
        let this = Unmanaged.passUnretained(self).toOpaque()
        muster_curl_set_watcher(
            handle,
            { _, socket, what, this, _ in
                CurlMulti.from(this)?.watch(socket, what)
                return 0
            },
            this
        )
        muster_curl_set_timer(
            handle,
            { _, milliseconds, this in
                CurlMulti.from(this)?.setTimer(milliseconds)
                return 0
            },
            this
        )
        // A probe has a connection of its own: none is kept, and none is shared.
        muster_curl_set_multi(handle, CURLMOPT_PIPELINING, 0)
        muster_curl_set_multi(handle, CURLMOPT_MAXCONNECTS, 1)
    }

    deinit { curl_multi_cleanup(handle) }

    /// The one of `loop`.
    public static func on(_ loop: EventLoop) throws(SystemError) -> CurlMulti {
        try loop.attachment { () throws(SystemError) in try CurlMulti(on: loop) }
    }

    private static func from(_ this: UnsafeMutableRawPointer?) -> CurlMulti? {
        this.map { Unmanaged<CurlMulti>.fromOpaque($0).takeUnretainedValue() }
    }

    // MARK: What libcurl asks for

    private func watch(_ socket: curl_socket_t, _ what: Int32) {
        if what == CURL_POLL_REMOVE {
            if let handle = watched.removeValue(forKey: socket) { loop.close(handle) }
            return
        }
        let readable = what & CURL_POLL_IN != 0
        let writable = what & CURL_POLL_OUT != 0
        if let handle = watched[socket] {
            loop.rewatch(handle, readable: readable, writable: writable)
            return
        }
        // A socket that cannot be watched is one whose transfer runs into its deadline.
        watched[socket] = try? loop.watch(
            socket,
            readable: readable,
            writable: writable,
            sink: self,
            tag: Int(socket)
        )
    }

    private func setTimer(_ milliseconds: Int) {
        loop.cancel(timer)
        timer = .none
        guard milliseconds >= 0 else { return }
        let span = Nanoseconds.milliseconds(Int64(milliseconds))
        timer = loop.schedule(at: loop.instant + span, sink: self)
    }

    /// Closes a socket of libcurl's with RST: a thousand probes a second must not leave TIME_WAIT.
    func close(_ socket: curl_socket_t) {
        if let handle = watched.removeValue(forKey: socket) { loop.close(handle) }
        sessions.removeValue(forKey: socket)?.keepRest()
        Socket.resetOnClose(socket)
        Glibc.close(socket)
    }

    /// `session` hears when `socket` is closed.
    func attend(_ socket: curl_socket_t, _ session: CurlSession) { sessions[socket] = session }

    func leave(_ socket: curl_socket_t) { sessions.removeValue(forKey: socket) }

    // MARK: Events

    public override func ready(_ readiness: Readiness, tag: Int) {
        var bits: Int32 = 0
        // Trouble is found by reading.
        if !readiness.isDisjoint(with: [.readable, .readEnded, .hungUp, .failed]) {
            bits |= CURL_CSELECT_IN
        }
        if !readiness.isDisjoint(with: [.writable, .hungUp, .failed]) { bits |= CURL_CSELECT_OUT }
        act(curl_socket_t(tag), bits)
    }

    public override func due(tag: Int) {
        timer = .none
        act(muster_curl_timeout, 0)
    }

    private func act(_ socket: curl_socket_t, _ bits: Int32) {
        var running: Int32 = 0
        curl_multi_socket_action(handle, socket, bits, &running)
        var left: Int32 = 0
        while let message = curl_multi_info_read(handle, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else {
                continue
            }
            let code = muster_curl_result(message)
            CurlSession.from(muster_curl_private(easy))?.ended(code)
        }
    }
}
