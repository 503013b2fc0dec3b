/// Where are the data of a chunked body, and where does it end? (RFC 9112 7.1)
///
///     chunk-size [ ";" extension … ] CR LF  data CR LF  …  0 CR LF  trailers  CR LF
///
/// The decoder keeps eighteen bytes of state and no data: it names ranges of the bytes given.
/// It can stop and go on at any byte. Extensions are checked, counted and forgotten (RFC 9112
/// 7.1.1 tells recipients to ignore those they do not know, and we know none).
public enum ChunkEvent: Equatable, Sendable {
    /// Body bytes, a chunk or a part of one; never empty.
    case data(Range<Int>)
    /// A trailer field to forward as a trailer. It is never to be merged into a head.
    case trailer(name: Range<Int>, value: Range<Int>)
    /// Everything that can be decided is. Bytes from `position` on, if any, are the beginning of a
    /// trailer line and have to be presented again together with what follows them.
    case needMore
    /// The body is complete; `position` is the first byte after it.
    case end
}

public struct ChunkedDecoder: Equatable, Sendable, BitwiseCopyable {
    enum State: UInt8, Sendable, BitwiseCopyable {
        /// Before the first digit. Goes to `digits`.
        case size
        /// After a digit. Goes to `blank`, `extensionStart`, `sizeEnd`.
        case digits
        /// Whitespace after the size, which only an extension may follow. Goes to `extensionStart`.
        case blank
        /// After `;`. Goes to `extensionName`.
        case extensionStart
        /// Goes to `extensionBlank`, `extensionValueStart`, `extensionStart`, `sizeEnd`.
        case extensionName
        /// Whitespace after a name. Goes to `extensionValueStart`, `extensionStart`.
        case extensionBlank
        /// After `=`. Goes to `extensionValue`, `extensionQuoted`.
        case extensionValueStart
        /// Goes to `extensionValueEnd`, `extensionStart`, `sizeEnd`.
        case extensionValue
        /// Goes to `extensionEscape`, `extensionQuotedEnd`.
        case extensionQuoted
        /// After a backslash. Goes to `extensionQuoted`.
        case extensionEscape
        /// After the closing quote. Goes to `extensionValueEnd`, `extensionStart`, `sizeEnd`.
        case extensionQuotedEnd
        /// Whitespace after a value. Goes to `extensionStart`.
        case extensionValueEnd
        /// After the CR of a size line. Goes to `data`, or to `trailers` after the last chunk.
        case sizeEnd
        /// Goes to `dataReturn` when `remaining` is 0.
        case data
        /// Before the CR after the data. Goes to `dataFeed`.
        case dataReturn
        /// Before the LF after the data. Goes to `size`.
        case dataFeed
        /// At the start of a trailer line or in one. Goes to `end`.
        case trailers
        /// Stays.
        case end
    }

    /// The size of the chunk while it is read, then what is still to come of it.
    private var remaining: UInt64 = 0
    private var extensionBytes: UInt16 = 0
    private var trailerBytes: UInt16 = 0
    /// How far the trailer line that begins at `position` has been searched for its end.
    private var scanned: UInt16 = 0
    private var digits: UInt8 = 0
    private(set) var state = State.size
    private let side: HTTPError.Side
    private let isLenient: Bool

    /// `side` says whose body it is, and so whether a fault is the client's or the upstream's.
    /// `isLenient` takes blanks between a size and its line's end, as other proxies do.
    public init(of side: HTTPError.Side, isLenient: Bool = false) {
        self.side = side
        self.isLenient = isLenient
    }

    /// Returns what comes next in `bytes` from `position` on, and moves `position` past it.
    public mutating func next(
        in bytes: Span<UInt8>,
        at position: inout Int
    ) throws(HTTPError) -> ChunkEvent {
        precondition(position >= 0 && position <= bytes.count)
        return try unsafe bytes.withUnsafeBufferPointer { (buffer) throws(HTTPError) in
            guard let window = unsafe ByteWindow(buffer) else {
                return state == .end ? .end : .needMore
            }
            return try step(window, &position)
        }
    }

