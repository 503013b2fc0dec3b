// How is an extended regular expression read? As POSIX has it, with lines: `.` and `[^…]` stop at a
// line's end, `^` and `$` stand at every line's. Beyond POSIX, because everybody writes them:
// `\d \w \s` and their opposites, `\r \n \t`, and the word edges `\b \B \< \>`.

struct RegularExpressionParser {
    private typealias Node = RegularExpression.Node
    private typealias Problem = RegularExpression.Problem

    private var rest: ArraySlice<UInt8>
    private var depth = 0

    init(rest: ArraySlice<UInt8>) { self.rest = rest }

    mutating func whole() throws(RegularExpression.Problem) -> RegularExpression.Node {
        let node = try choice()
        guard rest.isEmpty else { throw Problem(reason: "a ) without its (") }
        return node
    }

    private mutating func choice() throws(Problem) -> Node {
        var branches = [try branch()]
        while rest.first == UInt8(ascii: "|") {
            rest.removeFirst()
            branches.append(try branch())
        }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func branch() throws(Problem) -> Node {
        var nodes: [Node] = []
        while let byte = rest.first, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            nodes.append(try repeated(try atom()))
        }
        return nodes.isEmpty ? .empty : nodes.count == 1 ? nodes[0] : .sequence(nodes)
    }

    // MARK: Repetition

    private mutating func repeated(_ atom: Node) throws(Problem) -> Node {
        var node = atom
        while let byte = rest.first, "*+?{".utf8.contains(byte) {
            if case .assert = atom { throw Problem(reason: "nothing to repeat") }
            rest.removeFirst()
            switch byte {
            case UInt8(ascii: "*"): node = .repeated(node, 0, nil)
            case UInt8(ascii: "+"): node = .repeated(node, 1, nil)
            case UInt8(ascii: "?"): node = .repeated(node, 0, 1)
            default:
                let (least, most) = try interval()
                node = .repeated(node, least, most)
            }
        }
        return node
    }

    /// What stands between `{` and `}`.
    private mutating func interval() throws(Problem) -> (Int, Int?) {
        let least = try number()
        var most = least
        if rest.first == UInt8(ascii: ",") {
            rest.removeFirst()
            most = try number()
            if least == nil, most == nil { throw Self.badInterval }
        } else if least == nil {
            throw Self.badInterval
        }
        guard rest.popFirst() == UInt8(ascii: "}") else { throw Self.badInterval }
        if let most, most < least ?? 0 { throw Self.badInterval }
        return (least ?? 0, most)
    }

    private static let badInterval = Problem(
        reason: "expected {n}, {n,} or {n,m} up to \(RegularExpression.repetitionsMax); "
            + "\\{ stands for a brace"
    )

    private mutating func number() throws(Problem) -> Int? {
        let digits = rest.prefix { ByteSet.digits.contains($0) }
        guard !digits.isEmpty else { return nil }
        rest = rest.dropFirst(digits.count)
        let number = Int(String(decoding: digits, as: UTF8.self))
        guard let number, number <= RegularExpression.repetitionsMax else {
            throw Self.badInterval
        }
        return number
    }

    // MARK: Atoms

    private mutating func atom() throws(Problem) -> Node {
        guard let byte = rest.popFirst() else { return .empty }
        switch byte {
        case UInt8(ascii: "("): return try group()
        case UInt8(ascii: "["): return .take(try bracket())
        case UInt8(ascii: "."): return .take(.line)
        case UInt8(ascii: "^"): return .assert(.lineStart)
        case UInt8(ascii: "$"): return .assert(.lineEnd)
        case UInt8(ascii: "\\"): return try escape()
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"):
            throw Problem(reason: "nothing to repeat")
        case 0: throw Problem(reason: "a NUL")
        case 0xC0...: return letter(byte)
        default: return .take([byte])
        }
    }

    private mutating func group() throws(Problem) -> Node {
        depth += 1
        defer { depth -= 1 }
        guard depth <= RegularExpression.depthMax else {
            throw Problem(reason: "more than \(RegularExpression.depthMax) groups in each other")
        }
        let node = try choice()
        guard rest.popFirst() == UInt8(ascii: ")") else {
            throw Problem(reason: "a ( without its )")
        }
        return node
    }

    /// A letter of several bytes is repeated as a whole.
    private mutating func letter(_ byte: UInt8) -> Node {
        let more = rest.prefix { $0 & 0xC0 == 0x80 }
        rest = rest.dropFirst(more.count)
        return .sequence(([byte] + more).map { .take([$0]) })
    }

