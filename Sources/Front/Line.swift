// Over what does a client talk: plainly, or over TLS? The front does not care.

import EventLoop
import TLS
import Vocabulary

/// A client's connection. Closing it is the visitor's work.
struct Line {
    private let stream: ByteStream
    private let secure: TLSStream?

    init(_ stream: ByteStream, _ secure: TLSStream? = nil) {
        self.stream = stream
        self.secure = secure
    }

    var descriptor: Int32 { stream.descriptor }

    /// The same line with TLS on it, once hands are shaken.
    func secured(with context: TLSContext) async throws(TLSError) -> Line {
        Line(stream, try await TLSStream.accept(over: stream, context: context))
    }

    func read(into room: UnsafeMutableRawBufferPointer) async throws(StreamError) -> Int {
        if let secure { return try await secure.read(into: room) }
        return try await stream.read(into: room)
    }

    func write(_ bytes: [UInt8]) async throws(StreamError) {
        if let secure { return try await secure.write(bytes) }
        try await stream.write(bytes)
    }

    /// Says that no more comes, where that can be said without waiting long.
    func sayGoodbye() async { await secure?.sayGoodbye() }

    func extend(to deadline: Instant) { stream.extend(to: deadline) }
    func close() { stream.close() }
    func reset() { stream.reset() }
}
