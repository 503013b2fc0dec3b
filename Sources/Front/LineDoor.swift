// Who answers those who type, or pipe, lines into a socket? Those that are there, and the end; or line after line, where
// one asked for it. Bounded as everything is that strangers can reach.

public import EventLoop
import Glibc
public import Vocabulary

public struct LineLimits: Hashable, Sendable {
    public var connections = LineLimits.connectionsMax
    /// Without its end.
    public var lineBytes = 16_384
    /// How long a client may be silent, or not read.
    public var idle = Nanoseconds.seconds(10)
    /// The same where somebody types.
    public var idleAtPrompt = Nanoseconds.seconds(300)
    /// How long a client that was answered may go on sending before it is cut: an answer beside unread bytes would be
    /// lost with them.
    public var farewell = Nanoseconds.milliseconds(500)

    public static let connectionsMax = 16

    public init() {}
}

public struct LineAnswer: Hashable, Sendable {
    public var text = ""
    /// Another line may follow, whenever it comes.
    public var staysOpen: Bool
    /// Nothing that was sent after this line counts.
    public var isLast = false

    public init(staysOpen: Bool) { self.staysOpen = staysOpen }
}

/// Confined to its loop.
public final class LineDoor: EventSink {
    /// Given a line, and whether the one before left the connection open.
    public typealias Handler = @Sendable (String, Bool) async -> LineAnswer

    private let loop: EventLoop
    private let limits: LineLimits
    private let name: String
    private let journal: Journal
    private let answer: Handler
    private var acceptor: Acceptor?
    private var sessions: [Int: ByteStream] = [:]
    private var nextID = 0
    private var fileWatch = TimerID.none
    private var throttle = Throttle()
    /// Where it listens.
    public private(set) var address: SocketAddress

    private static let fileWatchEvery = Nanoseconds.seconds(1)
    private static let readBytes = 4_096

    public static var processID: Int32 { getpid() }

    public init(
        on loop: EventLoop,
        at place: SocketAddress,
        access: SocketAccess,
        limits: LineLimits,
        name: String,
        journal: Journal,
        answer: @escaping Handler
    ) throws(SystemError) {
        self.loop = loop
        self.limits = limits
        self.name = name
        self.journal = journal
        self.answer = answer
        address = place
        super.init()
        acceptor = try Acceptor(
            on: loop,
            at: place,
            access: access,
            onTrouble: { [unowned self] in tell("a client cannot be let in: \($0.reason)") },
            onAccept: { [unowned self] descriptor in accept(descriptor) }
        )
        address = acceptor?.address ?? place
        if place.isUnix { watchFile() }
    }

    public func close() {
        loop.cancel(fileWatch)
        acceptor?.close()
        acceptor = nil
        for stream in sessions.values { stream.close() }
        sessions = [:]
    }

    private func watchFile() {
        fileWatch = loop.schedule(at: loop.now + Self.fileWatchEvery, sink: self)
    }

    public override func due(tag: Int) {
        acceptor?.keepFile(for: name, journal)
        watchFile()
    }

    private func tell(_ text: String) {
        guard let more = throttle.note("trouble", at: loop.now) else { return }
        journal.warning(
            "\(name): \(text)\(more > 0 ? " (\(more) more since the last line)" : "")",
            [.event("admin-full")]
        )
    }

    // MARK: One client

    private func accept(_ descriptor: consuming Descriptor) {
        // There is no word for "full" in such a protocol: the connection ends.
        guard sessions.count < limits.connections else {
            return tell(
                "all \(limits.connections) connections that it may have are open; one more is closed"
            )
        }
        do throws(SystemError) {
            let stream = try ByteStream.adopt(
                descriptor,
                on: loop,
                deadline: loop.now + limits.idle
            )
            nextID += 1
            let id = nextID
            sessions[id] = stream
            let door = LoopBound(self, on: loop)
            Task(executorPreference: loop) { await door.value.serve(id) }
        } catch {
            tell("a client cannot be let in: \(error.reason)")
        }
    }

    private func serve(_ id: Int) async {
        guard let stream = sessions[id] else { return }
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.readBytes, alignment: 16)
        defer {
            room.deallocate()
            stream.close()
            sessions[id] = nil
        }
        do throws(StreamError) {
            if try await converse(over: stream, room) { try await leave(stream, room) }
        } catch {
            return
        }
    }

    /// True where the end of the conversation is ours.
    private func converse(
        over stream: ByteStream,
        _ room: UnsafeMutableRawBufferPointer
    ) async throws(StreamError) -> Bool {
        var buffer: [UInt8] = []
        var isOpen = false
        while true {
            while let end = buffer.firstIndex(of: 10) {
                let line = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeFirst(end + 1)
                let answer = await answer(line, isOpen)
                isOpen = answer.staysOpen
                stream.extend(to: loop.now + (isOpen ? limits.idleAtPrompt : limits.idle))
                try await stream.write(Array(answer.text.utf8))
                if answer.isLast { return true }
                // What was sent together is answered together.
                if !isOpen, buffer.isEmpty, !stream.hasUnread { return true }
            }
            guard buffer.count < limits.lineBytes else {
                try await stream.write(
                    Array(
                        "A line has at most \(limits.lineBytes) bytes; this one was not done.\n"
                            .utf8
                    )
                )
                return true
            }
            let count = try await stream.read(into: room)
            if count == 0 { return false }
            buffer += room[..<count]
        }
    }

    /// Ends our half and reads what still comes.
    private func leave(
        _ stream: ByteStream,
        _ room: UnsafeMutableRawBufferPointer
    ) async throws(StreamError) {
        guard stream.descriptor >= 0 else { return }
        shutdown(stream.descriptor, Int32(SHUT_WR))
        stream.extend(to: loop.now + limits.farewell)
        while try await stream.read(into: room) > 0 {}
    }
}
