// How does linear code ask libcurl for something? One easy handle, one transfer after the other, and
// `await` for the end of each. What it keeps between two is cookies, nothing else.

import CCurl
public import EventLoop
import Glibc
public import Vocabulary

/// Transfers of one probe, confined to a loop.
public final class CurlSession: EventSink {
    /// A part of an answer. A line of the head comes with its end, once for each line.
    public enum Piece {
        case head(UnsafeRawBufferPointer)
        case body(UnsafeRawBufferPointer)
        /// All that came on a plain connection which libcurl gave up because it could not send.
        case rest(UnsafeRawBufferPointer)
    }

    /// Hears of every piece; false ends the transfer, which is no failure.
    public typealias Receiver = (Piece, CurlSession) -> Bool

    private let multi: CurlMulti
    private let easy: UnsafeMutableRawPointer
    private let complaint: UnsafeMutablePointer<CChar>

    // MARK: State of the transfer that runs

    /// The connection, until libcurl asks for it.
    private var socket: Descriptor?
    private var connected = muster_curl_no_socket
    private var openError: Int32 = 0
    private var receiver: Receiver?
    private var prepare: ((OpaquePointer) -> Bool)?
    private var headBytes = 0
    private var isEnough = false
    private var hasReceived = false
    /// Bytes on the connection are the answer as it is: no TLS, no proxy, no frames.
    private var isPlain = false
    private var rest: [UInt8] = []
    private var hasTooLongHead = false
    private var timer = TimerID.none
    private var waiter: UnsafeContinuation<CurlResult.End, Never>?

    /// What all heads of a transfer may have together; the receiver may have had enough before.
    public static let headBytesMax = 65_536

    public init(on multi: CurlMulti) throws(SystemError) {
        guard let easy = curl_easy_init() else {
            throw SystemError("curl_easy_init", code: ENOMEM)
        }
        self.multi = multi
        self.easy = easy
        complaint = .allocate(capacity: muster_curl_error_size)
    }

    deinit {
        curl_easy_cleanup(easy)
        complaint.deallocate()
    }

    // MARK: One transfer

    /// Sends `request` over `socket`, a connection to the server or to its proxy, and gives what
    /// comes to `receiver`, on the loop's thread. Without a socket libcurl connects.
    public func perform(
        _ request: CurlRequest,
        over socket: consuming Descriptor?,
        deadline: Instant,
        receiver: @escaping Receiver
    ) async -> CurlResult {
        assert(waiter == nil, "one transfer at a time")
        begin(receiver, over: socket)
        let lists = request.apply(to: easy)
        prepare = request.tls?.prepare
        isPlain = request.tls == nil && request.proxy == nil && request.version == .http1
        let code = curl_multi_add_handle(multi.handle, easy)
        guard code == CURLM_OK else {
            end()
            return result(
                of: .failed(
                    CurlFailure(
                        CURLE_FAILED_INIT,
                        errno: 0,
                        certificate: 0,
                        text: String(cString: curl_multi_strerror(code))
                    )
                )
            )
        }
        timer = multi.loop.schedule(at: deadline, sink: self)
        let end = await withUnsafeContinuation { waiter = $0 }
        withExtendedLifetime(lists) {}
        return result(of: end)
    }

