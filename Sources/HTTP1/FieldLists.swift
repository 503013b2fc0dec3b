/// What do the fields whose value is a comma-separated list say? (RFC 9110 5.6.1)

/// Hands out the elements of a list without the whitespace around them. An empty element is handed
/// out too: most lists ignore it, `Transfer-Encoding` does not.
struct ListElements {
    private let window: ByteWindow
    private let end: Int
    private var cursor: Int

    @inline(__always)
    init(_ window: ByteWindow, _ value: Range<Int>) {
        self.window = window
        end = value.upperBound
        cursor = value.lowerBound
    }

    @inline(__always)
    mutating func next() -> (start: Int, end: Int)? {
        guard cursor <= end else { return nil }
        let start = cursor
        while cursor < end, window[cursor] != ASCII.comma { cursor &+= 1 }
        defer { cursor &+= 1 }
        return window.trimmed(start, cursor)
    }
}

/// The options of all `Connection` fields of a head.
struct ConnectionOptions: OptionSet {
    let rawValue: UInt8
    static let close = ConnectionOptions(rawValue: 1)
    static let keepAlive = ConnectionOptions(rawValue: 2)
    static let upgrade = ConnectionOptions(rawValue: 4)
    static let te = ConnectionOptions(rawValue: 8)

    /// Adds one field's options and returns how many elements it has. Options that we do not act on
    /// name fields, and are looked at by `FieldTable.markHopByHop`.
    @inline(__always)
    mutating func add(_ window: ByteWindow, _ value: Range<Int>) -> Int {
        if Self.isUsual(window, value) {
            insert(value.count == 5 ? .close : .keepAlive)
            return 1
        }
        return addAll(window, value)
    }

    /// One of the two values that nearly every head has. They name no field that is not dropped anyway.
    @inline(__always)
    static func isUsual(_ window: ByteWindow, _ value: Range<Int>) -> Bool {
        value.count == 10 && window.matches("keep-alive", at: value.lowerBound)
            || value.count == 5 && window.matches("close", at: value.lowerBound)
    }

    @inline(never)
    private mutating func addAll(_ window: ByteWindow, _ value: Range<Int>) -> Int {
        var elements = ListElements(window, value)
        var count = 0
        while let (start, end) = elements.next() {
            count &+= 1
            switch end &- start {
            case 2 where window.matches("te", at: start): insert(.te)
            case 5 where window.matches("close", at: start): insert(.close)
            case 7 where window.matches("upgrade", at: start): insert(.upgrade)
            case 10 where window.matches("keep-alive", at: start): insert(.keepAlive)
            default: break
            }
        }
        return count
    }
}

/// The codings of all `Transfer-Encoding` fields of a head, taken as one list.
struct TransferCodings {
    private(set) var chunkedCount = 0
    private(set) var endsInChunked = false
    private(set) var hasForeign = false
    private(set) var hasEmpty = false
    /// Where the first element stands that is not a bare token: `chunked;q=1`, `"chunked"`,
    /// `chunked gzip`. Chunked takes no parameters (RFC 9112 7), and nothing else is understood.
    private(set) var malformed: Int?

    mutating func add(_ window: ByteWindow, _ value: Range<Int>) {
        var elements = ListElements(window, value)
        while let (start, end) = elements.next() {
            if start == end {
                hasEmpty = true
                continue
            }
            if let stray = (start..<end).first(where: { !ASCII.isToken(window[$0]) }) {
                malformed = malformed ?? stray
            }
            endsInChunked = end - start == 7 && window.matches("chunked", at: start)
            if endsInChunked { chunkedCount += 1 } else { hasForeign = true }
        }
    }
}

/// What is the value of `Content-Length`?
enum ContentLength {
    /// Digits only, so no sign, no list, no space (RFC 9110 8.6). Leading zeros are legal. Some read
    /// them as octal, so that whoever forwards the field leaves them out.
    static func parse(
        _ window: ByteWindow,
        _ value: Range<Int>,
        of side: HTTPError.Side
    ) throws(HTTPError) -> UInt64 {
        guard !value.isEmpty else {
            throw HTTPError(.contentLength, side, at: value.lowerBound)
        }
        var length: UInt64 = 0
        var index = value.lowerBound
        // So few digits cannot be too many.
        let short = min(value.upperBound, value.lowerBound &+ 18)
        while index < short, ASCII.isDigit(window[index]) {
            length = length &* 10 &+ UInt64(window[index] &- 0x30)
            index &+= 1
        }
        while index < value.upperBound {
            defer { index &+= 1 }
            let byte = window[index]
            guard ASCII.isDigit(byte) else {
                throw HTTPError(.contentLength, side, at: index, seen: byte)
            }
            let (tenfold, overflow) = length.multipliedReportingOverflow(by: 10)
            let (next, carry) = tenfold.addingReportingOverflow(UInt64(byte - 0x30))
            guard !overflow, !carry, next <= UInt64(Int64.max) else {
                throw HTTPError(.contentLengthTooLarge, side, at: value.lowerBound)
            }
            length = next
        }
        return length
    }

    /// More digits than the number has.
    @inline(__always)
    static func isPadded(_ window: ByteWindow, _ value: Range<Int>) -> Bool {
        value.count > 1 && window[value.lowerBound] == 0x30
    }
}