    private mutating func step(
        _ window: ByteWindow,
        _ position: inout Int
    ) throws(HTTPError) -> ChunkEvent {
        while true {
            switch state {
            case .end:
                return .end
            case .data:
                guard position < window.count else { return .needMore }
                let available = window.count &- position
                let taken = remaining < UInt64(available) ? Int(remaining) : available
                let start = position
                position &+= taken
                remaining &-= UInt64(taken)
                if remaining == 0 { state = .dataReturn }
                return .data(start..<position)
            case .dataReturn, .dataFeed:
                guard position < window.count else { return .needMore }
                // Anything else would be data beyond the announced size, which a lenient parser
                // skips and a strict one does not (RFC 9112 7.1).
                let wanted = state == .dataReturn ? ASCII.carriageReturn : ASCII.lineFeed
                guard window[position] == wanted else {
                    throw HTTPError(.chunkEnd, side, at: position, seen: window[position])
                }
                position &+= 1
                state = state == .dataReturn ? .dataFeed : .size
            case .trailers:
                if let event = try trailer(window, &position) { return event }
            default:
                guard position < window.count else { return .needMore }
                try sizeLine(window[position], at: position)
                position &+= 1
            }
        }
    }

    /// Takes one byte of a size line.
    @inline(__always)
    private mutating func sizeLine(_ byte: UInt8, at position: Int) throws(HTTPError) {
        switch state {
        case .size, .digits:
            if let value = ASCII.hexValue(byte) {
                // Sixteen digits, leading zeros among them, cannot overflow the word; the
                // seventeenth is refused whatever it is.
                digits &+= 1
                remaining = remaining &<< 4 | UInt64(value)
                guard digits <= 16, remaining <= UInt64(Int64.max) else {
                    throw HTTPError(.chunkSizeTooLarge, side, at: position, seen: byte)
                }
                state = .digits
                return
            }
            guard state == .digits else { break }
            if byte == ASCII.carriageReturn {
                state = .sizeEnd
                return
            }
            if ASCII.isBlank(byte) { return try countExtension(.blank, at: position) }
            if byte == UInt8(ascii: ";") {
                return try countExtension(.extensionStart, at: position)
            }
        case .sizeEnd:
            guard byte == ASCII.lineFeed else { break }
            state = remaining == 0 ? .trailers : .data
            digits = 0
            return
        default:
            if isLenient, state == .blank, byte == ASCII.carriageReturn {
                state = .sizeEnd
                return
            }
            guard let next = Self.extensionState(after: byte, in: state) else {
                throw HTTPError(.chunkExtension, side, at: position, seen: byte)
            }
            if next == .sizeEnd {
                state = .sizeEnd
                return
            }
            return try countExtension(next, at: position)
        }
        throw HTTPError(.chunkSize, side, at: position, seen: byte)
    }

    private mutating func countExtension(_ next: State, at position: Int) throws(HTTPError) {
        guard Int(extensionBytes) < HeadLimits.chunkExtensionBytes else {
            throw HTTPError(.chunkExtensionsTooLong, side, at: position)
        }
        extensionBytes += 1
        state = next
    }