    private func begin(_ receiver: @escaping Receiver, over socket: consuming Descriptor?) {
        self.socket = consume socket
        self.receiver = receiver
        connected = muster_curl_no_socket
        openError = 0
        headBytes = 0
        isEnough = false
        hasReceived = false
        isPlain = false
        rest = []
        hasTooLongHead = false
        complaint.pointee = 0
        // Forgets all options, but not the cookies.
        curl_easy_reset(easy)
        let this = Unmanaged.passUnretained(self).toOpaque()
        muster_curl_set_pointer(easy, CURLOPT_PRIVATE, this)
        muster_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, complaint)
        muster_curl_set_number(easy, CURLOPT_NOSIGNAL, 1)
        muster_curl_set_number(easy, CURLOPT_FRESH_CONNECT, 1)
        muster_curl_set_number(easy, CURLOPT_FORBID_REUSE, 1)
        // Framing is judged by whoever receives, from the bytes that the server sent.
        muster_curl_set_number(easy, CURLOPT_HTTP_TRANSFER_DECODING, 0)
        // What is no HTTP is shown to whoever receives, who can say what it is.
        muster_curl_set_number(easy, CURLOPT_HTTP09_ALLOWED, 1)
        muster_curl_set_pointer(easy, CURLOPT_HEADERDATA, this)
        muster_curl_set_taker(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, this in
            CurlSession.from(this)?.take(head: true, bytes, size * count) ?? 0
        }
        muster_curl_set_pointer(easy, CURLOPT_WRITEDATA, this)
        muster_curl_set_taker(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, this in
            CurlSession.from(this)?.take(head: false, bytes, size * count) ?? 0
        }
        muster_curl_set_pointer(easy, CURLOPT_OPENSOCKETDATA, this)
        muster_curl_set_opener(easy) { this, _, address in
            CurlSession.from(this)?.open(address) ?? muster_curl_no_socket
        }
        muster_curl_set_pointer(easy, CURLOPT_SOCKOPTDATA, this)
        muster_curl_set_tuner(easy) { this, socket, _ in
            CurlSession.from(this)?.connected == socket ? muster_curl_already_connected : 0
        }
        // The connection may outlive the transfer by a moment; the multi handle outlives both.
        muster_curl_set_pointer(
            easy,
            CURLOPT_CLOSESOCKETDATA,
            Unmanaged.passUnretained(multi).toOpaque()
        )
        muster_curl_set_closer(easy) { multi, socket in
            guard let multi else { return 1 }
            Unmanaged<CurlMulti>.fromOpaque(multi).takeUnretainedValue().close(socket)
            return 0
        }
        muster_curl_set_pointer(easy, CURLOPT_SSL_CTX_DATA, this)
        muster_curl_set_tls(easy) { _, context, this in
            guard let context, let prepare = CurlSession.from(this)?.prepare else {
                return CURLE_OK
            }
            return prepare(OpaquePointer(context)) ? CURLE_OK : CURLE_ABORTED_BY_CALLBACK
        }
    }

    static func from(_ this: UnsafeMutableRawPointer?) -> CurlSession? {
        this.map { Unmanaged<CurlSession>.fromOpaque($0).takeUnretainedValue() }
    }

    // MARK: Ends

    /// libcurl is done, with one word or another.
    func ended(_ code: CURLcode) {
        if isEnough { return finish(.enough) }
        if hasTooLongHead { return finish(.failed(Self.tooLongHead)) }
        if code == CURLE_OK { return finish(.complete) }
        keepRest()
        if !hasReceived, !rest.isEmpty {
            rest.withUnsafeBytes { _ = receiver?(.rest($0), self) }
            return finish(.complete)
        }
        // Known only while libcurl still holds the transfer.
        let errno = openError != 0 ? openError : Int32(muster_curl_number(easy, CURLINFO_OS_ERRNO))
        finish(
            .failed(
                CurlFailure(
                    code,
                    errno: errno,
                    certificate: muster_curl_number(easy, CURLINFO_SSL_VERIFYRESULT),
                    text: String(cString: complaint)
                )
            )
        )
    }

    public override func due(tag: Int) {
        timer = .none
        finish(.timedOut)
    }

    private func finish(_ end: CurlResult.End) {
        curl_multi_remove_handle(multi.handle, easy)
        self.end()
        waiter.take()?.resume(returning: end)
    }

    /// libcurl does not read once it cannot send. A server that refuses early and hangs up has said
    /// why, and that is still there.
    func keepRest() {
        guard isPlain, !hasReceived, connected != muster_curl_no_socket else { return }
        let all = unread(from: connected, flags: 0)
        if !all.isEmpty { rest = all }
        multi.leave(connected)
        connected = muster_curl_no_socket
    }

    private func unread(from socket: curl_socket_t, flags: Int32) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.headBytesMax) { room, count in
            count = max(recv(socket, room.baseAddress, room.count, flags | Int32(MSG_DONTWAIT)), 0)
        }
    }

    private func end() {
        multi.leave(connected)
        multi.loop.cancel(timer)
        timer = .none
        receiver = nil
        prepare = nil
        socket = nil
    }

    private func result(of end: CurlResult.End) -> CurlResult {
        func span(_ from: CURLINFO?, _ to: CURLINFO) -> Nanoseconds? {
            let end = muster_curl_time(easy, to)
            guard end > 0 else { return nil }
            let start = from.map { muster_curl_time(easy, $0) } ?? 0
            return .microseconds(max(end - start, 0))
        }
        return CurlResult(
            end: end,
            connect: span(nil, CURLINFO_CONNECT_TIME_T),
            handshake: span(CURLINFO_CONNECT_TIME_T, CURLINFO_APPCONNECT_TIME_T),
            firstByte: span(CURLINFO_PRETRANSFER_TIME_T, CURLINFO_STARTTRANSFER_TIME_T),
            tunnelStatus: muster_curl_number(easy, CURLINFO_HTTP_CONNECTCODE),
            isUnderWay: muster_curl_time(easy, CURLINFO_PRETRANSFER_TIME_T) > 0
        )
    }

    private static let tooLongHead = CurlFailure(
        kind: .malformed,
        text: "head: expected at most \(headBytesMax) bytes, saw more",
        errno: 0
    )

    // MARK: What libcurl asks for

    /// The connection that is there; where libcurl needs a second one, a socket to make it with.
    private func open(_ address: UnsafeMutablePointer<curl_sockaddr>?) -> curl_socket_t {
        if let descriptor = socket.take() {
            connected = descriptor.take()
            multi.attend(connected, self)
            // Up to 8.0 libcurl connects once more, which throws away what a peer said that has
            // hung up already.
            if isPlain { rest = unread(from: connected, flags: Int32(MSG_PEEK)) }
            return connected
        }
        connected = muster_curl_no_socket
        guard let address = address?.pointee else { return muster_curl_no_socket }
        let kind =
            address.socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let raw = Glibc.socket(address.family, kind, address.protocol)
        if raw < 0 { openError = errno }
        return raw < 0 ? muster_curl_no_socket : raw
    }

    private func take(head isHead: Bool, _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int
    {
        if isEnough { return 0 }
        hasReceived = true
        let piece = UnsafeRawBufferPointer(start: bytes, count: count)
        if isHead {
            headBytes += count
            if headBytes > Self.headBytesMax {
                hasTooLongHead = true
                return 0
            }
        }
        guard let receiver, receiver(isHead ? .head(piece) : .body(piece), self) else {
            isEnough = true
            return 0
        }
        return count
    }

    // MARK: While a transfer runs

    /// OpenSSL's `SSL *`; nil without TLS. For receivers.
    public var ssl: OpaquePointer? { muster_curl_ssl(easy).map { OpaquePointer($0) } }
}