    private mutating func escape() throws(Problem) -> Node {
        guard let byte = rest.popFirst() else { throw Problem(reason: "a backslash at the end") }
        switch byte {
        case UInt8(ascii: "d"): return .take(.digits)
        case UInt8(ascii: "D"): return .take(Self.others(than: .digits))
        case UInt8(ascii: "w"): return .take(.word)
        case UInt8(ascii: "W"): return .take(Self.others(than: .word))
        case UInt8(ascii: "s"): return .take(.spaces)
        case UInt8(ascii: "S"): return .take(.spaces.inverted)
        case UInt8(ascii: "r"): return .take([0x0D])
        case UInt8(ascii: "n"): return .take([0x0A])
        case UInt8(ascii: "t"): return .take([0x09])
        case UInt8(ascii: "b"): return .assert(.wordEdge)
        case UInt8(ascii: "B"): return .assert(.noWordEdge)
        case UInt8(ascii: "<"): return .assert(.wordStart)
        case UInt8(ascii: ">"): return .assert(.wordEnd)
        case UInt8(ascii: "1")...UInt8(ascii: "9"):
            throw Problem(reason: "no back-reference such as \\\(Unicode.Scalar(byte))")
        case _ where ByteSet.alphanumerics.contains(byte):
            throw Problem(reason: "no such escape as \\\(Unicode.Scalar(byte))")
        case 0: throw Problem(reason: "a NUL")
        case 0xC0...: return letter(byte)
        default: return .take([byte])
        }
    }

    /// Of one line.
    private static func others(than set: ByteSet) -> ByteSet {
        var set = set
        set.insert(0x0A)
        return set.inverted
    }

    // MARK: Brackets

    private static let classes: [(String, ByteSet)] = [
        ("alpha", .letters), ("digit", .digits), ("alnum", .alphanumerics), ("space", .spaces),
        ("upper", ByteSet(0x41...0x5A)), ("lower", ByteSet(0x61...0x7A)),
        ("blank", ByteSet([0x20, 0x09])), ("print", ByteSet(0x20...0x7E)),
        ("graph", ByteSet(0x21...0x7E)), ("cntrl", ByteSet(Array(0...0x1F) + [0x7F])),
        ("xdigit", ByteSet("0123456789abcdefABCDEF".utf8)),
        ("punct", ByteSet((0x21...0x7E).filter { !ByteSet.alphanumerics.contains($0) })),
    ]

    private mutating func bracket() throws(Problem) -> ByteSet {
        var set = ByteSet()
        let isInverted = rest.first == UInt8(ascii: "^")
        if isInverted { rest.removeFirst() }
        var isFirst = true
        while true {
            guard let byte = rest.popFirst() else { throw Problem(reason: "a [ without its ]") }
            if byte == UInt8(ascii: "]"), !isFirst { break }
            isFirst = false
            if byte == UInt8(ascii: "["), rest.first == UInt8(ascii: ":") {
                set.formUnion(try characterClass())
            } else if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "d") {
                rest.removeFirst()
                set.formUnion(.digits)
            } else {
                try insert(byte, into: &set)
            }
        }
        guard isInverted else { return set }
        return Self.others(than: set)
    }

    /// One byte, or a range that begins with it.
    private mutating func insert(_ byte: UInt8, into set: inout ByteSet) throws(Problem) {
        try refuseNames(after: byte)
        guard rest.first == UInt8(ascii: "-"), rest.count > 1,
            rest[rest.startIndex + 1] != UInt8(ascii: "]")
        else { return set.insert(byte) }
        rest.removeFirst()
        let last = rest.removeFirst()
        try refuseNames(after: last)
        guard last != UInt8(ascii: "["), byte <= last else {
            throw Problem(reason: "a range in [ ] that runs backwards")
        }
        set.formUnion(ByteSet(byte...last))
    }

    /// `[.x.]` and `[=x=]` name letters of other languages: not here.
    private func refuseNames(after byte: UInt8) throws(Problem) {
        if byte == 0 { throw Problem(reason: "a NUL") }
        guard byte == UInt8(ascii: "["), let next = rest.first else { return }
        if next == UInt8(ascii: ".") || next == UInt8(ascii: "=") {
            throw Problem(reason: "no [. .] and [= =] in [ ]")
        }
    }

    private mutating func characterClass() throws(Problem) -> ByteSet {
        rest.removeFirst()
        let name = String(decoding: rest.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
        rest = rest.dropFirst(name.utf8.count)
        guard rest.starts(with: ":]".utf8),
            let found = Self.classes.first(where: { $0.0 == name })
        else { throw Problem(reason: "no such class as [:\(name):]") }
        rest = rest.dropFirst(2)
        return found.1
    }
}

extension ByteSet: ExpressibleByArrayLiteral {
    init(arrayLiteral bytes: UInt8...) { self.init(bytes) }
}
