// What does an extended regular expression (POSIX, IEEE 1003.1 chapter 9.4) say? Its text becomes a
// small program of byte sets, forks and assertions, which `Pattern` runs.

/// A set of byte values.
struct ByteSet: Hashable, Sendable {
    private var low: (UInt64, UInt64) = (0, 0)
    private var high: (UInt64, UInt64) = (0, 0)

    init() {}
    init(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }
    init(_ bytes: some Sequence<UInt8>) { for byte in bytes { insert(byte) } }

    func contains(_ byte: UInt8) -> Bool {
        let bit = (1 as UInt64) << UInt64(byte & 63)
        return switch byte >> 6 {
        case 0: low.0 & bit != 0
        case 1: low.1 & bit != 0
        case 2: high.0 & bit != 0
        default: high.1 & bit != 0
        }
    }

    mutating func insert(_ byte: UInt8) {
        let bit = (1 as UInt64) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: low.0 |= bit
        case 1: low.1 |= bit
        case 2: high.0 |= bit
        default: high.1 |= bit
        }
    }

    mutating func formUnion(_ other: ByteSet) {
        low = (low.0 | other.low.0, low.1 | other.low.1)
        high = (high.0 | other.high.0, high.1 | other.high.1)
    }

    var inverted: ByteSet {
        var set = self
        set.low = (~low.0, ~low.1)
        set.high = (~high.0, ~high.1)
        return set
    }

    static func == (one: ByteSet, other: ByteSet) -> Bool {
        one.low == other.low && one.high == other.high
    }

    func hash(into hasher: inout Hasher) {
        for part in [low.0, low.1, high.0, high.1] { hasher.combine(part) }
    }

    static let digits = ByteSet(0x30...0x39)
    static let letters = {
        var set = ByteSet(0x41...0x5A)
        set.formUnion(ByteSet(0x61...0x7A))
        return set
    }()
    static let alphanumerics = {
        var set = digits
        set.formUnion(letters)
        return set
    }()
    /// Letters, digits and `_`.
    static let word = {
        var set = alphanumerics
        set.insert(0x5F)
        return set
    }()
    static let spaces = ByteSet([0x20, 0x09, 0x0A, 0x0B, 0x0C, 0x0D])
    /// Everything on a line.
    static let line = ByteSet([0x0A]).inverted
}

/// A compiled expression.
struct RegularExpression: Sendable {
    enum Assertion: Hashable, Sendable {
        case lineStart, lineEnd, wordStart, wordEnd, wordEdge, noWordEdge
    }

    enum Instruction: Sendable {
        /// Takes one byte of the set.
        case take(ByteSet)
        /// Goes on at both places.
        case fork(Int, Int)
        case jump(Int)
        case assert(Assertion)
        case match
    }

    typealias Problem = Pattern.Problem

    let program: [Instruction]
    /// The bytes a match may begin with; nil where it may be empty.
    let first: ByteSet?

    /// The time that a match takes grows with the product of this and the length of the text.
    static let instructionsMax = 512
    static let depthMax = 64
    /// The C library's RE_DUP_MAX is more, but copies of what is repeated count as instructions.
    static let repetitionsMax = 255

    init(_ text: String) throws(Problem) {
        var parser = RegularExpressionParser(rest: Array(text.utf8)[...])
        let node = try parser.whole()
        var writer = Writer()
        try writer.write(node)
        writer.program.append(.match)
        program = writer.program
        first = Self.first(of: writer.program)
    }

    private static func first(of program: [Instruction]) -> ByteSet? {
        var set = ByteSet()
        var seen = Set<Int>()
        var open = [0]
        while let place = open.popLast() {
            guard seen.insert(place).inserted else { continue }
            switch program[place] {
            case .take(let bytes): set.formUnion(bytes)
            case .fork(let one, let other): open += [one, other]
            case .jump(let next): open.append(next)
            // Whether it holds is another question.
            case .assert: open.append(place + 1)
            case .match: return nil
            }
        }
        return set
    }

    // MARK: Writing the program

    indirect enum Node {
        case empty
        case take(ByteSet)
        case assert(Assertion)
        case sequence([Node])
        case choice([Node])
        /// At least, and at most if there is a most.
        case repeated(Node, Int, Int?)
    }

    private struct Writer {
        var program: [Instruction] = []
        /// Nodes written, copies counted: a thousand times nothing is work too.
        private var written = 0

        mutating func write(_ node: Node) throws(Problem) {
            written += 1
            guard written <= 4 * instructionsMax, program.count < instructionsMax else {
                throw Problem(reason: "it comes to more than \(instructionsMax) steps")
            }
            switch node {
            case .empty: break
            case .take(let set): program.append(.take(set))
            case .assert(let assertion): program.append(.assert(assertion))
            case .sequence(let nodes): for node in nodes { try write(node) }
            case .choice(let nodes): try write(choice: nodes[...])
            case .repeated(let node, let least, let most):
                for _ in 0..<least { try write(node) }
                try write(optional: node, most.map { $0 - least })
            }
        }

        private mutating func write(choice nodes: ArraySlice<Node>) throws(Problem) {
            guard let node = nodes.first else { return }
            let rest = nodes.dropFirst()
            guard !rest.isEmpty else { return try write(node) }
            let fork = program.count
            program.append(.fork(fork + 1, 0))
            try write(node)
            let jump = program.count
            program.append(.jump(0))
            program[fork] = .fork(fork + 1, program.count)
            try write(choice: rest)
            program[jump] = .jump(program.count)
        }

        /// `count` times or less, or as often as there is.
        private mutating func write(optional node: Node, _ count: Int?) throws(Problem) {
            guard let count else {
                let fork = program.count
                program.append(.fork(fork + 1, 0))
                try write(node)
                program.append(.jump(fork))
                program[fork] = .fork(fork + 1, program.count)
                return
            }
            var forks: [Int] = []
            for _ in 0..<count {
                forks.append(program.count)
                program.append(.fork(program.count + 1, 0))
                try write(node)
            }
            for fork in forks { program[fork] = .fork(fork + 1, program.count) }
        }
    }
}