    /// chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
    ///
    /// No CR or LF is taken for anything but the line end: a quoted CR LF that one parser skips and
    /// another obeys hides a request in an extension.
    private static func extensionState(after byte: UInt8, in state: State) -> State? {
        let isBlank = ASCII.isBlank(byte)
        let isToken = ASCII.isToken(byte)
        switch (state, byte) {
        case (.blank, UInt8(ascii: ";")): return .extensionStart
        case (.blank, _) where isBlank: return .blank

        case (.extensionStart, _) where isBlank: return .extensionStart
        case (.extensionStart, _) where isToken: return .extensionName

        case (.extensionName, _) where isToken: return .extensionName
        case (.extensionName, UInt8(ascii: "=")): return .extensionValueStart
        case (.extensionName, UInt8(ascii: ";")): return .extensionStart
        case (.extensionName, ASCII.carriageReturn): return .sizeEnd
        case (.extensionName, _) where isBlank: return .extensionBlank

        case (.extensionBlank, UInt8(ascii: "=")): return .extensionValueStart
        case (.extensionBlank, UInt8(ascii: ";")): return .extensionStart
        case (.extensionBlank, _) where isBlank: return .extensionBlank

        case (.extensionValueStart, UInt8(ascii: "\"")): return .extensionQuoted
        case (.extensionValueStart, _) where isBlank: return .extensionValueStart
        case (.extensionValueStart, _) where isToken: return .extensionValue

        case (.extensionValue, _) where isToken: return .extensionValue
        case (.extensionValue, UInt8(ascii: ";")), (.extensionQuotedEnd, UInt8(ascii: ";")),
            (.extensionValueEnd, UInt8(ascii: ";")):
            return .extensionStart
        case (.extensionValue, ASCII.carriageReturn), (.extensionQuotedEnd, ASCII.carriageReturn):
            return .sizeEnd
        case (.extensionValue, _) where isBlank, (.extensionQuotedEnd, _) where isBlank,
            (.extensionValueEnd, _) where isBlank:
            return .extensionValueEnd

        case (.extensionQuoted, UInt8(ascii: "\"")): return .extensionQuotedEnd
        case (.extensionQuoted, UInt8(ascii: "\\")): return .extensionEscape
        case (.extensionQuoted, _), (.extensionEscape, _):
            let isText = byte >= 0x20 && byte != 0x7F || byte == 0x09
            return isText ? .extensionQuoted : nil

        default: return nil
        }
    }

    /// Takes one trailer line. Returns `nil` when it was the empty one or is not to be forwarded.
    private mutating func trailer(
        _ window: ByteWindow,
        _ position: inout Int
    ) throws(HTTPError) -> ChunkEvent? {
        // Lines count with their CR LF; the empty one that ends the body does not count.
        let room = position &+ HeadLimits.trailerBytes &- Int(trailerBytes) &- 1
        let limit = min(window.count, max(room, position &+ 1))
        let stop = window.firstControl(from: position &+ Int(scanned), to: limit)
        if stop >= room, stop > position { throw HTTPError(.trailersTooLarge, side, at: stop) }
        guard stop < window.count else {
            scanned = UInt16(truncatingIfNeeded: stop &- position)
            return .needMore
        }
        guard window[stop] == ASCII.carriageReturn else {
            let isLineFeed = window[stop] == ASCII.lineFeed
            throw HTTPError(
                isLineFeed ? .bareLineFeed : .controlByte,
                side,
                at: stop,
                seen: window[stop]
            )
        }
        guard stop &+ 1 < window.count else {
            scanned = UInt16(truncatingIfNeeded: stop &- position)
            return .needMore
        }
        guard window[stop &+ 1] == ASCII.lineFeed else {
            throw HTTPError(.bareCarriageReturn, side, at: stop, seen: window[stop &+ 1])
        }

        let start = position
        scanned = 0
        if stop == start {
            position &+= 2
            state = .end
            return nil
        }
        let field = try FieldLine.parse(
            window,
            start,
            stop,
            of: side,
            isFirst: trailerBytes == 0
        )
        trailerBytes &+= UInt16(truncatingIfNeeded: stop &+ 2 &- start)
        position = stop &+ 2
        guard try isForwarded(field, at: start) else { return nil }
        return .trailer(name: field.name, value: field.value)
    }

    /// RFC 9110 6.5.1. A client that frames or routes after the fact aims at a recipient that
    /// merges trailers into the head; the other forbidden fields are dropped. So is a name with
    /// an underscore, which may be read as one of them.
    private func isForwarded(_ field: Field, at position: Int) throws(HTTPError) -> Bool {
        switch field.known {
        case .host, .contentLength, .transferEncoding:
            if side == .response { return false }
            throw HTTPError(.forbiddenTrailer, side, at: position)
        default:
            return !field.known.isForbiddenInTrailers && !field.hasUnderscore
        }
    }
}
