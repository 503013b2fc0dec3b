// How does linear code talk TLS to a peer? What the engine wants sent or needs to read goes over the stream
// below, with that stream's deadline.

public import EventLoop
import Glibc

/// A TLS connection over a `ByteStream`, confined to its loop.
public final class TLSStream {
    private let stream: ByteStream
    private let engine: TLSEngine
    /// What OpenSSL said when a read or write failed after the handshake: a server that wants a
    /// certificate of ours says so only then (TLS 1.3).
    public private(set) var lastFailure: TLSError?
    private let room = UnsafeMutableRawBufferPointer.allocate(
        byteCount: TLSEngine.recordBytes,
        alignment: 16
    )

    private init(stream: ByteStream, engine: TLSEngine) {
        self.stream = stream
        self.engine = engine
    }

    deinit { room.deallocate() }

    /// Shakes hands over a connected stream, which stays the caller's to reset if this throws.
    /// `serverName` is a host name, sent as SNI and checked, or an IP literal, only checked.
    public static func connect(
        over stream: ByteStream,
        context: TLSContext,
        serverName: String
    ) async throws(TLSError) -> TLSStream {
        let engine = try TLSEngine(context: context, serverName: serverName)
        let tls = TLSStream(stream: stream, engine: engine)
        try await tls.shakeHands()
        return tls
    }

    /// Shakes hands with a client over an accepted stream, which stays the caller's to close.
    public static func accept(
        over stream: ByteStream,
        context: TLSContext
    ) async throws(TLSError) -> TLSStream {
        let tls = TLSStream(stream: stream, engine: try TLSEngine(accepting: context))
        try await tls.shakeHands()
        return tls
    }

    private func shakeHands() async throws(TLSError) {
        // Whoever says goodbye instead of shaking hands has not failed, and nothing comes of it.
        _ = try await drive { engine throws(TLSError) in try engine.shakeHands() }
    }

    /// Makes a call until it is done, moving bytes as it asks. Returns the bytes that it was about.
    private func drive(
        _ call: (TLSEngine) throws(TLSError) -> TLSEngine.Step
    ) async throws(TLSError) -> Int {
        while true {
            let step: TLSEngine.Step
            do throws(TLSError) {
                step = try call(engine)
            } catch {
                try await flush(despite: error)
                throw error
            }
            try await flush(despite: nil)
            switch step {
            case .done(let count): return count
            case .ended: return 0
            case .wantsMore: try await fill()
            }
        }
    }

    /// Sends what OpenSSL has ready. After a failure that is an alert, which may be lost.
    private func flush(despite failure: TLSError?) async throws(TLSError) {
        while true {
            let count = engine.give(into: room)
            guard count > 0 else { return }
            do throws(StreamError) {
                try await stream.write(Array(room.prefix(count)))
            } catch {
                if let failure { throw failure }
                throw .stream(error)
            }
        }
    }

    private func fill() async throws(TLSError) {
        let count: Int
        do throws(StreamError) {
            count = try await stream.read(into: room)
        } catch {
            throw .stream(error)
        }
        guard count > 0 else { throw .stream(.ended) }
        engine.take(UnsafeRawBufferPointer(rebasing: room.prefix(count)))
    }

    // MARK: Bytes

    /// Reads what is there, at least one byte. Zero means the other side has ended: with a goodbye,
    /// or by closing, which many servers do after their last answer.
    public func read(into buffer: UnsafeMutableRawBufferPointer) async throws(StreamError) -> Int {
        do throws(TLSError) {
            return try await drive { engine throws(TLSError) in try engine.read(into: buffer) }
        } catch {
            switch error {
            case .stream(.ended): return 0
            case .stream(let error): throw error
            case .certificate, .alert, .notTLS, .failed: throw broken("read", error)
            }
        }
    }

    public func write(_ bytes: [UInt8]) async throws(StreamError) {
        guard !bytes.isEmpty else { return }
        do throws(TLSError) {
            _ = try await drive { engine throws(TLSError) in try engine.write(bytes) }
        } catch {
            if case .stream(let error) = error { throw error }
            throw broken("write", error)
        }
    }

    /// EBADMSG is what the kernel's own TLS says.
    private func broken(_ what: String, _ error: TLSError) -> StreamError {
        lastFailure = error
        return .failed(SystemError(what, code: EBADMSG))
    }

    /// Tells the other side that no more comes, so that it can tell an end from a cut. Its own
    /// goodbye is not waited for.
    public func sayGoodbye() async {
        guard lastFailure == nil else { return }
        engine.sayGoodbye()
        try? await flush(despite: nil)
    }

    /// Ends the connection below with RST, without a goodbye.
    public func reset() { stream.reset() }

    /// As of the stream below.
    public var broken: SystemError? { stream.broken }

    // MARK: What was agreed

    public var session: TLSSession { engine.session }
}
