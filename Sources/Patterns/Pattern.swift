// Does a reply match a pattern? All that may match goes through the text side by side, a byte at a
// time: the time grows with the text, whatever a hostile reply makes of the pattern. The C library's
// matcher begins anew at every byte: `[a-z]+ready` against 64 KiB of letters took it nine seconds,
// which no deadline could cut short, and held up every other probe.

public import Vocabulary

/// A compiled POSIX extended regular expression, matched against bytes.
public struct Pattern: Sendable {
    public let text: String
    private let expression: RegularExpression

    /// Longer is no pattern but a program.
    public static let bytesMax = 1_024

    public struct Problem: Error, Hashable, Sendable {
        public var reason: String
    }

    public init(_ text: String) throws(Problem) {
        self.text = text
        guard text.utf8.count <= Self.bytesMax else {
            throw Problem(reason: "at most \(Self.bytesMax) bytes")
        }
        expression = try RegularExpression(text)
    }

    /// The match that begins first, and of these the longest.
    public func firstMatch(in bytes: UnsafeRawBufferPointer) -> Range<Int>? {
        Search(expression, in: bytes, isLongestWanted: true).run()
    }

    public func matches(_ bytes: UnsafeRawBufferPointer) -> Bool {
        Search(expression, in: bytes, isLongestWanted: false).run() != nil
    }
}

/// One walk through a text.
private struct Search {
    private let expression: RegularExpression
    private let bytes: UnsafeRawBufferPointer
    private let isLongestWanted: Bool

    /// A place in the program, and where in the text the way to it began.
    private struct Thread {
        var place: Int
        var start: Int
    }
    /// Those that are to take the next byte, the earliest starts first.
    private var threads: [Thread] = []
    /// Those that took the byte before, kept for their room.
    private var spent: [Thread] = []
    private var open: [Int] = []
    /// When a place was last reached: one way to it is enough, and the first began earliest.
    private var reached: [Int]
    private var found: Range<Int>?

    init(
        _ expression: RegularExpression,
        in bytes: UnsafeRawBufferPointer,
        isLongestWanted: Bool
    ) {
        self.expression = expression
        self.bytes = bytes
        self.isLongestWanted = isLongestWanted
        reached = [Int](repeating: -1, count: expression.program.count)
    }

    consuming func run() -> Range<Int>? {
        var position = 0
        while position <= bytes.count {
            if threads.isEmpty {
                if found != nil { return found }
                guard let next = candidate(from: position) else { return nil }
                position = next
            }
            if found == nil { follow(from: 0, start: position, at: position) }
            if found != nil, !isLongestWanted { return found }
            if position < bytes.count { step(over: bytes[position], to: position + 1) }
            position += 1
        }
        return found
    }

    /// Where a match may begin, at `position` or later.
    private func candidate(from position: Int) -> Int? {
        guard let first = expression.first else { return position }
        return (position..<bytes.count).first { first.contains(bytes[$0]) }
    }

    private mutating func step(over byte: UInt8, to position: Int) {
        swap(&threads, &spent)
        threads.removeAll(keepingCapacity: true)
        for index in spent.indices {
            let thread = spent[index]
            // Whoever began later than a match is out.
            if let found, thread.start > found.lowerBound { continue }
            guard case .take(let set) = expression.program[thread.place], set.contains(byte) else {
                continue
            }
            follow(from: thread.place + 1, start: thread.start, at: position)
        }
    }

    /// Everything that can be reached from `place` without taking a byte.
    private mutating func follow(from place: Int, start: Int, at position: Int) {
        open.append(place)
        while let place = open.popLast() {
            guard reached[place] != position else { continue }
            reached[place] = position
            switch expression.program[place] {
            case .take: threads.append(Thread(place: place, start: start))
            case .fork(let one, let other):
                open.append(other)
                open.append(one)
            case .jump(let next): open.append(next)
            case .assert(let assertion):
                if holds(assertion, at: position) { open.append(place + 1) }
            case .match:
                if found.map({ start <= $0.lowerBound }) ?? true { found = start..<position }
            }
        }
    }

    private func holds(_ assertion: RegularExpression.Assertion, at position: Int) -> Bool {
        let before = position > 0 ? bytes[position - 1] : nil
        let after = position < bytes.count ? bytes[position] : nil
        let isBehindWord = before.map { ByteSet.word.contains($0) } ?? false
        let isBeforeWord = after.map { ByteSet.word.contains($0) } ?? false
        return switch assertion {
        case .lineStart: before == nil || before == 0x0A
        case .lineEnd: after == nil || after == 0x0A
        case .wordStart: !isBehindWord && isBeforeWord
        case .wordEnd: isBehindWord && !isBeforeWord
        case .wordEdge: isBehindWord != isBeforeWord
        case .noWordEdge: isBehindWord == isBeforeWord
        }
    }
}

extension Setting {
    /// A pattern, or an error that says what is wrong with it.
    public func pattern(at path: String) throws(SettingError) -> Pattern {
        let text = try string(at: path)
        do throws(Pattern.Problem) {
            return try Pattern(text)
        } catch {
            throw SettingError(
                position,
                "\(path): expected an extended regular expression, saw '\(text)': \(error.reason)"
            )
        }
    }
}
