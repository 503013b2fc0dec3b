// Does a pattern match what it says? Until the first NUL the bytes are the pattern, after it the
// text; what is found is held against a matcher that only collects places, step by step.

@testable import Patterns

@Sendable func pattern(_ bytes: [UInt8]) {
    let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    let source = String(decoding: parts[0], as: UTF8.self)
    let text = Array((parts.count > 1 ? parts[1] : []).prefix(textBytesMax))
    guard let pattern = try? Pattern(source) else { return }

    var parser = RegularExpressionParser(rest: Array(source.utf8)[...])
    guard let node = try? parser.whole() else { return require(false, "'\(source)' read once") }
    var expected: Range<Int>?
    for start in 0...text.count where expected == nil {
        guard let end = ends(of: node, from: [start], in: text).max() else { continue }
        expected = start..<end
    }
    text.withUnsafeBytes { text in
        let found = pattern.firstMatch(in: text)
        require(
            found == expected,
            "/\(source)/ matches \(String(describing: found)), not \(String(describing: expected))"
        )
        require(pattern.matches(text) == (expected != nil), "/\(source)/ of two minds")
    }
}

/// The other matcher looks at every place for every step.
private let textBytesMax = 48

/// Where `node` may end that begins at one of `starts`.
private func ends(
    of node: RegularExpression.Node,
    from starts: Set<Int>,
    in text: [UInt8]
) -> Set<Int> {
    if starts.isEmpty { return [] }
    switch node {
    case .empty: return starts
    case .take(let set):
        let taken = starts.filter { $0 < text.count && set.contains(text[$0]) }
        return Set(taken.map { $0 + 1 })
    case .assert(let assertion): return starts.filter { holds(assertion, at: $0, in: text) }
    case .sequence(let nodes):
        return nodes.reduce(starts) { ends(of: $1, from: $0, in: text) }
    case .choice(let nodes):
        return nodes.reduce([]) { $0.union(ends(of: $1, from: starts, in: text)) }
    case .repeated(let node, let least, let most):
        var now = starts
        for _ in 0..<least { now = ends(of: node, from: now, in: text) }
        var all = now
        var rounds = 0
        while !now.isEmpty, rounds < most.map({ $0 - least }) ?? Int.max {
            now = ends(of: node, from: now, in: text).subtracting(all)
            all.formUnion(now)
            rounds += 1
        }
        return all
    }
}

private func holds(
    _ assertion: RegularExpression.Assertion,
    at place: Int,
    in text: [UInt8]
) -> Bool {
    func isWord(_ index: Int) -> Bool {
        text.indices.contains(index) && ByteSet.word.contains(text[index])
    }
    switch assertion {
    case .lineStart: return place == 0 || text[place - 1] == 0x0A
    case .lineEnd: return place == text.count || text[place] == 0x0A
    case .wordStart: return !isWord(place - 1) && isWord(place)
    case .wordEnd: return isWord(place - 1) && !isWord(place)
    case .wordEdge: return isWord(place - 1) != isWord(place)
    case .noWordEdge: return isWord(place - 1) == isWord(place)
    }
}
